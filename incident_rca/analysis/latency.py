"""Latency series -> latency shifts, with onsets set back by the completion lag."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime, timedelta
from itertools import islice
from statistics import median
from typing import TYPE_CHECKING

from incident_rca.analysis.evidence import instant, rows_as_evidence
from incident_rca.analysis.frames import pieces
from incident_rca.analysis.latency_levels import Bucket, Level, level_of, onset_of
from incident_rca.model import Case, Evidence, LatencyShift, Span, System
from incident_rca.tables import Tables

if TYPE_CHECKING:
    import pandas as pd

# What tells most of slow calls first: of each method the first of these that is recorded is read.
AGGREGATES = ("p99", "p95", "max", "avg")
SHIFT_FACTOR = 3.0
# Median absolute deviations above the baseline's median that a bucket must reach as well.
SHIFT_DEVIATIONS = 10.0
# Of buckets that overlap (a rate's window is longer than its step) only those that lie apart count:
# one slow call is in each that holds its end.
FEWEST_BUCKETS = 3
FEWEST_BASELINE_BUCKETS = 6
# What instants and widths lose when they are rounded.
_ROUNDED = timedelta(milliseconds=1)


def canonical_method(case: Case, service: str, method: str) -> tuple[str, str]:
    """The topology's service and method for a metric's tags (which metrics stores lower-case).

    Falls back to the tags as they are, without the service's package, where nothing matches.
    """
    wanted = f"{service}/{method}".casefold()
    for known in case.topology.services:
        for full in known.grpc:
            if full.casefold() == wanted:
                return known.name, full.rpartition("/")[2]
    return service.partition(".")[0] or service, method


def latency_shifts(case: Case, tables: Tables) -> tuple[LatencyShift, ...]:
    """The series of latencies that rose to a plateau, highest first.

    Of a method that several programs call, the program that saw it highest.
    """
    metrics = tables.metrics
    series = metrics[
        metrics["aggregate"].isin(AGGREGATES)
        & (metrics["unit"] == "ms")
        & metrics["method"].notna()
        & metrics["value"].notna()
        & (metrics["at"] >= case.window.start)
        & (metrics["at"] < case.window.end)
    ]
    series = series.assign(owner=series["owner"].fillna(""))
    shifts = []
    for _, of_method in pieces(series, "service", "method"):
        aggregate = next(a for a in AGGREGATES if a in set(of_method["aggregate"]))
        for _, of_metric in pieces(of_method, "metric"):
            found = [
                shift
                for _, rows in pieces(of_metric, "owner")
                if (shift := _shift(case, tables, aggregate, rows)) is not None
            ]
            if found:
                shifts.append(max(found, key=lambda s: (s.plateau_ms, -s.onset.middle.timestamp())))
    return tuple(sorted(shifts, key=lambda s: (-s.plateau_ms, s.service, s.method)))


def _shift(case: Case, tables: Tables, aggregate: str, rows: pd.DataFrame) -> LatencyShift | None:
    """The shift of one series, of which `rows` are all aggregates."""
    known = rows[rows["aggregate"] == aggregate].sort_values("at", kind="stable")
    buckets = [
        Bucket(start, float(value), timedelta(seconds=float(width)), bool(value >= ceiling))
        for at, value, width, ceiling in zip(
            *(known[column] for column in ("at", "value", "bucket_seconds", "ceiling")), strict=True
        )
        if (start := instant(at)) is not None
    ]
    quiet = _beginning(buckets)
    found = _high_stretch(buckets, quiet)
    if found is None or found[0] < len(quiet):
        return None
    first, last = found
    inside = known.iloc[first : last + 1]
    averages = _averages(rows, inside) if aggregate != "avg" else rows.iloc[:0]
    level = level_of(buckets[first : last + 1], inside, averages)
    baseline = median(b.value for b in buckets[:first])
    service, method = str(known["service"].iloc[0]), str(known["method"].iloc[0])
    name, short = canonical_method(case, service, method)
    onset = onset_of(buckets[first], aggregate, level)
    offset = _offset(buckets, last)
    since = min(onset.first, buckets[first].start)
    counts, counted = _status_counts(tables, service, method, since, offset)
    before = f"({baseline:,.0f} ms before)"
    end = buckets[last].start + buckets[last].width
    cited = rows_as_evidence(
        inside,
        system=System.GRPC_METRICS,
        at=Span(buckets[first].start, end, "buckets of completed calls"),
        seen=f"{aggregate} of {name}.{short} stood at {level.stood_at:,.0f} ms {before}",
        first="row",
    )
    return LatencyShift(
        service=name,
        method=short,
        metric=str(known["metric"].iloc[0]),
        unit=str(known["unit"].iloc[0]),
        aggregate=aggregate,
        baseline_p99_ms=baseline,
        peak_ms=level.peak_ms,
        plateau_ms=level.plateau_ms,
        plateau_basis=level.basis,
        onset=onset,
        offset=offset,
        censored=level.censored,
        status_counts=counts,
        full_method=f"{service}/{method}",
        unsure_codes=_unsure_codes(tables, service, method),
        evidence=(
            *cited,
            *_average_evidence(averages, level, name, short),
            *_count_evidence(counted, name, short, counts, onset, offset),
        ),
    )


def _apart(buckets: Iterable[Bucket]) -> Iterator[int]:
    """Positions of buckets that lie apart, so that no call is in two of them."""
    free: datetime | None = None
    for position, bucket in enumerate(buckets):
        if free is None or bucket.start >= free - _ROUNDED:
            free = bucket.start + bucket.width
            yield position


def _beginning(buckets: list[Bucket]) -> list[Bucket]:
    """The first buckets, as many as tell what is usual; none where there are too few."""
    apart = list(islice(_apart(buckets), FEWEST_BASELINE_BUCKETS))
    return buckets[: apart[-1] + 1] if len(apart) == FEWEST_BASELINE_BUCKETS else []


def _high_stretch(buckets: list[Bucket], quiet: list[Bucket]) -> tuple[int, int] | None:
    """Positions of the longest stretch above the threshold; missing buckets are skipped."""
    usual = median([b.value for b in quiet] or [0.0])
    if usual <= 0:
        return None
    deviation = median(abs(b.value - usual) for b in quiet)
    threshold = max(SHIFT_FACTOR * usual, usual + SHIFT_DEVIATIONS * deviation)
    best: tuple[int, int] | None = None
    start: int | None = None
    for position, bucket in enumerate([*buckets, None]):
        if bucket is not None and bucket.value >= threshold:
            start = position if start is None else start
        elif start is not None:
            if best is None or position - start > best[1] - best[0] + 1:
                best = (start, position - 1)
            start = None
    apart = _apart(buckets[best[0] : best[1] + 1]) if best else ()
    return best if len(list(apart)) >= FEWEST_BUCKETS else None


def _averages(rows: pd.DataFrame, inside: pd.DataFrame) -> pd.DataFrame:
    """The averages of the same series in the same time, which no histogram's bounds hide."""
    first, last = inside["at"].min(), inside["at"].max()
    meets = (rows["at"] >= first) & (rows["at"] <= last)
    found: pd.DataFrame = rows[(rows["aggregate"] == "avg") & meets]
    return found


def _offset(buckets: list[Bucket], last: int) -> Span:
    end = buckets[last].start
    if last + 1 == len(buckets):
        return Span(end, None, "still high in the last bucket")
    usual = buckets[last + 1]
    return Span(end, usual.start + usual.width, "last high to first usual bucket")


def _status_counts(
    tables: Tables, service: str, method: str, since: datetime, offset: Span
) -> tuple[Mapping[str, int], pd.DataFrame]:
    """The calls by status code, and their rows.

    Metrics of client and server, old names and new ones count the same calls: of each code the
    largest count stands, not their sum, and none is lost that only one of them has.
    """
    metrics = tables.metrics
    counted = metrics[
        (metrics["aggregate"] == "count")
        & (metrics["service"] == service)
        & (metrics["method"] == method)
        & metrics["status"].notna()
        & metrics["value"].notna()
        & (metrics["at"] >= since)
    ]
    if offset.hi is not None:
        counted = counted[counted["at"] < offset.hi]
    by_metric: Counter[tuple[str, str]] = Counter()
    for (name, code), rows in pieces(counted, "metric", "status"):
        by_metric[code.upper(), name] += whole_calls(float(rows["value"].sum()))
    counts: dict[str, int] = {}
    for (code, _), number in sorted(by_metric.items()):
        counts[code] = max(number, counts.get(code, 0))
    return counts, counted


def _unsure_codes(tables: Tables, service: str, method: str) -> tuple[str, ...]:
    """Codes that are zero throughout, though their series appeared when others had been there.

    A program makes a code's counter with its first call. What a counter has when it is first read
    is no increase of it (Prometheus, `increase`), so that call is in no row.
    """
    metrics = tables.metrics
    counts = metrics[
        (metrics["aggregate"] == "count")
        & (metrics["service"] == service)
        & (metrics["method"] == method)
        & metrics["value"].notna()
    ]
    counts = counts.assign(owner=counts["owner"].fillna(""))
    found = set()
    for _, of_program in pieces(counts, "metric", "owner"):
        for (code,), rows in pieces(of_program, "status"):
            if rows["at"].min() > of_program["at"].min() and not rows["value"].any():
                found.add(code.upper())
    return tuple(sorted(found))


def whole_calls(counted: float) -> int:
    """A number of calls: counts that are extrapolated have fractions, and none is ever no call."""
    return max(1, round(counted)) if counted > 0 else 0


def _average_evidence(
    averages: pd.DataFrame, level: Level, service: str, method: str
) -> tuple[Evidence, ...]:
    if level.basis != "average":
        return ()
    return rows_as_evidence(
        averages,
        system=System.GRPC_METRICS,
        at=Span(instant(averages["at"].min()), instant(averages["at"].max()), "first to last"),
        seen=f"calls of {service}.{method} took {level.plateau_ms:,.0f} ms on average",
        first="row",
    )


def _count_evidence(
    counted: pd.DataFrame,
    service: str,
    method: str,
    counts: Mapping[str, int],
    onset: Span,
    offset: Span,
) -> tuple[Evidence, ...]:
    if counted.empty:
        return ()
    codes = ", ".join(f"{code} {number:,}" for code, number in counts.items())
    return rows_as_evidence(
        counted,
        system=System.GRPC_METRICS,
        at=Span(onset.lo, offset.hi, "the latency shift"),
        seen=f"calls of {service}.{method} by status code: {codes}",
        first="row",
        count=sum(counts.values()),
    )

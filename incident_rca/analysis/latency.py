"""Latency series -> latency shifts, with onsets set back by the completion lag."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from incident_rca.analysis.evidence import instant, rows_as_evidence
from incident_rca.analysis.frames import distinct, pieces, seconds_of
from incident_rca.analysis.latency_levels import Bucket, Level, level_of, onset_of
from incident_rca.analysis.latency_rises import Levels, Rise, beginning_of, rises_of
from incident_rca.model import Case, Evidence, LatencyShift, Span, System
from incident_rca.tables import Tables

if TYPE_CHECKING:
    import pandas as pd

# What tells most of slow calls first: of each method the first of these that is recorded is read.
AGGREGATES = ("p99", "p95", "max", "avg")


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
    """Each rise of a series of latencies to a plateau, highest first.

    Of a method that several programs call, the program that saw it highest at that time.
    """
    shifts = []
    for aggregate, of_metric in _series(case, tables):
        found = [
            shift
            for _, rows in pieces(of_metric, "owner")
            for shift in _shifts(case, tables, aggregate, rows)
        ]
        shifts += _one_at_a_time(found)
    return tuple(sorted(shifts, key=lambda s: (-s.plateau_ms, s.service, s.method, s.onset.middle)))


def methods_without_usual(case: Case, tables: Tables, before: datetime) -> tuple[str, ...]:
    """The methods whose latency is recorded, but not long enough before this to say what is usual.

    Whether one of these became slow is not known.
    """
    judged: set[str] = set()
    recorded: set[str] = set()
    for aggregate, of_metric in _series(case, tables):
        for _, rows in pieces(of_metric, "owner"):
            series = _levels(_of_aggregate(rows, aggregate))
            told = beginning_of(series)
            first = rows.iloc[0]
            name = ".".join(canonical_method(case, str(first["service"]), str(first["method"])))
            recorded.add(name)
            if told and series.ends[told - 1] <= before.timestamp():
                judged.add(name)
    return tuple(sorted(recorded - judged))


def _series(case: Case, tables: Tables) -> Iterator[tuple[str, pd.DataFrame]]:
    """Of each method and metric the aggregate that tells most, and the rows of all its programs."""
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
    for _, of_method in pieces(series, "service", "method"):
        aggregate = next(a for a in AGGREGATES if a in distinct(of_method, "aggregate"))
        for _, of_metric in pieces(of_method, "metric"):
            yield aggregate, of_metric


def _one_at_a_time(found: list[LatencyShift]) -> list[LatencyShift]:
    """The highest of those that overlap in time."""
    kept: list[LatencyShift] = []
    for shift in sorted(found, key=lambda s: (-s.plateau_ms, s.onset.middle)):
        if not any(_overlap(shift, other) for other in kept):
            kept.append(shift)
    return kept


def _overlap(one: LatencyShift, other: LatencyShift) -> bool:
    first, second = sorted((one, other), key=lambda s: s.onset.first)
    return first.offset.hi is None or second.onset.first < first.offset.hi


def _of_aggregate(rows: pd.DataFrame, aggregate: str) -> pd.DataFrame:
    return rows[rows["aggregate"] == aggregate].sort_values("at", kind="stable")


def _buckets(known: pd.DataFrame) -> list[Bucket]:
    columns = ("at", "value", "bucket_seconds", "ceiling")
    return [
        Bucket(start, float(value), timedelta(seconds=float(width)), bool(value >= ceiling))
        for at, value, width, ceiling in zip(*(known[column] for column in columns), strict=True)
        if (start := instant(at)) is not None
    ]


def _shifts(
    case: Case, tables: Tables, aggregate: str, rows: pd.DataFrame
) -> Iterator[LatencyShift]:
    """The shifts of one series, of which `rows` are all aggregates."""
    known = _of_aggregate(rows, aggregate)
    baseline, rises = rises_of(_levels(known))
    for rise in rises:
        yield _shift(case, tables, aggregate, rows, known, rise, baseline)


def _levels(known: pd.DataFrame) -> Levels:
    starts = seconds_of(known["at"])
    widths = known["bucket_seconds"].to_numpy(dtype=float)
    return Levels(starts, starts + widths, known["value"].to_numpy(dtype=float))


def _shift(
    case: Case,
    tables: Tables,
    aggregate: str,
    rows: pd.DataFrame,
    known: pd.DataFrame,
    rise: Rise,
    baseline: float,
) -> LatencyShift:
    inside = known.iloc[rise.first : rise.last + 1]
    high = _buckets(inside)
    averages = _averages(rows, inside) if aggregate != "avg" else rows.iloc[:0]
    level = level_of(high, inside, averages)
    service, method = str(known["service"].iloc[0]), str(known["method"].iloc[0])
    name, short = canonical_method(case, service, method)
    onset = _onset(known, rise, aggregate, level)
    offset = _offset(known, rise)
    since = min(onset.first, high[0].start)
    counts, counted = _status_counts(tables, service, method, since, offset)
    before = f"({baseline:,.0f} ms before)"
    cited = rows_as_evidence(
        inside,
        system=System.GRPC_METRICS,
        at=Span(high[0].start, high[-1].start + high[-1].width, "buckets of completed calls"),
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


def _averages(rows: pd.DataFrame, inside: pd.DataFrame) -> pd.DataFrame:
    """The averages of the same series in the same time, which no histogram's bounds hide."""
    first, last = inside["at"].min(), inside["at"].max()
    meets = (rows["at"] >= first) & (rows["at"] <= last)
    found: pd.DataFrame = rows[(rows["aggregate"] == "avg") & meets]
    return found


def _onset(known: pd.DataFrame, rise: Rise, aggregate: str, level: Level) -> Span:
    """From the calls of the first bucket that may be slow to those of the first that surely is."""
    sure = onset_of(_bucket(known, rise.first_sure), aggregate, level)
    if rise.first_unsure == rise.first_sure:
        return sure
    early = onset_of(_bucket(known, rise.first_unsure), aggregate, level)
    return Span(early.lo, sure.hi, f"{sure.reason}; one before is between usual and slow")


def _offset(known: pd.DataFrame, rise: Rise) -> Span:
    end = _bucket(known, rise.last_sure).start
    if rise.last_unsure + 1 == len(known):
        return Span(end, None, "still high in the last bucket")
    usual = _bucket(known, rise.last_unsure + 1)
    return Span(end, usual.start + usual.width, "last high to first usual bucket")


def _bucket(known: pd.DataFrame, position: int) -> Bucket:
    return _buckets(known.iloc[position : position + 1])[0]


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

"""Latency series -> latency shifts, with onsets set back by the completion lag."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from incident_rca.analysis.evidence import instant, rows_as_evidence
from incident_rca.analysis.frames import pieces, places, seconds_of
from incident_rca.analysis.latency_cuts import cuts_of
from incident_rca.analysis.latency_levels import Bucket, Level, level_of, onset_of
from incident_rca.analysis.latency_rises import Levels, Rise, beginning_of, rises_of
from incident_rca.analysis.windows import each_once
from incident_rca.model import Case, Evidence, LatencyShift, Span, System
from incident_rca.tables import Tables

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    Places: TypeAlias = NDArray[np.int32]

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


@dataclass(frozen=True, slots=True, kw_only=True)
class Latencies:
    """What the series of latencies say: their rises, highest first, and since when what is usual
    of a method is known, None where it never is.
    """

    shifts: tuple[LatencyShift, ...]
    usual_since: Mapping[str, datetime | None] = field(hash=False)

    def without_usual(self, before: datetime) -> tuple[str, ...]:
        """The methods whose latency is recorded, but not long enough before this to say what is
        usual. Whether one of these became slow is not known.
        """
        since = self.usual_since.items()
        return tuple(sorted(name for name, at in since if at is None or at > before))


def latencies(case: Case, tables: Tables) -> Latencies:
    """Each rise of a series of latencies to a plateau, or to a deadline ("at least"), and of which
    methods what is usual is known.

    Of a method that several programs call, the program that saw it highest at that time.
    """
    counts = _counts(tables)
    none = np.empty(0, dtype=np.int32)
    shifts: list[LatencyShift] = []
    usual_since: dict[str, datetime | None] = {}
    for of_metric in _series(case, tables):
        found = []
        for series in of_metric:
            of_method = tables.metrics.iloc[counts.get((series.service, series.method), none)]
            levels = series.levels
            baseline, rises = rises_of(levels)
            found += [_shift(case, of_method, series, rise, baseline) for rise in rises]
            name = ".".join(canonical_method(case, series.service, series.method))
            usual_since[name] = _earlier(usual_since.get(name), _usual_since(levels))
        found += _cut_off(case, tables, counts, of_metric, found)
        shifts += _one_at_a_time(found)
    ordered = sorted(shifts, key=lambda s: (-s.plateau_ms, s.service, s.method, s.onset.middle))
    return Latencies(shifts=tuple(ordered), usual_since=usual_since)


def _usual_since(levels: Levels) -> datetime | None:
    told = beginning_of(levels)
    return datetime.fromtimestamp(levels.ends[told - 1], UTC) if told else None


def _earlier(one: datetime | None, other: datetime | None) -> datetime | None:
    return min((at for at in (one, other) if at is not None), default=None)


@dataclass(frozen=True, slots=True, eq=False)
class _Series:
    """The latencies of a method as one program and metric saw it: its rows of all aggregates."""

    service: str
    method: str
    metric: str
    aggregate: str
    rows: pd.DataFrame

    @property
    def known(self) -> pd.DataFrame:
        """The rows of the aggregate that is read, by time."""
        own = self.rows[self.rows["aggregate"] == self.aggregate]
        return own.sort_values("at", kind="stable")

    @property
    def levels(self) -> Levels:
        known = self.known
        starts = seconds_of(known["at"])
        widths = known["bucket_seconds"].to_numpy(dtype=float)
        return Levels(starts, starts + widths, known["value"].to_numpy(dtype=float))


def _series(case: Case, tables: Tables) -> Iterator[list[_Series]]:
    """The series of each method and metric, one a program, by the aggregate that tells most.

    The table may hold millions of rows: it is cut up once, by position.
    """
    metrics = tables.metrics
    is_read = (
        metrics["aggregate"].isin(AGGREGATES)
        & (metrics["unit"] == "ms")
        & metrics["value"].notna()
        & (metrics["at"] >= case.window.start)
        & (metrics["at"] < case.window.end)
    )
    keys = ("service", "method", "metric", "owner", "aggregate")
    found: dict[tuple[str, str], dict[str, dict[str, dict[str, Places]]]] = {}
    for (by, of, name, owner, read_as), rows in places(metrics, is_read, *keys):
        if by and of and name:
            by_metric = found.setdefault((by, of), {}).setdefault(name, {})
            by_metric.setdefault(owner or "", {})[read_as or ""] = rows
    for (service, method), of_method in sorted(found.items()):
        there = {a for of_metric in of_method.values() for p in of_metric.values() for a in p}
        best = next(a for a in AGGREGATES if a in there)
        for metric, programs in sorted(of_method.items()):
            yield [
                _Series(service, method, metric, best, metrics.iloc[_in_order(aggregates)])
                for _, aggregates in sorted(programs.items())
                if best in aggregates
            ]


def _in_order(aggregates: Mapping[str, Places]) -> Places:
    return np.sort(np.concatenate(list(aggregates.values())))


def _counts(tables: Tables) -> dict[tuple[str | None, str | None], Places]:
    """Where the counts of calls by status code are, of each method."""
    metrics = tables.metrics
    is_count = (
        (metrics["aggregate"] == "count") & metrics["status"].notna() & metrics["value"].notna()
    )
    return {
        (service, method): rows
        for (service, method), rows in places(metrics, is_count, "service", "method")
    }


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


def _buckets(known: pd.DataFrame) -> list[Bucket]:
    columns = ("at", "value", "bucket_seconds", "ceiling")
    return [
        Bucket(start, float(value), timedelta(seconds=float(width)), bool(value >= ceiling))
        for at, value, width, ceiling in zip(*(known[column] for column in columns), strict=True)
        if (start := instant(at)) is not None
    ]


def _shift(
    case: Case, counts: pd.DataFrame, series: _Series, rise: Rise, baseline: float
) -> LatencyShift:
    aggregate, rows, known = series.aggregate, series.rows, series.known
    service, method = series.service, series.method
    inside = known.iloc[rise.first : rise.last + 1]
    high = _buckets(inside)
    averages = _averages(rows, inside) if aggregate != "avg" else rows.iloc[:0]
    level = level_of(high, inside, averages)
    name, short = canonical_method(case, service, method)
    onset = _onset(known, rise, aggregate, level)
    offset = _offset(known, rise)
    since = min(onset.first, high[0].start)
    by_code, counted = _status_counts(counts, since, offset)
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
        metric=series.metric,
        unit=str(known["unit"].iloc[0]),
        aggregate=aggregate,
        baseline_p99_ms=baseline,
        peak_ms=level.peak_ms,
        plateau_ms=level.plateau_ms,
        plateau_basis=level.basis,
        onset=onset,
        offset=offset,
        censored=level.censored,
        status_counts=by_code,
        full_method=f"{service}/{method}",
        unsure_codes=_unsure_codes(counts),
        evidence=(
            *cited,
            *_average_evidence(averages, level, name, short),
            *_count_evidence(counted, name, short, by_code, onset, offset),
        ),
    )


def _cut_off(
    case: Case,
    tables: Tables,
    counts: Mapping[tuple[str | None, str | None], Places],
    of_metric: list[_Series],
    found: list[LatencyShift],
) -> list[LatencyShift]:
    """What deadlines hide: more calls than usual were cut off, where none of the series rose."""
    hidden = []
    for series in of_metric:
        rows = counts.get((series.service, series.method))
        if rows is None:
            continue
        of_method = tables.metrics.iloc[rows]
        for cut in cuts_of(series.levels, series.aggregate, of_method):
            shift = _shift(case, of_method, series, cut.rise, cut.usual_ms)
            if any(_overlap(shift, other) for other in found):
                continue
            cited = rows_as_evidence(
                of_method[of_method["at"] < shift.onset.first],
                system=System.GRPC_METRICS,
                at=Span(
                    instant(of_method["at"].min()), shift.onset.first, "before the latency shift"
                ),
                seen=f"calls of {shift.service}.{shift.method} by status code, before",
                first="row",
                count=cut.calls.calls_before,
            )
            whole = (*shift.evidence, *cited)
            hidden.append(replace(shift, censored=True, cut_off=cut.calls, evidence=whole))
    return hidden


def _averages(rows: pd.DataFrame, inside: pd.DataFrame) -> pd.DataFrame:
    """The averages of the same series in the same time, which no histogram's bounds hide."""
    first, last = inside["at"].min(), inside["at"].max()
    meets = (rows["at"] >= first) & (rows["at"] <= last)
    found: pd.DataFrame = rows[(rows["aggregate"] == "avg") & meets]
    return found


def _onset(known: pd.DataFrame, rise: Rise, aggregate: str, level: Level) -> Span:
    """From the calls of the first bucket that may be slow to those of the first that surely is.

    Calls that took long may have begun before those of an earlier bucket, which took less: so the
    first bucket near the level is asked as well.
    """
    places = {rise.first_sure, _first_near_level(known, rise, level)}
    sure = [onset_of(_bucket(known, place), aggregate, level) for place in sorted(places)]
    first = min(sure, key=lambda span: span.hi or span.first)
    if rise.first_unsure == rise.first_sure:
        return Span(_earliest(sure), first.hi, first.reason)
    early = onset_of(_bucket(known, rise.first_unsure), aggregate, level)
    why = f"{first.reason}; one before is between usual and slow"
    return Span(_earliest([early, *sure]), first.hi, why)


def _first_near_level(known: pd.DataFrame, rise: Rise, level: Level) -> int:
    """The first bucket of at least half the level; averages are known of the first one only."""
    if level.first_average_ms is not None:
        return rise.first_sure
    values = known["value"].iloc[rise.first_sure : rise.last + 1].to_numpy(dtype=float)
    return rise.first_sure + int(np.argmax(values >= level.stood_at / 2))


def _earliest(spans: Sequence[Span]) -> datetime | None:
    starts = [span.lo for span in spans if span.lo is not None]
    return min(starts) if len(starts) == len(spans) else None


def _offset(known: pd.DataFrame, rise: Rise) -> Span:
    end = _bucket(known, rise.last_sure).start
    if rise.last_unsure + 1 == len(known):
        return Span(end, None, "still high in the last bucket")
    usual = _bucket(known, rise.last_unsure + 1)
    return Span(end, usual.start + usual.width, "last high to first usual bucket")


def _bucket(known: pd.DataFrame, position: int) -> Bucket:
    return _buckets(known.iloc[position : position + 1])[0]


def _status_counts(
    counts: pd.DataFrame, since: datetime, offset: Span
) -> tuple[Mapping[str, int], pd.DataFrame]:
    """The calls by status code, and their rows.

    Metrics of client and server, old names and new ones count the same calls: of each code the
    largest count stands, not their sum, and none is lost that only one of them has.
    """
    by_metric: Counter[tuple[str, str]] = Counter()
    for (name, code), rows in pieces(
        _between(each_once(counts), since, offset), "metric", "status"
    ):
        by_metric[code.upper(), name] += whole_calls(float(rows["value"].sum()))
    by_code: dict[str, int] = {}
    for (code, _), number in sorted(by_metric.items()):
        by_code[code] = max(number, by_code.get(code, 0))
    return by_code, _between(counts, since, offset)


def _between(counts: pd.DataFrame, since: datetime, offset: Span) -> pd.DataFrame:
    later = counts[counts["at"] >= since]
    return later if offset.hi is None else later[later["at"] < offset.hi]


def _unsure_codes(counts: pd.DataFrame) -> tuple[str, ...]:
    """Codes that are zero throughout, though their series appeared when others had been there.

    A program makes a code's counter with its first call. What a counter has when it is first read
    is no increase of it (Prometheus, `increase`), so that call is in no row.
    """
    found = set()
    programs = counts.groupby(["metric", "owner"], dropna=False, observed=True, sort=True)
    for _, of_program in programs:
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

"""Percentile series -> latency shifts, with onsets set back by the completion lag."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from statistics import median
from typing import TYPE_CHECKING

from incident_rca.analysis.evidence import instant, rows_as_evidence
from incident_rca.analysis.frames import pieces, sums
from incident_rca.model import Case, Evidence, LatencyShift, Span, System
from incident_rca.tables import Tables

if TYPE_CHECKING:
    import pandas as pd

SHIFT_FACTOR = 3.0
# Median absolute deviations above the baseline's median that a bucket must reach as well.
SHIFT_DEVIATIONS = 10.0
FEWEST_BUCKETS = 3
FEWEST_BASELINE_BUCKETS = 6


@dataclass(frozen=True, slots=True)
class Bucket:
    start: datetime
    value: float


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
    """The p99 series that rose to a plateau, highest first."""
    metrics = tables.metrics
    series = metrics[(metrics["aggregate"] == "p99") & metrics["method"].notna()]
    shifts = []
    for (metric, service, method), rows in pieces(series, "metric", "service", "method"):
        shift = _shift(case, tables, metric, service, method, rows)
        if shift is not None:
            shifts.append(shift)
    return tuple(sorted(shifts, key=lambda s: (-s.plateau_ms, s.service, s.method)))


def _shift(
    case: Case, tables: Tables, metric: str, service: str, method: str, rows: pd.DataFrame
) -> LatencyShift | None:
    known = rows[rows["value"].notna()].sort_values("at", kind="stable")
    known = known[(known["at"] >= case.window.start) & (known["at"] < case.window.end)]
    buckets = [
        Bucket(start, float(value))
        for at, value in zip(known["at"], known["value"], strict=True)
        if (start := instant(at)) is not None
    ]
    if len(buckets) < FEWEST_BASELINE_BUCKETS + FEWEST_BUCKETS:
        return None
    step = timedelta(seconds=float(known["bucket_seconds"].iloc[0]))
    usual = median(b.value for b in buckets[:FEWEST_BASELINE_BUCKETS])
    if usual <= 0:
        return None
    found = _high_stretch(buckets, usual)
    if found is None:
        return None
    first, last = found
    if first < FEWEST_BASELINE_BUCKETS:
        return None
    high = [b.value for b in buckets[first : last + 1]]
    baseline = median(b.value for b in buckets[:first])
    name, short = canonical_method(case, service, method)
    onset, offset = _onset(buckets[first], step), _offset(buckets, last, step)
    counts, counted = _status_counts(tables, service, method, onset, offset)
    inside = known.iloc[first : last + 1]
    plateau = median(high)
    cited = rows_as_evidence(
        inside,
        system=System.GRPC_METRICS,
        at=Span(buckets[first].start, buckets[last].start + step, "buckets of completed calls"),
        seen=f"p99 of {name}.{short} stood at {plateau:,.0f} ms ({baseline:,.0f} ms before)",
        first="row",
    )
    return LatencyShift(
        service=name,
        method=short,
        metric=metric,
        unit=str(known["unit"].iloc[0]),
        baseline_p99_ms=baseline,
        peak_ms=max(high),
        plateau_ms=plateau,
        onset=onset,
        offset=offset,
        # Real latencies jitter: equal to the digit they are a histogram's ceiling.
        censored=len(set(high)) == 1,
        status_counts=counts,
        full_method=f"{service}/{method}",
        evidence=(*cited, *_count_evidence(counted, name, short, counts, onset, offset)),
    )


def _high_stretch(buckets: list[Bucket], usual: float) -> tuple[int, int] | None:
    """Positions of the longest stretch above the threshold; missing buckets are skipped."""
    quiet = [b.value for b in buckets[:FEWEST_BASELINE_BUCKETS]]
    deviation = median(abs(v - usual) for v in quiet)
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
    return best if best and best[1] - best[0] + 1 >= FEWEST_BUCKETS else None


def _onset(bucket: Bucket, step: timedelta) -> Span:
    """A latency is recorded when its call ends: the call began that much earlier."""
    lag = timedelta(milliseconds=round(bucket.value))
    return Span(
        bucket.start - lag,
        bucket.start + step - lag,
        f"a {step.total_seconds():g} s bucket, set back by {lag.total_seconds():g} s of lag",
    )


def _offset(buckets: list[Bucket], last: int, step: timedelta) -> Span:
    end = buckets[last].start
    if last + 1 == len(buckets):
        return Span(end, None, "still high in the last bucket")
    return Span(end, buckets[last + 1].start + step, "last high to first usual bucket")


def _status_counts(
    tables: Tables, service: str, method: str, onset: Span, offset: Span
) -> tuple[Mapping[str, int], pd.DataFrame]:
    metrics = tables.metrics
    counted = metrics[
        (metrics["aggregate"] == "count")
        & (metrics["service"] == service)
        & (metrics["method"] == method)
        & metrics["status"].notna()
        & metrics["value"].notna()
        & (metrics["at"] >= onset.first)
    ]
    if offset.hi is not None:
        counted = counted[counted["at"] < offset.hi]
    codes = sums(counted, "status", "value")
    return {code.upper(): round(number) for code, number in codes.items()}, counted


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

"""The `gateway` table -> what each endpoint suffered in the outage."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import numpy as np

from incident_rca.analysis.evidence import instant, rows_as_evidence
from incident_rca.analysis.frames import flat, pieces, seconds_of
from incident_rca.analysis.onsets import poisson_tail
from incident_rca.analysis.outage import failures_in, recorded_from
from incident_rca.analysis.rates import chance_of_more
from incident_rca.model import Case, EndpointImpact, ErrorBurst, Evidence, Impact, Span, System
from incident_rca.tables import Tables
from incident_rca.typed_frames import plain

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

FAILED_SHARE = 0.9
STARVED_SHARE = 0.2
SLOW_FACTOR = 3.0
# From ten requests on a rate is told to within a third, and the slowest of them is above the median
# but for once in a thousand times. Whether the outage differs from it is then a matter of chance.
FEWEST_TO_COMPARE = 10
CHANCE = 0.001
_SECOND = timedelta(seconds=1)


@dataclass(frozen=True, slots=True, eq=False)
class _Traffic:
    """The requests of a stretch, and of those whose latency is known how many took which bound."""

    requests: int
    failed: int
    minutes: float
    bounds_ms: NDArray[np.int64]
    numbers: NDArray[np.int64]

    @property
    def per_minute(self) -> float:
        return self.requests / self.minutes if self.minutes else 0.0

    @property
    def timed(self) -> int:
        return int(self.numbers.sum())

    @property
    def p99_ms(self) -> float | None:
        return _percentile(self.bounds_ms, self.numbers, 0.99) if self.requests else None

    def as_slow_as(self, least_ms: float) -> int:
        return int(self.numbers[self.bounds_ms >= least_ms].sum())


def endpoint_impacts(
    case: Case, tables: Tables, outage: ErrorBurst | None
) -> tuple[EndpointImpact, ...]:
    """Every route that had a request, worst first, over the outage's whole seconds."""
    if outage is None or outage.start.lo is None or outage.end.lo is None:
        return ()
    start = outage.start.lo.replace(microsecond=0)
    end = outage.end.lo.replace(microsecond=0) + _SECOND
    minutes = (end - start).total_seconds() / 60
    failures = failures_in(tables, outage)
    impacts = []
    for (method, route), rows in pieces(tables.gateway, "method", "route"):
        now = _traffic(rows[(rows["second"] >= start) & (rows["second"] < end)], minutes)
        usual = _lead_up(case, rows, start, minutes)
        usual = usual or _baseline(tables.baseline, method, route, start)
        impacts.append(_impact(rows, outage, _of(failures, method, route), now, usual))
    order = list(Impact)
    return tuple(
        sorted(impacts, key=lambda e: (order.index(e.impact), -_share(e), -e.failed, e.name))
    )


def _lead_up(case: Case, rows: pd.DataFrame, start: datetime, minutes: float) -> _Traffic | None:
    """What is usual, or None where too little of it is recorded to compare anything with.

    Bins that reach into the outage hold its own requests and latencies: they are left out.
    """
    widths = {s.name: max(1.0, s.resolution_seconds or 0.0) for s in case.sources}
    width = timedelta(seconds=max(widths.get(name, 1.0) for name in rows["source"].unique()))
    counted = rows[rows["requests"] > 0]["source"].unique()
    bins = timedelta(seconds=max((widths.get(name, 1.0) for name in counted), default=1.0))
    since = recorded_from(case)
    until = start - (start - datetime.fromtimestamp(0, start.tzinfo)) % bins
    seconds = (until - since).total_seconds()
    before = rows[(rows["second"] >= since) & (rows["second"] < until)]
    if width > _SECOND:
        own = plain(before["source"]).map(widths).fillna(1.0).to_numpy(dtype=float)
        before = before[seconds_of(before["second"]) + own <= start.timestamp()]
    if seconds <= 0:
        return None
    usual = _traffic(before, seconds / 60)
    # As long as the outage itself, a lead-up without any request tells that there were none.
    is_told = usual.requests >= FEWEST_TO_COMPARE or seconds / 60 >= minutes
    return usual if is_told else None


def _baseline(baseline: pd.DataFrame, method: str, route: str, start: datetime) -> _Traffic | None:
    """What is usual by the counts asked of a time before; their latencies are not known.

    A bin in which a route has no row is one in which nobody asked for it.
    """
    before = baseline[baseline["until"] <= start]
    of_route = _of(before, method, route)
    if of_route.empty:
        return None
    bins = before[["source", "at", "until"]].drop_duplicates()
    minutes = float((seconds_of(bins["until"]) - seconds_of(bins["at"])).sum()) / 60
    no_latencies = np.empty(0, np.int64)
    return _counted(of_route, minutes, no_latencies, no_latencies)


def _share(endpoint: EndpointImpact) -> float:
    return endpoint.failed / endpoint.requests if endpoint.requests else 0.0


def _of(frame: pd.DataFrame, method: str, route: str) -> pd.DataFrame:
    return frame[(frame["method"] == method) & (frame["route"] == route)]


def _traffic(rows: pd.DataFrame, minutes: float) -> _Traffic:
    return _counted(rows, minutes, *_histogram(rows))


def _counted(
    rows: pd.DataFrame,
    minutes: float,
    bounds_ms: NDArray[np.int64],
    numbers: NDArray[np.int64],
) -> _Traffic:
    return _Traffic(
        requests=int(rows["requests"].sum()),
        failed=int(rows.loc[rows["status"] >= 500, "requests"].sum()),
        minutes=minutes,
        bounds_ms=bounds_ms,
        numbers=numbers,
    )


def _histogram(rows: pd.DataFrame) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The merged latency histograms: each bound in milliseconds, rising, and its requests."""
    bounds, counts = flat(rows["latency_ms_bounds"]), flat(rows["latency_ms_counts"])
    merged, places = np.unique(bounds, return_inverse=True)
    return merged, np.bincount(places, weights=counts, minlength=len(merged)).astype(np.int64)


def percentile_ms(rows: pd.DataFrame, share: float) -> float | None:
    """A latency percentile from merged histograms: the bound of the bucket it falls in."""
    return _percentile(*_histogram(rows), share)


def _percentile(
    bounds: NDArray[np.int64], numbers: NDArray[np.int64], share: float
) -> float | None:
    if not len(bounds):
        return None
    reached = np.cumsum(numbers)
    return float(bounds[np.searchsorted(reached, share * reached[-1])])


def _impact(
    rows: pd.DataFrame,
    outage: ErrorBurst,
    failures: pd.DataFrame,
    now: _Traffic,
    usual: _Traffic | None,
) -> EndpointImpact:
    method, route = str(rows["method"].iloc[0]), str(rows["route"].iloc[0])
    by_status = Counter(int(status) for status in failures["status"])
    return EndpointImpact(
        method=method,
        route=route,
        requests=now.requests,
        failed=len(failures),
        by_status=dict(sorted(by_status.items())),
        first_failure=instant(failures["at"].min()),
        last_failure=instant(failures["at"].max()),
        baseline_per_minute=usual.per_minute if usual else None,
        incident_per_minute=now.per_minute,
        p99_ms=now.p99_ms,
        baseline_p99_ms=usual.p99_ms if usual else None,
        is_failing=_is_failing(now, usual),
        impact=_rating(now, usual),
        evidence=_endpoint_evidence(
            rows, outage, failures, by_status, f"{method} {route}", now, usual
        ),
    )


def _rating(now: _Traffic, usual: _Traffic | None) -> Impact:
    """DESIGN: failed outranks starved outranks degraded outranks unaffected."""
    if _has_failed(now):
        return Impact.FAILED
    if usual and _has_starved(now, usual):
        return Impact.STARVED
    if _is_failing(now, usual) or (usual and _is_slower(now, usual)):
        return Impact.DEGRADED
    return Impact.UNAFFECTED


def _has_failed(now: _Traffic) -> bool:
    return bool(now.requests) and now.failed / now.requests >= FAILED_SHARE


def _is_failing(now: _Traffic, usual: _Traffic | None) -> bool:
    """Whether more failed than usual, and not by chance so many."""
    # Half a failure more than were seen, of a lead-up no shorter than what it is compared with.
    expected = 0.5
    if usual:
        expected *= min(1.0, now.minutes / usual.minutes)
        expected += usual.failed * now.minutes / usual.minutes
    return bool(now.failed) and (
        _has_failed(now) or bool(poisson_tail(now.failed, expected) < CHANCE)
    )


def _has_starved(now: _Traffic, usual: _Traffic) -> bool:
    """Whether at most STARVED_SHARE of the usual requests came, and not by chance so few."""
    if not usual.requests or now.per_minute > STARVED_SHARE * usual.per_minute:
        return False
    return chance_of_more(usual.requests, usual.minutes, now.requests, now.minutes) < CHANCE


def _is_slower(now: _Traffic, usual: _Traffic) -> bool:
    """Whether the p99 is SLOW_FACTOR times the usual one, by more requests than chance makes so."""
    if not now.p99_ms or not usual.p99_ms or now.p99_ms < SLOW_FACTOR * usual.p99_ms:
        return False
    least = SLOW_FACTOR * usual.p99_ms
    slow, usually = now.as_slow_as(least), usual.as_slow_as(least)
    return chance_of_more(slow, now.timed, usually, usual.timed) < CHANCE


def _endpoint_evidence(
    of_route: pd.DataFrame,
    outage: ErrorBurst,
    failures: pd.DataFrame,
    by_status: Counter[int],
    name: str,
    now: _Traffic,
    usual: _Traffic | None,
) -> tuple[Evidence, ...]:
    at = Span(outage.start.lo, outage.end.lo, "the outage")
    if len(failures):
        statuses = ", ".join(f"{status}: {n:,}" for status, n in sorted(by_status.items()))
        return rows_as_evidence(
            failures,
            system=System.GATEWAY,
            at=at,
            seen=f"{name}: {len(failures):,} of {now.requests:,} requests failed ({statuses})",
        )
    rate = f", {usual.per_minute:.1f} before" if usual else ""
    return rows_as_evidence(
        of_route,
        system=System.GATEWAY,
        at=at,
        seen=f"{name}: {now.requests:,} requests, none failed; {now.per_minute:.1f} a minute{rate}",
        first="line_first",
        last="line_last",
        count=now.requests,
    )

"""The `gateway` table -> what each endpoint suffered in the outage."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from incident_rca.analysis.evidence import instant, rows_as_evidence
from incident_rca.analysis.onsets import poisson_tail
from incident_rca.analysis.outage import failures_in, recorded_from
from incident_rca.model import Case, EndpointImpact, ErrorBurst, Evidence, Impact, Span, System
from incident_rca.tables import Tables

if TYPE_CHECKING:
    import pandas as pd

FAILED_SHARE = 0.9
STARVED_SHARE = 0.2
SLOW_FACTOR = 3.0
# A route needs this much lead-up before its usual traffic is worth comparing with.
SHORTEST_LEAD_UP = timedelta(minutes=5)
CHANCE = 0.001


@dataclass(frozen=True, slots=True)
class _Traffic:
    requests: int
    failed: int
    minutes: float
    p99_ms: float | None

    @property
    def per_minute(self) -> float:
        return self.requests / self.minutes if self.minutes else 0.0


def endpoint_impacts(
    case: Case, tables: Tables, outage: ErrorBurst | None
) -> tuple[EndpointImpact, ...]:
    """Every route that had a request, worst first, over the outage's whole seconds."""
    if outage is None or outage.start.lo is None or outage.end.lo is None:
        return ()
    gateway, start = tables.gateway, outage.start.lo.replace(microsecond=0)
    end = outage.end.lo.replace(microsecond=0) + timedelta(seconds=1)
    inside = gateway[(gateway["second"] >= start) & (gateway["second"] < end)]
    lead_up = gateway[gateway["second"] < start]
    lead_minutes = (start - recorded_from(case)).total_seconds() / 60
    impacts = []
    for method, route in sorted(set(zip(gateway["method"], gateway["route"], strict=True))):
        now = _traffic(_of(inside, method, route), (end - start).total_seconds() / 60)
        usual = (
            _traffic(_of(lead_up, method, route), lead_minutes)
            if timedelta(minutes=lead_minutes) >= SHORTEST_LEAD_UP
            else None
        )
        impacts.append(_impact(tables, outage, method, route, now, usual))
    order = list(Impact)
    return tuple(
        sorted(impacts, key=lambda e: (order.index(e.impact), -_share(e), -e.failed, e.name))
    )


def _share(endpoint: EndpointImpact) -> float:
    return endpoint.failed / endpoint.requests if endpoint.requests else 0.0


def _of(frame: pd.DataFrame, method: str, route: str) -> pd.DataFrame:
    return frame[(frame["method"] == method) & (frame["route"] == route)]


def _traffic(rows: pd.DataFrame, minutes: float) -> _Traffic:
    requests = int(rows["requests"].sum())
    return _Traffic(
        requests=requests,
        failed=int(rows.loc[rows["status"] >= 500, "requests"].sum()),
        minutes=minutes,
        # Latencies may come in wider bins than counts, which then reach in from beside.
        p99_ms=percentile_ms(rows, 0.99) if requests else None,
    )


def percentile_ms(rows: pd.DataFrame, share: float) -> float | None:
    """A latency percentile from merged histograms: the bound of the bucket it falls in."""
    buckets: Counter[int] = Counter()
    for bounds, counts in zip(rows["latency_ms_bounds"], rows["latency_ms_counts"], strict=True):
        for bound, count in zip(bounds, counts, strict=True):
            buckets[int(bound)] += int(count)
    wanted = share * sum(buckets.values())
    reached = 0
    for bound in sorted(buckets):
        reached += buckets[bound]
        if reached >= wanted:
            return float(bound)
    return None


def _impact(
    tables: Tables,
    outage: ErrorBurst,
    method: str,
    route: str,
    now: _Traffic,
    usual: _Traffic | None,
) -> EndpointImpact:
    failures = _of(failures_in(tables, outage), method, route)
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
        impact=_rating(now, usual),
        evidence=_endpoint_evidence(
            tables, outage, failures, by_status, f"{method} {route}", now, usual
        ),
    )


def _rating(now: _Traffic, usual: _Traffic | None) -> Impact:
    """DESIGN: failed outranks starved outranks degraded outranks unaffected."""
    if now.requests and now.failed / now.requests >= FAILED_SHARE:
        return Impact.FAILED
    if usual and usual.requests and now.per_minute <= STARVED_SHARE * usual.per_minute:
        return Impact.STARVED
    expected = now.minutes * ((usual.failed + 0.5) / usual.minutes if usual else 0.5 / now.minutes)
    if now.failed and poisson_tail(now.failed, expected) < CHANCE:
        return Impact.DEGRADED
    if usual and now.p99_ms and usual.p99_ms and now.p99_ms >= SLOW_FACTOR * usual.p99_ms:
        return Impact.DEGRADED
    return Impact.UNAFFECTED


def _endpoint_evidence(
    tables: Tables,
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
    rows = _of(tables.gateway, *name.split(" ", 1))
    rate = f", {usual.per_minute:.1f} before" if usual else ""
    return rows_as_evidence(
        rows,
        system=System.GATEWAY,
        at=at,
        seen=f"{name}: {now.requests:,} requests, none failed; {now.per_minute:.1f} a minute{rate}",
        first="line_first",
        last="line_last",
        count=now.requests,
    )

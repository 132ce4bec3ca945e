"""Calls made for each request: where callers try again, there are more of them than usual."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from statistics import median
from typing import TYPE_CHECKING

from incident_rca.analysis.call_counts import callers_of
from incident_rca.analysis.evidence import rows_as_evidence
from incident_rca.analysis.frames import pieces, sums
from incident_rca.analysis.latency import canonical_method
from incident_rca.analysis.rates import chance_of_more
from incident_rca.model import Evidence, Span, System

if TYPE_CHECKING:
    import pandas as pd

    from incident_rca.analysis.observations import Observations

# So many calls a request as usual and this factor more: one retry in two requests.
STORM_FACTOR = 1.5
CHANCE = 1e-4


@dataclass(frozen=True, slots=True, kw_only=True)
class Amplification:
    """A method that got more calls a request than usual, from the first such bucket to the last."""

    service: str
    method: str
    usual: float
    highest: float
    mean: float
    start: Span
    end: Span
    bucket_seconds: float
    calls: int
    requests: int
    evidence: tuple[Evidence, ...]

    @property
    def name(self) -> str:
        return f"{self.service}.{self.method}"


def amplifications(seen: Observations) -> tuple[Amplification, ...]:
    """The methods whose callers tried again in the outage, most calls first.

    A method is judged beside all routes that call it, as the topology says; without that, nothing
    is known of how many calls a request makes.
    """
    if seen.outage is None or seen.outage.start.lo is None:
        return ()
    metrics = seen.tables.metrics
    counted = metrics[
        (metrics["aggregate"] == "count") & metrics["method"].notna() & metrics["value"].notna()
    ]
    counted = counted.assign(program=counted["owner"].fillna(""))
    found = []
    for (service, method), of_method in pieces(counted, "service", "method"):
        name, short = canonical_method(seen.case, service, method)
        routes = callers_of(seen.case, name, short)
        views = [
            view
            for _, rows in pieces(of_method, "metric", "program")
            if routes and (view := _amplification(seen, name, short, routes, rows)) is not None
        ]
        if views:
            found.append(max(views, key=lambda a: (a.calls, a.highest)))
    return tuple(sorted(found, key=lambda a: (-a.calls, a.name)))


def _amplification(
    seen: Observations, service: str, method: str, routes: frozenset[str], rows: pd.DataFrame
) -> Amplification | None:
    assert seen.outage is not None and seen.outage.start.lo is not None
    width = timedelta(seconds=float(rows["bucket_seconds"].max()))
    inside = rows[(rows["at"] >= seen.part.start) & (rows["at"] + width <= seen.part.end)]
    calls = {at.to_pydatetime(): number for at, number in sums(inside, "at", "value").items()}
    requests = _requests(seen, routes, sorted(calls), width)
    before = [b for b in calls if b + width <= seen.outage.start.lo]
    usual_calls, usual_requests = _sum(calls, before), _sum(requests, before)
    if usual_requests <= 0 or usual_calls <= 0:
        return None
    usual = _usual(calls, requests, before)
    pending = usual_requests - usual_calls / usual
    storm = [
        b
        for b in calls
        if b + width > seen.outage.start.lo
        and requests.get(b)
        and calls[b] / requests[b] >= STORM_FACTOR * usual
        and chance_of_more(
            round(calls[b]), requests[b], round(usual_calls), max(1.0, usual_requests)
        )
        < CHANCE
    ]
    if not storm:
        return None
    first, last = min(storm), max(storm)
    # Calls are counted when they end: those that hung come in one bucket, more than were asked for
    # in it. Since the outage began they are no more than the requests, with those that waited
    # then, unless callers try again.
    begun = seen.outage.start.lo - width
    number = sum(n for b, n in calls.items() if begun < b <= last)
    asked = pending + sum(n for b, n in requests.items() if begun < b <= last)
    if not asked or number / asked < STORM_FACTOR * usual:
        return None
    cited = rows[(rows["at"] > begun) & (rows["at"] <= last)]
    at = Span(first, last + width, "first to last bucket with more calls than usual")
    return Amplification(
        service=service,
        method=method,
        usual=usual,
        highest=max(calls[b] / requests[b] for b in storm),
        mean=number / asked,
        start=Span(first, first + width, "a bucket of the counts"),
        end=Span(last, last + width, "a bucket of the counts"),
        bucket_seconds=width.total_seconds(),
        calls=round(number),
        requests=round(asked),
        evidence=rows_as_evidence(
            cited,
            system=System.GRPC_METRICS,
            at=at,
            seen=f"{number:,.0f} calls of {service}.{method} for {asked:,.0f} requests",
            first="row",
            count=round(number),
        ),
    )


def _usual(
    calls: Mapping[datetime, float], requests: Mapping[datetime, float], buckets: list[datetime]
) -> float:
    """The calls that a request makes, by buckets before the outage.

    Calls that queue already before the first failure have not ended: of all buckets together fewer
    calls a request are seen than are made, but not of most of them.
    """
    each = [calls[b] / requests[b] for b in buckets if requests.get(b)]
    return max(_sum(calls, buckets) / _sum(requests, buckets), median(each))


def _sum(counts: Mapping[datetime, float], buckets: list[datetime]) -> float:
    return sum(counts.get(b, 0.0) for b in buckets)


def _requests(
    seen: Observations, routes: frozenset[str], buckets: list[datetime], width: timedelta
) -> dict[datetime, float]:
    """The requests of these routes by the buckets of the counts."""
    gateway = seen.tables.gateway
    if not buckets:
        return {}
    start = buckets[0]
    names = gateway["method"] + " " + gateway["route"]
    asked = gateway[names.isin(routes) & (gateway["second"] >= start)]
    binned = asked.assign(bin=((asked["second"] - start) // width).astype(int))
    return {start + n * width: number for n, number in sums(binned, "bin", "requests").items()}

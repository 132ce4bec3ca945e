"""Calls made for each request: where callers try again, there are more of them than usual."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from incident_rca.analysis.call_counts import callers_of, series_of_counts
from incident_rca.analysis.evidence import rows_as_evidence
from incident_rca.analysis.frames import pieces
from incident_rca.analysis.rates import chance_of_more
from incident_rca.model import Evidence, Span, System
from incident_rca.typed_frames import plain

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
    is_count = (
        (metrics["aggregate"] == "count") & metrics["method"].notna() & metrics["value"].notna()
    )
    gateway = seen.tables.gateway[["second", "method", "route", "requests"]]
    by_route = {
        f"{verb} {route}": rows[["second", "requests"]]
        for (verb, route), rows in pieces(gateway, "method", "route")
    }
    found = []
    for service, method, by_program in series_of_counts(seen.case, metrics, is_count):
        routes = sorted(callers_of(seen.case, service, method) & set(by_route))
        asked = [by_route[route] for route in routes]
        views = [
            view
            for rows in by_program
            if asked and (view := _amplification(seen, service, method, rows, asked)) is not None
        ]
        if views:
            found.append(max(views, key=lambda a: (a.calls, a.highest)))
    return tuple(sorted(found, key=lambda a: (-a.calls, a.name)))


def _amplification(
    seen: Observations,
    service: str,
    method: str,
    rows: pd.DataFrame,
    asked_of: Sequence[pd.DataFrame],
) -> Amplification | None:
    """The stretch of one program's counts with more calls a request than before, if there is."""
    assert seen.outage is not None and seen.outage.start.lo is not None
    width = timedelta(seconds=float(plain(rows["bucket_seconds"]).max()))
    inside = rows[(rows["at"] >= seen.part.start) & (rows["at"] + width <= seen.part.end)]
    calls = inside.groupby("at", sort=True)["value"].sum()
    if calls.empty:
        return None
    all_requests = _requests(asked_of, calls.index[0], width)
    requests = all_requests.reindex(calls.index, fill_value=0.0)
    failure = seen.outage.start.lo
    found = _storm(calls, requests, failure - width)
    if found is None:
        return None
    usual, pending, storm = found
    first, last = storm.index[0].to_pydatetime(), storm.index[-1].to_pydatetime()
    # Calls are counted when they end: those that hung come in one bucket, more than were asked for
    # in it. Since the outage began they are no more than the requests, with those that waited
    # then, unless callers try again.
    begun = seen.outage.start.lo - width
    number, asked = _between(calls, begun, last), pending + _between(all_requests, begun, last)
    if not asked or number / asked < STORM_FACTOR * usual:
        return None
    cited = rows[(rows["at"] > begun) & (rows["at"] <= last)]
    at = Span(first, last + width, "first to last bucket with more calls than usual")
    return Amplification(
        service=service,
        method=method,
        usual=usual,
        highest=float(storm.max()),
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


def _storm(
    calls: pd.Series[Any], requests: pd.Series[Any], before: datetime
) -> tuple[float, float, pd.Series[Any]] | None:
    """The usual calls a request, the requests whose calls were under way at the outage's start (by
    buckets up to `before`), and the calls a request of each bucket with more than that.

    Calls that queue already before the first failure have not ended: of all buckets together fewer
    calls a request are seen than are made, but not of most of them.
    """
    each = (calls / requests)[requests > 0]
    usually = each[each.index <= before]
    is_before = calls.index <= before
    usual_calls, usual_requests = float(calls[is_before].sum()), float(requests[is_before].sum())
    if usual_requests <= 0 or usual_calls <= 0:
        return None
    usual = max(usual_calls / usual_requests, float(usually.median()))
    pending, seconds = usual_requests - usual_calls / usual, max(1.0, usual_requests)
    each = each[(each >= STORM_FACTOR * usual) & (each.index > before)]
    counted = zip(calls[each.index], requests[each.index], strict=True)
    storm = each[
        [chance_of_more(round(n), r, round(usual_calls), seconds) < CHANCE for n, r in counted]
    ]
    return (usual, pending, storm) if len(storm) else None


def _between(counts: pd.Series[Any], after: datetime, last: datetime) -> float:
    return float(counts[(counts.index > after) & (counts.index <= last)].sum())


def _requests(
    asked_of: Sequence[pd.DataFrame], start: datetime, width: timedelta
) -> pd.Series[Any]:
    """The requests of some routes by the buckets of the counts, the first of which has `start`."""
    import pandas as pd

    asked = pd.concat(asked_of)
    asked = asked[asked["second"] >= start]
    bins = (asked["second"] - start) // width
    return asked["requests"].astype(float).groupby(start + bins * width).sum()

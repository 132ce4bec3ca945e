"""Routes and gRPC methods in equal bins of time: what comes together, and what fails together."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from statistics import StatisticsError, correlation
from typing import TYPE_CHECKING

from incident_rca.analysis.endpoints import SLOW_FACTOR, percentile_ms
from incident_rca.analysis.evidence import instant, rows_as_evidence
from incident_rca.analysis.frames import pieces, sums, values
from incident_rca.analysis.observations import Observations
from incident_rca.analysis.outage import recorded_from
from incident_rca.analysis.windows import each_once
from incident_rca.model import EndpointImpact, Evidence, Impact, LatencyShift, Span, System
from incident_rca.typed_frames import plain

if TYPE_CHECKING:
    import pandas as pd

# Below this many bins before the outage a correlation says little: one of 0.6 has then a chance
# of less than 0.001 (t distribution with 28 degrees of freedom).
FEWEST_BINS = 30
SHORTEST_BIN_SECONDS = 10.0
# A bin is bad where at least this share of its requests or calls failed.
BAD_SHARE = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Bins:
    """Equal stretches of the window from `start`; those before `quiet` precede the outage.

    Requests are recorded from bin `first` on.
    """

    start: datetime
    seconds: float
    number: int
    first: int
    quiet: int

    def of(self, at: datetime) -> int:
        return int((at - self.start).total_seconds() // self.seconds)

    def over(self, first: datetime, last: datetime) -> frozenset[int]:
        return frozenset(range(max(0, self.of(first)), min(self.number, self.of(last) + 1)))


@dataclass(frozen=True, slots=True, kw_only=True)
class RouteTraffic:
    """What arrived of a route and succeeded, by bin; a bin that is not there had no request."""

    requests: Mapping[int, float]
    succeeded: Mapping[int, float]
    bad: frozenset[int]


@dataclass(frozen=True, slots=True, kw_only=True)
class MethodTraffic:
    """The calls of a method by bin, as counted: a bin that is not there is unknown, not zero.

    `bad` are the bins in which calls began that hung or failed; `failed` how many calls did.
    """

    service: str
    method: str
    calls: Mapping[int, float]
    bad: frozenset[int]
    failed: int
    shift: LatencyShift | None
    evidence: tuple[Evidence, ...]

    @property
    def full_name(self) -> str:
        return f"{self.service}/{self.method}"


def bins_of(seen: Observations) -> Bins:
    """The bins of a case, as wide as the coarsest metric of a method or log of requests."""
    metrics = seen.tables.metrics
    widths = metrics.loc[metrics["method"].notna(), "bucket_seconds"].dropna()
    logs = [s.resolution_seconds or 0.0 for s in seen.case.gateway_logs]
    coarsest = float(plain(widths).max()) if len(widths) else 0.0
    seconds = max(SHORTEST_BIN_SECONDS, coarsest, *logs)
    window = seen.case.window
    first = seen.outage.start.first if seen.outage else window.end
    quiet = (first - window.start).total_seconds() // seconds
    return Bins(
        start=window.start,
        seconds=seconds,
        number=max(1, int(-(-window.seconds // seconds))),
        first=math.ceil((recorded_from(seen.case) - window.start).total_seconds() / seconds),
        quiet=int(quiet),
    )


def route_traffic(seen: Observations, bins: Bins, endpoint: EndpointImpact) -> RouteTraffic:
    """The requests of one route by bin; bad are bins where half failed or took far too long."""
    gateway = seen.tables.gateway
    rows = gateway[(gateway["method"] == endpoint.method) & (gateway["route"] == endpoint.route)]
    rows = rows.assign(bin=_bins(rows["second"], bins))
    requests = _by_bin(rows)
    failed = _by_bin(rows[rows["status"] >= 500])
    bad = {n for n, number in requests.items() if failed.get(n, 0.0) >= BAD_SHARE * number}
    usual = endpoint.baseline_p99_ms
    if usual and endpoint.impact is not Impact.UNAFFECTED:
        for (number,), inside in pieces(rows, "bin"):
            middle = percentile_ms(inside, 0.5)
            if middle is not None and middle >= SLOW_FACTOR * usual:
                bad.add(number)
    return RouteTraffic(
        requests=requests,
        succeeded=_by_bin(rows[rows["status"] < 400]),
        bad=frozenset(bad),
    )


def _by_bin(rows: pd.DataFrame) -> dict[int, float]:
    return {number: value for number, value in sums(rows, "bin", "requests").items() if value}


def method_traffic(seen: Observations, bins: Bins) -> tuple[MethodTraffic, ...]:
    """Every gRPC method that the metrics name, by name."""
    metrics = seen.tables.metrics
    shifts: dict[str, list[LatencyShift]] = {}
    for shift in (*seen.latency_shifts, *seen.other_shifts):
        shifts.setdefault(shift.full_method, []).append(shift)
    found = []
    for (service, method), rows in pieces(metrics, "service", "method"):
        counted = rows[(rows["aggregate"] == "count") & rows["value"].notna()]
        cited = rows_as_evidence(
            rows,
            system=System.GRPC_METRICS,
            at=Span(instant(rows["at"].min()), instant(rows["at"].max()), "first to last bucket"),
            seen=f"calls of {service}/{method} are recorded",
            first="row",
        )
        of_method = shifts.get(f"{service}/{method}", [])
        found.append(_method(service, method, counted, bins, of_method, cited))
    return tuple(found)


def _method(
    service: str,
    method: str,
    counted: pd.DataFrame,
    bins: Bins,
    shifts: Sequence[LatencyShift],
    evidence: tuple[Evidence, ...],
) -> MethodTraffic:
    calls: dict[int, float] = {}
    failed: dict[int, float] = {}
    once = _of_one_metric(each_once(counted))
    numbers = once.assign(bin=_bins(once["at"], bins))
    for number, status, value in values(numbers, "bin", "status", "value"):
        calls[number] = calls.get(number, 0.0) + value
        if status and status.upper() != "OK":
            failed[number] = failed.get(number, 0.0) + value
    shift = next(iter(shifts), None)
    # A call is counted when it ends: the requests that it failed arrived that much earlier.
    lag = int(shift.plateau_ms / 1000 // bins.seconds) if shift else 0
    bad = {n - lag for n, v in failed.items() if v and v >= BAD_SHARE * calls[n] and n >= lag}
    for slow in shifts:
        bad |= _hung(slow, bins, int(slow.plateau_ms / 1000 // bins.seconds))
    return MethodTraffic(
        service=service,
        method=method,
        calls=calls,
        bad=frozenset(bad),
        failed=round(sum(failed.values())),
        shift=shift,
        evidence=(*shift.evidence[:1], *evidence[:1]) if shift else evidence[:1],
    )


def _of_one_metric(counted: pd.DataFrame) -> pd.DataFrame:
    """The counts of the metric that counted most: client and server, old names and new ones count
    the same calls. Programs that call a method count calls of their own.
    """
    totals = sums(counted, "metric", "value")
    most = max(totals, key=lambda name: (totals[name], name), default="")
    return counted[counted["metric"] == most]


def _hung(shift: LatencyShift, bins: Bins, lag: int) -> frozenset[int]:
    """The bins in which the calls began that ended late."""
    first, last = shift.onset.lo, shift.offset.lo
    if first is None or last is None:
        return frozenset()
    began = bins.over(first, last)
    return frozenset(n for n in began if shift.offset.hi is None or n <= bins.of(last) - lag)


def _bins(instants: pd.Series, bins: Bins) -> list[int]:
    return [bins.of(at) if (at := instant(value)) is not None else -1 for value in instants]


def likeness(a: Mapping[int, float], b: Mapping[int, float], bins: Bins) -> float | None:
    """How two rates go together before the outage: Pearson's r, of bin by bin; None if unknown.

    `b` may come up to one bin later. Both are compared where they are known: `a` and `b` say what
    a missing bin means by having it or not.
    """
    found = []
    for later in (0, 1):
        both = [n for n in range(bins.quiet - later) if n in a and n + later in b]
        if len(both) >= FEWEST_BINS:
            try:
                found.append(correlation([a[n] for n in both], [b[n + later] for n in both]))
            except StatisticsError:
                continue
    return max(found, default=None)


def filled(counts: Mapping[int, float], bins: Bins) -> Mapping[int, float]:
    """Counts of a log that lists every request: a bin that it covers and does not have is zero."""
    return {n: counts.get(n, 0.0) for n in range(bins.first, bins.number)}


def overlap(route: RouteTraffic, method: MethodTraffic) -> float:
    """The share of bins in which both were bad among those in which either was (Jaccard).

    Bins without a request of the route say nothing and do not count.
    """
    trouble = method.bad & route.requests.keys()
    either = route.bad | trouble
    return len(route.bad & trouble) / len(either) if either else 0.0

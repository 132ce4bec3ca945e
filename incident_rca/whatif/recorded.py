"""What was observed of an incident -> the traffic that a replay needs.

Service times, holds and their release come from the evidence: no number here is chosen so that the
replay's failures come out as those that were recorded.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from incident_rca.analysis.evidence import instant
from incident_rca.analysis.frames import values
from incident_rca.analysis.hypotheses.missing_deadline import (
    BY_SERVER,
    DEADLINE_EXCEEDED,
    failed_codes,
)
from incident_rca.analysis.names import counted
from incident_rca.analysis.observations import Observations
from incident_rca.analysis.paths import DependencyPath, path_from_relation, path_from_service
from incident_rca.analysis.pool import pool_usage
from incident_rca.errors import NotReplayable
from incident_rca.model import Basis, LatencyShift, Premise
from incident_rca.whatif.protection import UNPROTECTED
from incident_rca.whatif.replay import replay
from incident_rca.whatif.traffic import STEP_MS, Request, Traffic, TrafficRoute, steps_in
from incident_rca.whatif.withheld import (
    Withheld,
    by_weight,
    cut_of,
    ms_of,
    shift_of,
    withheld_from,
)

if TYPE_CHECKING:
    import pandas as pd

# Methods that HTTP defines as safe: a request with one of them writes nothing.
_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
_FAILED = 500
# Replayed before and after the incident: longer than a breaker's window and the time for which it
# stays open (60 s at most in the defaults of opossum, Resilience4j and Polly), and as long as Envoy
# leaves a host out at most.
_LEAD_MS = _TAIL_MS = 300_000
# Draws that fill an interval evenly, however many there are.
_GOLDEN_RATIO = (math.sqrt(5) - 1) / 2


@dataclass(frozen=True, slots=True)
class _Seen:
    """A request as a log has it."""

    at_ms: int
    route: int
    status: int
    latency_ms: float


def recorded_traffic(seen: Observations, pool_size: int | None = None) -> Traffic:
    """The traffic of an incident; raises NotReplayable, saying what is missing.

    `pool_size` takes the place of a size that is not recorded.
    """
    if seen.outage is None and not seen.case.was_log_read:
        raise NotReplayable(
            "no log of requests is in this case, so whether any failed is not known",
            hint="import or collect the access log of the gateway",
        )
    if seen.outage is None or seen.outage.end.lo is None:
        raise NotReplayable("nothing failed in this window, so there is nothing to replay")
    path, size, sized_by = _pool_of(seen, pool_size)
    withheld = withheld_from(seen, path)
    cut_ms, cut_by = cut_of(shift_of(seen, path.service))
    deadlines = _deadlines(seen, path)
    routes = _routes(seen, path, withheld, {name: ms for name, (ms, _) in deadlines.items()})
    outage = (ms_of(seen, seen.outage.start.first), ms_of(seen, seen.outage.end.lo))
    begun = min([outage[0], *(start for start, _ in withheld.blocked)])
    over = max([outage[1], *(end for _, end in withheld.blocked), withheld.kept_until_ms or 0])
    found = sorted(_requests(seen, routes), key=lambda r: (r.at_ms, r.route, r.latency_ms))
    whole = Traffic(
        start=seen.part.start,
        end_ms=ms_of(seen, seen.part.end),
        pool=path.service,
        pool_size=size,
        pool_exhausted=_exhausted(seen),
        routes=routes,
        requests=tuple(_with_own_times(found, routes, begun, over)),
        outage=outage,
        blocked=withheld.blocked,
        kept_until_ms=withheld.kept_until_ms,
        cut_ms=cut_ms,
        held_by_step=_held_by_step(seen, seen.pool.owner if seen.pool else path.service),
        premises=(
            _callers(path, routes),
            sized_by,
            *withheld.premises,
            cut_by,
            *(premise for _, premise in deadlines.values()),
            *_modelled(routes),
        ),
    )
    return _without_doubles(whole.between(begun - _LEAD_MS, over + _TAIL_MS), withheld)


def _without_doubles(traffic: Traffic, withheld: Withheld) -> Traffic:
    """The traffic, in which calls hang no more where waiting for the pool alone made them slow."""
    slow_ms = sum(min(end, traffic.end_ms) - start for start, end in traffic.blocked)
    if withheld.slow is None:
        return traffic
    alone = replace(traffic, blocked=())
    full_ms = replay(alone, UNPROTECTED).full_ms
    if 2 * full_ms <= slow_ms:
        return traffic
    own = Premise(
        "calls were slow because they waited for a connection, and for nothing else: the requests "
        f"that came keep the pool exhausted for {full_ms / 1000:.1f} s by themselves, of "
        f"{slow_ms / 1000:.1f} s in which calls were slow",
        withheld.slow.evidence,
    )
    kept = tuple(own if one in withheld.premises else one for one in traffic.premises)
    return replace(alone, premises=kept)


def _callers(path: DependencyPath, routes: tuple[TrafficRoute, ...]) -> Premise:
    names = " and ".join(route.name for route in routes)
    how = ", as is inferred" if path.basis is Basis.INFERRED else ""
    return Premise(f"the requests that use the pool are those of {names}{how}", path.evidence)


def _exhausted(seen: Observations) -> tuple[int, int | None] | None:
    if seen.pool is None:
        return None
    until = seen.pool.exhausted_until
    ended = None if until.hi is None else ms_of(seen, until.middle)
    return ms_of(seen, seen.pool.exhausted_at.middle), ended


def _held_by_step(seen: Observations, pool: str) -> tuple[int | None, ...]:
    """The most connections that the pool's gauge counted in each step of the incident's part."""
    steps: list[int | None] = [None] * steps_in(ms_of(seen, seen.part.end))
    gauges = (usage.used for usage in pool_usage(seen.case, seen.gauges) if usage.owner == pool)
    for at, value in (row for used in gauges for row in values(used, "at", "value")):
        moment = instant(at)
        if moment is None or value is None or not seen.part.start <= moment < seen.part.end:
            continue
        step = ms_of(seen, moment) // STEP_MS
        steps[step] = max(steps[step] or 0, round(value))
    return tuple(steps)


def _pool_of(seen: Observations, given: int | None) -> tuple[DependencyPath, int, Premise]:
    owner = seen.pool.owner if seen.pool else _owner_by_lock(seen)
    if owner is None:
        raise NotReplayable(
            "no lock, no slow call and no exhausted pool is recorded: nothing held connections",
            hint="a deadline and a breaker help against calls that hang",
        )
    path = path_from_service(seen, owner)
    if path is None or not path.endpoints:
        raise NotReplayable(
            "which routes share a connection pool is not known",
            hint="name the service, its methods and its routes in incident-rca.toml",
        )
    if given is not None:
        return path, given, Premise(f"the pool has {given} connections: given, not recorded")
    if seen.pool is not None:
        text = f"the pool of {path.service} has {seen.pool.size} connections"
        return path, seen.pool.size, Premise(text, seen.pool.evidence)
    stated = next((s.pool_size for s in seen.case.topology.services if s.name == owner), None)
    if stated is None:
        raise NotReplayable(
            f"how many connections the pool of {path.service} has is not recorded",
            hint="say it: --pool-size N, or pool_size in incident-rca.toml",
        )
    text = f"the pool of {path.service} has {stated} connections"
    return path, stated, Premise(text, path.evidence)


def _owner_by_lock(seen: Observations) -> str | None:
    for episode in by_weight(seen.lock_episodes):
        path = path_from_relation(seen, episode.relation, episode.waiter_applications)
        if path is not None:
            return path.service
    return next((s.service for s in seen.latency_shifts), None)


def _deadlines(seen: Observations, path: DependencyPath) -> dict[str, tuple[int, Premise]]:
    """When a deadline of its own ended the call of a route, by the latencies of its callers."""
    found = {}
    for route in seen.case.topology.routes:
        called = {method.casefold() for method in route.calls}
        ended = [s for s in seen.latency_shifts if s.full_method.casefold() in called]
        shift = min(filter(_ended_by_deadline, ended), key=lambda s: s.plateau_ms, default=None)
        if shift is not None and route.name in {e.name for e in path.endpoints}:
            text = (
                f"who calls for {route.name} gives up after {shift.plateau_ms:,.0f} ms, with the "
                f"protection too: {shift.status_counts[DEADLINE_EXCEEDED]:,} calls ended with "
                f"{DEADLINE_EXCEEDED} then, and went on in the backend"
            )
            found[route.name] = round(shift.plateau_ms), Premise(text, shift.evidence)
    return found


def _ended_by_deadline(shift: LatencyShift) -> bool:
    """Whether a deadline is what ended most of a method's calls that failed, and when is known."""
    failed = {code: shift.status_counts[code] for code in failed_codes(shift)}
    return (
        2 * failed.get(DEADLINE_EXCEEDED, 0) > sum(failed.values())
        and BY_SERVER not in shift.metric.casefold()
        and shift.plateau_basis == "values"
        and not shift.censored
    )


def _routes(
    seen: Observations, path: DependencyPath, withheld: Withheld, deadlines: Mapping[str, int]
) -> tuple[TrafficRoute, ...]:
    gateway = {
        route.name: round(route.timeout_seconds * 1000)
        for route in seen.case.topology.routes
        if route.timeout_seconds
    }
    limits = {name: [m[name] for m in (gateway, deadlines) if name in m] for name in _names(path)}
    methods = {e.name: e.method for e in path.endpoints}
    return tuple(
        TrafficRoute(
            name=name,
            is_blocked=withheld.reads_too or methods[name].upper() not in _SAFE,
            limit_ms=min(limits[name], default=None),
        )
        for name in _names(path)
    )


def _names(path: DependencyPath) -> list[str]:
    return sorted(e.name for e in path.endpoints)


def _requests(seen: Observations, routes: tuple[TrafficRoute, ...]) -> Iterator[_Seen]:
    for index, route in enumerate(routes):
        counted = _of_route(seen.tables.gateway, route.name)
        failed = _of_route(seen.tables.failures, route.name)
        ordinary = counted[counted["status"] < _FAILED]
        unlisted = counted[counted["status"] >= _FAILED]
        yield from _by_second(seen, ordinary, index)
        if len(failed) >= int(unlisted["requests"].sum()):
            for at, status, latency in values(failed, "at", "status", "latency_ms"):
                arrived = instant(at)
                if arrived is not None:
                    known = float("nan") if latency is None else float(latency)
                    yield _Seen(ms_of(seen, arrived), index, int(status), known)
        else:
            yield from _by_second(seen, unlisted, index)


def _of_route(frame: pd.DataFrame, name: str) -> pd.DataFrame:
    method, _, route = name.partition(" ")
    return frame[(frame["method"] == method) & (frame["route"] == route)]


def _by_second(seen: Observations, counted: pd.DataFrame, route: int) -> Iterator[_Seen]:
    """Requests that are counted by the second: spread evenly over it."""
    histograms = (counted[f"latency_ms_{part}"].tolist() for part in ("bounds", "counts"))
    plain = values(counted, "second", "status", "requests")
    for (second, status, number), bounds, counts in zip(plain, *histograms, strict=True):
        at = instant(second)
        if at is None:
            continue
        known = [
            float(bound) for bound, count in zip(bounds, counts, strict=True) for _ in range(count)
        ]
        latencies = known + [float("nan")] * (int(number) - len(known))
        for position, latency in enumerate(latencies):
            offset = int(1000 * (position + 0.5) / len(latencies))
            yield _Seen(ms_of(seen, at) + offset, route, int(status), latency)


def _with_own_times(
    found: list[_Seen], routes: tuple[TrafficRoute, ...], begun: int, over: int
) -> Iterator[Request]:
    """Each request with the time its backend needs by itself: its own, where it was in quiet times.

    Those of the incident take, in turn, what requests of their route took before it.
    """
    usual = [_usual_latencies(found, index, routes, begun) for index in range(len(routes))]
    drawn = [0] * len(routes)
    for one in found:
        if begun <= one.at_ms <= over or math.isnan(one.latency_ms):
            drawn[one.route] += 1
            place = drawn[one.route] * _GOLDEN_RATIO % 1
            known = usual[one.route]
            service, fails = known[int(place * len(known))], False
        else:
            service, fails = one.latency_ms, one.status >= _FAILED
        service_ms = max(1, round(service))
        yield Request(one.at_ms, one.route, service_ms, fails, one.status, one.latency_ms)


def _usual_latencies(
    found: list[_Seen], route: int, routes: tuple[TrafficRoute, ...], begun: int
) -> list[float]:
    healthy = [
        one.latency_ms
        for one in found
        if one.route == route and one.at_ms < begun and one.status < _FAILED
    ]
    usual = sorted(latency for latency in healthy if not math.isnan(latency))
    if healthy and not usual:
        raise NotReplayable(
            f"{counted(len(healthy), 'healthy request')} of {routes[route].name} before the "
            "incident: none has a latency, so how long one takes is not known",
            hint="let the gateway log it: responseLatency in the format of the stage's access log",
        )
    if not usual:
        raise NotReplayable(
            f"no healthy request of {routes[route].name} is recorded before the incident",
            hint="collect a window that begins some minutes earlier",
        )
    return usual


def _modelled(routes: tuple[TrafficRoute, ...]) -> Iterator[Premise]:
    yield Premise(
        "requests arrive as they were recorded: who gave up or came back later is not modelled, "
        "nor are routes that follow a success"
    )
    yield Premise(
        "a request of the incident that is not held up takes as long as one before it; a "
        "connection is held for all of that time, at most"
    )
    unlimited = [route.name for route in routes if route.limit_ms is None]
    if unlimited:
        yield Premise(f"the gateway never gives up on {' and '.join(unlimited)}: no limit is known")

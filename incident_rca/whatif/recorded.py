"""What was observed of an incident -> the traffic that a replay needs.

Service times, holds and their release come from the evidence: no number here is chosen so that the
replay's failures come out as those that were recorded.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from incident_rca.analysis.evidence import instant
from incident_rca.analysis.frames import values
from incident_rca.analysis.names import may_be_one
from incident_rca.analysis.observations import Observations
from incident_rca.analysis.paths import DependencyPath, path_from_relation, path_from_service
from incident_rca.analysis.pool import pool_usage
from incident_rca.errors import NotReplayable
from incident_rca.model import Basis, Evidence, LatencyShift, LockEpisode, Premise, Route
from incident_rca.whatif.traffic import STEP_MS, Request, Traffic, TrafficRoute, steps_in

if TYPE_CHECKING:
    import pandas as pd

# Methods that HTTP defines as safe: a request with one of them writes nothing.
_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
# The modes of what only reads, SELECT and SELECT … FOR UPDATE.
_MODES_OF_READERS = frozenset({"AccessShareLock", "RowShareLock"})
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


@dataclass(frozen=True, slots=True)
class _Withheld:
    """What the incident withheld, when, from whom; `kept_until_ms` as of Traffic."""

    blocked: tuple[tuple[int, int], ...]
    kept_until_ms: int | None
    reads_too: bool
    premises: tuple[Premise, ...]


def recorded_traffic(seen: Observations, pool_size: int | None = None) -> Traffic:
    """The traffic of an incident; raises NotReplayable, saying what is missing.

    `pool_size` takes the place of a size that is not recorded.
    """
    if seen.outage is None or seen.outage.end.lo is None:
        raise NotReplayable("nothing failed in this window, so there is nothing to replay")
    path, size, sized_by = _pool_of(seen, pool_size)
    withheld = _withheld(seen, path)
    cut_ms, cut_by = _cut(_shift_of(seen, path.service))
    routes = _routes(seen, path, withheld)
    outage = (_ms(seen, seen.outage.start.first), _ms(seen, seen.outage.end.lo))
    begun = min([outage[0], *(start for start, _ in withheld.blocked)])
    over = max([outage[1], *(end for _, end in withheld.blocked), withheld.kept_until_ms or 0])
    found = sorted(_requests(seen, routes), key=lambda r: (r.at_ms, r.route, r.latency_ms))
    whole = Traffic(
        start=seen.part.start,
        end_ms=_ms(seen, seen.part.end),
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
            *_modelled(routes),
        ),
    )
    return whole.between(begun - _LEAD_MS, over + _TAIL_MS)


def _callers(path: DependencyPath, routes: tuple[TrafficRoute, ...]) -> Premise:
    names = " and ".join(route.name for route in routes)
    how = ", as is inferred" if path.basis is Basis.INFERRED else ""
    return Premise(f"the requests that use the pool are those of {names}{how}", path.evidence)


def _ms(seen: Observations, at: datetime) -> int:
    return round((at - seen.part.start).total_seconds() * 1000)


def _exhausted(seen: Observations) -> tuple[int, int | None] | None:
    if seen.pool is None:
        return None
    until = seen.pool.exhausted_until
    ended = None if until.hi is None else _ms(seen, until.middle)
    return _ms(seen, seen.pool.exhausted_at.middle), ended


def _held_by_step(seen: Observations, pool: str) -> tuple[int | None, ...]:
    """The most connections that the pool's gauge counted in each step of the incident's part."""
    steps: list[int | None] = [None] * steps_in(_ms(seen, seen.part.end))
    gauges = (usage.used for usage in pool_usage(seen.case, seen.gauges) if usage.owner == pool)
    for at, value in (row for used in gauges for row in values(used, "at", "value")):
        moment = instant(at)
        if moment is None or value is None or not seen.part.start <= moment < seen.part.end:
            continue
        step = _ms(seen, moment) // STEP_MS
        steps[step] = max(steps[step] or 0, round(value))
    return tuple(steps)


def _pool_of(seen: Observations, given: int | None) -> tuple[DependencyPath, int, Premise]:
    owner = seen.pool.owner if seen.pool else _owner_by_lock(seen)
    path = path_from_service(seen, owner) if owner else None
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
    for episode in _by_weight(seen.lock_episodes):
        path = path_from_relation(seen, episode.relation, episode.waiter_applications)
        if path is not None:
            return path.service
    return next((s.service for s in seen.latency_shifts), None)


def _by_weight(episodes: tuple[LockEpisode, ...]) -> list[LockEpisode]:
    return sorted(episodes, key=lambda e: (-e.waiter_seconds, e.object))


def _withheld(seen: Observations, path: DependencyPath) -> _Withheld:
    """What a lock on one of the service's tables withheld, else what a slow dependency did."""
    episodes = [e for e in _by_weight(seen.lock_episodes) if _is_behind(seen, path, e)]
    if episodes:
        return _withheld_by_locks(seen, episodes)
    shift = _shift_of(seen, path.service)
    if shift is None:
        raise NotReplayable(
            f"no lock and no slow call is recorded that held connections of {path.service}",
            hint="a replay needs lock evidence, or latencies of the service's calls",
        )
    end = shift.offset.middle if shift.offset.lo else seen.part.end
    return _Withheld(
        blocked=((_ms(seen, shift.onset.middle), _ms(seen, end)),),
        kept_until_ms=None,
        reads_too=True,
        premises=(
            Premise(
                f"calls of {shift.full_method or shift.method} hang until {end:%H:%M:%S} UTC, when "
                "they were quick again, whatever the protection: what held them up, and whether "
                "that would have ended sooner, is not recorded",
                shift.evidence,
            ),
        ),
    )


def _shift_of(seen: Observations, service: str) -> LatencyShift | None:
    """The slowest of the service's calls in the outage."""
    assert seen.outage is not None
    begin, end = seen.outage.start.first, seen.outage.end.first
    meeting = (
        shift
        for shift in seen.latency_shifts
        if may_be_one(shift.service, service)
        and shift.onset.first <= end
        and (shift.offset.hi is None or shift.offset.hi >= begin)
    )
    return max(meeting, key=lambda s: (s.plateau_ms, s.full_method), default=None)


def _is_behind(seen: Observations, path: DependencyPath, episode: LockEpisode) -> bool:
    found = path_from_relation(seen, episode.relation, episode.waiter_applications)
    return found is not None and found.service == path.service


def _withheld_by_locks(seen: Observations, episodes: list[LockEpisode]) -> _Withheld:
    stretches = sorted(
        (_ms(seen, e.held_start.middle), _ms(seen, (e.held_end.hi or seen.part.end)))
        for e in episodes
    )
    modes = {mode for e in episodes for mode in e.waiter_modes}
    reads_too = bool(modes & _MODES_OF_READERS) or not modes
    kept_until, kept = _kept_until(seen, episodes, stretches[-1][1])
    waiters = " and ".join(sorted(modes)) or "locks of unknown mode"
    evidence = tuple(item for e in episodes for item in e.evidence)
    return _Withheld(
        blocked=tuple(_joined(stretches)),
        kept_until_ms=kept_until,
        reads_too=reads_too,
        premises=(
            Premise(
                f"what waits for {' and '.join(sorted({e.relation for e in episodes}))} waits "
                f"until the lock is released; it wanted {waiters}, so "
                + ("every request waits" if reads_too else "requests that only read do not wait"),
                evidence,
            ),
            kept,
        ),
    )


def _joined(stretches: list[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """Stretches that overlap, as one."""
    start, end = stretches[0]
    for next_start, next_end in stretches[1:]:
        if next_start > end:
            yield start, end
            start, end = next_start, next_end
        end = max(end, next_end)
    yield start, end


def _kept_until(
    seen: Observations, episodes: list[LockEpisode], released: int
) -> tuple[int | None, Premise]:
    """When connections came back whose callers had gone, if that was after the lock's release."""
    applications = {a for e in episodes for a in e.waiter_applications}
    stuck = next((s for s in seen.stuck if s.application in applications), None)
    if stuck is None or stuck.until.lo is None or _ms(seen, stuck.until.middle) <= released:
        return None, Premise(
            "a call whose caller has gone returns its connection once its statement has ended: "
            "no session is recorded that kept its transaction open"
        )
    ended = [t for t in seen.terminations if _ms(seen, t.at.first) > released]
    near = [t for t in ended if stuck.until.hi is None or t.at.first <= stuck.until.hi]
    until = near[-1].at.first if near else stuck.until.middle
    evidence: tuple[Evidence, ...] = stuck.evidence + (near[-1].evidence if near else ())
    return _ms(seen, until), Premise(
        "a call whose caller has gone before its lock was granted keeps its connection until "
        f"{until:%H:%M:%S} UTC: {stuck.sessions} sessions did so",
        evidence,
    )


def _cut(shift: LatencyShift | None) -> tuple[int | None, Premise]:
    """After how long the backend gives a call up, by the latency of the calls themselves."""
    codes = set(shift.status_counts) - {"OK"} if shift else set()
    if shift is None or not codes or shift.censored or shift.plateau_basis != "values":
        return None, Premise("calls wait without end: nothing is recorded that cuts them off")
    return round(shift.plateau_ms), Premise(
        f"the backend gives a call up after {shift.plateau_ms:,.0f} ms, and a call waits that long "
        "for a connection at most",
        shift.evidence,
    )


def _routes(
    seen: Observations, path: DependencyPath, withheld: _Withheld
) -> tuple[TrafficRoute, ...]:
    stated: dict[str, Route] = {r.name: r for r in seen.case.topology.routes}
    names = sorted((e.name, e.method) for e in path.endpoints)
    limits = {name: stated[name].timeout_seconds if name in stated else None for name, _ in names}
    return tuple(
        TrafficRoute(
            name=name,
            is_blocked=withheld.reads_too or method.upper() not in _SAFE,
            limit_ms=round(limit * 1000) if (limit := limits[name]) else None,
        )
        for name, method in names
    )


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
                    yield _Seen(_ms(seen, arrived), index, int(status), known)
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
            yield _Seen(_ms(seen, at) + offset, route, int(status), latency)


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
    usual = sorted(
        one.latency_ms
        for one in found
        if one.route == route
        and one.at_ms < begun
        and one.status < _FAILED
        and not math.isnan(one.latency_ms)
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

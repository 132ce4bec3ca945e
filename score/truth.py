"""What is true of a played plan, and whether what was recorded can tell it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise
from math import inf

from score.causes import (
    BehindReader,
    Cause,
    CrossedRows,
    Failing,
    HeldRow,
    HeldTable,
    Lock,
    Misrouted,
    Rising,
    Slow,
    Surge,
)
from score.lock_table import ACCESS_EXCLUSIVE, ROW, conflict
from score.plans import Plan
from score.simulator import DEADLOCK_TIMEOUT, Simulation
from score.trace import Trace
from score.world import Method, Service

# Fewer failing requests than this are no outage that anybody must explain.
FEWEST_FAILURES = 20
# So many of the failing requests must have been ended as deadlocks for these to be the cause.
MOST = 0.8
# A level that lasts so many buckets is one, and no outlier.
FEWEST_BUCKETS = 4


class Expected(StrEnum):
    """What is asked of an analysis: name the cause, abstain, or (`open`) only not be wrong."""

    NAME = "name"
    ABSTAIN = "abstain"
    OPEN = "open"


@dataclass(frozen=True, slots=True, kw_only=True)
class Onset:
    """When a thing truly began: `what` is `lock`, `latency` or `pool`, `object` as reports name it.

    `resolution` is that of the source that shows it. A pool that is full fills by and by: it begins
    to touch its limit at `since` and stays there from `at` on; for all else the two are the same.
    `is_shown`: a source that was collected is fine enough to show it at all.
    """

    what: str
    system: str
    object: str
    at: float
    since: float
    until: float
    resolution: float
    is_ramp: bool = False
    is_shown: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class TrueIncident:
    """One incident: its trigger by kind and objects that name it, and the seconds it explains.

    `outage` is from the first to the last arrival that failed because of it. `trigger_seconds` of
    it fall in the time in which its cause acted; `sustained_seconds` come after, and are None where
    the scene makes no promise of what they are.
    """

    kind: str
    objects: frozenset[str]
    expected: Expected
    outage: tuple[float, float]
    failures: int
    trigger_seconds: float
    sustained_seconds: float | None
    is_ramp: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Truth:
    """All of a case: its incidents in order of time, and when each thing in it began."""

    incidents: tuple[TrueIncident, ...]
    onsets: tuple[Onset, ...]
    is_quiet: bool


def truth_of(plan: Plan, simulation: Simulation) -> Truth:
    """The truth of a plan as it was played."""
    failed = sorted(
        r.arrival for r in simulation.trace.requests if r.status >= 500 and not r.is_noise
    )
    acts = [acting(plan, simulation.trace, n) for n in plan.culprits]
    starts = [-inf, *(begin - 1 for begin, _ in acts[1:])][: len(acts)]
    ends = [*starts[1:], inf][: len(acts)]
    incidents = [
        _incident(plan, simulation, n, act, [a for a in failed if start <= a < end])
        for n, act, start, end in zip(plan.culprits, acts, starts, ends, strict=True)
    ]
    return Truth(
        incidents=tuple(i for i in incidents if i is not None),
        onsets=tuple(_onsets(plan, simulation)),
        is_quiet=not failed,
    )


def acting(plan: Plan, trace: Trace, number: int) -> tuple[float, float]:
    """From when to when a cause truly acted: a lock from its grant to its release."""
    cause = plan.causes[number]
    if isinstance(cause, BehindReader):
        return cause.alter_at, cause.end
    for hold in trace.holds:
        if hold.cause == number:
            return hold.granted, hold.released
    return cause.start, cause.end


def _incident(
    plan: Plan,
    simulation: Simulation,
    number: int,
    act: tuple[float, float],
    failed: Sequence[float],
) -> TrueIncident | None:
    if not failed:
        return None
    cause, first, last = plan.causes[number], failed[0], failed[-1]
    kind, objects = named(plan, cause)
    trigger = max(0.0, min(last, act[1]) - max(first, act[0]))
    expected = _expected(plan, cause, act, (first, last))
    if len(failed) < FEWEST_FAILURES or plan.observation.outside:
        expected = Expected.OPEN
    if first < act[0] - 1:
        # A system that was near its limit failed by chance before its cause acted.
        expected = Expected.OPEN
    if isinstance(cause, CrossedRows) and not _by_deadlocks(simulation.trace, first, last):
        expected = Expected.OPEN
    return TrueIncident(
        kind=kind,
        objects=objects,
        expected=expected,
        outage=(first, last),
        failures=len(failed),
        trigger_seconds=trigger,
        sustained_seconds=(last - first) - trigger if plan.sustainers else None,
        is_ramp=isinstance(cause, Rising) and cause.ramp > 0,
    )


def named(plan: Plan, cause: Cause) -> tuple[str, frozenset[str]]:
    """The kind of a cause, and the objects by which a report may name it."""
    if isinstance(cause, Lock | CrossedRows):
        kind = "deadlock" if isinstance(cause, CrossedRows) else "lock_blocking"
        return kind, frozenset({f"{plan.world.database}.{cause.table}"})
    if isinstance(cause, Slow | Failing):
        kind = "dependency_latency" if isinstance(cause, Slow) else "backend_failure"
        methods = plan.world.service(cause.service).methods
        return kind, frozenset(object_of(cause.service, m) for m in methods)
    if isinstance(cause, Misrouted):
        return "gateway_configuration", frozenset({cause.route})
    assert isinstance(cause, Surge)
    return "traffic_surge", frozenset({"all routes", *cause.routes})


def object_of(service: str, method: Method) -> str:
    """A method as reports name it: `service.Method`."""
    return f"{service}.{method.full.rpartition('/')[2]}"


def _by_deadlocks(trace: Trace, first: float, last: float) -> bool:
    codes = [
        r.code
        for r in trace.requests
        if first <= r.arrival <= last and r.status >= 500 and not r.is_noise
    ]
    return codes.count("ABORTED") >= MOST * len(codes)


# --- what can be told from what was recorded ----------------------------------------------------


def _expected(
    plan: Plan, cause: Cause, act: tuple[float, float], outage: tuple[float, float]
) -> Expected:
    """Whether the sources that tell this cause from its rivals were collected.

    Without the gateway's log there is no outage to explain. A lock needs a source of locks; a
    deadlock the server's log. What makes calls slow may be a lock behind them wherever there is a
    database, so it needs the metrics and a recorder that watched; the server's log shows longer
    waits only where that is switched on, so beside it both answers are fair.
    """
    seen = plan.observation
    if not seen.has("gateway"):
        return Expected.ABSTAIN
    watched = seen.has("recorder") and not _meets(
        seen.recorder_gap, (act[0], max(act[1], outage[1]))
    )
    if isinstance(cause, Lock):
        return _of_lock(plan, watched)
    if isinstance(cause, CrossedRows):
        if seen.has("log"):
            return Expected.NAME
        return Expected.OPEN if seen.has("recorder") else Expected.ABSTAIN
    if isinstance(cause, Misrouted):
        return Expected.NAME if seen.has("metrics") else Expected.OPEN
    if not seen.has("metrics"):
        return Expected.ABSTAIN
    if watched or not _has_database(plan, cause):
        return Expected.NAME
    if isinstance(cause, Failing) and (cause.code == "UNAVAILABLE" or seen.has("log")):
        return Expected.NAME
    return Expected.OPEN if seen.has("log") or seen.has("recorder") else Expected.ABSTAIN


def _of_lock(plan: Plan, watched: bool) -> Expected:
    seen = plan.observation
    if watched or seen.has("log"):
        return Expected.NAME
    return Expected.OPEN if seen.has("recorder") else Expected.ABSTAIN


def _has_database(plan: Plan, cause: Cause) -> bool:
    if isinstance(cause, Slow | Failing):
        return bool(plan.world.service(cause.service).pool_size)
    return True


def _meets(gap: tuple[float, float] | None, span: tuple[float, float]) -> bool:
    return gap is not None and gap[0] < span[1] and gap[1] > span[0]


# --- when things began --------------------------------------------------------------------------


def _onsets(plan: Plan, simulation: Simulation) -> Iterator[Onset]:
    trace = simulation.trace
    for number, cause in enumerate(plan.causes):
        begin, end = acting(plan, trace, number)
        if isinstance(cause, Lock):
            yield from _of_holder(plan, trace, number, cause, begin)
        elif isinstance(cause, Slow):
            service = plan.world.service(cause.service)
            for method in service.methods:
                starts = [c.started for c in trace.calls if c.method == method.full]
                first = min((s for s in starts if s >= begin), default=begin)
                begun = begin if cause.ramp else first
                yield _of_latency(plan, service, method, begun, end, is_ramp=cause.ramp > 0)
    for service in plan.world.services:
        yield from _of_pool(plan, trace, service)


def _of_holder(plan: Plan, trace: Trace, number: int, cause: Lock, begin: float) -> Iterator[Onset]:
    hold = next((h for h in trace.holds if h.cause == number), None)
    if hold is None:
        return
    mode = cause.mode if isinstance(cause, HeldTable) else ACCESS_EXCLUSIVE
    mode = ROW if isinstance(cause, HeldRow) else mode
    seen = plan.observation
    longest = max(
        [
            (w.ended if w.ended is not None else plan.seconds) - w.began
            for w in trace.waits
            if w.tag[0] == cause.table and hold.granted <= w.began < hold.released
        ],
        default=0.0,
    )
    by_recorder = seen.has("recorder") and not _meets(
        seen.recorder_gap, (hold.granted, hold.released)
    )
    yield Onset(
        what="lock",
        system="postgres",
        object=f"{plan.world.database}.{cause.table}",
        # A reader's lock stops nobody before somebody asks for more: no source dates it before.
        at=cause.alter_at if isinstance(cause, BehindReader) else hold.granted,
        since=hold.granted,
        until=hold.released,
        resolution=seen.interval_seconds,
        is_shown=(by_recorder and longest > seen.interval_seconds)
        or (seen.has("log") and longest > DEADLOCK_TIMEOUT),
    )
    for service in plan.world.services:
        for method in service.methods:
            wanted = ROW if mode == ROW and method.writes else method.mode
            began = [
                w.began
                for w in trace.waits
                if w.tag[0] == cause.table and w.mode == wanted and begin <= w.began < hold.released
            ]
            if method.table == cause.table and conflict(mode, wanted) and began:
                yield _of_latency(plan, service, method, min(began), hold.released)


def _of_latency(
    plan: Plan,
    service: Service,
    method: Method,
    begun: float,
    end: float,
    *,
    is_ramp: bool = False,
) -> Onset:
    seen = plan.observation
    return Onset(
        what="latency",
        system="grpc_metrics",
        object=object_of(service.name, method),
        at=begun,
        since=begun,
        until=end,
        resolution=seen.bucket_seconds,
        is_ramp=is_ramp,
        is_shown=seen.has("metrics") and end - begun > FEWEST_BUCKETS * seen.bucket_seconds,
    )


def _of_pool(plan: Plan, trace: Trace, service: Service) -> Iterator[Onset]:
    """The longest time in which a pool was full, but for pauses that no bucket shows."""
    width = plan.observation.bucket_seconds
    full = [
        (at, until)
        for (at, used, _), (until, _, _) in pairwise(
            [*trace.pools.get(service.name, ()), (plan.seconds, 0, 0)]
        )
        if used == service.pool_size
    ]
    stretches: list[list[tuple[float, float]]] = []
    whole: list[tuple[float, float]] = []
    for begin, end in full:
        if whole and whole[-1][1] == begin:
            whole[-1] = (whole[-1][0], end)
        else:
            whole.append((begin, end))
    for begin, end in whole:
        if stretches and begin - stretches[-1][-1][1] < width:
            stretches[-1].append((begin, end))
        else:
            stretches.append([(begin, end)])
    if stretches:
        longest = max(stretches, key=lambda s: s[-1][1] - s[0][0])
        for_good = max(longest, key=lambda piece: piece[1] - piece[0])
        yield Onset(
            what="pool",
            system="grpc_metrics",
            object=service.name,
            at=for_good[0],
            since=longest[0][0],
            until=longest[-1][1],
            resolution=width,
            is_shown=plan.observation.has("metrics") and for_good[1] - for_good[0] > 2 * width,
        )

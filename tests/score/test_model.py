"""The model's own truth, by laws that hold whatever it was meant to show."""

from __future__ import annotations

import math
import random
from dataclasses import replace
from itertools import pairwise

import pytest

from incident_rca.lock_modes import conflicts
from score.causes import CrossedRows, Failing, HeldTable, Misrouted, Surge
from score.engine import Engine, Process, Signal
from score.lock_table import (
    ACCESS_EXCLUSIVE,
    ACCESS_SHARE,
    ROW_EXCLUSIVE,
    SHARE,
    SHARE_UPDATE_EXCLUSIVE,
    LockTable,
    Request,
    Session,
    conflict,
)
from score.plans import SCENES, Plan, plan_of
from score.play import played
from score.simulator import Simulation
from score.worlds import MAIN, PLAIN

MODES = (ACCESS_SHARE, ROW_EXCLUSIVE, SHARE_UPDATE_EXCLUSIVE, SHARE, ACCESS_EXCLUSIVE)
SECONDS = 600.0


def scene(kind: str) -> Plan:
    """The first plan of a scene among the tuning seeds."""
    return plan_of(2 * list(SCENES).index(kind))


def run_of(plan: Plan) -> Simulation:
    return played(plan, lambda at: f"{at:.6f}")[0]


def well() -> Plan:
    """A system that nothing happens to."""
    plan = scene("quiet")
    return replace(plan, world=replace(plan.world, noise=0.0), seconds=SECONDS)


@pytest.mark.parametrize("kind", ["index build", "retry storm", "leaked connections", "surge"])
def test_every_request_that_arrives_is_answered_once_or_still_under_way(kind: str) -> None:
    plan = scene(kind)
    simulation = run_of(plan)
    trace, slowest = simulation.trace, plan.world.behaviour.gateway_seconds
    under_way = trace.arrived - len(trace.requests)
    # None outlasts the gateway's patience, so who is still under way came in the last of it.
    late = sum(r.per_second for r in plan.world.routes) * slowest
    assert 0 <= under_way <= late + 5 * math.sqrt(late)
    assert all(0 < r.ended - r.arrival <= slowest + 0.01 for r in trace.requests)
    assert len({(r.arrival, r.route) for r in trace.requests}) == len(trace.requests)


def test_arrivals_are_as_many_as_their_rates_say() -> None:
    plan = well()
    route, until = plan.world.routes[0], 300.0
    surge = Surge(routes=(route.name,), factor=4.0, start=until, end=SECONDS)
    simulation = run_of(replace(plan, causes=(surge,)))
    arrivals = [r.arrival for r in simulation.trace.requests if r.route == 0]
    before = sum(1 for a in arrivals if a < until)
    for number, mean in (
        (before, route.per_second * until),
        (len(arrivals) - before, 4 * route.per_second * (SECONDS - until)),
    ):
        assert abs(number - mean) < 4 * math.sqrt(mean)


def test_connections_in_use_are_arrivals_times_the_time_each_is_held() -> None:
    """Little's law (1961), with the service times that the world states, not what came out."""
    plan = well()
    simulation = run_of(plan)
    service = plan.world.service(MAIN)
    expected = sum(
        route.per_second * method.work_seconds
        for route in plan.world.routes
        for method in service.methods
        if method.full in route.calls
    )
    changes = [*simulation.trace.pools[MAIN], (SECONDS, 0, 0)]
    area = sum(used * (until - at) for (at, used, _), (until, _, _) in pairwise(changes))
    assert area / SECONDS == pytest.approx(expected, rel=0.1)


@pytest.mark.parametrize("kind", ["surge", "retry storm", "leaked connections", "index build"])
def test_no_more_connections_are_in_use_than_there_are(kind: str) -> None:
    plan = scene(kind)
    simulation = run_of(plan)
    for service in plan.world.services:
        used = [u for _, u, _ in simulation.trace.pools.get(service.name, ())]
        assert max(used, default=0) <= (service.pool_size or 0)
        assert min(used, default=0) >= 0


@pytest.mark.parametrize("kind", ["deadline set", "retry storm", "deadline too long"])
def test_no_call_outlasts_its_deadline(kind: str) -> None:
    plan = scene(kind)
    limit = plan.world.behaviour.deadline_seconds
    assert limit is not None
    calls = run_of(plan).trace.calls
    assert all(c.ended - c.started <= limit + 1e-6 for c in calls)
    ended = [c for c in calls if c.code == "DEADLINE_EXCEEDED"]
    assert ended and all(c.ended - c.started == pytest.approx(limit) for c in ended)


def test_nobody_writes_a_table_while_it_is_held_in_share() -> None:
    plan = scene("index build")
    assert isinstance(plan.causes[0], HeldTable)
    trace = run_of(plan).trace
    (hold,) = trace.holds
    writes = [c for c in trace.calls if c.method.endswith("/Reserve") and c.code == "OK"]
    reads = [c for c in trace.calls if c.method.endswith("/Lookup") and c.code == "OK"]
    assert not [c for c in writes if c.started >= hold.granted and c.ended < hold.released]
    assert [c for c in reads if c.started >= hold.granted and c.ended < hold.released]


def test_who_fails_at_once_and_who_is_not_reached() -> None:
    plan = well()
    down = Failing(service=PLAIN, share=1.0, code="UNAVAILABLE", seconds=0.004, start=100, end=200)
    away = Misrouted(route=plan.world.routes[0].name, start=300, end=400)
    trace = run_of(replace(plan, causes=(down, away))).trace
    plain = plan.world.service(PLAIN).methods[0].full
    codes = {c.code for c in trace.calls if c.method == plain and 100 < c.started < 200}
    assert codes == {"UNAVAILABLE"}
    called = plan.world.routes[0].calls[0]
    assert not [c for c in trace.calls if c.method == called and 300.01 < c.started < 400]
    failed = [r for r in trace.requests if r.status >= 500]
    assert all(100 <= r.arrival < 200 or 300 <= r.arrival < 400 for r in failed)


def test_deadlocks_happen_only_where_rows_are_taken_crosswise() -> None:
    plan = well()
    crossed = CrossedRows(table="public.items", rows=4, pause=0.3, start=100, end=300)
    trace = run_of(replace(plan, causes=(crossed,))).trace
    ended = [c for c in trace.calls if c.code == "ABORTED"]
    assert ended and all(100 <= c.started < 302 for c in ended)
    # The server looks for a circle when somebody has waited for a second, and not before.
    assert all(c.ended - c.started >= 1.0 for c in ended)


# --- locks ----------------------------------------------------------------------------------------


def test_modes_conflict_as_in_the_programs_own_table() -> None:
    """Two tables written apart, from the same page of PostgreSQL's documentation."""
    for one in MODES:
        for other in MODES:
            assert conflict(one, other) == conflicts(one, other), (one, other)


def session(pid: int) -> Session:
    return Session(pid=pid, database="shop", application="a", backend_start=0.0)


@pytest.mark.parametrize("seed", range(20))
def test_no_two_conflicting_locks_are_ever_granted_and_nobody_is_forgotten(seed: int) -> None:
    rng, table = random.Random(seed), LockTable(Engine())
    sessions = [session(pid) for pid in range(12)]
    waiting: dict[int, Request] = {}
    for _ in range(400):
        waiting = {pid: r for pid, r in waiting.items() if not r.outcome}
        one = rng.choice(sessions)
        if one.pid in waiting:
            table.withdraw(waiting.pop(one.pid), "cancelled")
        elif one.held and rng.random() < 0.5:
            table.release(one)
        else:
            request = table.acquire(one, (f"t{rng.randrange(2)}", None), rng.choice(MODES))
            if request is not None:
                waiting[one.pid] = request
        for lock in table.locks.values():
            for position, (holder, mode) in enumerate(lock.granted):
                for other, held in lock.granted[position + 1 :]:
                    assert holder is other or not conflicts(mode, held)
            for place, request in enumerate(lock.queue):
                ahead = [r.mode for r in lock.queue[:place]] + [m for _, m in lock.granted]
                assert any(conflicts(mode, request.mode) for mode in ahead)
    for one in sessions:
        if one.pid in waiting:
            table.withdraw(waiting[one.pid], "cancelled")
        table.release(one)
    assert not table.locks


def test_who_waits_ahead_stops_who_would_not_be_stopped_by_the_holder() -> None:
    table = LockTable(Engine())
    reader, alter, later = session(1), session(2), session(3)
    assert table.acquire(reader, ("t", None), ACCESS_SHARE) is None
    first = table.acquire(alter, ("t", None), ACCESS_EXCLUSIVE)
    second = table.acquire(later, ("t", None), ACCESS_SHARE)
    assert first is not None and second is not None
    assert table.blockers(first) == ([reader], [])
    assert table.blockers(second) == ([], [alter])
    table.withdraw(first, "cancelled")
    assert second.outcome == "granted"


def test_a_circle_is_a_wait_that_leads_back() -> None:
    table = LockTable(Engine())
    one, other = session(1), session(2)
    for holder, row in ((one, 1), (other, 2)):
        assert table.acquire(holder, ("t", row), "ExclusiveLock") is None
    waits = table.acquire(one, ("t", 2), "ExclusiveLock")
    assert waits is not None and not table.circle(waits)
    back = table.acquire(other, ("t", 1), "ExclusiveLock")
    assert back is not None and table.circle(back) and table.circle(waits)


# --- the engine -----------------------------------------------------------------------------------


def test_a_signal_wakes_who_still_waits_and_a_time_out_those_it_did_not_reach() -> None:
    engine, signal = Engine(), Signal()
    seen: list[tuple[str, float, bool]] = []

    def waiter(name: str, limit: float | None) -> Process[None]:
        fired = yield (signal, limit)
        seen.append((name, engine.now, fired))
        yield 10.0
        seen.append((f"{name} later", engine.now, False))

    def firing() -> Process[None]:
        yield 5.0
        engine.fire(signal)

    engine.start(waiter("patient", None))
    engine.start(waiter("short", 2.0))
    engine.start(firing())
    engine.start(waiter("late", 1.0), at=8.0)
    engine.run(14.0)
    assert seen == [
        ("short", 2.0, False),
        ("patient", 5.0, True),
        ("late", 8.0, True),
        ("short later", 12.0, False),
    ]

"""Sessions that are stuck in a transaction: so many of a pool, in several probes."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from incident_rca.analysis.pool import least_pool_sizes, pool_gauges, pool_sizes
from incident_rca.analysis.sessions import StuckSessions, stuck_sessions
from incident_rca.model import Case, Service, Topology
from tests.analysis.cases import Row, at, gauge, made_case, made_tables, second_of, steps


def probes(seconds: Sequence[float], *, idle: int, active: int = 0) -> list[Row]:
    states = {"idle in transaction": idle, "active": active}
    return [
        {"at": at(second), "application": "stock", "state": state, "sessions": number}
        for second in seconds
        for state, number in states.items()
        if number
    ]


def case_of(size: int | None) -> Case:
    return made_case(topology=Topology(services=(Service(name="stock", pool_size=size),)))


def found_in(
    rows: Sequence[Row], size: int | None = None, metrics: Sequence[Row] = ()
) -> tuple[StuckSessions, ...]:
    case, tables = case_of(size), made_tables(session_counts=rows, metrics=metrics)
    return stuck_sessions(case, tables, pool_sizes(case, pool_gauges(tables.metrics)))


MINUTE = steps(0, 60, 1)


@pytest.mark.parametrize(
    ("size", "idle", "is_found"),
    [(4, 2, True), (4, 1, False), (5, 3, True), (5, 2, False), (100, 50, True), (100, 49, False)],
)
def test_half_of_a_known_pool_is_stuck(size: int, idle: int, is_found: bool) -> None:
    found = found_in(probes(MINUTE, idle=idle, active=2), size)
    assert bool(found) is is_found
    assert [s.sessions for s in found] == [idle] * is_found


@pytest.mark.parametrize(
    ("idle", "active", "is_found"), [(3, 3, True), (3, 4, False), (2, 0, False), (20, 30, False)]
)
def test_of_an_unknown_pool_half_of_its_sessions_are(
    idle: int, active: int, is_found: bool
) -> None:
    assert bool(found_in(probes(MINUTE, idle=idle, active=active))) is is_found


def test_a_gauge_tells_the_size_as_well() -> None:
    limit = gauge([8.0] * 120, metric="db.client.connections.max")
    assert found_in(probes(MINUTE, idle=4, active=20), metrics=limit)
    assert not found_in(probes(MINUTE, idle=3, active=0), metrics=limit)


def test_between_two_statements_is_not_stuck() -> None:
    assert not found_in(probes([0, 1, 30, 31], idle=4), 4)
    assert found_in(probes([0, 1, 2], idle=4), 4)


def test_each_stretch_is_listed() -> None:
    found = found_in([*probes(steps(-300, -240, 1), idle=4), *probes(MINUTE, idle=3)], 4)
    assert [(s.sessions, second_of(s.until.lo)) for s in found] == [(4, -241), (3, 59)]


def test_sessions_in_several_waits_are_added_up() -> None:
    """Rows are split by what is waited for."""
    rows = [
        row | {"wait_event": event}
        for event in ("ClientRead", "ClientWrite")
        for row in map(dict, probes(MINUTE, idle=2))
    ]
    assert [s.sessions for s in found_in(rows, 8)] == [4]


@pytest.mark.parametrize(("stated", "least"), [(None, 100), (50, 50), (400, 100)])
def test_a_pool_that_was_enlarged_had_its_least_size_before(stated: int | None, least: int) -> None:
    limit = [100.0] * 60 + [400.0] * 60
    rows = gauge(limit, metric="db.client.connections.max", owner="stock")
    gauges = pool_gauges(made_tables(metrics=rows).metrics)
    assert least_pool_sizes(case_of(stated), gauges) == {"stock": least}
    assert pool_sizes(case_of(stated), gauges) == {"stock": 400}

"""What is blamed does not depend on how the same evidence is told."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from incident_rca import pipeline, reported_case
from incident_rca.analysis.analyse import analyse
from incident_rca.demo import prepare_demo
from incident_rca.model import Role, Topology
from tests.analysis.cases import (
    blocked,
    codes,
    counted,
    failing,
    gauge,
    heartbeat,
    levels,
    made_case,
    made_tables,
    p99,
    steps,
    usual,
)
from tests.analysis.retold import Told, doubled, shifted, shuffled, split, with_quiet_service
from tests.analysis.traced_cases import a_case, failures, waits

SEEDS = st.integers(0, 2**16)
FEW = settings(
    max_examples=3, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
SLOW = p99(levels(20, 8_000, 0, 130))
ORDERS = failing(steps(0, 121, 2), "POST /orders", latency_ms=8_000.0)
BESIDE = [*usual("GET /items"), *usual("POST /orders"), *usual("POST /mail")]


def lock_and_pool() -> Told:
    """A lock that fills a pool, which stays full when it is gone."""
    failed = failing(steps(2, 300, 2), "POST /orders", latency_ms=8_000.0)
    return made_case(), made_tables(
        failures=failed,
        gateway=[*BESIDE, *counted(failed)],
        locks=blocked(0, 60, waiters=30),
        session_counts=[heartbeat(second) for second in steps(-600, 600, 1)],
        metrics=[*SLOW, *gauge(levels(5, 100, 20, 310), role="used")],
    )


def slow_service() -> Told:
    """A service that became slow while somebody watched the locks and saw nobody wait."""
    return made_case(), made_tables(
        failures=ORDERS,
        gateway=[*BESIDE, *counted(ORDERS)],
        session_counts=[heartbeat(second) for second in steps(-600, 600, 1)],
        metrics=SLOW,
    )


def refused() -> Told:
    """Calls that are refused at once, and a lock on a table that none of them needs."""
    failed = failing(steps(0, 121, 2), "POST /orders", latency_ms=12.0)
    kinds = [{**row, "error_type": "backend_5xx"} for row in failed]
    return made_case(), made_tables(
        failures=kinds,
        gateway=[*BESIDE, *counted(failed)],
        locks=blocked(10, 40, relation="public.letters", waiter_application="mail"),
        metrics=[row for second in steps(0, 120, 10) for row in codes(second, UNAVAILABLE=5.0)],
    )


def traced() -> Told:
    """A lock whose path only ids say, by a gateway whose clock is 40 s behind."""
    failed = failures(ahead=-40.0)
    return a_case(topology=Topology()), made_tables(
        failures=failed, gateway=[*usual("POST /mail"), *counted(failed)], locks=waits()
    )


def few_waiters() -> Told:
    """A lock for which just enough sessions waited for the requests that failed meanwhile."""
    return made_case(), made_tables(
        failures=ORDERS,
        gateway=[*BESIDE, *counted(ORDERS)],
        locks=blocked(-1, 121, waiters=7),
        metrics=SLOW,
    )


MADE = {f.__name__: f for f in (lock_and_pool, slow_service, refused, traced, few_waiters)}


@pytest.fixture(scope="module")
def incidents(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Told]:
    """The sample of INC-2847, and the made ones."""
    folder = prepare_demo(tmp_path_factory.mktemp("sample") / "INC-2847")
    case, tables = pipeline.build_tables(folder)
    sample = (reported_case.as_reported(case), tables)
    return {"inc_2847": sample, **{name: make() for name, make in MADE.items()}}


@pytest.fixture(scope="module")
def known(incidents: Mapping[str, Told]) -> Mapping[str, list[tuple[str, ...]]]:
    """What is blamed in each of them as it is."""
    return {name: blamed(told) for name, told in incidents.items()}


def blamed(told: Told) -> list[tuple[str, ...]]:
    """Kind, object, verdict, role and seconds explained, sorted; of what was ruled out the kind."""
    return sorted(
        (h.kind, "", h.verdict, h.role, "")
        if h.role is Role.RULED_OUT
        else (h.kind, h.object, h.verdict, h.role, f"{h.explains_seconds:.0f}")
        for h in analyse(*told).hypotheses
    )


NAMES = ("inc_2847", *MADE)


@pytest.mark.parametrize("name", NAMES)
def test_each_incident_blames_something(
    name: str, known: Mapping[str, list[tuple[str, ...]]]
) -> None:
    """Else nothing below could fail."""
    assert any(role == Role.TRIGGER for *_, role, _ in known[name])


@pytest.mark.parametrize("name", NAMES)
@FEW
@given(seed=SEEDS)
def test_the_order_of_rows_changes_nothing(
    name: str,
    seed: int,
    incidents: Mapping[str, Told],
    known: Mapping[str, list[tuple[str, ...]]],
) -> None:
    assert blamed(shuffled(incidents[name], seed)) == known[name]


@pytest.mark.parametrize("name", NAMES)
@FEW
@given(share=st.floats(0.1, 0.9))
def test_a_file_in_two_pieces_changes_nothing(
    name: str,
    share: float,
    incidents: Mapping[str, Told],
    known: Mapping[str, list[tuple[str, ...]]],
) -> None:
    assert blamed(split(incidents[name], share)) == known[name]


@pytest.mark.parametrize("name", NAMES)
@FEW
@given(picks=st.lists(st.booleans(), min_size=9, max_size=9).filter(any))
def test_a_source_that_is_there_twice_changes_nothing(
    name: str,
    picks: list[bool],
    incidents: Mapping[str, Told],
    known: Mapping[str, list[tuple[str, ...]]],
) -> None:
    case, _ = incidents[name]
    names = sorted(s.name for s in case.sources)
    chosen = frozenset(n for n, is_picked in zip(names, picks, strict=False) if is_picked)
    assert blamed(doubled(incidents[name], chosen)) == known[name]


@pytest.mark.parametrize("name", NAMES)
@FEW
@given(seconds=st.integers(-400 * 86_400, 400 * 86_400))
def test_all_clocks_together_change_nothing(
    name: str,
    seconds: int,
    incidents: Mapping[str, Told],
    known: Mapping[str, list[tuple[str, ...]]],
) -> None:
    assert blamed(shifted(incidents[name], timedelta(seconds=seconds))) == known[name]


@pytest.mark.parametrize("name", NAMES)
@FEW
@given(a_minute=st.integers(1, 500))
def test_a_quiet_service_beside_it_changes_nothing(
    name: str,
    a_minute: int,
    incidents: Mapping[str, Told],
    known: Mapping[str, list[tuple[str, ...]]],
) -> None:
    assert blamed(with_quiet_service(incidents[name], a_minute)) == known[name]

"""Deadlocks by sampled circles of waits, where no server log tells of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from incident_rca.model import Analysis, Kind, Role, SourceState, Verdict
from tests.analysis.cases import (
    OUTAGE,
    analysed,
    counted,
    edge,
    made_case,
    of_kind,
    the,
    with_source,
)

# The outage has 61 failures in 120 s.
ENOUGH_CIRCLES = 15
ROW: Mapping[str, Any] = {
    "lock_type": "transactionid",
    "holder_application": "stock",
    "waiter_mode": "ShareLock",
}


def pair(second: float, pid: int, *, is_circle: bool) -> list[Mapping[str, Any]]:
    """Two sessions of the service, of which one waits for the other, or each for each."""
    times: Mapping[str, Any] = {
        "wait_start": second,
        "wait_end": second + 1,
        "held_since": second - 0.1,
    }
    rows = [edge(second + 0.5, pid, pid + 1, held_until=second + 1, **times, **ROW)]
    if is_circle:
        rows.append(edge(second + 0.5, pid + 1, pid, held_until=second + 1, **times, **ROW))
    return rows


def with_pairs(
    number: int, *, is_circle: bool, log: SourceState, every: float | None = None
) -> Analysis:
    """The outage beside so many pairs, sampled `every` so many seconds."""
    locks = [
        row
        for n in range(number)
        for row in pair(n * 120 / number, 100 + 2 * n, is_circle=is_circle)
    ]
    case = made_case(states={"postgresql": log})
    case = with_source(case, "locks", lambda s: replace(s, resolution_seconds=every))
    return analysed(case, failures=OUTAGE, gateway=counted(OUTAGE), locks=locks)


def test_circles_start_the_outage_where_no_log_says_more() -> None:
    found = with_pairs(ENOUGH_CIRCLES, is_circle=True, log=SourceState.SKIPPED)
    deadlock = the(found, Kind.DEADLOCK)
    assert (deadlock.role, deadlock.object) == (Role.TRIGGER, "shop.public.items")
    assert all(h.role is not Role.TRIGGER for h in of_kind(found, Kind.LOCK_BLOCKING))


def test_waits_that_are_no_circles_are_no_deadlocks() -> None:
    found = with_pairs(ENOUGH_CIRCLES, is_circle=False, log=SourceState.SKIPPED)
    assert the(found, Kind.DEADLOCK).verdict is Verdict.INSUFFICIENT


def test_a_few_circles_beside_many_failures_took_part() -> None:
    found = with_pairs(3, is_circle=True, log=SourceState.SKIPPED)
    assert the(found, Kind.DEADLOCK).role is Role.CONTRIBUTING


@pytest.mark.parametrize(
    ("every", "role"),
    [
        (0.1, Role.CONTRIBUTING),
        (1.0, Role.TRIGGER),  # a circle that stands for half a second is seen every second time
        (0.5, Role.CONTRIBUTING),
    ],
)
def test_who_samples_seldom_sees_some_of_the_circles(every: float, role: Role) -> None:
    found = with_pairs(7, is_circle=True, log=SourceState.SKIPPED, every=every)
    assert the(found, Kind.DEADLOCK).role is role


def test_a_log_that_was_read_says_how_many_there_were() -> None:
    found = with_pairs(ENOUGH_CIRCLES, is_circle=True, log=SourceState.OK)
    assert the(found, Kind.DEADLOCK).verdict is Verdict.CONTRADICTED

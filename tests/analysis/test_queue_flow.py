"""A service that works as before behind a queue of calls that nobody waits for: since when."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import accumulate

import pytest

from incident_rca.model import Analysis, Kind, Role, SourceState
from tests.analysis.cases import (
    TAIL,
    Row,
    analysed,
    codes,
    counted,
    failing,
    gauge,
    heartbeat,
    levels,
    made_case,
    p99,
    second_of,
    steps,
    the,
    usual,
)

BUCKETS = steps(-600, TAIL, 10)
BEFORE, CALLED, STALLED = 50.0, 180.0, 5.0
STALL_ENDS, OVER = 60.0, 210.0


def answers(after: float, stalled_until: float = STALL_ENDS) -> list[float]:
    """What the service answers in each bucket: little in the stall, then `after`."""
    return [
        BEFORE if s < 0 or s >= OVER else STALLED if s < stalled_until else after for s in BUCKETS
    ]


def calls() -> list[float]:
    return [CALLED if 0 <= s < OVER else BEFORE for s in BUCKETS]


def queue(called: Sequence[float], answered: Sequence[float]) -> list[float]:
    """A queue that nobody leaves, until it is thrown away when the outage is over."""
    grown = list(accumulate(c - a for c, a in zip(called, answered, strict=True)))
    return [n if s < OVER else 0.0 for s, n in zip(BUCKETS, grown, strict=True)]


def storm(
    waiting: Sequence[float | None],
    called: Sequence[float] | None = None,
    *,
    width: float = 10.0,
    gives_up_ms: float = 2_000.0,
) -> Analysis:
    """An outage of 200 s in which callers give up by and by, beside a gauge of who waits."""
    failures = failing(steps(0, 201, 1), "POST /orders", latency_ms=8_000.0)
    rows: list[Row] = [
        *p99(levels(100, gives_up_ms, 0, OVER)),
        *gauge(levels(40, 100, 0, OVER)),
        *gauge(waiting, step=width, metric="db.client.connections.pending_requests"),
    ]
    for second, number in zip(BUCKETS, called or calls(), strict=True):
        code = "DEADLINE_EXCEEDED" if 0 <= second < OVER else "OK"
        rows += codes(second, **{code: number})
    traffic = [usual(name, requests=25, every=10) for name in ("GET /items", "POST /orders")]
    return analysed(
        made_case(states={"postgresql": SourceState.OK}),
        failures=failures,
        gateway=[*traffic[0], *traffic[1], *counted(failures)],
        session_counts=[heartbeat(second) for second in steps(-600, 600, 1)],
        metrics=rows,
    )


def recovered(analysis: Analysis) -> list[tuple[float | None, float | None]]:
    return [
        (second_of(e.at.lo), second_of(e.at.hi))
        for e in analysis.timeline
        if e.kind == "capacity_back"
    ]


def test_the_trigger_ends_where_the_service_answers_its_usual_load_again() -> None:
    analysis = storm(queue(calls(), answers(80)))
    ((lo, hi),) = recovered(analysis)
    assert lo is not None and hi is not None and lo <= STALL_ENDS <= hi <= STALL_ENDS + 10
    trigger = the(analysis, Kind.DEPENDENCY_LATENCY)
    assert trigger.role is Role.TRIGGER
    assert trigger.explains_seconds == pytest.approx(STALL_ENDS, abs=10)
    kept = [h for h in analysis.hypotheses if h.role is Role.SUSTAINER]
    assert {h.kind for h in kept} == {Kind.RETRY_STORM, Kind.POOL_EXHAUSTION}
    assert sum(h.explains_seconds for h in kept) == pytest.approx(200 - STALL_ENDS, abs=10)


def test_what_was_answered_and_who_waited_is_said_in_numbers() -> None:
    analysis = storm(queue(calls(), answers(80)))
    waiting = round(6 * (CALLED - STALLED) + CALLED - 80)
    said = " ".join(c.text for c in the(analysis, Kind.RETRY_STORM).claims)
    assert f"{waiting:,} calls waited in the queue of stock" in said
    assert "answered 0.5 calls a second, then 8.0 (5.0 before the outage)" in said
    assert "no more than 36 can still have had a caller" in said  # 18 a second, 2 s each


def emptied_at(second: float) -> Callable[[list[float]], list[float]]:
    def emptied(waiting: list[float]) -> list[float]:
        place = BUCKETS.index(second)
        lost = waiting[place]
        return [n - lost if i >= place and n else n for i, n in enumerate(waiting)]

    return emptied


def test_a_queue_that_a_restart_emptied_was_not_answered() -> None:
    waiting = emptied_at(150)(queue(calls(), answers(80)))
    ((lo, hi),) = recovered(storm(waiting))
    assert lo is not None and hi is not None and lo <= STALL_ENDS <= hi


def test_buckets_that_were_lost_are_not_read_as_an_empty_queue() -> None:
    waiting: list[float | None] = list(queue(calls(), answers(80)))
    for second in (30, 100, 110, 170):
        waiting[BUCKETS.index(second)] = None
    ((lo, hi),) = recovered(storm(waiting))
    assert lo is not None and hi is not None and lo <= STALL_ENDS <= hi


@pytest.mark.parametrize(
    "waiting",
    [
        pytest.param(queue(calls(), answers(30)), id="less than usual is answered to the end"),
        pytest.param(queue(calls(), answers(190)), id="the queue shrinks by itself"),
        pytest.param([None for _ in BUCKETS], id="nobody counted who waits"),
    ],
)
def test_without_a_sign_of_recovery_slow_calls_are_the_trigger_s(
    waiting: Sequence[float | None],
) -> None:
    analysis = storm(waiting)
    assert not recovered(analysis)
    assert the(analysis, Kind.DEPENDENCY_LATENCY).explains_seconds > 190


@pytest.mark.parametrize(("gives_up_ms", "is_found"), [(2_000.0, True), (8_000.0, False)])
def test_a_queue_that_callers_who_still_wait_can_fill_tells_nothing(
    gives_up_ms: float, is_found: bool
) -> None:
    waiting = queue(calls(), answers(80, stalled_until=10))  # 275 wait: of 36, and of 144 callers
    assert bool(recovered(storm(waiting, gives_up_ms=gives_up_ms))) is is_found


def test_no_storm_goes_on_where_callers_have_stopped_to_try_again() -> None:
    fewer = [BEFORE if s < 0 or s >= OVER else CALLED if s < STALL_ENDS else 60.0 for s in BUCKETS]
    answered = [60.0 if a == 80.0 else a for a in answers(80)]
    assert not recovered(storm(queue(fewer, answered), fewer))


def test_no_recovery_where_callers_do_not_try_again() -> None:
    once = [60.0 if 0 <= s < OVER else BEFORE for s in BUCKETS]
    fast = [BEFORE if s < 0 or s >= STALL_ENDS else STALLED for s in BUCKETS]
    assert not recovered(storm(queue(once, fast), once))


def test_no_recovery_where_the_gauge_has_other_buckets_than_the_counts() -> None:
    by_twenty = queue(calls(), answers(80))[::2]
    assert not recovered(storm(by_twenty, width=20.0))

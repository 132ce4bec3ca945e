"""Since when a pool was full: by waits that filled it, with buckets lost, and by chance before."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from incident_rca.model import Kind, PoolState, Role, SourceStatus, Span, Stance, System
from tests.analysis.cases import (
    OUTAGE,
    Row,
    analysed,
    at,
    blocked,
    claims_of,
    counted,
    failing,
    gauge,
    levels,
    made_case,
    p99,
    second_of,
    steps,
    the,
    with_source,
)

# The bucket from 20 s to 30 s is the first in which the pool of 100 is full.
FULL = levels(5, 100, 20, 100)


def pool_of(metrics: Sequence[Row], locks: Sequence[Row] = (), *, clock: float = 0.05) -> PoolState:
    """The pool of the usual outage, where PostgreSQL's clock is right to within `clock` seconds."""
    case = made_case()
    for name in ("locks", "postgresql"):
        case = with_source(case, name, lambda s: _by_clock(s, clock))
    pool = analysed(
        case, failures=OUTAGE, gateway=counted(OUTAGE), metrics=metrics, locks=locks
    ).pool
    assert pool is not None
    return pool


def _by_clock(source: SourceStatus, seconds: float) -> SourceStatus:
    return replace(source, clock_offset_seconds=(-seconds, seconds))


def seconds_of(span: Span) -> list[float | None]:
    return [second_of(span.lo), second_of(span.hi)]


# --- the wait that took the last connection -------------------------------------------------------


@pytest.mark.parametrize(("until", "full_at"), [(15.0, 29.9), (60.0, 23.9)])
def test_only_sessions_that_wait_at_once_fill_a_pool(until: float, full_at: float) -> None:
    """Sixty waits before those of a hundred others: do they still wait, or are they over?"""
    locks = [
        *blocked(5, until, waiters=60, first_pid=1000),
        *blocked(20, 60, waiters=100, first_pid=2000),
    ]
    pool = pool_of(gauge(FULL), locks)
    assert seconds_of(pool.exhausted_at) == pytest.approx([full_at, full_at], abs=0.001)
    assert pool.exhausted_by is System.POSTGRES
    # The first of those that waited then began at 20 s, or at 5 s.
    assert pool.fill_seconds == round(full_at - (20 if until < 20 else 5))


@pytest.mark.parametrize(("clock", "by"), [(0.05, System.GRPC_METRICS), (5.0, System.POSTGRES)])
def test_a_wait_is_in_the_gauges_bucket_as_far_as_the_clocks_tell(clock: float, by: System) -> None:
    """The hundredth began at 30.9 s by PostgreSQL's clock; the bucket ends at 30 s."""
    pool = pool_of(gauge(FULL), blocked(21, 60, waiters=100), clock=clock)
    assert pool.exhausted_by is by


@pytest.mark.parametrize(("clock", "claims"), [(0.05, 1), (5.0, 0)])
def test_what_a_wait_tells_is_compared_by_the_clock_of_postgresql(
    clock: float, claims: int
) -> None:
    """POST /orders fails from 32 s on, 2.1 s after the last connection was taken."""
    failures = [*failing(steps(0, 121, 2)), *failing(steps(32, 121, 2), "POST /orders")]
    case = made_case()
    for name in ("locks", "postgresql"):
        case = with_source(case, name, lambda s: _by_clock(s, clock))
    analysis = analysed(
        case,
        failures=failures,
        gateway=counted(failures),
        metrics=gauge(FULL),
        locks=blocked(20, 60, waiters=100),
    )
    found = the(analysis, Kind.POOL_EXHAUSTION)
    later = [c for c in claims_of(found, "dose", Stance.FOR) if "after the pool was full" in c.text]
    assert len(later) == claims


# --- buckets that are missing ---------------------------------------------------------------------


def lost(*seconds: float, values: Sequence[float] = FULL) -> list[Row]:
    """The gauge without its buckets from these seconds."""
    gone = {60 + int(second // 10) for second in seconds}
    return gauge([None if n in gone else value for n, value in enumerate(values)])


@pytest.mark.parametrize(
    ("seconds", "begun", "until"),
    [
        ((), [20, 30], [90, 100]),
        ((60,), [20, 30], [90, 100]),
        ((40, 50), [20, 30], [90, 100]),
        ((20, 30), [20, 50], [90, 100]),
        ((10, 20), [10, 40], [90, 100]),
        ((100,), [20, 30], [90, 110]),
        # A silence as long as a rise was not seen full: what came behind it is longer.
        ((30, 40, 50), [30, 70], [90, 100]),
    ],
)
def test_an_end_lies_between_what_is_known_full_and_what_is_known_not_to_be(
    seconds: Sequence[float], begun: Sequence[float], until: Sequence[float]
) -> None:
    pool = pool_of(lost(*seconds))
    assert seconds_of(pool.exhausted_at) == begun
    assert seconds_of(pool.exhausted_until) == until


def test_a_bucket_that_is_known_not_to_be_full_ends_it() -> None:
    values = [99.0 if n == 62 + 2 else value for n, value in enumerate(FULL)]
    assert seconds_of(pool_of(gauge(values)).exhausted_at) == [50, 60]


# --- limits that are touched by chance ------------------------------------------------------------

BUSY = [4.0 if n % 3 else 3.0 for n in range(120)]


def busy(usual: Sequence[float], *, waits_from: float) -> list[Row]:
    """A pool of four, full from 0 to 120 s, with thirty callers that wait from some second on."""
    in_use = [4.0 if 60 <= n < 72 else value for n, value in enumerate(usual)]
    return [
        *gauge(in_use),
        *gauge([4.0] * 120, metric="db.client.connections.max"),
        *gauge(levels(1, 30, waits_from, 120), metric="db.client.connections.pending_requests"),
    ]


@pytest.mark.parametrize(
    ("usual", "begun", "until"),
    [
        # Full in two of three buckets, or in each, long before: what counts is that callers queue,
        # which they do once it is full, in the bucket before at the earliest.
        (BUSY, [10, 30], [110, 120]),
        ([4.0] * 120, [10, 30], [110, 120]),
        # Never full before: it is exhausted as soon as it is full, whenever the queue grows.
        ([2.0] * 120, [0, 10], [110, 120]),
    ],
    ids=["often", "always", "never"],
)
def test_a_limit_that_is_touched_by_chance_is_no_exhaustion(
    usual: Sequence[float], begun: Sequence[float], until: Sequence[float]
) -> None:
    pool = pool_of(busy(usual, waits_from=20))
    assert seconds_of(pool.exhausted_at) == begun
    assert seconds_of(pool.exhausted_until) == until


@pytest.mark.parametrize(("waits_from", "is_trigger"), [(0.0, True), (-100.0, False)])
def test_a_busy_pool_hides_nothing_until_callers_queue_for_it(
    waits_from: float, is_trigger: bool
) -> None:
    """Calls are slow from 0 s on, in a service whose pool of four is always full."""
    slow = p99(levels(20, 2_000, 0, 120))
    analysis = analysed(
        failures=OUTAGE,
        gateway=counted(OUTAGE),
        metrics=[*slow, *busy([4.0] * 120, waits_from=waits_from)],
    )
    found = the(analysis, Kind.DEPENDENCY_LATENCY)
    assert (found.role is Role.TRIGGER) == is_trigger


def test_a_pool_that_mostly_idled_has_no_usual_demand_to_rise_above() -> None:
    """In use in the first buckets, then not at all until it is full."""
    values = [1.0 if n < 6 else 0.0 if value == 5 else value for n, value in enumerate(FULL)]
    assert seconds_of(pool_of(gauge(values)).exhausted_at) == [20, 30]


def test_what_is_usual_is_not_read_from_an_outage() -> None:
    """Requests fail from 0 s on: what a window has that begins 30 s before tells of no quiet."""
    in_window = [row for row in busy([4.0] * 120, waits_from=60) if row["at"] >= at(-30)]
    case = made_case(window=(-30.0, 600.0))
    pool = analysed(case, failures=OUTAGE, gateway=counted(OUTAGE), metrics=in_window).pool
    assert pool is not None and pool.exhausted_at.hi == at(-20)

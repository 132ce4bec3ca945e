"""The queue model of the pool against a queue that is computed in another way, and by hand."""

from __future__ import annotations

import heapq

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from incident_rca.whatif.breakers import ERROR, OK, TIMEOUT
from incident_rca.whatif.protection import UNPROTECTED, Protection
from incident_rca.whatif.replay import GATEWAY_LIMIT, UNANSWERED, replay
from tests.whatif.traffics import READS, request, traffic, without_limits


@settings(max_examples=150, deadline=None)
@given(
    pool_size=st.integers(1, 5),
    calls=st.lists(st.tuples(st.integers(0, 3_000), st.integers(1, 900)), min_size=1, max_size=60),
)
def test_waiting_in_turn_is_that_of_a_queue_with_several_servers(
    pool_size: int, calls: list[tuple[int, int]]
) -> None:
    requests = [request(at, READS, takes) for at, takes in calls]
    made = without_limits(traffic(requests, pool_size=pool_size, cut_ms=None))
    answers = replay(made, UNPROTECTED)
    # Each request goes to the connection that is free first: no events, no clock.
    free_at = [0] * pool_size
    for one, latency, outcome in zip(
        made.requests, answers.latencies_ms, answers.outcomes, strict=True
    ):
        begins = max(one.at_ms, heapq.heappop(free_at))
        heapq.heappush(free_at, begins + one.service_ms)
        assert (outcome, latency) == (OK, begins + one.service_ms - one.at_ms)


LOCKED = ((10_000, 100_000),)


def test_calls_that_wait_for_the_lock_hold_their_connections_until_it_goes() -> None:
    made = traffic([request(20_000 + n) for n in range(3)], blocked=LOCKED, cut_ms=None)
    answers = replay(without_limits(made), UNPROTECTED)
    assert answers.outcomes == (OK,) * 3
    assert answers.latencies_ms == (80_020, 80_019, 80_018)
    assert answers.held_by_step[1:10] == (0, 3, 3, 3, 3, 3, 3, 3, 3)
    assert answers.held_by_step[11:] == (0,) * 19


def test_a_call_that_was_cut_keeps_its_connection_as_long_as_those_that_were_recorded() -> None:
    made = traffic([request(20_000)], blocked=LOCKED, kept_until_ms=200_000)
    answers = replay(made, UNPROTECTED)
    assert (answers.outcomes, answers.latencies_ms) == ((ERROR,), (30_000,))
    held = [step * 10_000 for step, number in enumerate(answers.held_by_step) if number]
    assert (held[0], held[-1]) == (20_000, 200_000)


@pytest.mark.parametrize(("cancels", "last_held_ms"), [(True, 20_000), (False, 200_000)])
def test_only_a_cancelled_call_gives_its_connection_back(cancels: bool, last_held_ms: int) -> None:
    made = traffic([request(20_000)], blocked=LOCKED, kept_until_ms=200_000)
    answers = replay(made, Protection(deadline_ms=2_000, cancels=cancels))
    assert (answers.outcomes, answers.latencies_ms) == ((TIMEOUT,), (2_000,))
    assert max(s * 10_000 for s, held in enumerate(answers.held_by_step) if held) == last_held_ms


def test_a_call_that_never_ends_is_given_up_by_the_gateway_or_never_answered() -> None:
    made = traffic([request(20_000)], blocked=((10_000, 900_000),), cut_ms=None)
    limited, unlimited = replay(made, UNPROTECTED), replay(without_limits(made), UNPROTECTED)
    assert (limited.outcomes, limited.latencies_ms) == ((GATEWAY_LIMIT,), (60_000,))
    # It was followed until two minutes after the end of the window.
    assert (unlimited.outcomes, unlimited.latencies_ms) == ((UNANSWERED,), (400_000,))


def test_reads_go_on_until_the_pool_is_exhausted_and_are_given_up_by_the_gateway_then() -> None:
    writes = [request(20_000 + 1_000 * n) for n in range(10)]
    early, late = request(29_500, READS), request(30_000, READS)
    made = traffic([*writes, early, late], blocked=LOCKED, kept_until_ms=200_000)
    answers = replay(made, UNPROTECTED)
    by_request = dict(zip(made.requests, answers.outcomes, strict=True))
    # The tenth write comes at 29,000 ms, so nothing is left for either read.
    assert (by_request[early], by_request[late]) == (GATEWAY_LIMIT, GATEWAY_LIMIT)
    assert answers.first_full_ms == 29_000
    assert answers.full_ms == 200_000 - 29_000


def test_who_waits_for_a_connection_gets_it_in_turn_when_one_comes_back() -> None:
    made = traffic(
        [request(0, READS, 1_000), request(100, READS, 500), request(200, READS, 10)], pool_size=1
    )
    answers = replay(made, UNPROTECTED)
    assert answers.latencies_ms == (1_000, 1_400, 1_310)


def test_a_cancelled_call_leaves_the_queue_and_one_that_runs_on_does_not() -> None:
    requests = [request(0, READS, 10_000), request(100, READS, 700), request(9_000, READS, 10)]
    made = traffic(requests, pool_size=1)
    cancelled = replay(made, Protection(deadline_ms=2_000, cancels=True))
    running = replay(made, Protection(deadline_ms=2_000))
    assert cancelled.outcomes == (TIMEOUT, TIMEOUT, OK)
    assert cancelled.latencies_ms[2] == 10
    # The second one, which nobody waits for, comes first: 10,000 + 700 + 10 - 9,000 ms.
    assert (running.outcomes[2], running.latencies_ms[2]) == (OK, 1_710)


def test_retries_try_again_after_their_pause_and_say_what_the_last_one_found() -> None:
    made = traffic([request(99_000)], blocked=LOCKED)
    once = replay(made, Protection(deadline_ms=500, cancels=True))
    thrice = replay(made, Protection(deadline_ms=500, cancels=True, retries=2, backoff_ms=100))
    assert (once.outcomes, once.latencies_ms) == ((TIMEOUT,), (500,))
    # 99,000 and 99,600 time out; the lock goes during the second one's successor? At 100,000.
    assert (thrice.outcomes, thrice.latencies_ms) == ((OK,), (1_020,))

"""The pace of calls: even, shared by threads, slower at once when asked, and careful to rise."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from incident_rca.errors import Unreachable
from incident_rca.sources.rate_limit import OF_THIS_PROCESS, Pace, Paces
from tests.sources.gateway_scene import tally_at


def test_calls_are_spaced_evenly_from_the_first_one() -> None:
    pace, tally = Pace(), tally_at()
    turns = [pace.wait(tally) for _ in range(6)]
    assert turns == pytest.approx([0.0, 0.2, 0.4, 0.6, 0.8, 1.0])


def test_a_pause_of_the_caller_earns_two_calls_and_no_more() -> None:
    pace, tally = Pace(), tally_at()
    pace.wait(tally)
    tally.clock.sleep(10.0)
    turns = [pace.wait(tally) for _ in range(5)]
    assert turns == pytest.approx([10.0, 10.0, 10.0, 10.2, 10.4])


def test_threads_share_one_pace() -> None:
    pace, tally = Pace(), tally_at()
    with ThreadPoolExecutor(8) as pool:
        turns = sorted(pool.map(lambda _: pace.wait(tally), range(40)))
    # In any second of them at most five.
    for first, sixth in zip(turns, turns[5:], strict=False):
        assert sixth - first >= 1.0 - 1e-9


def test_an_objection_slows_down_and_later_ones_of_the_same_moment_do_not_again() -> None:
    pace, tally = Pace(), tally_at()
    called = [pace.wait(tally) for _ in range(4)]
    now = tally.clock.monotonic() + 0.1
    for at in called:
        pace.objected(at, now)
    assert pace.calls_per_second == pytest.approx(5 * 0.7)
    assert pace.wait(tally) >= now + 1 / 3.5 - 1e-9


def test_it_never_stops_and_comes_back_to_the_usual_pace() -> None:
    pace, tally = Pace(), tally_at()
    for _ in range(30):
        pace.objected(pace.wait(tally), tally.clock.monotonic())
    assert pace.calls_per_second == 0.5
    for _ in range(200):
        pace.wait(tally)
    assert pace.calls_per_second >= 5.0


def test_it_rises_above_the_usual_pace_only_after_a_quiet_while() -> None:
    pace, tally = Pace(), tally_at()
    while pace.wait(tally) < 29.0:
        assert pace.calls_per_second == 5.0
    while pace.wait(tally) < 120.0:
        pass
    assert 5.0 < pace.calls_per_second <= 25.0


@pytest.mark.parametrize("quota", [5.0, 2.0, 12.0, 25.0])
def test_a_service_that_counts_is_used_well_and_seldom_provoked(quota: float) -> None:
    """A bucket of the service's own, refilled by its quota, refuses what comes too fast."""
    pace, tally = Pace(), tally_at()
    left, at = quota, 0.0
    served = refused = 0
    while (turn := pace.wait(tally)) < 600.0:
        left = min(quota, left + (turn - at) * quota)
        at = turn
        if left >= 1:
            left -= 1
            served += 1
        else:
            refused += 1
            pace.objected(turn, tally.clock.monotonic())
    assert served >= 0.75 * quota * 600 or quota > 5.0
    assert served >= 0.9 * 5.0 * 600 or quota < 5.0
    assert refused <= 0.1 * served


def test_time_that_is_over_ends_the_wait() -> None:
    pace, tally = Pace(), tally_at()
    tally.until = 0.5
    with pytest.raises(Unreachable, match="its time was over"):
        for _ in range(10):
            pace.wait(tally)


def test_each_account_and_action_has_its_own_pace_for_the_process() -> None:
    paces = Paces()
    keys = [("a", "eu"), ("a", "us"), ("b", "eu")]
    assert len({id(paces.of(key)) for key in keys}) == 3
    assert paces.of(("a", "eu")) is paces.of(("a", "eu"))
    assert OF_THIS_PROCESS.of("x") is OF_THIS_PROCESS.of("x")

"""A sweep: its grid, its front against a brute comparison, and the same result from processes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from incident_rca.errors import BadSettings
from incident_rca.report.pareto import drawing
from incident_rca.whatif.figures import figures_of
from incident_rca.whatif.opossum import OpossumOptions
from incident_rca.whatif.options import BREAKERS
from incident_rca.whatif.protection import UNPROTECTED, Protection
from incident_rca.whatif.replay import replay
from incident_rca.whatif.sweep import Trial, grid, pareto_front, sweep, trial
from incident_rca.whatif.traffic import Traffic

OPOSSUM = Protection(breaker=OpossumOptions(), deadline_ms=10_000)


def _trial(failed: int, refused: int, p99_ms: float = 1.0) -> Trial:
    return Trial(
        protection=UNPROTECTED,
        failed=failed,
        refused_healthy=refused,
        p99_ms=p99_ms,
        pool_peak=1,
        pool_exhausted=False,
    )


def test_the_usual_grid_of_opossum_has_a_thousand_settings() -> None:
    found = grid(OPOSSUM, [])
    assert len(found) == len(set(found)) == 1_000
    assert OPOSSUM in found


@pytest.mark.parametrize("name", BREAKERS)
def test_the_usual_grid_of_each_breaker_is_taken_by_it(name: str) -> None:
    found = grid(Protection(breaker=BREAKERS[name]()), [])
    assert len(found) > 300
    assert {type(one.breaker) for one in found} == {BREAKERS[name]}


def test_given_values_take_the_place_of_the_usual_ones() -> None:
    axes = ["deadline=1s,2s", "resetTimeout=5s", "errorThresholdPercentage=50", "volumeThreshold=5"]
    found = grid(OPOSSUM, [*axes, "rollingCountTimeout=10s"])
    assert [one.deadline_ms for one in found] == [1_000, 2_000]


@pytest.mark.parametrize("wrong", ["deadline", "deadline=", "deadline=2", "resetTimeuot=1s"])
def test_a_wrong_axis_is_refused(wrong: str) -> None:
    with pytest.raises(BadSettings):
        grid(OPOSSUM, [wrong])


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9), st.integers(1, 4)), min_size=1))
def test_the_front_is_what_nothing_else_beats(weighed: list[tuple[int, int, int]]) -> None:
    trials = [_trial(failed, refused, p99) for failed, refused, p99 in weighed]
    best = {
        (a.failed, a.refused_healthy)
        for a in trials
        if not any(
            b.failed <= a.failed
            and b.refused_healthy <= a.refused_healthy
            and (b.failed, b.refused_healthy) != (a.failed, a.refused_healthy)
            for b in trials
        )
    }
    front = pareto_front(trials)
    assert {(one.failed, one.refused_healthy) for one in front} == best
    assert len(front) == len(best)
    for one in front:
        alike = [
            t for t in trials if (t.failed, t.refused_healthy) == (one.failed, one.refused_healthy)
        ]
        assert one.p99_ms == min(t.p99_ms or 0 for t in alike)


def test_processes_give_what_one_gives_in_the_same_order(inc_2847: Traffic) -> None:
    some = grid(OPOSSUM, [])[::25]
    assert len(some) == 40
    assert list(sweep(inc_2847, some, jobs=2)) == [trial(inc_2847, one) for one in some]


def test_what_is_weighed_is_what_a_single_replay_says(inc_2847: Traffic) -> None:
    for one in grid(OPOSSUM, [])[::200]:
        weighed = trial(inc_2847, one)
        figures = figures_of(inc_2847, replay(inc_2847, one))
        assert (weighed.failed, weighed.refused_healthy) == (
            figures.failed,
            figures.refused_healthy,
        )
        assert (weighed.p99_ms, weighed.pool_peak) == (figures.p99_ms, figures.pool_peak)


def test_the_drawing_has_the_front_in_its_corners() -> None:
    trials = [_trial(10, 90), _trial(50, 50), _trial(1_000, 0), _trial(1_000, 90)]
    lines = drawing(trials, pareto_front(trials)).splitlines()
    assert lines[0].split("│")[1].startswith("●")
    assert lines[0].endswith("·")
    assert lines[13].endswith("●")
    assert sum(line.count("●") for line in lines[:14]) == 3

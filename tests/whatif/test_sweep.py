"""A sweep: its grid, its front against a brute comparison, and the same result from processes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from unittest.mock import patch

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from incident_rca.errors import BadSettings
from incident_rca.model import ReplayFigures
from incident_rca.report.pareto import drawing
from incident_rca.whatif.envoy import EnvoyOptions
from incident_rca.whatif.figures import figures_of
from incident_rca.whatif.opossum import OpossumOptions
from incident_rca.whatif.options import BREAKERS
from incident_rca.whatif.protection import UNPROTECTED, Protection
from incident_rca.whatif.replay import Answers, replay, replay_for_all
from incident_rca.whatif.sweep import (
    Trial,
    axes_of,
    combinations,
    curve_step_ms,
    pareto_front,
    sweep,
    trial,
    trials,
)
from incident_rca.whatif.traffic import STEP_MS, Traffic
from tests.whatif.traffics import TRAFFICS, grid, request, traffic

ONE_WINDOW = "rollingCountTimeout=10s"
OPOSSUM = Protection(breaker=OpossumOptions(), deadline_ms=10_000)


NOTHING_HAPPENED = ReplayFigures(
    requests=1,
    failed=0,
    by_type={},
    by_route={},
    refused=0,
    refused_healthy=0,
    first_fast_failure_seconds=None,
    p50_ms=1.0,
    p99_ms=1.0,
    pool_peak=1,
    pool_exhausted_after_seconds=None,
    pool_exhausted_seconds=0.0,
    held_by_step=(1,),
)


def _trial(failed: int, refused: int, p99_ms: float = 1.0) -> Trial:
    figures = replace(NOTHING_HAPPENED, failed=failed, refused_healthy=refused, p99_ms=p99_ms)
    return Trial(protection=UNPROTECTED, figures=figures)


def test_the_usual_grid_of_opossum_has_a_thousand_settings() -> None:
    found = grid(OPOSSUM)
    assert len(found) == len(set(found)) == 1_000
    assert OPOSSUM in found


@pytest.mark.parametrize("name", BREAKERS)
def test_the_usual_grid_of_each_breaker_is_taken_by_it(name: str) -> None:
    found = grid(Protection(breaker=BREAKERS[name]()))
    assert len(found) > 300
    assert {type(one.breaker) for one in found} == {BREAKERS[name]}


def test_given_values_take_the_place_of_the_usual_ones() -> None:
    axes = ["deadline=1s,2s", "resetTimeout=5s", "errorThresholdPercentage=50", "volumeThreshold=5"]
    found = grid(OPOSSUM, *axes, "rollingCountTimeout=10s")
    assert [one.deadline_ms for one in found] == [1_000, 2_000]


def test_the_last_axis_is_the_quickest_and_a_value_written_twice_is_tried_once() -> None:
    axes = axes_of(Protection(), ["deadline=1s,1000ms,2s"])
    assert [axis.values for axis in axes] == [("1s", "2s")]
    axes = axes_of(OPOSSUM, ["deadline=1s,2s", "volumeThreshold=5,10,05"])
    found = list(combinations(axes))
    sizes = [len(axis.values) for axis in axes]
    assert sizes == [2, 5, 2, 2, 5]
    for number, combination in enumerate(found):
        left, expected = number, {}
        for axis, size in zip(reversed(axes), reversed(sizes), strict=True):
            left, place = divmod(left, size)
            expected[axis.name] = axis.values[place]
        assert combination == expected


def test_retries_and_bulkheads_may_be_swept_too() -> None:
    values = ("deadline=1s", "retries=0,2", "backoff=50ms", "bulkhead=5,10")
    assert grid(Protection(), *values) == [
        Protection(deadline_ms=1_000, retries=retries, backoff_ms=50, places=places)
        for retries in (0, 2)
        for places in (5, 10)
    ]
    for wrong in ("bulkhead=0", "retries=-1", "retries=1.5", "bulkhead=many"):
        with pytest.raises(BadSettings):
            grid(Protection(), wrong)


def test_values_that_only_go_together_may_be_swept_together() -> None:
    longer = ["base_ejection_time=600s", "max_ejection_time=600s", "consecutive_5xx=5"]
    found = grid(Protection(breaker=EnvoyOptions()), "deadline=1s", "interval=1s", *longer)
    assert [one.breaker for one in found] == [
        EnvoyOptions(base_ejection_time_ms=600_000, max_ejection_time_ms=600_000, interval_ms=1_000)
    ]
    with pytest.raises(BadSettings):
        grid(Protection(breaker=EnvoyOptions()), "base_ejection_time=600s")


@pytest.mark.parametrize("wrong", ["deadline", "deadline=", "deadline=2", "resetTimeuot=1s"])
def test_a_wrong_axis_is_refused(wrong: str) -> None:
    with pytest.raises(BadSettings):
        axes_of(OPOSSUM, [wrong])


def test_an_option_of_no_breaker_is_no_axis() -> None:
    with pytest.raises(BadSettings):
        axes_of(Protection(), ["volumeThreshold=5"])


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9), st.integers(1, 4)), min_size=1))
def test_the_front_is_what_nothing_else_beats(weighed: list[tuple[int, int, int]]) -> None:
    trials = [_trial(failed, refused, p99) for failed, refused, p99 in weighed]
    best = {
        (lost, refused)
        for lost, refused, _ in weighed
        if not any(
            other[0] <= lost and other[1] <= refused and other[:2] != (lost, refused)
            for other in weighed
        )
    }
    front = [one.figures for one in pareto_front(trials)]
    assert {(one.failed, one.refused_healthy) for one in front} == best
    assert len(front) == len(best)
    for one in front:
        alike = [p99 for *place, p99 in weighed if place == [one.failed, one.refused_healthy]]
        assert one.p99_ms == min(alike)


def test_processes_give_what_one_gives(inc_2847: Traffic) -> None:
    some = [*grid(OPOSSUM)[::25], *grid(Protection(breaker=EnvoyOptions()))[::25]]
    assert len(some) == 55
    found = {one.protection: one for one in sweep(inc_2847, some, jobs=2)}
    assert [found[one] for one in some] == [trial(inc_2847, one) for one in some]


def test_what_one_replay_tells_of_kin_is_what_theirs_would_say(inc_2847: Traffic) -> None:
    replayed = []

    def counted(made: Traffic, one: Protection) -> tuple[Answers, Callable[[Protection], bool]]:
        replayed.append(one)
        return replay_for_all(made, one)

    for values in ("deadline=2s", "resetTimeout=5s"), ("deadline=10s", "resetTimeout=30s"):
        some = grid(OPOSSUM, *values, "errorThresholdPercentage=1,20,50,80", ONE_WINDOW)
        replayed.clear()
        with patch("incident_rca.whatif.sweep.replay_for_all", counted):
            found = {one.protection: one for one in sweep(inc_2847, some, jobs=1)}
        assert len(replayed) < len(some) == 16
        assert [found[one] for one in some] == [trial(inc_2847, one) for one in some]


@settings(max_examples=100, deadline=None)
@given(
    TRAFFICS,
    st.lists(st.tuples(st.integers(0, 6), st.sampled_from((0, 20, 25, 50, 75, 100))), min_size=2),
    st.sampled_from((500, 2_000)),
)
def test_kin_are_told_alike_only_where_they_are(
    made: Traffic, limits: list[tuple[int, int]], deadline_ms: int
) -> None:
    kin = [
        Protection(
            breaker=OpossumOptions(
                volume_threshold=volume,
                error_threshold_percentage=threshold,
                rolling_count_timeout_ms=2_000,
                reset_timeout_ms=1_000,
            ),
            deadline_ms=deadline_ms,
            clients=2,
        )
        for volume, threshold in limits
    ]
    assert trials(made, kin) == [trial(made, one) for one in kin]


@pytest.mark.parametrize("thresholds", [(25, 50), (50, 25)])
def test_a_rate_that_is_just_a_threshold_parts_it_from_a_lower_one(
    thresholds: tuple[int, int],
) -> None:
    # One of two calls failed: opossum opens above its threshold, not at it.
    made = traffic([request(0), request(100, fails=True), request(200)])
    kin = [
        Protection(breaker=OpossumOptions(error_threshold_percentage=threshold))
        for threshold in thresholds
    ]
    refused = [one.figures.refused for one in trials(made, kin)]
    assert refused == [int(threshold == 25) for threshold in thresholds]


def test_what_is_weighed_is_what_a_single_replay_says(inc_2847: Traffic) -> None:
    for one in grid(OPOSSUM)[::200]:
        found = trial(inc_2847, one).figures
        figures = figures_of(inc_2847, replay(inc_2847, one))
        assert found == replace(figures, held_by_step=found.held_by_step)
        steps, held = curve_step_ms(inc_2847) // STEP_MS, figures.held_by_step
        assert len(found.held_by_step) <= 60
        for place, most in enumerate(found.held_by_step):
            assert most == max(h or 0 for h in held[place * steps : (place + 1) * steps])


def test_the_drawing_has_the_front_in_its_corners() -> None:
    trials = [_trial(10, 90), _trial(50, 50), _trial(1_000, 0), _trial(1_000, 90)]
    lines = drawing(trials, pareto_front(trials)).splitlines()
    assert lines[0].split("│")[1].startswith("●")
    assert lines[0].endswith("·")
    assert lines[13].endswith("●")
    assert sum(line.count("●") for line in lines[:14]) == 3

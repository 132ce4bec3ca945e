"""Values on an axis of equal steps, beside a count by loops over every second."""

from __future__ import annotations

from datetime import timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from incident_rca.analysis.steps import (
    Axis,
    axis_of,
    covered,
    highest,
    most_at_once,
    rate,
    stretches_of,
)
from incident_rca.model import TimeWindow
from tests.analysis.cases import ZERO, at

START = ZERO.timestamp()
AXIS = Axis(start=START, width=5.0, number=12)

# Whole seconds around the axis: what reaches in from outside is there, too.
seconds = st.integers(-20, 80)
stretches = st.lists(st.tuples(seconds, st.integers(1, 30)), max_size=12)


def seconds_of_step(position: int) -> range:
    return range(position * 5, position * 5 + 5)


@given(intervals=stretches)
def test_most_at_once_is_the_highest_of_any_second(intervals: list[tuple[int, int]]) -> None:
    starts = np.array([START + s for s, _ in intervals], dtype=float)
    ends = np.array([START + s + length for s, length in intervals], dtype=float)
    found = most_at_once(AXIS, starts, ends)
    for position in range(AXIS.number):
        # An interval that ends as another one begins still holds in that moment.
        moments = [m for s in seconds_of_step(position) for m in (s, s + 0.5)]
        inside = [sum(s <= m <= s + n for s, n in intervals) for m in moments]
        held = max([sum(s <= m < s + n for s, n in intervals) for m in moments] or [0])
        assert held <= found[position] <= max(inside)


@given(buckets=st.lists(st.tuples(seconds, st.integers(1, 20), st.integers(0, 99)), max_size=12))
def test_highest_is_that_of_the_buckets_that_reach_into_a_step(
    buckets: list[tuple[int, int, int]],
) -> None:
    columns = [np.array(c, dtype=float) for c in zip(*buckets, strict=True)] or [np.zeros(0)] * 3
    found = highest(AXIS, columns[0] + START, columns[1], columns[2])
    for position in range(AXIS.number):
        inside = seconds_of_step(position)
        reach = [v for s, w, v in buckets if any(s <= second < s + w for second in inside)]
        if reach:
            assert found[position] == max(reach)
        else:
            assert np.isnan(found[position])


@given(counts=st.lists(st.tuples(st.integers(0, 59), st.integers(1, 50)), max_size=20))
def test_a_rate_loses_no_count(counts: list[tuple[int, int]]) -> None:
    starts = np.array([START + s for s, _ in counts], dtype=float)
    numbers = np.array([n for _, n in counts], dtype=float)
    found = rate(AXIS, starts, np.ones(len(counts)), numbers)
    assert found.sum() * 5 == pytest.approx(sum(n for _, n in counts))
    for position in range(AXIS.number):
        inside = sum(n for s, n in counts if s in seconds_of_step(position))
        assert found[position] * 5 == pytest.approx(inside)


def test_a_bucket_of_a_minute_is_spread_over_its_steps() -> None:
    found = rate(AXIS, np.array([START]), np.array([60.0]), np.array([120.0]))
    assert found.tolist() == [2.0] * 12


@given(parts=stretches)
def test_covered_steps_and_their_stretches_are_the_same_time(parts: list[tuple[int, int]]) -> None:
    flags = covered(AXIS, [TimeWindow(at(s), at(s + n)) for s, n in parts])
    for position in range(AXIS.number):
        inside = seconds_of_step(position)
        assert flags[position] == any(s < inside.stop and s + n > inside.start for s, n in parts)
    again = covered(AXIS, stretches_of(AXIS, flags))
    assert again.tolist() == flags.tolist()


@pytest.mark.parametrize(
    ("seconds", "width"),
    [(30, 1), (1500, 1), (1501, 2), (2700, 2), (86_400, 60), (9_000_000, 7200)],
)
def test_an_axis_has_few_steps_of_a_width_that_people_count_in(seconds: int, width: int) -> None:
    window = TimeWindow(ZERO + timedelta(seconds=0.5), ZERO + timedelta(seconds=seconds))
    axis = axis_of(window, 1500)
    assert axis.width == width and axis.number <= 1501
    assert axis.start % axis.width == 0
    assert axis.at(0) <= window.start and axis.at(axis.number) >= window.end

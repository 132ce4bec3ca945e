"""Histograms that are added and differenced: what went in comes out again."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from incident_rca.formats.histograms import Histogram, checked, minus, plus, quantile

BOUNDS = (0.01, 0.1, 1.0, 10.0)
SAMPLES = st.lists(st.sampled_from([0.003, 0.02, 0.3, 0.7, 5.0, 30.0]), max_size=20)


def fixed(samples: list[float]) -> Histogram:
    placed = Counter(bisect_left(BOUNDS, sample) for sample in samples)
    counts = tuple(placed[position] for position in range(len(BOUNDS) + 1))
    return checked(Histogram(count=len(samples), bounds=BOUNDS, counts=counts))


def exponential(samples: list[float], scale: int) -> Histogram:
    growth = 2.0 ** (2.0**-scale)
    indices: Counter[int] = Counter()
    for sample in samples:
        index = -2_000
        while growth ** (index + 1) < sample:
            index += 1
        indices[index] += 1
    return checked(Histogram(count=len(samples), scale=scale, exponents=dict(indices)))


@given(SAMPLES, SAMPLES)
def test_fixed_bounds_add_up_and_come_apart(one: list[float], other: list[float]) -> None:
    both = plus(fixed(one), fixed(other))
    assert both == fixed([*one, *other])
    assert minus(both, fixed(one)) == fixed(other)


@given(SAMPLES, SAMPLES, st.integers(0, 3), st.integers(0, 3))
def test_exponential_ones_meet_at_the_coarser_scale(
    one: list[float], other: list[float], fine: int, coarse: int
) -> None:
    both = plus(exponential(one, fine), exponential(other, coarse))
    expected = exponential([*one, *other], min(fine, coarse))
    assert (both.scale, dict(both.exponents)) == (expected.scale, dict(expected.exponents))


@given(SAMPLES.filter(bool), st.floats(0.01, 0.99), st.floats(0.01, 0.99))
def test_quantiles_rise_and_end_at_the_top_bound(
    samples: list[float], one: float, other: float
) -> None:
    low, high = (quantile(fixed(samples), share) for share in sorted((one, other)))
    assert low is not None and high is not None and 0 <= low <= high <= BOUNDS[-1]


def test_nothing_has_no_quantile() -> None:
    assert quantile(fixed([]), 0.99) is None
    assert quantile(Histogram(count=3), 0.99) is None


def test_a_zero_bucket_counts() -> None:
    whole = replace(exponential([4.0], 2), count=10, zeros=9, zero_threshold=0.001)
    assert quantile(checked(whole), 0.9) == pytest.approx(0.001)


@pytest.mark.parametrize(
    ("later", "earlier"), [([0.3], [0.3, 0.3]), ([0.3, 0.3], [5.0]), ([], [0.3])]
)
def test_what_became_less_is_refused(later: list[float], earlier: list[float]) -> None:
    with pytest.raises(ValueError):
        minus(fixed(later), fixed(earlier))


def test_other_bounds_are_refused() -> None:
    other = Histogram(count=1, bounds=(1.0,), counts=(1, 0))
    for joined in (plus, minus):
        with pytest.raises(ValueError, match="different bounds"):
            joined(fixed([0.3]), other)

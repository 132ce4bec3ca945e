"""Bursts of failures: found where they were planted, and nowhere else."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from itertools import accumulate, pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from incident_rca.analysis.onsets import Burst, bursts_in, poisson_tail, quiet_rate

START = datetime(2026, 1, 15, 14, 10, tzinfo=UTC)
DAY = 86_400.0
QUIET = quiet_rate(2, DAY)


def times(*seconds: float) -> list[datetime]:
    return [START + timedelta(seconds=second) for second in seconds]


GAPS = st.lists(st.floats(0, 40, allow_nan=False), max_size=60)


def arrivals_of(gaps: list[float]) -> list[datetime]:
    found, second = [], 0.0
    for gap in gaps:
        second += gap
        found.append(START + timedelta(seconds=second))
    return found


@given(gaps=GAPS, days=st.integers(-3000, 3000))
def test_only_the_gaps_count(gaps: list[float], days: int) -> None:
    arrivals = arrivals_of(gaps)
    shifted = [at + timedelta(days=days) for at in arrivals]
    assert bursts_in(arrivals, QUIET) == bursts_in(shifted, QUIET)


@given(gaps=GAPS)
def test_bursts_are_ordered_apart_and_within(gaps: list[float]) -> None:
    found = bursts_in(arrivals_of(gaps), QUIET)
    edges = [edge for burst in found for edge in (burst.first, burst.last)]
    assert edges == sorted(edges)
    assert all(0 <= burst.first < burst.last < len(gaps) for burst in found)
    assert all(a.last < b.first for a, b in pairwise(found))
    assert all(burst.events == burst.last - burst.first + 1 >= 5 for burst in found)


@given(
    before=st.integers(0, 4),
    events=st.integers(12, 200),
    after=st.integers(0, 4),
    gap=st.floats(0.01, 2.0),
)
def test_a_planted_burst_is_found_at_both_ends(
    before: int, events: int, after: int, gap: float
) -> None:
    lead = [-3600.0 * n for n in range(before, 0, -1)]
    burst = [n * gap for n in range(events)]
    tail = [burst[-1] + 3600.0 * n for n in range(1, after + 1)]
    found = bursts_in(times(*lead, *burst, *tail), QUIET)
    assert found == (Burst(before, before + events - 1),)


@given(count=st.integers(1, 4), gap=st.floats(0, 10))
def test_a_few_failures_are_a_blip(count: int, gap: float) -> None:
    assert bursts_in(times(*(n * gap for n in range(count))), QUIET) == ()


@given(count=st.integers(1, 100), gap=st.floats(60, 4000))
def test_a_steady_drizzle_is_no_burst(count: int, gap: float) -> None:
    assert bursts_in(times(*(n * gap for n in range(count))), QUIET) == ()


@given(
    first=st.integers(12, 100),
    second=st.integers(12, 100),
    pause=st.floats(900, 9000),
)
def test_two_planted_bursts_are_two(first: int, second: int, pause: float) -> None:
    one = [float(n) for n in range(first)]
    two = [one[-1] + pause + n for n in range(second)]
    assert bursts_in(times(*one, *two), QUIET) == (
        Burst(0, first - 1),
        Burst(first, first + second - 1),
    )


def test_a_short_lull_does_not_end_a_burst() -> None:
    seconds = [float(n) for n in range(60)] + [70.0 + n for n in range(60)]
    assert bursts_in(times(*seconds), QUIET) == (Burst(0, 119),)


@given(gaps=GAPS, seconds=st.floats(1, DAY))
def test_more_noise_before_never_makes_more_bursts_of_nothing(
    gaps: list[float], seconds: float
) -> None:
    for burst in bursts_in(arrivals_of(gaps), quiet_rate(10_000, seconds)):
        assert burst.events >= 5


@pytest.mark.parametrize("rate", [0.0001, 0.05, 0.1, 1.0, 100.0])
def test_no_events_are_no_burst(rate: float) -> None:
    assert bursts_in([], rate) == ()


def test_events_of_one_instant_are_a_burst() -> None:
    assert bursts_in(times(*[0.0] * 12), QUIET) == (Burst(0, 11),)


# --- rates and chances ----------------------------------------------------------------------------


@given(events=st.integers(0, 10_000), seconds=st.integers(1, 10**6))
def test_the_quiet_rate_is_that_of_jeffreys(events: int, seconds: int) -> None:
    """The mean of the posterior Gamma(events + 1/2, seconds) under Jeffreys' prior."""
    exact = Fraction(2 * events + 1, 2 * seconds)
    assert quiet_rate(events, seconds) == pytest.approx(float(exact), rel=1e-12)
    assert quiet_rate(events, seconds) > events / seconds


@given(events=st.integers(0, 40), mean=st.floats(0.01, 30))
def test_a_tail_is_what_the_terms_add_up_to(events: int, mean: float) -> None:
    terms = (math.exp(-mean + k * math.log(mean) - math.lgamma(k + 1)) for k in range(events, 400))
    assert poisson_tail(events, mean) == pytest.approx(math.fsum(terms), abs=1e-12)


@pytest.mark.parametrize(
    ("events", "mean", "chance"),
    [
        (0, 3.0, 1.0),
        (1, 1.0, 0.632120558828558),
        (2, 1.0, 0.264241117657115),
        (5, 2.0, 0.052653017343711),
        (10, 5.0, 0.031828057306204),
    ],
)
def test_known_tails(events: int, mean: float, chance: float) -> None:
    assert poisson_tail(events, mean) == pytest.approx(chance, abs=1e-12)


@given(events=st.integers(0, 30), mean=st.floats(0.01, 2000))
def test_a_tail_is_a_chance(events: int, mean: float) -> None:
    assert 0.0 <= poisson_tail(events + 1, mean) <= poisson_tail(events, mean) <= 1.0


@pytest.mark.parametrize("mean", [800.0, 5000.0])
def test_a_large_mean_is_no_certainty(mean: float) -> None:
    """Far above its mean a count is as good as impossible, also where exp(-mean) is zero."""
    assert poisson_tail(int(mean * 2), mean) < 1e-6
    assert poisson_tail(int(mean), mean) == pytest.approx(0.5, abs=0.05)


# --- phases ---------------------------------------------------------------------------------------


@given(weak=st.integers(40, 80), is_first=st.booleans())
def test_a_weaker_phase_beside_a_burst_belongs_to_it(weak: int, is_first: bool) -> None:
    """One failure in two seconds, then six a second, or the other way round; then a long quiet."""
    gaps = [2.0] * weak + [1 / 6] * (10 * weak)
    seconds = list(accumulate(gaps if is_first else reversed(gaps)))
    found = bursts_in(times(-7200.0, *seconds, seconds[-1] + 7200.0), quiet_rate(290, 3600))
    (burst,) = found
    assert (burst.first, burst.last) == (1, 11 * weak)
    if is_first:
        assert burst.weak_until == pytest.approx(weak, abs=1)
    else:
        assert burst.weak_until is None


@given(strong=st.integers(60, 300), noise=st.lists(st.floats(1, 25), min_size=1, max_size=7))
def test_a_few_failures_before_a_burst_are_no_phase(strong: int, noise: list[float]) -> None:
    before = sorted(-gap for gap in noise)
    found = bursts_in(times(*before, *(n / 6 for n in range(strong))), quiet_rate(290, 3600))
    assert [b.weak_until for b in found] == [None]


@given(pause=st.floats(120, 400), is_stronger=st.booleans())
def test_two_bursts_with_a_quiet_between_them_are_two(pause: float, is_stronger: bool) -> None:
    """In a system that hardly ever fails the statistic takes minutes to fall: both count."""
    gaps = [0.2 if is_stronger else 1.0] * 300
    one = list(accumulate(gaps))
    two = [one[-1] + pause + at for at in accumulate([0.2] * 300)]
    found = bursts_in(times(*one, *two), quiet_rate(0, 860))
    assert [(b.first, b.last, b.weak_until) for b in found] == [(0, 299, None), (300, 599, None)]

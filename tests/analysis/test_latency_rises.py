"""Every rise of a series: where it was planted, both ends of it, and nothing beside it."""

from __future__ import annotations

import random
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from incident_rca.analysis.latency_rises import Levels, rises_of
from incident_rca.analysis.stretches import high_stretches
from incident_rca.model import Analysis, Kind, Role, Verdict
from tests.analysis.cases import (
    OUTAGE,
    Row,
    analysed,
    counted,
    failing,
    levels,
    p99,
    second_of,
    steps,
    the,
)

SEEDS = range(25)
SCORES = st.lists(st.integers(-2, 2), max_size=40)


# --- stretches ------------------------------------------------------------------------------------


def brute(scores: list[int], enough: int) -> list[tuple[int, int]]:
    """Sums of all stretches, tried one by one: the first and shortest of the largest."""
    pairs = [(a, b) for a in range(len(scores)) for b in range(a, len(scores))]
    best = max(pairs, key=lambda p: (sum(scores[p[0] : p[1] + 1]), -p[1], -p[0]), default=None)
    return [best] if best and sum(scores[best[0] : best[1] + 1]) >= enough else []


@given(scores=SCORES, enough=st.integers(1, 6))
def test_stretches_add_up_lie_apart_and_hold_nothing_usual(scores: list[int], enough: int) -> None:
    found = high_stretches(np.array(scores, dtype=float), float(enough))
    assert list(found) == sorted(found)
    assert all(a[1] < b[0] for a, b in combinations(found, 2))
    for first, last in found:
        inside = scores[first : last + 1]
        assert sum(inside) >= enough and inside[0] > 0 and inside[-1] > 0
        sums = [sum(inside[a:b]) for a, b in combinations(range(len(inside) + 1), 2)]
        assert min(sums) > -enough


@given(scores=SCORES, enough=st.integers(1, 6))
def test_none_is_missed(scores: list[int], enough: int) -> None:
    """Where any stretch adds up to enough, one of those that do is found."""
    assert bool(high_stretches(np.array(scores, dtype=float), float(enough))) == bool(
        brute(scores, enough)
    )


def test_the_same_from_behind() -> None:
    scores = np.array([-1.0, 1, 1, 1, -1, -1, -1, 1, 1, 1, 1, -1])
    size = len(scores)
    mirrored = [(size - 1 - b, size - 1 - a) for a, b in high_stretches(scores[::-1], 3.0)]
    assert sorted(mirrored) == list(high_stretches(scores, 3.0)) == [(1, 3), (7, 10)]


# --- rises ----------------------------------------------------------------------------------------


def series(values: list[float], *, step: float = 10.0, width: float = 10.0) -> Levels:
    starts = np.array([n * step for n in range(len(values))], dtype=np.float64)
    return Levels(starts, starts + np.float64(width), np.array(values, dtype=np.float64))


def noisy(seed: int, planted: list[tuple[int, int]], size: int = 400) -> list[float]:
    """Latencies of 20 ms, spread by a tenth, and between 100 and 30,000 ms where it is planted."""
    chance = random.Random(seed)
    usual = [20 * chance.lognormvariate(0, 0.1) for _ in range(size)]
    for first, last in planted:
        for position in range(first, last + 1):
            usual[position] = chance.uniform(100, 30_000)
    return usual


@pytest.mark.parametrize("seed", SEEDS)
def test_each_planted_rise_is_found_with_both_ends(seed: int) -> None:
    planted = [(60, 62), (90, 189), (195, 230), (380, 399)]
    usual, found = rises_of(series(noisy(seed, planted)))
    assert [(rise.first, rise.last) for rise in found] == planted
    assert usual == pytest.approx(20, rel=0.1)


def test_noise_alone_rises_nowhere() -> None:
    assert [rises_of(series(noisy(seed, [])))[1] for seed in SEEDS] == [()] * len(SEEDS)


def test_one_bucket_is_no_rise_however_high() -> None:
    """Unclipped, a value of a thousand times the usual would outweigh hours."""
    values = noisy(1, [])
    values[100] = values[105] = values[200] = 1e9
    assert rises_of(series(values))[1] == ()


def test_a_usual_bucket_within_does_not_end_it_and_three_do() -> None:
    values = noisy(1, [(100, 149)])
    values[120] = values[130] = values[131] = 20.0
    assert [(r.first, r.last) for r in rises_of(series(values))[1]] == [(100, 149)]
    values[132] = 20.0
    assert [(r.first, r.last) for r in rises_of(series(values))[1]] == [(100, 129), (133, 149)]


def test_a_bucket_that_is_half_way_makes_its_end_unsure() -> None:
    values = [20.0] * 100
    values[50:60] = [30_000.0] * 10
    (sharp,) = rises_of(series(values))[1]
    assert (sharp.first_unsure, sharp.first_sure, sharp.last_sure, sharp.last_unsure) == (
        50,
        50,
        59,
        59,
    )
    values[49] = values[60] = 40.0
    (blunt,) = rises_of(series(values))[1]
    assert (blunt.first_unsure, blunt.first_sure) == (49, 50)
    assert (blunt.last_sure, blunt.last_unsure) == (59, 60)


def test_a_noisy_series_must_rise_farther() -> None:
    """Ten median deviations count beside three times the median."""
    chance = random.Random(5)
    wide = [chance.uniform(5, 35) for _ in range(300)]
    calm = [chance.uniform(19, 21) for _ in range(300)]
    for values, is_found in ((wide, False), (calm, True)):
        values[200:210] = [70.0] * 10
        assert bool(rises_of(series(values))[1]) is is_found


def test_day_long_series_cost_little() -> None:
    """Not a measure of time: a loop over seconds in Python would call each value."""
    calm = np.tile([20.0, 21.0, 19.0], 28_800)
    calm[50_000:51_000] = 30_000.0
    starts = np.arange(86_400.0)
    (rise,) = rises_of(Levels(starts, starts + 1, calm))[1]
    assert (rise.first, rise.last) == (50_000, 50_999)


# --- what is said of them -------------------------------------------------------------------------


def both(metrics: list[Row]) -> Analysis:
    """Two outages, ten minutes apart."""
    failures = failing([*steps(-420, -320, 1), *steps(0, 120, 1)])
    return analysed(failures=failures, gateway=counted(failures), metrics=metrics)


def twice(first: float, second: float) -> list[float]:
    """Slow from -400 s to -300 s and from 30 s to 130 s."""
    early, late = levels(20, first, -400, -300), levels(20, second, 30, 130)
    return [max(a, b) for a, b in zip(early, late, strict=True)]


def test_a_method_that_was_slow_in_two_outages_is_listed_twice() -> None:
    analysis = both(p99(twice(20_000, 25_000)))
    spans = sorted(
        (second_of(s.onset.lo), second_of(s.offset.hi), s.plateau_ms)
        for s in analysis.latency_shifts
    )
    assert spans == [(-420, -290, 20_000), (5, 140, 25_000)]
    assert {e.kind for e in analysis.timeline} >= {"latency_onset", "latency_offset"}
    assert sum(e.kind == "latency_onset" for e in analysis.timeline) == 2


def test_each_outage_has_the_slow_calls_of_its_own_time() -> None:
    analysis = both(p99(twice(20_000, 25_000)))
    slow = [h for h in analysis.hypotheses if h.kind is Kind.DEPENDENCY_LATENCY]
    said = {h.incident: h.statement for h in slow}
    assert "25,000 ms" in said[1] and "20,000 ms" in said[2]
    assert all(h.verdict is Verdict.SUPPORTED for h in slow)


@pytest.mark.parametrize("early", [20_000.0, 60_000.0])
def test_what_was_slow_before_does_not_hide_what_was_slow_then(early: float) -> None:
    """One outage, and calls that were slower still minutes before it."""
    analysis = analysed(failures=OUTAGE, gateway=counted(OUTAGE), metrics=p99(twice(early, 25_000)))
    slow = the(analysis, Kind.DEPENDENCY_LATENCY)
    assert (slow.role, slow.verdict) == (Role.TRIGGER, Verdict.SUPPORTED)
    assert "25,000 ms" in slow.statement
    assert [s.plateau_ms for s in analysis.latency_shifts] == sorted([early, 25_000], reverse=True)


def test_two_programs_that_saw_it_at_different_times_are_both_listed() -> None:
    early = p99(levels(20, 20_000, -400, -300), owner="orders")
    late = p99(levels(20, 25_000, 30, 130), owner="jobs")
    assert len(both([*early, *late]).latency_shifts) == 2


def test_without_what_is_usual_nothing_is_slow_and_that_is_asked() -> None:
    values: list[float | None] = [None] * 58 + [30_000.0] * 62
    analysis = both(p99(values))
    assert analysis.latency_shifts == ()
    assert [q for q in analysis.questions if "usually take" in q and "stock.Reserve" in q]
    assert not [q for q in both(p99(twice(1e4, 1e4))).questions if "usually take" in q]


def test_rows_in_any_order_give_the_same_shifts() -> None:
    rows = p99(twice(20_000, 25_000))
    shuffled = random.Random(3).sample(rows, len(rows))
    assert both(rows).latency_shifts[0].onset == both(shuffled).latency_shifts[0].onset
    assert len(both(shuffled).latency_shifts) == 2

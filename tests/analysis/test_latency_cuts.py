"""Calls that a deadline cuts off: at least that slow, and never said to be no slower."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from incident_rca.model import Analysis, Kind, Role, Stance, Verdict
from tests.analysis.cases import (
    LEAD_UP,
    TAIL,
    Row,
    analysed,
    blocked,
    claims_of,
    codes,
    counted,
    failing,
    gauge,
    levels,
    of_kind,
    p99,
    second_of,
    steps,
    the,
)

FAILURES = failing(steps(0, 121, 2), latency_ms=2_500.0)
DEADLINE_MS = 1_200.0
# What p99 usually is: it cannot rise to three times that below the deadline.
USUAL_MS = 500.0
CUT = (0.0, 120.0)


def calls(
    cut: int, *, of: int = 50, usually: int = 0, code: str = "DEADLINE_EXCEEDED"
) -> list[Row]:
    """Calls in each bucket of the window, of which so many are cut off in the outage."""
    rows: list[Row] = []
    for second in steps(-LEAD_UP, TAIL, 10.0):
        number = cut if CUT[0] <= second < CUT[1] else usually
        rows += codes(second, OK=of - number, **{code: number})
    return rows


def jittery(high: float) -> list[float]:
    """Latencies that never repeat, which stand at one level in the outage."""
    return [value + n % 7 for n, value in enumerate(levels(USUAL_MS, high, *CUT))]


def of_calls(
    counts: Sequence[Row],
    high: float = DEADLINE_MS,
    *,
    locks: Sequence[Row] = (),
    pool: Sequence[Row] = (),
) -> Analysis:
    """The analysis of an outage beside these counts, and latencies at a level in it."""
    metrics = [*p99(jittery(high)), *counts, *pool]
    return analysed(failures=FAILURES, gateway=counted(FAILURES), metrics=metrics, locks=locks)


@pytest.mark.parametrize("code", ["DEADLINE_EXCEEDED", "CANCELLED"])
def test_calls_that_are_cut_off_were_at_least_so_slow(code: str) -> None:
    analysis = of_calls(calls(40, code=code))
    (shift,) = analysis.latency_shifts
    assert shift.censored
    assert shift.plateau_in_words.startswith("at least 1,20")
    assert shift.baseline_p99_ms == pytest.approx(503, abs=1)
    assert shift.cut_off is not None
    # Twelve buckets of fifty calls, and sixty before the first failure.
    assert (shift.cut_off.cut, shift.cut_off.calls) == (480, 600)
    assert (shift.cut_off.cut_before, shift.cut_off.calls_before) == (0, 3_000)
    found = the(analysis, Kind.DEPENDENCY_LATENCY)
    assert (found.role, found.verdict) == (Role.TRIGGER, Verdict.SUPPORTED)


def test_both_series_are_cited() -> None:
    (shift,) = of_calls(calls(40)).latency_shifts
    seen = " / ".join(item.seen for item in shift.evidence)
    assert "p99 of stock.Reserve" in seen
    assert "DEADLINE_EXCEEDED 480" in seen
    assert "by status code, before" in seen


def test_it_began_a_deadline_before_the_first_were_cut_off() -> None:
    """Those of the bucket from 0 to 10 s began 1.2 s before they were counted."""
    (shift,) = of_calls(calls(40)).latency_shifts
    begun = [second_of(shift.onset.lo), second_of(shift.onset.hi)]
    assert begun == pytest.approx([-1.2, 8.8], abs=0.01)
    assert [second_of(i) for i in (shift.offset.lo, shift.offset.hi)] == [110, 130]


@pytest.mark.parametrize(
    "counts",
    [calls(0), calls(20, usually=20), calls(1, of=400), []],
    ids=["none cut off", "as many before", "fewer than p99 leaves out", "no counts"],
)
def test_what_is_not_cut_off_more_than_usual_is_no_shift(counts: Sequence[Row]) -> None:
    assert of_calls(counts).latency_shifts == ()


def test_calls_that_are_cut_off_at_once_were_not_slow() -> None:
    """The deadline of a caller whose time was spent elsewhere ends its next call as it begins."""
    assert of_calls(calls(20), high=USUAL_MS).latency_shifts == ()


def test_nothing_is_said_to_be_no_slower_beside_calls_that_were_cut_off() -> None:
    usual = the(of_calls(calls(0), high=USUAL_MS), Kind.DEPENDENCY_LATENCY)
    assert usual.verdict is Verdict.CONTRADICTED
    hidden = the(of_calls(calls(20), high=USUAL_MS), Kind.DEPENDENCY_LATENCY)
    assert (hidden.role, hidden.verdict) == (Role.CONTRIBUTING, Verdict.INSUFFICIENT)
    assert hidden.object == "stock.Reserve"
    (claim,) = claims_of(hidden, "absence", Stance.AGAINST)
    assert "gave up on 240 of" in claim.text


def test_a_rise_that_latencies_show_is_told_by_them() -> None:
    (shift,) = of_calls(calls(40), high=30_000.0).latency_shifts
    assert shift.cut_off is None
    assert shift.plateau_ms == pytest.approx(30_003, abs=3)


def test_a_deadline_acted() -> None:
    found = the(of_calls(calls(40)), Kind.MISSING_DEADLINE)
    assert found.verdict is Verdict.CONTRADICTED
    (claim,) = claims_of(found, "mechanism", Stance.AGAINST)
    assert claim.text == "a deadline acted: 480 calls ended with DEADLINE_EXCEEDED"


def test_the_victims_of_a_lock_are_its_symptom() -> None:
    analysis = of_calls(calls(40), locks=blocked(-1, 120, waiters=60))
    assert the(analysis, Kind.LOCK_BLOCKING).role is Role.TRIGGER
    assert the(analysis, Kind.DEPENDENCY_LATENCY).role is Role.SYMPTOM


@pytest.mark.parametrize(("full_from", "is_trigger"), [(-100.0, False), (60.0, True)])
def test_the_victims_of_a_pool_that_was_full_before_start_nothing(
    full_from: float, is_trigger: bool
) -> None:
    analysis = of_calls(calls(40), pool=gauge(levels(5, 100, full_from, 130)))
    (found,) = of_kind(analysis, Kind.DEPENDENCY_LATENCY)
    assert (found.role is Role.TRIGGER) == is_trigger

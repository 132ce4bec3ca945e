"""Latency shifts, the deadlines that did not act, and the latencies of another time."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from incident_rca.model import Analysis, Kind, LatencyShift, Role, Stance, Verdict
from tests.analysis.cases import (
    LEAD_UP,
    OUTAGE,
    TAIL,
    Row,
    analysed,
    claims_of,
    codes,
    counted,
    levels,
    of_kind,
    p99,
    second_of,
    steps,
    the,
)


def with_metrics(metrics: Sequence[Row]) -> Analysis:
    """The usual outage, whose requests lasted 30 s, beside these metrics."""
    return analysed(failures=OUTAGE, gateway=counted(OUTAGE), metrics=metrics)


def shift_of(values: Sequence[float | None]) -> LatencyShift:
    """The only shift of one series."""
    (shift,) = with_metrics(p99(values)).latency_shifts
    return shift


def jittery(low: float, high: float, start: float, end: float) -> list[float]:
    """A series whose values never repeat."""
    return [value + n / 100 for n, value in enumerate(levels(low, high, start, end))]


def test_a_shift_is_set_back_by_what_its_calls_lasted() -> None:
    shift = shift_of(levels(20, 30_000, 30, 130))
    assert [second_of(i) for i in (shift.onset.lo, shift.onset.hi)] == [0, 10]
    assert [second_of(i) for i in (shift.offset.lo, shift.offset.hi)] == [120, 140]
    assert (shift.baseline_p99_ms, shift.plateau_ms, shift.peak_ms) == (20, 30_000, 30_000)
    assert (shift.service, shift.method) == ("stock", "Reserve")


def test_flat_to_the_digit_is_a_ceiling() -> None:
    assert shift_of(levels(20, 30_000, 30, 130)).censored
    assert not shift_of(jittery(20, 30_000, 30, 130)).censored


def test_a_series_that_stays_high_has_an_open_end() -> None:
    assert shift_of(levels(20, 30_000, 30, TAIL)).offset.hi is None


def test_missing_buckets_are_skipped_and_never_zero() -> None:
    whole = jittery(20, 30_000, 30, 130)
    gaps: list[float | None] = [None if n % 4 == 1 else v for n, v in enumerate(whole)]
    shift = shift_of(gaps)
    assert shift.baseline_p99_ms == pytest.approx(20.3, abs=0.3)
    assert shift.plateau_ms == pytest.approx(30_000, abs=1)
    assert (second_of(shift.offset.lo) or 0) >= 110


@pytest.mark.parametrize(
    "values",
    [
        [500.0] * 120,
        [None] * 120,
        [],
        [20.0] * 120,
        [0.0] * 120,
        [*[0.0] * 60, *[20.0] * 60][:8],
        levels(20, 59, 30, 130),
        levels(20, 30_000, 30, 50),
        [None] * 60 + [500.0] * 60,
    ],
    ids=[
        "high from the start",
        "all missing",
        "none",
        "flat",
        "zero",
        "too few",
        "less than three times",
        "two buckets",
        "high from the first that is known",
    ],
)
def test_what_is_no_shift(values: Sequence[float | None]) -> None:
    assert with_metrics(p99(values)).latency_shifts == ()


def test_what_lies_outside_of_the_window_is_not_seen() -> None:
    inside, late = levels(20, 20, 0, 0), [30_000.0] * 20
    assert with_metrics(p99([*inside, *late])).latency_shifts == ()


@pytest.mark.parametrize(("start", "end"), [(-500, -400), (300, 400)])
def test_calls_that_were_slow_at_another_time_support_nothing(start: float, end: float) -> None:
    """Slow minutes before the first failure or after the last, and as usual in between."""
    analysis = with_metrics([*p99(levels(20, 30_000, start, end)), *codes(start + 10, internal=9)])
    for kind in (Kind.DEPENDENCY_LATENCY, Kind.MISSING_DEADLINE):
        assert all(h.verdict is not Verdict.SUPPORTED for h in of_kind(analysis, kind))


def test_a_slow_method_of_the_failing_route_is_supported() -> None:
    found = the(with_metrics(p99(levels(20, 30_000, 30, 130))), Kind.DEPENDENCY_LATENCY)
    assert (found.role, found.verdict) == (Role.CONTRIBUTING, Verdict.SUPPORTED)


def test_a_slow_method_that_nothing_failing_calls_is_contradicted() -> None:
    metrics = p99(levels(20, 30_000, 30, 130), service="mail.mail", method="send")
    assert the(with_metrics(metrics), Kind.DEPENDENCY_LATENCY).verdict is Verdict.CONTRADICTED


# --- deadlines ------------------------------------------------------------------------------------

HANGING = p99(levels(20, 30_000, 30, 130))


def test_codes_without_deadline_exceeded_say_that_none_acted() -> None:
    analysis = with_metrics([*HANGING, *codes(40, internal=40, unavailable=3, ok=5)])
    found = the(analysis, Kind.MISSING_DEADLINE)
    assert found.verdict is Verdict.SUPPORTED
    assert claims_of(found, "mechanism", Stance.FOR)
    assert [f.rule for f in analysis.findings if f.rule == "no-deadline-acted"]
    (shift,) = analysis.latency_shifts
    assert shift.status_counts == {"INTERNAL": 40, "UNAVAILABLE": 3, "OK": 5}


def test_one_deadline_exceeded_contradicts() -> None:
    metrics = [*HANGING, *codes(40, internal=40), *codes(60, deadline_exceeded=1)]
    analysis = with_metrics(metrics)
    found = the(analysis, Kind.MISSING_DEADLINE)
    assert (found.role, found.verdict) == (Role.RULED_OUT, Verdict.CONTRADICTED)
    assert not [f.rule for f in analysis.findings if f.rule == "no-deadline-acted"]


def test_calls_that_all_ended_well_say_nothing_of_a_deadline() -> None:
    """Absence of a code counts only beside codes of failed calls."""
    analysis = with_metrics([*HANGING, *codes(40, ok=40)])
    for found in of_kind(analysis, Kind.MISSING_DEADLINE):
        assert not claims_of(found, "mechanism", Stance.FOR)
        assert claims_of(found, "absence", Stance.AGAINST)
        assert found.verdict is not Verdict.SUPPORTED
    assert not [f.rule for f in analysis.findings if f.rule == "no-deadline-acted"]


def test_without_codes_a_deadline_is_no_hypothesis() -> None:
    assert of_kind(with_metrics(HANGING), Kind.MISSING_DEADLINE) == ()


@pytest.mark.parametrize(("plateau", "acts"), [(5_000.0, False), (5_001.0, True)])
def test_a_plausible_deadline_is_a_threshold(plateau: float, acts: bool) -> None:
    metrics = [*p99(levels(20, plateau, 30, 130)), *codes(40, internal=9)]
    rules = [f.rule for f in with_metrics(metrics).findings]
    assert ("no-deadline-acted" in rules) is acts


def test_buckets_cover_the_window() -> None:
    assert len(levels(1, 2, 0, 10)) == len(steps(-LEAD_UP, TAIL, 10))

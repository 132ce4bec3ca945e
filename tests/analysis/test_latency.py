"""Latency shifts, the deadlines that did not act, and the latencies of another time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from incident_rca.model import Analysis, Basis, Kind, LatencyShift, Role, Stance, Verdict
from tests.analysis.cases import (
    LEAD_UP,
    OUTAGE,
    TAIL,
    Row,
    analysed,
    claims_of,
    codes,
    counted,
    failing,
    levels,
    made_case,
    of_kind,
    p99,
    second_of,
    steps,
    the,
    with_source,
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


@pytest.mark.parametrize("before", [20, 40, 60, 200])
def test_slow_calls_may_have_begun_before_those_of_an_earlier_bucket(before: float) -> None:
    """Those that ended from 30 to 40 s had lasted 30 s, whatever the ten seconds before show."""
    values = jittery(20, 30_000, 30, 130)
    values[next(n for n, value in enumerate(values) if value > 1_000) - 1] = before
    onset = shift_of(values).onset
    assert [second_of(i) for i in (onset.lo, onset.hi)] == pytest.approx([0, 10], abs=0.01)


def test_flat_to_the_digit_is_a_ceiling() -> None:
    assert shift_of(levels(20, 30_000, 30, 130)).censored
    assert not shift_of(jittery(20, 30_000, 30, 130)).censored


def test_a_value_at_the_end_of_its_histogram_is_at_least() -> None:
    """Top finite bound 10 s: calls of 10 s or more all show 10 s, and began at some time before."""
    low_then_top = levels(20, 10_000, 30, 130)
    values = [9_700 + n if v == 10_000 and n % 3 else v for n, v in enumerate(low_then_top)]
    (shift,) = with_metrics(p99(values, ceiling=10_000.0)).latency_shifts
    assert shift.censored
    (shift,) = with_metrics(p99(jittery(20, 9_000, 30, 130), ceiling=10_000.0)).latency_shifts
    assert not shift.censored
    assert shift.onset.lo is not None


def test_calls_that_began_before_their_histogram_can_say_have_an_open_onset() -> None:
    (shift,) = with_metrics(p99(levels(20, 10_000, 30, 130), ceiling=10_000.0)).latency_shifts
    assert shift.onset.lo is None
    # The bucket from 30 s to 40 s, set back by the 10 s that its calls lasted at least.
    assert second_of(shift.onset.hi) == 30
    assert shift.plateau_ms == 10_000


def test_calls_that_two_metrics_count_are_counted_once() -> None:
    counted = codes(40, internal=40, ok=5)
    again = [{**row, "metric": "rpc.client.duration"} for row in counted]
    (shift,) = with_metrics([*HANGING, *counted, *again]).latency_shifts
    assert shift.status_counts == {"INTERNAL": 40, "OK": 5}
    # The client alone sees that its deadline acted: no other metric takes that away.
    own = [{**row, "metric": "rpc.client.duration"} for row in codes(50, deadline_exceeded=1)]
    (shift,) = with_metrics([*HANGING, *counted, *own]).latency_shifts
    assert shift.status_counts == {"DEADLINE_EXCEEDED": 1, "INTERNAL": 40, "OK": 5}


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
    assert (found.role, found.verdict) == (Role.TRIGGER, Verdict.SUPPORTED)


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


def test_a_method_that_caller_and_server_measured_is_one_finding() -> None:
    server = [{**row, "metric": "grpc.server.duration"} for row in HANGING]
    analysis = with_metrics([*HANGING, *server, *codes(40, internal=40)])
    assert len(analysis.latency_shifts) == 2
    (found,) = [f for f in analysis.findings if f.rule == "no-deadline-acted"]
    client = next(s for s in analysis.latency_shifts if "client" in s.metric)
    assert found.evidence == client.evidence


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


# --- what a histogram hides -----------------------------------------------------------------------


def averages(values: Sequence[float | None]) -> list[Row]:
    """The average of the same series."""
    return [dict(row) | {"aggregate": "avg", "ceiling": None} for row in p99(values)]


TOP = p99(levels(20, 10_000, 30, 130), ceiling=10_000.0)
BETWEEN = p99(levels(20, 49_700, 30, 130), ceiling=100_000.0)


def test_at_the_end_of_a_histogram_calls_took_at_least_that() -> None:
    analysis = with_metrics([*TOP, *codes(40, internal=40)])
    slow = the(analysis, Kind.DEPENDENCY_LATENCY)
    assert "took at least 10,000 ms" in slow.statement
    hung = the(analysis, Kind.MISSING_DEADLINE)
    (claim,) = claims_of(hung, "mechanism", Stance.FOR)
    assert "calls took at least 10,000 ms and none ended with" in claim.text


def test_a_deadline_of_where_a_histogram_ends_is_never_concluded() -> None:
    """Requests that lasted 10 s beside a p99 at the top bound of 10 s have only that in common."""
    failures = failing(steps(0, 121, 2), latency_ms=10_000)
    metrics = [*TOP, *codes(40, internal=40)]
    analysis = analysed(failures=failures, gateway=counted(failures), metrics=metrics)
    hung = the(analysis, Kind.MISSING_DEADLINE)
    assert hung.verdict is not Verdict.SUPPORTED
    assert all(claim.basis is Basis.INFERRED for claim in claims_of(hung, "path", Stance.FOR))
    real = [*p99(jittery(20, 10_000, 30, 130)), *codes(40, internal=40)]
    analysis = analysed(failures=failures, gateway=counted(failures), metrics=real)
    assert the(analysis, Kind.MISSING_DEADLINE).verdict is Verdict.SUPPORTED
    asked = [q for q in with_metrics(metrics).questions if "What ended the calls" in q]
    assert len(asked) == 1 and "no time-out" in asked[0]


def test_a_level_within_one_bucket_proves_no_missing_deadline() -> None:
    """Bounds 20 s, 50 s, 100 s: calls of 21 s and calls of 49 s all show 49.7 s."""
    analysis = with_metrics([*BETWEEN, *codes(40, internal=40)])
    hung = the(analysis, Kind.MISSING_DEADLINE)
    assert hung.verdict is not Verdict.SUPPORTED
    assert not claims_of(hung, "mechanism", Stance.FOR)
    (shift,) = analysis.latency_shifts
    assert shift.plateau_basis == "interpolation" and shift.censored
    assert second_of(shift.onset.lo) == -70 and second_of(shift.onset.hi) == 40


@pytest.mark.parametrize("shown", [TOP, BETWEEN], ids=["end", "within"])
def test_averages_tell_what_a_histogram_hides(shown: Sequence[Row]) -> None:
    metrics = [*shown, *averages(jittery(20, 30_000, 30, 130)), *codes(40, internal=40)]
    analysis = with_metrics(metrics)
    (shift,) = analysis.latency_shifts
    assert (shift.plateau_basis, shift.aggregate) == ("average", "p99")
    assert shift.plateau_ms == pytest.approx(30_000, abs=1)
    # The bucket from 30 s to 40 s, set back by the 30 s that its calls lasted on average.
    assert second_of(shift.onset.hi) == pytest.approx(10, abs=1)
    assert "on average" in the(analysis, Kind.DEPENDENCY_LATENCY).statement
    assert the(analysis, Kind.MISSING_DEADLINE).verdict is Verdict.SUPPORTED
    assert any("30,001 ms on average" in e.seen for e in shift.evidence)


def test_averages_below_the_end_of_a_histogram_do_not_lower_it() -> None:
    (shift,) = with_metrics([*TOP, *averages(levels(5, 6_000, 30, 130))]).latency_shifts
    assert (shift.plateau_ms, shift.plateau_basis) == (10_000, "ceiling")


# --- which aggregate ------------------------------------------------------------------------------


def test_the_highest_aggregate_that_is_there_is_read_and_named() -> None:
    ranks = ["p99", "p95", "max", "avg"]
    for position, best in enumerate(ranks):
        metrics = [
            dict(row) | {"aggregate": aggregate, "metric": f"x.{aggregate}"}
            for aggregate in ["p50", *ranks[position:]]
            for row in p99(jittery(20, 30_000, 30, 130))
        ]
        analysis = with_metrics(metrics)
        (shift,) = analysis.latency_shifts
        assert (shift.aggregate, shift.metric) == (best, f"x.{best}")
        slow = the(analysis, Kind.DEPENDENCY_LATENCY)
        said = " ".join([slow.statement, *(c.text for c in slow.claims), shift.evidence[0].seen])
        assert f"({best})" in said and f"{best} of stock.Reserve" in said
        assert best == "p99" or "p99" not in said


def test_an_average_says_that_it_dilutes_and_when_calls_began_is_open() -> None:
    metrics = [dict(row) | {"aggregate": "avg"} for row in p99(jittery(20, 3_000, 30, 130))]
    (shift,) = with_metrics(metrics).latency_shifts
    assert shift.onset.lo is None and second_of(shift.onset.hi) == pytest.approx(37, abs=1)
    assert "dilute" in shift.onset.reason


def test_what_is_no_time_is_no_latency() -> None:
    sizes = p99(levels(20, 30_000, 30, 130), unit="byte")
    assert with_metrics(sizes).latency_shifts == ()


def test_several_programs_that_call_a_method_are_not_mixed() -> None:
    slow = p99(jittery(20, 30_000, 30, 130), owner="orders")
    fast = p99(jittery(15, 15, 30, 130), owner="jobs")
    (shift,) = with_metrics([*slow, *fast]).latency_shifts
    assert shift.plateau_ms == pytest.approx(30_000, abs=1)
    assert shift.evidence[0].count == 10


# --- windows that overlap -------------------------------------------------------------------------


def test_one_slow_call_in_windows_that_overlap_is_one() -> None:
    """A rate over 60 s each 10 s: what ended in one instant stands in six values."""
    once = p99(jittery(20, 30_000, 30, 90), bucket_seconds=60.0)
    assert with_metrics(once).latency_shifts == ()
    (shift,) = with_metrics(p99(jittery(20, 30_000, 30, 160), bucket_seconds=60.0)).latency_shifts
    # Its first window begins at 30 s and ends at 90 s, set back by 30 s.
    assert [second_of(i) for i in (shift.onset.lo, shift.onset.hi)] == pytest.approx([0, 60], abs=1)
    # High last in the window from 150 s, usual in the one from 160 s to 220 s.
    assert [second_of(i) for i in (shift.offset.lo, shift.offset.hi)] == [150, 220]


def test_what_is_usual_rests_on_windows_that_lie_apart() -> None:
    """Six windows of 60 s are six minutes, however many values they give."""
    early = p99(jittery(20, 30_000, -400, -200), bucket_seconds=60.0)
    assert with_metrics(early).latency_shifts == ()
    assert len(with_metrics(p99(jittery(20, 30_000, -400, -200))).latency_shifts) == 1


def test_a_part_of_a_call_is_a_call() -> None:
    """Counts of a rate are extrapolated: a third of a call is never none."""
    metrics = [*HANGING, *codes(40, internal=39.6, deadline_exceeded=0.33, unavailable=0)]
    (shift,) = with_metrics(metrics).latency_shifts
    assert shift.status_counts == {"DEADLINE_EXCEEDED": 1, "INTERNAL": 40, "UNAVAILABLE": 0}
    assert the(with_metrics(metrics), Kind.MISSING_DEADLINE).verdict is Verdict.CONTRADICTED


def test_a_code_that_is_counted_as_zero_is_not_present() -> None:
    """Servers may announce each code with zero: beside those alone, absence tells nothing."""
    analysis = with_metrics([*HANGING, *codes(40, ok=40, internal=0, unavailable=0)])
    hung = the(analysis, Kind.MISSING_DEADLINE)
    assert hung.verdict is not Verdict.SUPPORTED
    assert claims_of(hung, "absence", Stance.AGAINST)
    assert not [f.rule for f in analysis.findings if f.rule == "no-deadline-acted"]


def test_a_code_whose_count_appears_late_may_have_occurred() -> None:
    """A counter that is first read at five has increased by none, as far as is known."""
    early = codes(-300, internal=0)
    late = [*early, *codes(40, internal=40, deadline_exceeded=0)]
    analysis = with_metrics([*HANGING, *late])
    hung = the(analysis, Kind.MISSING_DEADLINE)
    assert hung.verdict is not Verdict.SUPPORTED
    assert "began late" in claims_of(hung, "absence", Stance.AGAINST)[0].text
    from_the_start = [*codes(-300, internal=0, deadline_exceeded=0), *late]
    analysis = with_metrics([*HANGING, *from_the_start])
    assert the(analysis, Kind.MISSING_DEADLINE).verdict is Verdict.SUPPORTED


@pytest.mark.parametrize("kind", ["datadog_metrics", "prometheus_metrics", "otlp_metrics"])
def test_metrics_of_any_store_are_as_good(kind: str) -> None:
    case = with_source(made_case(), "metrics", lambda s: replace(s, kind=kind))
    metrics = [*p99(jittery(20, 30_000, 30, 130)), *codes(40, internal=40)]
    found = analysed(case, failures=OUTAGE, gateway=counted(OUTAGE), metrics=metrics)
    for hypothesis in (Kind.DEPENDENCY_LATENCY, Kind.MISSING_DEADLINE):
        assert the(found, hypothesis).verdict is Verdict.SUPPORTED
    assert the(found, Kind.POOL_EXHAUSTION).verdict is Verdict.INSUFFICIENT

"""What `run --follow` says of an outage: over or not, and what moved since the last time."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from incident_rca.model import Analysis, Role, Span, Verdict
from incident_rca.report.followed import QUIET_ENOUGH, answer, changes, is_over
from tests.report.incident import BLIP, about_another_outage, span


def ended_before_the_window(analysis: Analysis, ago: timedelta, *, ongoing: bool) -> Analysis:
    assert analysis.outage is not None
    last = analysis.case.window.end - ago
    outage = replace(
        analysis.outage, ongoing=ongoing, end=Span(last, None if ongoing else last, "")
    )
    return replace(analysis, outage=outage)


def test_an_outage_that_goes_on_is_not_over(analysis: Analysis) -> None:
    now = ended_before_the_window(analysis, timedelta(seconds=4), ongoing=True)
    assert not is_over(now)
    assert answer(now).startswith("Is it over? No: the last failing request arrived at 14:54:56")
    assert answer(now).endswith("4s before the end of the log.")


def test_a_short_quiet_proves_nothing(analysis: Analysis) -> None:
    now = ended_before_the_window(analysis, QUIET_ENOUGH - timedelta(seconds=1), ongoing=False)
    assert not is_over(now)
    assert "As far as the log goes, yes: " in answer(now)
    assert answer(now).endswith("4m59s before its end; 5m of quiet would be sure.")


def test_quiet_is_what_the_log_still_covers(analysis: Analysis) -> None:
    now = ended_before_the_window(analysis, QUIET_ENOUGH, ongoing=False)
    window = analysis.case.window
    cut = replace(window, end=window.end - timedelta(seconds=30))
    sources = tuple(
        replace(s, covered=cut) if s in analysis.case.gateway_logs else s
        for s in analysis.case.sources
    )
    short = replace(now, case=replace(now.case, sources=sources))
    assert is_over(now) and not is_over(short)
    assert "4m30s before its end" in answer(short)


def test_a_second_outage_that_goes_on_is_not_over(analysis: Analysis) -> None:
    largest = ended_before_the_window(analysis, QUIET_ENOUGH, ongoing=False)
    assert largest.outage is not None
    last = analysis.case.window.end - timedelta(seconds=9)
    second = replace(largest.outage, ongoing=True, end=Span(last, None, ""))
    other = replace(about_another_outage(largest).other_incidents[0], outage=second)
    now = replace(largest, other_incidents=(other,))
    assert is_over(largest) and not is_over(now)
    assert answer(now).startswith("Is it over? No: the last failing request arrived at 14:54:51")


def test_a_single_failure_behind_the_outage_is_not_passed_over(analysis: Analysis) -> None:
    now = ended_before_the_window(analysis, QUIET_ENOUGH, ongoing=False)
    assert now.outage is not None
    blip = replace(BLIP, at=span("14:52:00"))
    later = replace(now, outage=replace(now.outage, blips=(blip,)))
    assert "nothing has failed in the 5m since" in answer(now)
    assert "only single requests have failed in the 5m since" in answer(later)


def test_a_long_quiet_ends_it(analysis: Analysis) -> None:
    now = ended_before_the_window(analysis, QUIET_ENOUGH, ongoing=False)
    assert is_over(now)
    assert answer(now).startswith("Is it over? Yes: ")
    assert "nothing has failed in the 5m since" in answer(now)


def test_without_an_outage_nothing_is_over(analysis: Analysis) -> None:
    now = replace(analysis, outage=None)
    assert not is_over(now)
    assert answer(now).startswith("Is it over? Not known: ")


def test_the_first_round_tells_every_cause_there_is(analysis: Analysis) -> None:
    told = changes(None, analysis)
    causes = [h for h in analysis.hypotheses if h.role in (Role.TRIGGER, Role.SUSTAINER)]
    assert causes
    for cause in causes:
        line = f"new: {cause.kind}, {cause.object}: {cause.role}, {cause.verdict}"
        assert line in told
    assert not any(
        h.object in " ".join(told) for h in analysis.hypotheses if h.role is Role.SYMPTOM
    )


def test_nothing_new_is_nothing_said(analysis: Analysis) -> None:
    assert changes(analysis, analysis) == ()


def test_what_moved_is_said_with_what_it_was(analysis: Analysis) -> None:
    first, *others = analysis.hypotheses
    assert (first.role, first.verdict) == (Role.TRIGGER, Verdict.SUPPORTED)
    weak = replace(first, verdict=Verdict.WEAK)
    before = replace(
        analysis,
        hypotheses=(weak, *others[1:]),
        failed_requests=analysis.failed_requests - 1200,
    )
    assert changes(before, analysis)[:2] == (
        f"1,200 more requests failed, {analysis.failed_requests:,} in all",
        f"changed: {first.kind}, {first.object}: trigger, supported, before trigger, weak",
    )
    gone = changes(analysis, before)
    assert any(line.startswith(f"no longer: {others[0].kind}") for line in gone)

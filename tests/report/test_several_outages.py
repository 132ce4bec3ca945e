"""What is told of one outage where the window has several."""

from __future__ import annotations

from dataclasses import replace

from incident_rca.model import Analysis
from incident_rca.report.impact import measures
from incident_rca.report.summary import sentences
from tests.report.incident import about_another_outage, span


def metrics_of(analysis: Analysis) -> list[str]:
    return [measure.metric for measure in measures(analysis)]


def earlier(analysis: Analysis) -> Analysis:
    """As if all that was slow, blocked or full had been over before the outage began."""
    assert analysis.pool is not None
    before, ended = span("14:11:00"), span("14:12:00")
    return replace(
        analysis,
        lock_episodes=tuple(
            replace(e, held_start=before, held_end=ended) for e in analysis.lock_episodes
        ),
        latency_shifts=tuple(
            replace(s, onset=before, offset=ended) for s in analysis.latency_shifts
        ),
        pool=replace(analysis.pool, exhausted_at=before, exhausted_until=ended),
    )


def test_what_was_over_before_the_outage_belongs_to_the_other_one(analysis: Analysis) -> None:
    other = about_another_outage(analysis)
    whole, left = metrics_of(other), metrics_of(earlier(other))
    assert set(left) < set(whole)
    assert [m for m in whole if m not in left] and not any("p99" in m or "pool" in m for m in left)


def test_of_a_single_outage_all_that_was_seen_is_listed(analysis: Analysis) -> None:
    assert metrics_of(earlier(analysis)) == metrics_of(analysis)


def test_a_method_that_two_metrics_measured_is_named_by_each(analysis: Analysis) -> None:
    first, *rest = analysis.latency_shifts
    twice = (first, replace(first, metric="grpc.server.duration"), *rest)
    named = [m for m in metrics_of(replace(analysis, latency_shifts=twice)) if first.method in m]
    assert len(set(named)) == len(named) >= 2
    assert any("by grpc.server.duration" in m for m in named)
    assert not any(f"{first.method} by " in m for m in metrics_of(analysis))


def test_the_summary_names_every_outage(analysis: Analysis) -> None:
    *first, last = sentences(about_another_outage(analysis))
    assert first and "Apart from it, outage 2, 14:50:00" in last.plain
    assert not any("Apart from it" in sentence.plain for sentence in sentences(analysis))

"""The numbers of the impact section: what was usual, what it was during the outage."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from itertools import pairwise

from incident_rca.analysis.names import named_shifts
from incident_rca.model import (
    Analysis,
    Baseline,
    Evidence,
    Kind,
    LockEpisode,
    Role,
    Span,
    Verdict,
)
from incident_rca.report.numbers import grouped, percent, stretch
from incident_rca.report.safe_text import NOTHING
from incident_rca.report.wording import Clock
from incident_rca.window import format_duration

EPISODES_SHOWN = 2
_AGGREGATES = {
    "p99": "p99 of {} (1 call in 100 is slower)",
    "p95": "p95 of {} (1 call in 20 is slower)",
    "max": "Slowest call of {}",
    "avg": "Average of {} (fast calls dilute it)",
}


@dataclass(frozen=True, slots=True)
class Measure:
    """One row: a metric, its value before and during the outage, and the evidence for both."""

    metric: str
    baseline: str
    during: str
    evidence: tuple[Evidence, ...]


def measures(analysis: Analysis) -> tuple[Measure, ...]:
    """The rows of the impact table; none for what was not seen in the time of the outage.

    Of several outages that is the largest: what was slow or blocked in another one is not its own.
    """
    return (*_failures(analysis), *_latency(analysis), *_locks(analysis), *_pool(analysis))


def baseline_words(analysis: Analysis) -> str:
    """What failed before the outage: `502: 0 of 312,000 requests in 24.2 hours`, or a dash."""
    used = _disjoint(analysis.baselines)
    records = sum(baseline.records for baseline in used)
    if not used or not records:
        return NOTHING
    failed: Counter[int] = Counter()
    for baseline in used:
        failed.update(baseline.failures_by_status)
    seconds = sum((baseline.end - baseline.start).total_seconds() for baseline in used)
    statuses = {error.status for error in analysis.error_types} | {s for s in failed if failed[s]}
    counts = ", ".join(f"{status}: {grouped(failed[status])}" for status in sorted(statuses))
    return f"{counts or '0'} of {grouped(records)} requests in {stretch(seconds)}"


def _disjoint(baselines: tuple[Baseline, ...]) -> tuple[Baseline, ...]:
    """All baselines, or the one with most records where some overlap and would count twice."""
    ordered = sorted(baselines, key=lambda baseline: (baseline.start, baseline.end))
    overlapping = any(a.end > b.start for a, b in pairwise(ordered))
    if overlapping:
        return (max(ordered, key=lambda baseline: baseline.records),)
    return tuple(ordered)


def _failures(analysis: Analysis) -> list[Measure]:
    outage = analysis.outage
    if outage is None:
        return []
    clock = Clock.of(analysis)
    requests = analysis.requests
    of_all = (
        f" of {grouped(requests)} ({percent(analysis.failed_requests / requests)})"
        if requests
        else ""
    )
    before = tuple(e for baseline in analysis.baselines for e in baseline.evidence)
    start = clock.span(outage.start)
    when = (
        f"from {start}, still going on"
        if outage.ongoing
        else f"{start} to {clock.span(outage.end)}"
    )
    return [
        Measure(
            "Requests that failed (HTTP 5xx)",
            baseline_words(analysis),
            f"{grouped(analysis.failed_requests)}{of_all}",
            (*outage.evidence, *before),
        ),
        Measure(
            "Outage, first to last failing arrival",
            NOTHING,
            f"{format_duration(outage.duration_seconds)} ({when})",
            outage.evidence,
        ),
        Measure(
            "Requests began to fail, by their rate",
            NOTHING,
            clock.span(outage.onset),
            outage.evidence,
        ),
    ]


def _meets(analysis: Analysis, start: Span, end: Span) -> bool:
    """Whether it reaches into the largest outage; always, where there is no other outage."""
    outage = analysis.outage
    if outage is None or not analysis.other_incidents:
        return True
    until, over = end.hi or end.lo, outage.end.hi or analysis.case.window.end
    return start.first <= over and (until is None or until >= outage.onset.first)


def _latency(analysis: Analysis) -> list[Measure]:
    shifts = [s for s in analysis.latency_shifts if _meets(analysis, s.onset, s.offset)]
    # Client and server measure the same calls: then each is named by its metric.
    return [
        Measure(
            _AGGREGATES.get(shift.aggregate, "Latency of {}").format(name),
            NOTHING if shift.baseline_p99_ms is None else f"{shift.baseline_p99_ms:,.0f} ms",
            shift.plateau_in_words,
            shift.evidence,
        )
        for shift, name in named_shifts(shifts)
    ]


def _locks(analysis: Analysis) -> list[Measure]:
    clock = Clock.of(analysis)
    most = sorted(_blamed(analysis), key=lambda episode: -episode.peak_waiters)
    return [
        Measure(
            f"Sessions waiting for a lock on {episode.relation}",
            NOTHING,
            f"up to {grouped(episode.peak_waiters)} (at {clock.span(episode.peak_at)})",
            episode.evidence,
        )
        for episode in most[:EPISODES_SHOWN]
    ]


def _blamed(analysis: Analysis) -> list[LockEpisode]:
    """The episodes that a hypothesis stands on; a coincident lock is no impact."""
    holds = (Verdict.SUPPORTED, Verdict.WEAK, Verdict.INSUFFICIENT)
    cited = {
        evidence
        for h in analysis.hypotheses
        if h.kind is Kind.LOCK_BLOCKING and h.verdict in holds and h.role is not Role.COINCIDENT
        for claim in h.claims
        for evidence in claim.evidence
    }
    return [
        e
        for e in analysis.lock_episodes
        if cited & set(e.evidence) and _meets(analysis, e.held_start, e.held_end)
    ]


def _pool(analysis: Analysis) -> list[Measure]:
    pool = analysis.pool
    if pool is None or not _meets(analysis, pool.exhausted_at, pool.exhausted_until):
        return []
    return [
        Measure(
            f"Database connections of {pool.owner} in use (its pool)",
            NOTHING,
            f"{pool.size} of {pool.size} from {Clock.of(analysis).span(pool.exhausted_at)}",
            pool.evidence,
        )
    ]

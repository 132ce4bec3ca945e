"""The analysis as report.json: the contract that other programs read."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from incident_rca.model import (
    Analysis,
    Baseline,
    Claim,
    EndpointImpact,
    ErrorBurst,
    ErrorType,
    Evidence,
    Hypothesis,
    Incident,
    LatencyShift,
    LockEpisode,
    PoolState,
    Session,
    Span,
    Starvation,
    Stretch,
)
from incident_rca.report.contract_sources import source_of, window_of
from incident_rca.report.numbers import optional, rounded, share
from incident_rca.report.state_rows import UNEXPLAINED
from incident_rca.window import format_instant

SCHEMA_VERSION = 1


def to_json(analysis: Analysis) -> str:
    """report.json as text, the same on each run."""
    text = json.dumps(to_contract(analysis), indent=2, ensure_ascii=False, allow_nan=False)
    # A lone surrogate, which a log line may hold as an escape, has no UTF-8.
    return text.encode("utf-8", "replace").decode("utf-8") + "\n"


def to_contract(analysis: Analysis) -> dict[str, Any]:
    """report.json as plain lists, dicts and numbers, in the order of the contract."""
    return {
        "schema_version": SCHEMA_VERSION,
        "tool_version": analysis.case.tool_version,
        "incident": _incident(analysis),
        "sources": [source_of(analysis, source) for source in analysis.case.sources],
        "evidence": [_evidence(analysis, evidence) for evidence in analysis.evidence],
        "outage": None if analysis.outage is None else _outage(analysis, analysis.outage),
        "impact": {
            "requests": analysis.requests,
            "failed_requests": analysis.failed_requests,
            "endpoints": [_endpoint(analysis, endpoint) for endpoint in analysis.endpoints],
        },
        "error_types": _error_types(analysis, analysis.error_types),
        "lock_episodes": lock_episodes(analysis.lock_episodes, analysis.evidence_ids),
        "latency_shifts": [_shift(analysis, shift) for shift in analysis.latency_shifts],
        "pool": None if analysis.pool is None else _pool(analysis, analysis.pool),
        "starvations": [_starvation(analysis, episode) for episode in analysis.starvations],
        "timeline": _timeline(analysis),
        "phases": _phases(analysis),
        "other_incidents": [_incident_beside(analysis, i) for i in analysis.other_incidents],
        "hypotheses": [_hypothesis(analysis, hypothesis) for hypothesis in analysis.hypotheses],
        "unexplained": {
            "seconds": rounded(analysis.unexplained_seconds),
            "share_of_outage": _share_of_outage(analysis, analysis.unexplained_seconds),
        },
        "states": [_stretch(analysis, stretch) for stretch in analysis.states],
        "contradictions": [
            {"statement": item.statement, "evidence": _ids(analysis, item.evidence)}
            for item in analysis.contradictions
        ],
        "findings": _findings(analysis),
        "questions": list(analysis.questions),
    }


def lock_episodes(
    episodes: Iterable[LockEpisode], evidence_ids: Mapping[str, str]
) -> list[dict[str, Any]]:
    """The lock episodes, in the shape that `locks --json` prints too."""
    return [
        _lock_episode(evidence_ids, number, episode)
        for number, episode in enumerate(episodes, start=1)
    ]


def _ids(analysis: Analysis, evidence: tuple[Evidence, ...]) -> list[str]:
    return list(analysis.cite(evidence))


def _instant(instant: datetime | None) -> str | None:
    return None if instant is None else format_instant(instant)


def _span(span: Span) -> list[str | None]:
    return [_instant(span.lo), _instant(span.hi)]


def _counts(counts: Mapping[Any, int]) -> dict[str, int]:
    return {str(key): counts[key] for key in sorted(counts)}


def _share_of_outage(analysis: Analysis, seconds: float, incident: int = 1) -> int | float | None:
    outage = analysis.outage_of(incident)
    return None if outage is None else share(seconds, outage.duration_seconds)


def _incident(analysis: Analysis) -> dict[str, Any]:
    return {
        "id": analysis.case.id,
        "title": analysis.case.title,
        "window": window_of(analysis.case.window),
        "baselines": [_baseline(analysis, baseline) for baseline in analysis.baselines],
    }


def _baseline(analysis: Analysis, baseline: Baseline) -> dict[str, Any]:
    return {
        "start": format_instant(baseline.start),
        "end": format_instant(baseline.end),
        "source": baseline.source,
        "records": baseline.records,
        "failed": _counts(baseline.failures_by_status),
        "evidence": _ids(analysis, baseline.evidence),
    }


def _evidence(analysis: Analysis, evidence: Evidence) -> dict[str, Any]:
    return {
        "id": analysis.evidence_ids[evidence.digest],
        "source": evidence.source,
        "at": _span(evidence.at),
        "seen": evidence.seen,
        "file": evidence.file,
        "rows": None if evidence.rows is None else list(evidence.rows),
        "count": evidence.count,
    }


def _outage(analysis: Analysis, outage: ErrorBurst) -> dict[str, Any]:
    return {
        "start": _span(outage.start),
        "end": _span(outage.end),
        "duration_seconds": rounded(outage.duration_seconds),
        "ongoing": outage.ongoing,
        "onset": _span(outage.onset),
        "evidence": _ids(analysis, outage.evidence),
    }


def _endpoint(analysis: Analysis, endpoint: EndpointImpact) -> dict[str, Any]:
    return {
        "method": endpoint.method,
        "route": endpoint.route,
        "requests": endpoint.requests,
        "failed": endpoint.failed,
        "by_status": _counts(endpoint.by_status),
        "first_failure": _instant(endpoint.first_failure),
        "last_failure": _instant(endpoint.last_failure),
        "baseline_per_minute": optional(endpoint.baseline_per_minute),
        "incident_per_minute": rounded(endpoint.incident_per_minute),
        "p99_ms": optional(endpoint.p99_ms),
        "impact": endpoint.impact.value,
        "evidence": _ids(analysis, endpoint.evidence),
    }


def _incident_beside(analysis: Analysis, incident: Incident) -> dict[str, Any]:
    """One more outage of the window: hypotheses name it by its number."""
    return {
        "incident": incident.number,
        "outage": _outage(analysis, incident.outage),
        "impact": {
            "requests": incident.requests,
            "failed_requests": incident.failed_requests,
            "endpoints": [_endpoint(analysis, endpoint) for endpoint in incident.endpoints],
        },
        "error_types": _error_types(analysis, incident.error_types),
        "unexplained": {
            "seconds": rounded(incident.unexplained_seconds),
            "share_of_outage": _share_of_outage(
                analysis, incident.unexplained_seconds, incident.number
            ),
        },
    }


def _error_types(analysis: Analysis, error_types: tuple[ErrorType, ...]) -> list[dict[str, Any]]:
    return [
        {
            "type": error.type,
            "status": error.status,
            "count": error.count,
            "share": rounded(error.share),
            "seen_in": list(error.seen_in),
            "evidence": _ids(analysis, error.evidence),
        }
        for error in error_types
    ]


def _session(session: Session) -> dict[str, Any]:
    return {
        "pid": session.pid,
        "application": session.application,
        "mode": session.mode,
        "state": session.state,
        "statement": session.statement,
        "statement_basis": session.statement_basis,
    }


def _lock_episode(
    evidence_ids: Mapping[str, str], number: int, episode: LockEpisode
) -> dict[str, Any]:
    return {
        "id": f"LE{number}",
        "database": episode.database,
        "relation": episode.relation,
        "root_holder": _session(episode.root_holder),
        "queue_amplifiers": [_session(session) for session in episode.queue_amplifiers],
        "held": {"start": _span(episode.held_start), "end": _span(episode.held_end)},
        "peak_waiters": episode.peak_waiters,
        "waiters_total": episode.waiters_total,
        "waiter_seconds": rounded(episode.waiter_seconds),
        "lock_types": list(episode.lock_types),
        "deadlocked": episode.deadlocked,
        "outcomes": dict(episode.outcomes),
        "evidence": list(dict.fromkeys(evidence_ids[e.digest] for e in episode.evidence)),
    }


def _shift(analysis: Analysis, shift: LatencyShift) -> dict[str, Any]:
    return {
        "service": shift.service,
        "method": shift.method,
        "metric": shift.metric
        if shift.aggregate == "p99"
        else f"{shift.metric} ({shift.aggregate})",
        "unit": shift.unit,
        "baseline_p99_ms": optional(shift.baseline_p99_ms),
        "peak_ms": rounded(shift.peak_ms),
        "onset": _span(shift.onset),
        "offset": _span(shift.offset),
        "plateau_ms": rounded(shift.plateau_ms),
        "censored": shift.censored,
        "status_counts": _counts(shift.status_counts),
        "evidence": _ids(analysis, shift.evidence),
    }


def _pool(analysis: Analysis, pool: PoolState) -> dict[str, Any]:
    return {
        "owner": pool.owner,
        "size": pool.size,
        "size_basis": pool.size_basis,
        "exhausted_at": _span(pool.exhausted_at),
        "fill_seconds": optional(pool.fill_seconds),
        "arrival_per_second": optional(pool.arrival_per_second),
        "consistent": pool.consistent,
        "note": pool.note,
        "evidence": _ids(analysis, pool.evidence),
    }


def _starvation(analysis: Analysis, starvation: Starvation) -> dict[str, Any]:
    return {
        "method": starvation.method,
        "route": starvation.route,
        "onset": _span(starvation.onset),
        "offset": _span(starvation.offset),
        "requests": starvation.requests,
        "usual_per_minute": rounded(starvation.usual_per_minute),
        "per_minute": rounded(starvation.per_minute),
        "evidence": _ids(analysis, starvation.evidence),
    }


def _timeline(analysis: Analysis) -> list[dict[str, Any]]:
    return [
        {
            "id": f"T{number}",
            "at": _span(event.at),
            "source": event.source,
            "kind": event.kind,
            "title": event.title,
            "evidence": _ids(analysis, event.evidence),
        }
        for number, event in enumerate(analysis.timeline, start=1)
    ]


def _phases(analysis: Analysis) -> list[dict[str, Any]]:
    return [
        {
            "name": phase.name,
            "start": format_instant(phase.start),
            "end": _instant(phase.end),
            "evidence": _ids(analysis, phase.evidence),
        }
        for phase in analysis.phases
    ]


def _stretch(analysis: Analysis, stretch: Stretch) -> dict[str, Any]:
    """A stretch of an outage; its cause is the id of a hypothesis, or `unexplained`."""
    return {
        "incident": stretch.incident,
        "start": format_instant(stretch.start),
        "end": format_instant(stretch.end),
        "seconds": rounded(stretch.seconds),
        "cause": stretch.cause.id if stretch.cause else UNEXPLAINED,
        **{
            state.question.value: {
                "answer": state.answer.value,
                "detail": state.detail,
                "number": optional(state.number),
                "evidence": _ids(analysis, state.evidence),
            }
            for state in stretch.states
        },
    }


def numbered_claims(hypothesis: Hypothesis) -> Iterable[tuple[str, Claim]]:
    """The claims of a hypothesis with their ids, `H1.1`, `H1.2`, …"""
    return ((f"{hypothesis.id}.{n}", claim) for n, claim in enumerate(hypothesis.claims, start=1))


def _hypothesis(analysis: Analysis, hypothesis: Hypothesis) -> dict[str, Any]:
    return {
        "id": hypothesis.id,
        "rank": hypothesis.rank,
        "kind": hypothesis.kind.value,
        "object": hypothesis.object,
        "role": hypothesis.role.value,
        "verdict": hypothesis.verdict.value,
        "statement": hypothesis.statement,
        "claims": [
            {
                "id": claim_id,
                "text": claim.text,
                "stance": claim.stance.value,
                "aspect": claim.aspect.value,
                "basis": claim.basis.value,
                "evidence": _ids(analysis, claim.evidence),
            }
            for claim_id, claim in numbered_claims(hypothesis)
        ],
        "independent_sources": len(hypothesis.systems),
        "explains": {
            "seconds": rounded(hypothesis.explains_seconds),
            "share_of_outage": _share_of_outage(
                analysis, hypothesis.explains_seconds, hypothesis.incident
            ),
        },
        "confirm_by": hypothesis.confirm_by,
        "incident": hypothesis.incident,
    }


def _findings(analysis: Analysis) -> list[dict[str, Any]]:
    return [
        {
            "rule": finding.rule,
            "severity": finding.severity.value,
            "statement": finding.statement,
            "remedy": finding.remedy,
            "evidence": _ids(analysis, finding.evidence),
        }
        for finding in analysis.findings
    ]

"""The analysis as report.json: the contract that other programs read."""

from __future__ import annotations

import json
from collections.abc import Iterable
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
    SourceStatus,
)
from incident_rca.report import pareto, redactions, what_if
from incident_rca.report.consoles import links_of
from incident_rca.report.contract_episodes import (
    lock_episodes,
    pool_of,
    shift_of,
    starvation_of,
    stretch_of,
)
from incident_rca.report.contract_values import counts_of, ids_of, instant_of, span_of, window_of
from incident_rca.report.numbers import optional, rounded, share
from incident_rca.window import format_instant

SCHEMA_VERSION = 1


def to_json(analysis: Analysis) -> str:
    """report.json as text, the same on each run."""
    text = json.dumps(to_contract(analysis), indent=2, ensure_ascii=False, allow_nan=False)
    # A lone surrogate, which a log line may hold as an escape, has no UTF-8.
    return text.encode("utf-8", "replace").decode("utf-8") + "\n"


def to_contract(analysis: Analysis) -> dict[str, Any]:
    """report.json as plain lists, dicts and numbers, in the order of the contract."""
    contract = {
        "schema_version": SCHEMA_VERSION,
        "tool_version": analysis.case.tool_version,
        "incident": _incident(analysis),
        "sources": [_source(analysis, source) for source in analysis.case.sources],
        "evidence": [_evidence(analysis, evidence) for evidence in analysis.evidence],
        "outage": None if analysis.outage is None else _outage(analysis, analysis.outage),
        "impact": {
            "requests": analysis.requests,
            "failed_requests": analysis.failed_requests,
            "endpoints": [_endpoint(analysis, endpoint) for endpoint in analysis.endpoints],
        },
        "error_types": _error_types(analysis, analysis.error_types),
        "lock_episodes": lock_episodes(analysis.lock_episodes, analysis.evidence_ids),
        "latency_shifts": [shift_of(analysis, shift) for shift in analysis.latency_shifts],
        "pool": None if analysis.pool is None else pool_of(analysis, analysis.pool),
        "starvations": [starvation_of(analysis, episode) for episode in analysis.starvations],
        "timeline": _timeline(analysis),
        "phases": _phases(analysis),
        "other_incidents": [_incident_beside(analysis, i) for i in analysis.other_incidents],
        "hypotheses": [_hypothesis(analysis, hypothesis) for hypothesis in analysis.hypotheses],
        "unexplained": {
            "seconds": rounded(analysis.unexplained_seconds),
            "share_of_outage": _share_of_outage(analysis, analysis.unexplained_seconds),
        },
        "states": [stretch_of(analysis, stretch) for stretch in analysis.states],
        "contradictions": [
            {"statement": item.statement, "evidence": ids_of(analysis, item.evidence)}
            for item in analysis.contradictions
        ],
        "findings": _findings(analysis),
        "questions": list(analysis.questions),
        **what_if.in_contract(analysis),
        **pareto.in_contract(analysis),
    }
    return contract | {"redactions": redactions.in_contract(redactions.redactions(contract))}


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
        "failed": counts_of(baseline.failures_by_status),
        "evidence": ids_of(analysis, baseline.evidence),
    }


def _source(analysis: Analysis, source: SourceStatus) -> dict[str, Any]:
    clock = analysis.clock_of(source)
    return {
        "name": source.name,
        "system": source.system.value,
        "state": source.state.value,
        "asked": window_of(source.asked),
        "covered": window_of(source.covered),
        "rows": source.rows,
        "unparsed": source.unparsed,
        "resolution_seconds": optional(source.resolution_seconds),
        "clock_offset_seconds": [rounded(bound) for bound in clock.bounds],
        "clock_offset_basis": clock.basis.value,
        "clock_moved_seconds": clock.moved_seconds,
        "reason": source.notes,
        "query": source.query,
        "links": [
            {"title": link.title, "url": link.url}
            for link in links_of(source, analysis.case.window)
        ],
        "files": [{"path": file.path, "sha256": file.sha256} for file in source.files],
    }


def _evidence(analysis: Analysis, evidence: Evidence) -> dict[str, Any]:
    return {
        "id": analysis.evidence_ids[evidence.digest],
        "source": evidence.source,
        "at": span_of(evidence.at),
        "seen": evidence.seen,
        "file": evidence.file,
        "rows": None if evidence.rows is None else list(evidence.rows),
        "count": evidence.count,
    }


def _outage(analysis: Analysis, outage: ErrorBurst) -> dict[str, Any]:
    return {
        "start": span_of(outage.start),
        "end": span_of(outage.end),
        "duration_seconds": rounded(outage.duration_seconds),
        "ongoing": outage.ongoing,
        "onset": span_of(outage.onset),
        "evidence": ids_of(analysis, outage.evidence),
    }


def _endpoint(analysis: Analysis, endpoint: EndpointImpact) -> dict[str, Any]:
    return {
        "method": endpoint.method,
        "route": endpoint.route,
        "requests": endpoint.requests,
        "failed": endpoint.failed,
        "by_status": counts_of(endpoint.by_status),
        "first_failure": instant_of(endpoint.first_failure),
        "last_failure": instant_of(endpoint.last_failure),
        "baseline_per_minute": optional(endpoint.baseline_per_minute),
        "incident_per_minute": rounded(endpoint.incident_per_minute),
        "p99_ms": optional(endpoint.p99_ms),
        "impact": endpoint.impact.value,
        "evidence": ids_of(analysis, endpoint.evidence),
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
            "evidence": ids_of(analysis, error.evidence),
        }
        for error in error_types
    ]


def _timeline(analysis: Analysis) -> list[dict[str, Any]]:
    return [
        {
            "id": f"T{number}",
            "at": span_of(event.at),
            "source": event.source,
            "kind": event.kind,
            "title": event.title,
            "evidence": ids_of(analysis, event.evidence),
        }
        for number, event in enumerate(analysis.timeline, start=1)
    ]


def _phases(analysis: Analysis) -> list[dict[str, Any]]:
    return [
        {
            "name": phase.name,
            "start": format_instant(phase.start),
            "end": instant_of(phase.end),
            "evidence": ids_of(analysis, phase.evidence),
        }
        for phase in analysis.phases
    ]


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
                "evidence": ids_of(analysis, claim.evidence),
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
            "evidence": ids_of(analysis, finding.evidence),
        }
        for finding in analysis.findings
    ]

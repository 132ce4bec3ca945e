"""One case's tables -> its Analysis: what was seen, what it says, and what it does not say."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from incident_rca.analysis.attribution import attribute
from incident_rca.analysis.contradictions import contradictions
from incident_rca.analysis.evidence import short_ids
from incident_rca.analysis.findings import find_all
from incident_rca.analysis.hypotheses import KINDS
from incident_rca.analysis.observations import observe
from incident_rca.analysis.phases import build_phases
from incident_rca.analysis.questions import open_questions
from incident_rca.analysis.timeline import build_timeline
from incident_rca.analysis.verdicts import ranked
from incident_rca.model import Analysis, Case, Evidence, Hypothesis
from incident_rca.tables import Tables


def analyse(case: Case, tables: Tables) -> Analysis:
    """Everything that the evidence of a case says; the same for the same evidence, anywhere."""
    seen = observe(case, tables)
    candidates = tuple(c for kind in KINDS for c in kind(seen))
    explained, unexplained = attribute(candidates, seen.outage)
    analysis = Analysis(
        case=case,
        outage=seen.outage,
        baselines=seen.baselines,
        requests=sum(e.requests for e in seen.endpoints),
        failed_requests=sum(t.count for t in seen.error_types),
        endpoints=seen.endpoints,
        error_types=seen.error_types,
        lock_episodes=seen.lock_episodes,
        latency_shifts=seen.latency_shifts,
        pool=seen.pool,
        timeline=build_timeline(seen),
        phases=build_phases(seen, candidates),
        hypotheses=_numbered(ranked(explained)),
        unexplained_seconds=unexplained,
        contradictions=contradictions(seen),
        findings=find_all(seen),
        questions=open_questions(seen, candidates),
        evidence=(),
        evidence_ids={},
    )
    cited = {e.digest: e for e in _cited(analysis)}
    ordered = sorted(cited.values(), key=lambda e: (e.letter, e.at.first, e.digest))
    return replace(analysis, evidence=tuple(ordered), evidence_ids=short_ids(ordered))


def _numbered(hypotheses: Iterable[Hypothesis]) -> tuple[Hypothesis, ...]:
    return tuple(replace(h, id=f"H{rank}", rank=rank) for rank, h in enumerate(hypotheses, start=1))


def _cited(analysis: Analysis) -> Iterator[Evidence]:
    """Every evidence that anything of the analysis cites."""
    citing = (
        *([analysis.outage] if analysis.outage else []),
        *([analysis.pool] if analysis.pool else []),
        *analysis.baselines,
        *analysis.endpoints,
        *analysis.error_types,
        *analysis.lock_episodes,
        *analysis.latency_shifts,
        *analysis.timeline,
        *analysis.phases,
        *analysis.contradictions,
        *analysis.findings,
        *(claim for hypothesis in analysis.hypotheses for claim in hypothesis.claims),
    )
    for item in citing:
        yield from item.evidence
    if analysis.outage:
        yield from analysis.outage.blips

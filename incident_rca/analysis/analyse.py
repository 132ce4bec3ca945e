"""One case's tables -> its Analysis: what was seen, what it says, and what it does not say."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import chain

from incident_rca.analysis.attribution import attribute
from incident_rca.analysis.contradictions import contradictions
from incident_rca.analysis.evidence import short_ids
from incident_rca.analysis.findings import find_all
from incident_rca.analysis.hypotheses import KINDS
from incident_rca.analysis.observations import Observations, observe
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
    requests, failed = _counts(seen)
    analysis = Analysis(
        case=case,
        outage=seen.outage,
        baselines=seen.baselines,
        requests=requests,
        failed_requests=failed,
        failures_not_logged=seen.lacking_log.lacks if seen.lacking_log else 0,
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


def _counts(seen: Observations) -> tuple[int, int]:
    """The requests of the outage and those that failed; without one, those of the window."""
    if seen.outage is None:
        return int(seen.tables.gateway["requests"].sum()), len(seen.tables.failures)
    return sum(e.requests for e in seen.endpoints), sum(t.count for t in seen.error_types)


def _numbered(hypotheses: Iterable[Hypothesis]) -> tuple[Hypothesis, ...]:
    return tuple(replace(h, id=f"H{rank}", rank=rank) for rank, h in enumerate(hypotheses, start=1))


def _cited(analysis: Analysis) -> Iterator[Evidence]:
    """Every evidence that anything of the analysis cites."""
    groups = (
        *(item.evidence for item in (analysis.outage, analysis.pool) if item),
        analysis.outage.blips if analysis.outage else (),
        *(baseline.evidence for baseline in analysis.baselines),
        *(endpoint.evidence for endpoint in analysis.endpoints),
        *(kind.evidence for kind in analysis.error_types),
        *(episode.evidence for episode in analysis.lock_episodes),
        *(shift.evidence for shift in analysis.latency_shifts),
        *(event.evidence for event in analysis.timeline),
        *(phase.evidence for phase in analysis.phases),
        *(contradiction.evidence for contradiction in analysis.contradictions),
        *(finding.evidence for finding in analysis.findings),
        *(claim.evidence for h in analysis.hypotheses for claim in h.claims),
    )
    yield from chain.from_iterable(groups)

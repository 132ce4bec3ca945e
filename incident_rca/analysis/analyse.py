"""One case's tables -> its Analysis: what was seen, what it says, and what it does not say."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from typing import TypeVar

from incident_rca.analysis.attribution import attribute, seconds_of
from incident_rca.analysis.calm import looked_at
from incident_rca.analysis.contradictions import contradictions
from incident_rca.analysis.evidence import short_ids
from incident_rca.analysis.findings import find_all
from incident_rca.analysis.hypotheses import KINDS
from incident_rca.analysis.hypotheses.unknown import of_the_rest
from incident_rca.analysis.observations import Observations, observe
from incident_rca.analysis.outage import longest_waited
from incident_rca.analysis.phases import build_phases
from incident_rca.analysis.questions import open_questions
from incident_rca.analysis.roles import with_roles
from incident_rca.analysis.states import stretches
from incident_rca.analysis.timeline import build_timeline
from incident_rca.analysis.verdicts import Candidate, ranked
from incident_rca.model import (
    Analysis,
    Case,
    Evidence,
    Hypothesis,
    Incident,
    LatencyShift,
    Stretch,
)
from incident_rca.tables import Tables

Item = TypeVar("Item")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Judged:
    """What was seen of one incident, and what is to be said of its causes."""

    seen: Observations
    candidates: tuple[Candidate, ...]
    hypotheses: tuple[Hypothesis, ...]
    unexplained_seconds: float
    states: tuple[Stretch, ...]


def analyse(case: Case, tables: Tables) -> Analysis:
    """Everything that the evidence of a case says; the same for the same evidence, anywhere."""
    return concluded(observe(case, tables))


def concluded(observed: Sequence[Observations]) -> Analysis:
    """What `analyse` says, of what was observed already."""
    judged = tuple(_judged(seen) for seen in observed)
    main, seen = judged[0], judged[0].seen
    requests, failed = _counts(seen)
    hypotheses = _numbered(ranked([h for j in judged for h in j.hypotheses]))
    analysis = Analysis(
        case=seen.case,
        clocks=seen.clocks,
        outage=seen.outage,
        baselines=seen.baselines,
        requests=requests,
        failed_requests=failed,
        failures_not_logged=seen.lacking_log.lacks if seen.lacking_log else 0,
        endpoints=seen.endpoints,
        error_types=seen.error_types,
        lock_episodes=_together(j.seen.lock_episodes for j in judged),
        latency_shifts=_by_height(
            _together((*j.seen.latency_shifts, *j.seen.other_shifts) for j in judged)
        ),
        pool=seen.pool,
        starvations=_together(j.seen.starvations for j in judged),
        timeline=build_timeline(tuple(j.seen for j in judged)),
        phases=build_phases(seen, main.candidates),
        other_incidents=tuple(_incident(j) for j in judged[1:]),
        hypotheses=hypotheses,
        unexplained_seconds=main.unexplained_seconds,
        states=tuple(_named(s, hypotheses) for j in judged for s in j.states),
        looked_at=looked_at(seen),
        contradictions=_together(contradictions(j.seen) for j in judged),
        findings=_together(find_all(j.seen) for j in judged),
        questions=_together(open_questions(j.seen, j.candidates) for j in judged),
        evidence=(),
        evidence_ids={},
    )
    cited = {e.digest: e for e in _cited(analysis)}
    ordered = sorted(cited.values(), key=lambda e: (e.letter, e.at.first, e.digest))
    return replace(analysis, evidence=tuple(ordered), evidence_ids=short_ids(ordered))


def _judged(seen: Observations) -> _Judged:
    """The hypotheses of every kind about one incident, with their roles and their seconds."""
    found = tuple(c for kind in KINDS for c in kind(seen))
    candidates = with_roles(
        found, seen.outage.end.hi if seen.outage else None, longest_waited(seen.tables, seen.outage)
    )
    explained, unexplained = attribute(candidates, seen.outage)
    rest = of_the_rest(seen, candidates, unexplained)
    hypotheses = tuple(
        replace(h, incident=seen.incident) for h in (*explained, *(c.hypothesis for c in rest))
    )
    return _Judged(
        seen=seen,
        candidates=(*candidates, *rest),
        hypotheses=hypotheses,
        unexplained_seconds=unexplained,
        states=stretches(seen, seconds_of(candidates, seen.outage), hypotheses),
    )


def _incident(judged: _Judged) -> Incident:
    seen = judged.seen
    assert seen.outage is not None
    requests, failed = _counts(seen)
    return Incident(
        number=seen.incident,
        outage=seen.outage,
        requests=requests,
        failed_requests=failed,
        endpoints=seen.endpoints,
        error_types=seen.error_types,
        unexplained_seconds=judged.unexplained_seconds,
    )


def _counts(seen: Observations) -> tuple[int, int]:
    """The requests of the outage and those that failed; without one, those of the window."""
    if seen.outage is None:
        return int(seen.tables.gateway["requests"].sum()), len(seen.tables.failures)
    return sum(e.requests for e in seen.endpoints), sum(t.count for t in seen.error_types)


def _together(groups: Iterable[Iterable[Item]]) -> tuple[Item, ...]:
    """All items, each once, in their order."""
    return tuple(dict.fromkeys(chain.from_iterable(groups)))


def _by_height(shifts: tuple[LatencyShift, ...]) -> tuple[LatencyShift, ...]:
    """The latency shifts as they are listed: highest first, those of one series by time."""
    return tuple(sorted(shifts, key=lambda s: (-s.plateau_ms, s.service, s.method, s.onset.middle)))


def _numbered(hypotheses: Iterable[Hypothesis]) -> tuple[Hypothesis, ...]:
    return tuple(replace(h, id=f"H{rank}", rank=rank) for rank, h in enumerate(hypotheses, start=1))


def _named(stretch: Stretch, hypotheses: Iterable[Hypothesis]) -> Stretch:
    """The stretch with its cause as it is ranked."""
    cause = stretch.cause
    named = (h for h in hypotheses if cause and replace(h, id=cause.id, rank=cause.rank) == cause)
    return replace(stretch, cause=next(named, None))


def _cited(analysis: Analysis) -> Iterator[Evidence]:
    """Every evidence that anything of the analysis cites."""
    others = analysis.other_incidents
    groups = (
        *(item.evidence for item in (analysis.outage, analysis.pool) if item),
        analysis.outage.blips if analysis.outage else (),
        *(incident.outage.evidence for incident in others),
        analysis.looked_at,
        *(baseline.evidence for baseline in analysis.baselines),
        *(endpoint.evidence for endpoint in analysis.endpoints),
        *(endpoint.evidence for incident in others for endpoint in incident.endpoints),
        *(kind.evidence for kind in analysis.error_types),
        *(kind.evidence for incident in others for kind in incident.error_types),
        *(episode.evidence for episode in analysis.lock_episodes),
        *(shift.evidence for shift in analysis.latency_shifts),
        *(starvation.evidence for starvation in analysis.starvations),
        *(event.evidence for event in analysis.timeline),
        *(phase.evidence for phase in analysis.phases),
        *(state.evidence for stretch in analysis.states for state in stretch.states),
        *(contradiction.evidence for contradiction in analysis.contradictions),
        *(finding.evidence for finding in analysis.findings),
        *(claim.evidence for h in analysis.hypotheses for claim in h.claims),
    )
    yield from chain.from_iterable(groups)

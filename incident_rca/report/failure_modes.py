"""The ways to fail that are known here: which were seen, which were not, what cannot be told."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from incident_rca.analysis.verdicts import decides
from incident_rca.model import (
    Analysis,
    Evidence,
    Hypothesis,
    Kind,
    Role,
    Stance,
    Verdict,
)
from incident_rca.report.cascade import starved_in
from incident_rca.report.numbers import grouped
from incident_rca.report.summary import support_of
from incident_rca.report.wording import KIND_NAMES, ROLE_NAMES, explains

_KINDS = tuple((kind, name) for kind, name in KIND_NAMES.items() if kind is not Kind.UNKNOWN)


@dataclass(frozen=True, slots=True)
class Mode:
    """One way to fail, what part it had, and what says so."""

    name: str
    part: str
    reason: str
    evidence: tuple[Evidence, ...]


def failure_modes(analysis: Analysis) -> tuple[Mode, ...]:
    """A row for each kind that was judged, best first within it, then for what outages do."""
    if analysis.outage is None:
        return ()
    return (*_judged(analysis), *_patterns(analysis))


def not_judged(analysis: Analysis) -> tuple[str, ...]:
    """The kinds of which no hypothesis about the largest outage was made."""
    judged = {h.kind for h in analysis.hypotheses if h.incident == 1}
    return tuple(name for kind, name in _KINDS if kind not in judged)


def _judged(analysis: Analysis) -> Iterator[Mode]:
    for kind, name in _KINDS:
        ranked = [h for h in analysis.hypotheses if h.kind is kind and h.incident == 1]
        if ranked:
            reason, evidence = _reason(ranked[0])
            yield Mode(name, _part(ranked[0]), f"{ranked[0].id}: {reason}", evidence)


def _part(hypothesis: Hypothesis) -> str:
    role = ROLE_NAMES[hypothesis.role]
    return {
        Verdict.SUPPORTED: f"yes, {role}",
        Verdict.WEAK: f"perhaps, {role}",
        Verdict.INSUFFICIENT: "not known",
        Verdict.CONTRADICTED: "none, coincident" if hypothesis.role is Role.COINCIDENT else "none",
    }[hypothesis.verdict]


def _reason(hypothesis: Hypothesis) -> tuple[str, tuple[Evidence, ...]]:
    """What decided: the claim that speaks against it, else what it says."""
    against = [c for c in hypothesis.claims if c.stance is Stance.AGAINST and decides(c)]
    if hypothesis.verdict is Verdict.CONTRADICTED and against:
        return against[0].text, against[0].evidence
    return hypothesis.statement, support_of(hypothesis)


def _patterns(analysis: Analysis) -> Iterator[Mode]:
    """What any of these may come with: an outage that outlasts its cause, comes back, starves."""
    outage = analysis.outage
    if outage is None:
        return
    for h in analysis.hypotheses:
        if h.role is Role.SUSTAINER and h.incident == 1 and h.explains_seconds:
            told = f"{h.id} explains {explains(analysis, h.explains_seconds)}"
            yield Mode("an outage that outlasts its trigger", "yes", told, support_of(h))
    for s in starved_in(analysis, outage):
        told = f"{s.name}: {grouped(round(s.per_minute, 1))} a minute, usually "
        told += grouped(round(s.usual_per_minute, 1))
        yield Mode("requests that stop coming", "yes", told, s.evidence)
    for other in analysis.other_incidents:
        told = f"outage {other.number}: {grouped(other.failed_requests)} requests failed"
        yield Mode("another outage in the window", "yes", told, other.outage.evidence)
    for blip in outage.blips[:1]:
        more = sum(b.count for b in outage.blips) - blip.count
        told = blip.seen + (f", and {grouped(more)} more" if more else "")
        yield Mode("single requests that fail apart from it", "yes", told, outage.blips)

"""Sentences made of what the analysis says already: claims, statements, events; each cites."""

from __future__ import annotations

from collections.abc import Iterable

from incident_rca.analysis.roles import HOLDS
from incident_rca.model import (
    Analysis,
    Basis,
    Claim,
    Event,
    Evidence,
    Hypothesis,
    Role,
    Stance,
    Verdict,
)
from incident_rca.redact import plain
from incident_rca.report.contract import numbered_claims
from incident_rca.report.summary import Sentence, support_of
from incident_rca.report.wording import KIND_NAMES, Clock, as_sentence

LIMIT = 600
CAUSES = (Role.TRIGGER, Role.SUSTAINER, Role.CONTRIBUTING)
TELLING = (*CAUSES, Role.SYMPTOM)
ASIDE = (Role.COINCIDENT, Role.RULED_OUT)


def of_statement(hypothesis: Hypothesis, lead: str = "") -> Sentence:
    """What a hypothesis says behind a `lead` of ours, with its id, and its verdict where it holds.

    What is contradicted states what is the case instead.
    """
    said = (as_sentence(plain(hypothesis.statement, LIMIT)), hypothesis.id)
    is_denied = hypothesis.verdict is Verdict.CONTRADICTED
    verdict = "" if is_denied else f", {hypothesis.verdict.value}"
    return Sentence(f"{lead}{{}} ({{}}{verdict})", said, support_of(hypothesis))


def of_name(hypothesis: Hypothesis, lead: str) -> Sentence:
    """A hypothesis by its id, kind and object behind a `lead` of ours."""
    named = (hypothesis.id, KIND_NAMES[hypothesis.kind], plain(hypothesis.object, LIMIT))
    return Sentence(f"{lead}{{}} ({{}}, {{}}).", named, support_of(hypothesis))


def of_claims(
    hypothesis: Hypothesis, *aspects: str, stance: Stance | None = None
) -> list[Sentence]:
    """The claims of a hypothesis about `aspects`, in its order, each with its number."""
    return [
        of_claim(number, claim)
        for number, claim in numbered_claims(hypothesis)
        if claim.aspect in aspects and stance in (None, claim.stance)
    ]


def of_claim(number: str, claim: Claim) -> Sentence:
    """One claim with its number, and its basis where it was not observed."""
    basis = "" if claim.basis is Basis.OBSERVED else f", {claim.basis.value}"
    said = as_sentence(plain(claim.text, LIMIT))
    return Sentence(f"{{}} ({{}}{basis})", (said, number), claim.evidence)


def of_event(clock: Clock, event: Event) -> Sentence:
    """When it was and what: `14:27:00: the lock on … is released.`"""
    said = (clock.span(event.at), as_sentence(plain(event.title, LIMIT)))
    return Sentence("{}: {}", said, event.evidence)


def told_about(analysis: Analysis, *roles: Role) -> frozenset[Evidence]:
    """What the hypotheses about the largest outage cite that are of `roles` and hold.

    A candidate trigger or sustainer of which too little is known is told too, with its verdict.
    """
    return frozenset(
        evidence
        for h in analysis.hypotheses
        if h.incident == 1 and h.role in roles and (h.verdict in HOLDS or _is_open(h))
        for claim in h.claims
        for evidence in claim.evidence
    )


def _is_open(hypothesis: Hypothesis) -> bool:
    is_candidate = hypothesis.role in (Role.TRIGGER, Role.SUSTAINER)
    return is_candidate and hypothesis.verdict is Verdict.INSUFFICIENT


def of_kinds(analysis: Analysis, cited: Iterable[Evidence], *kinds: str) -> tuple[Event, ...]:
    """The events of `kinds` that rest on `cited`, in the order of the timeline."""
    known = frozenset(cited)
    return tuple(e for e in analysis.timeline if e.kind in kinds and known & set(e.evidence))

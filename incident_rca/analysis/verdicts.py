"""The one place where a verdict is decided: DESIGN's rules, as they stand in the README's table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from incident_rca.model import (
    INDEPENDENT_SYSTEMS,
    Aspect,
    Basis,
    Claim,
    Hypothesis,
    Role,
    Stance,
    Verdict,
)

FEWEST_SYSTEMS = 2
# An order claim against is only made where the order is separable and wrong.
DECISIVE = frozenset({Aspect.PATH, Aspect.MECHANISM, Aspect.ORDER})


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A hypothesis and, where it can explain failures, when its state held."""

    hypothesis: Hypothesis
    active: tuple[datetime, datetime | None] | None = None


def verdict_of(claims: Sequence[Claim], *, needs_are_met: bool) -> Verdict:
    """The verdict that these claims allow.

    `contradicted`: a claim against its path or mechanism, or an order that is separable and wrong.
    `insufficient`: a source that it needs is not ok, or more than one of the three is missing.
    `supported`: a path and a mechanism claim with basis observed, for-claims from two systems.
    `weak`: exactly one of these three is missing.
    """
    if any(c.stance is Stance.AGAINST and c.aspect in DECISIVE for c in claims):
        return Verdict.CONTRADICTED
    if not needs_are_met:
        return Verdict.INSUFFICIENT
    favourable = [c for c in claims if c.stance is Stance.FOR]
    observed = {c.aspect for c in favourable if c.basis is Basis.OBSERVED}
    systems = {e.system for c in favourable for e in c.evidence} & INDEPENDENT_SYSTEMS
    missing = [
        Aspect.PATH not in observed,
        Aspect.MECHANISM not in observed,
        len(systems) < FEWEST_SYSTEMS,
    ].count(True)
    return (Verdict.SUPPORTED, Verdict.WEAK, Verdict.INSUFFICIENT)[min(missing, 2)]


def ranked(candidates: Sequence[Hypothesis]) -> tuple[Hypothesis, ...]:
    """The hypotheses by verdict, then role, then seconds explained; stable on any machine."""
    verdicts, roles = list(Verdict), list(Role)
    return tuple(
        sorted(
            candidates,
            key=lambda h: (
                verdicts.index(h.verdict),
                roles.index(h.role),
                -h.explains_seconds,
                h.kind,
                h.object,
            ),
        )
    )

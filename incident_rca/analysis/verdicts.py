"""The one place where a verdict is decided: DESIGN's rules, as they stand in the README's table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from incident_rca.model import (
    INDEPENDENT_SYSTEMS,
    Aspect,
    Basis,
    Claim,
    Hypothesis,
    Kind,
    Role,
    Stance,
    System,
    Verdict,
)

FEWEST_SYSTEMS = 2
# An order claim against is only made where the order is separable and wrong.
DECISIVE = frozenset({Aspect.PATH, Aspect.MECHANISM, Aspect.ORDER})
# The rule in words, as the README's table shows it; tests/test_readme.py holds the two together.
WHEN: Mapping[Verdict, str] = {
    Verdict.SUPPORTED: "a path and a mechanism were observed, claims for it cite at least two "
    "systems, nothing speaks against path or mechanism",
    Verdict.WEAK: "exactly one of these three is missing (an inferred topology counts as a missing "
    "path)",
    Verdict.INSUFFICIENT: "more is missing, or a source that it needs is not complete",
    Verdict.CONTRADICTED: "a claim against its path or mechanism, or an order in time that is "
    "separable and wrong",
}
# Kinds of which only the server's log or the recorder can tell.
_OF_POSTGRES = frozenset({Kind.LOCK_BLOCKING, Kind.DEADLOCK})


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A hypothesis and what its role depends on.

    `active` is when its state held, where it can explain failures; `service` and `routes` (names of
    failing endpoints) are what its path leads to. `hidden` says why something deeper may be behind
    it that could not be seen, "" where nothing can be. `unsettled` are orders that could not be
    told, as questions with what would settle them.
    """

    hypothesis: Hypothesis
    active: tuple[datetime, datetime | None] | None = None
    service: str = ""
    routes: frozenset[str] = frozenset()
    hidden: str = ""
    unsettled: tuple[str, ...] = ()


def verdict_of(claims: Sequence[Claim], *, needs_are_met: bool) -> Verdict:
    """The verdict that these claims allow, by the rule that WHEN has in words.

    A claim against decides before a source that is missing, and that before what is there.
    """
    if any(decides(c) for c in claims):
        return Verdict.CONTRADICTED
    if not needs_are_met:
        return Verdict.INSUFFICIENT
    missing = len(_missing(claims))
    return (Verdict.SUPPORTED, Verdict.WEAK, Verdict.INSUFFICIENT)[min(missing, 2)]


def decides(claim: Claim) -> bool:
    """Whether a claim alone contradicts what it is about."""
    return claim.stance is Stance.AGAINST and claim.aspect in DECISIVE


def _missing(claims: Sequence[Claim]) -> tuple[str, ...]:
    """Which of the three parts of `supported` these claims lack: `path`, `mechanism`, `systems`."""
    favourable = [c for c in claims if c.stance is Stance.FOR]
    observed = {c.aspect for c in favourable if c.basis is Basis.OBSERVED}
    systems = {e.system for c in favourable for e in c.evidence} & INDEPENDENT_SYSTEMS
    parts = (
        ("path", Aspect.PATH not in observed),
        ("mechanism", Aspect.MECHANISM not in observed),
        ("systems", len(systems) < FEWEST_SYSTEMS),
    )
    return tuple(name for name, lacks in parts if lacks)


def what_would_change(hypothesis: Hypothesis) -> tuple[str, ...]:
    """What evidence would change the verdict, one sentence a part of the rule.

    It follows from the rule alone, so it never asks for what is there.
    """
    claims, verdict = hypothesis.claims, hypothesis.verdict
    if verdict is Verdict.CONTRADICTED:
        return tuple(
            f"Evidence that this is not so: {c.text}. It speaks against its {c.aspect}."
            for c in claims
            if decides(c)
        )
    missing = _missing(claims)
    wanted = [_WANTED[name] for name in missing]
    if verdict is Verdict.INSUFFICIENT and len(missing) < 2:
        wanted.append("A whole answer of each source that this kind needs.")
    if verdict is Verdict.SUPPORTED:
        wanted = [
            "A claim against its path or mechanism, or an order that is separable and wrong, "
            "would contradict it."
        ]
        if len(hypothesis.systems) == FEWEST_SYSTEMS:
            lost = " or ".join(SYSTEM_NAMES[s] for s in hypothesis.systems)
            wanted.append(f"Without what {lost} shows it would be weak.")
    elif hypothesis.kind in _OF_POSTGRES and System.POSTGRES not in hypothesis.systems:
        wanted.append("A lock recording or the server's log of the window.")
    return tuple(wanted)


SYSTEM_NAMES: Mapping[System, str] = {
    System.POSTGRES: "PostgreSQL",
    System.GRPC_METRICS: "the gRPC metrics",
    System.GATEWAY: "the gateway",
    System.CHANGES: "the changes",
    System.SETTINGS: "the settings",
}
_WANTED = {
    "path": (
        "A path that is stated or seen: the lines of the topology, or a trace id that both a "
        "failed request and what is blamed here carry."
    ),
    "mechanism": (
        "Rows that show how it made requests fail: modes that conflict, calls that hung or ended "
        "with the codes this kind produces."
    ),
    "systems": "The same seen by a second system: PostgreSQL, the gRPC metrics or the gateway.",
}


def ranked(candidates: Sequence[Hypothesis]) -> tuple[Hypothesis, ...]:
    """The hypotheses by incident, verdict, role, then seconds explained; stable on any machine."""
    verdicts, roles = list(Verdict), list(Role)
    return tuple(
        sorted(
            candidates,
            key=lambda h: (
                h.incident,
                verdicts.index(h.verdict),
                roles.index(h.role),
                -h.explains_seconds,
                h.kind,
                h.object,
            ),
        )
    )

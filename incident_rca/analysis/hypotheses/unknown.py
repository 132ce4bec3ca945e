"""`unknown`: what none of the other hypotheses explains, and what is missing to explain it."""

from __future__ import annotations

from collections.abc import Sequence

from incident_rca.analysis.evidence import source_as_evidence
from incident_rca.analysis.hypotheses.claims import claim_against, claim_for
from incident_rca.analysis.observations import Observations
from incident_rca.analysis.roles import HOLDS
from incident_rca.analysis.verdicts import Candidate, verdict_of
from incident_rca.model import (
    Aspect,
    Basis,
    Claim,
    ErrorBurst,
    Evidence,
    Hypothesis,
    Kind,
    Role,
    SourceState,
)

OBJECT = "something that is not recorded here"
# Seconds at the edges that clocks and buckets leave open are nobody's.
EDGE_SECONDS = 5.0
EDGE_SHARE = 0.05


def of_the_rest(
    seen: Observations, candidates: Sequence[Candidate], unexplained: float
) -> tuple[Candidate, ...]:
    """The candidate for what is left; ruled out where a trigger holds and nothing is left."""
    outage = seen.outage
    if outage is None:
        return _of_silence(seen)
    triggers = [
        c for c in candidates if c.hypothesis.role is Role.TRIGGER and c.hypothesis.verdict in HOLDS
    ]
    is_rest = unexplained > max(EDGE_SECONDS, EDGE_SHARE * outage.duration_seconds)
    if triggers and not is_rest:
        return (_ruled_out(outage, triggers),)
    claims = [_open(outage, unexplained, has_trigger=bool(triggers))]
    claims += [claim_against(Aspect.ABSENCE, text, cited) for text, cited in _unseen(seen)]
    claims += [_hidden(c) for c in candidates if c.hidden and c.hypothesis.verdict in HOLDS]
    return (
        _candidate(
            Role.CONTRIBUTING,
            claims,
            "What started the outage is not in this evidence."
            if not triggers
            else f"{unexplained:,.0f} s of the outage are explained by nothing in this evidence.",
        ),
    )


def _of_silence(seen: Observations) -> tuple[Candidate, ...]:
    """The candidate for requests that stopped coming while none failed; none if all came."""
    if not seen.starvations:
        return ()
    names = ", ".join(dict.fromkeys(s.name for s in seen.starvations))
    cited = tuple(e for s in seen.starvations for e in s.evidence)
    text = (
        f"requests of {names} stopped coming and none failed: nobody asked, or what was asked "
        "hung and was never logged. A log of the requests cannot tell the two apart"
    )
    claims = [claim_for(Aspect.ABSENCE, text, cited, basis=Basis.INFERRED)]
    claims += [claim_against(Aspect.ABSENCE, why, about) for why, about in _unseen(seen)]
    statement = f"What made the requests of {names} stop is not known from this log alone."
    return (_candidate(Role.CONTRIBUTING, claims, statement),)


def _candidate(role: Role, claims: Sequence[Claim], statement: str) -> Candidate:
    return Candidate(
        hypothesis=Hypothesis(
            kind=Kind.UNKNOWN,
            object=OBJECT,
            role=role,
            verdict=verdict_of(claims, needs_are_met=role is Role.RULED_OUT),
            statement=statement,
            claims=tuple(claims),
            confirm_by="Collect what is named as missing, and look for what else changed then.",
        )
    )


def _ruled_out(outage: ErrorBurst, triggers: Sequence[Candidate]) -> Candidate:
    names = " and ".join(f"{c.hypothesis.kind} ({c.hypothesis.object})" for c in triggers)
    cited = tuple(e for c in triggers for e in c.hypothesis.claims[0].evidence)
    text = f"{names} and what it left behind explain each second of the outage, but for its edges"
    claims = (claim_against(Aspect.MECHANISM, text, cited, outage.evidence),)
    return _candidate(Role.RULED_OUT, claims, "Nothing else is needed to explain the outage.")


def _open(outage: ErrorBurst, unexplained: float, *, has_trigger: bool) -> Claim:
    length = f"{unexplained:,.0f} of {outage.duration_seconds:,.0f} s"
    text = f"{length} of the outage go to no cause that holds"
    if not has_trigger:
        text += ", and none that holds can have started it"
    return claim_for(Aspect.ABSENCE, text, outage.evidence, basis=Basis.INFERRED)


def _unseen(seen: Observations) -> list[tuple[str, tuple[Evidence, ...]]]:
    """The sources that could have shown it and did not answer in full."""
    return [
        (
            f"{s.name} ({s.system}) is {s.state}: {s.reason or 'no reason recorded'}",
            source_as_evidence(seen.case, s),
        )
        for s in seen.case.sources
        if s.state not in (SourceState.OK, SourceState.EMPTY)
    ]


def _hidden(candidate: Candidate) -> Claim:
    hypothesis = candidate.hypothesis
    text = f"{hypothesis.kind} ({hypothesis.object}) holds, but {candidate.hidden}"
    return claim_against(Aspect.ABSENCE, text, hypothesis.claims[0].evidence)

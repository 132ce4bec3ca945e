"""Short forms to make claims, and the one for evidence that was not collected."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import TypeAlias

from incident_rca.analysis.coverage import Hole
from incident_rca.analysis.evidence import setting_as_evidence, source_as_evidence
from incident_rca.analysis.observations import Observations
from incident_rca.analysis.paths import DependencyPath
from incident_rca.analysis.verdicts import SYSTEM_NAMES, Candidate, verdict_of
from incident_rca.model import (
    Aspect,
    Basis,
    Claim,
    Evidence,
    Hypothesis,
    Kind,
    Role,
    SourceState,
    Span,
    Stance,
    System,
)

Candidates: TypeAlias = tuple[Candidate, ...]


def claim_for(
    aspect: Aspect, text: str, *evidence: tuple[Evidence, ...], basis: Basis = Basis.OBSERVED
) -> Claim:
    """A claim for a hypothesis, citing each group of evidence once."""
    return _claim(Stance.FOR, aspect, text, evidence, basis)


def claim_against(
    aspect: Aspect, text: str, *evidence: tuple[Evidence, ...], basis: Basis = Basis.OBSERVED
) -> Claim:
    """A claim against a hypothesis, citing each group of evidence once."""
    return _claim(Stance.AGAINST, aspect, text, evidence, basis)


def _claim(
    stance: Stance,
    aspect: Aspect,
    text: str,
    groups: tuple[tuple[Evidence, ...], ...],
    basis: Basis,
) -> Claim:
    cited = tuple(dict.fromkeys(item for group in groups for item in group))
    return Claim(text=text, stance=stance, aspect=aspect, basis=basis, evidence=cited)


def not_recorded(
    seen: Observations, kind: Kind, thing: str, system: System, confirm_by: str
) -> Candidate:
    """The hypothesis of a kind that nothing was collected for: not supported, not ruled out."""
    sources = [s for s in seen.sources_of(system) if s.state is not SourceState.OK]
    cited = tuple(e for s in sources for e in source_as_evidence(seen.case, s))
    text = f"{SYSTEM_NAMES[system]} did not answer in full"
    if not cited:
        cited = setting_as_evidence(seen.case, f"no source of {system} holds it")
        text = f"nothing that {SYSTEM_NAMES[system]} recorded here tells of {thing}"
    return _not_known(kind, thing, confirm_by, text, cited)


def not_covered(
    seen: Observations, kind: Kind, thing: str, holes: Sequence[Hole], confirm_by: str
) -> Candidate:
    """The hypothesis of a kind whose series leave out the outage, or the onset of it."""
    text = f"not recorded of the outage: {'; '.join(hole.in_words for hole in holes)}"
    cited = tuple(e for hole in holes for e in hole.evidence)
    cited += seen.outage.evidence if seen.outage else ()
    return _not_known(kind, thing, confirm_by, text, cited)


def not_compared(seen: Observations, kind: Kind, thing: str, confirm_by: str) -> Candidate:
    """The hypothesis of a rise where the outage began before the record: usual is not known."""
    text = "what is usual is not recorded, as the outage had begun before the first request was"
    cited = seen.outage.evidence if seen.outage else ()
    return _not_known(kind, thing, confirm_by, text, cited)


def lacks_number(claims: Sequence[Claim]) -> bool:
    """Whether too few of what would explain the failures were seen, though more may have been."""
    return any(c.stance is Stance.AGAINST and c.aspect is Aspect.DOSE for c in claims)


def _not_known(
    kind: Kind, thing: str, confirm_by: str, text: str, cited: tuple[Evidence, ...]
) -> Candidate:
    text += ": not recorded is not the same as did not happen"
    claims = (claim_against(Aspect.ABSENCE, text, cited),)
    return Candidate(
        hypothesis=Hypothesis(
            kind=kind,
            object=thing,
            role=Role.CONTRIBUTING,
            verdict=verdict_of(claims, needs_are_met=False),
            statement=f"Whether {thing} had a part cannot be said from this evidence.",
            claims=claims,
            confirm_by=confirm_by,
        )
    )


def ruled_out(kind: Kind, thing: str, statement: str, confirm_by: str, *claims: Claim) -> Candidate:
    """The hypothesis of a kind that the evidence speaks against."""
    return Candidate(
        hypothesis=Hypothesis(
            kind=kind,
            object=thing,
            role=Role.RULED_OUT,
            verdict=verdict_of(claims, needs_are_met=True),
            statement=statement,
            claims=claims,
            confirm_by=confirm_by,
        )
    )


def by_path(
    seen: Observations, what: str, path: DependencyPath | None, cited: tuple[Evidence, ...]
) -> list[Claim]:
    """Whether `what` is behind a failing route; nothing where that is not known."""
    if path is not None and path.failing:
        routes = (e.evidence for e in path.failing)
        text = f"{what} is behind {path.in_words}"
        if path.names(what):
            wait = "waits" if len(path.failing) == 1 else "wait"
            text = f"{what} is what {path.routes_in_words} {wait} for"
        return [claim_for(Aspect.PATH, text, cited, *routes, path.evidence, basis=path.basis)]
    if seen.outage is None or not seen.knows_what_failed:
        return []
    text = f"no failing route depends on {what}"
    return [claim_against(Aspect.PATH, text, cited, *(e.evidence for e in seen.failing))]


def ended_together(
    seen: Observations,
    what: str,
    end: Span,
    *evidence: tuple[Evidence, ...],
    slack: timedelta,
) -> list[Claim]:
    """What the release of a state says of it: failures must end with it, or it did not keep them.

    Nothing while it has not ended. `slack` is how long after the last failing arrival the state may
    still be seen to end: that request's own time and what its source resolves.
    """
    outage = seen.outage
    if outage is None or outage.end.lo is None or end.hi is None or outage.ongoing:
        return []
    cited = (*evidence, outage.evidence)
    after = (outage.end.lo - end.hi).total_seconds()
    if after > slack.total_seconds():
        text = f"{what}, and requests that arrived up to {after:,.0f} s later failed as well"
        return [claim_against(Aspect.RECOVERY, text, *cited)]
    before = (end.first - outage.end.lo).total_seconds()
    if before > slack.total_seconds():
        text = f"{what} only {before:,.0f} s after the last failing request had arrived"
        return [claim_against(Aspect.RECOVERY, text, *cited)]
    return [claim_for(Aspect.RECOVERY, f"{what} when the failures ended", *cited)]

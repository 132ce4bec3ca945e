"""`change`: a migration, deployment or setting that was changed shortly before."""

from __future__ import annotations

from incident_rca.analysis.changes import Change
from incident_rca.analysis.clocks import Sequence
from incident_rca.analysis.hypotheses.claims import claim_against, claim_for
from incident_rca.analysis.hypotheses.orders import Moment, order_between, order_claims
from incident_rca.analysis.observations import Observations
from incident_rca.analysis.paths import path_from_service
from incident_rca.analysis.traced import path_of_lock
from incident_rca.analysis.verdicts import Candidate, verdict_of
from incident_rca.model import (
    Aspect,
    Basis,
    Claim,
    Hypothesis,
    Kind,
    LockEpisode,
    Role,
    System,
)


def hypotheses(seen: Observations) -> tuple[Candidate, ...]:
    """One candidate a change that began before the last failure."""
    until = seen.outage.end.lo if seen.outage else None
    return tuple(
        _candidate(seen, change)
        for change in seen.changes
        if until is None or change.start.first <= until
    )


def _candidate(seen: Observations, change: Change) -> Candidate:
    episode = _episode_of(seen, change)
    claims = _by_lock(seen, change, episode) if episode else _by_service(seen, change)
    return Candidate(
        hypothesis=Hypothesis(
            kind=Kind.CHANGE,
            object=change.name,
            role=Role.CONTRIBUTING if episode else Role.COINCIDENT,
            verdict=verdict_of(claims, needs_are_met=seen.has_requests()),
            statement=(
                f"{change.title}: the sessions of {change.application} held the lock above."
                if episode
                else f"{change.title} ({change.service or 'no service'}) happened in the window."
            ),
            claims=claims,
            confirm_by="Read what the change ran or shipped, and what it touched.",
        )
    )


def _episode_of(seen: Observations, change: Change) -> LockEpisode | None:
    """The lock that this change's own application held while the change ran."""
    for episode in seen.lock_episodes:
        if not change.application or episode.root_holder.application != change.application:
            continue
        held = Moment(episode.held_end, System.POSTGRES, episode.end_evidence)
        order = order_between(seen, held, Moment(change.start, System.CHANGES, change.evidence))
        if order.sequence is not Sequence.BEFORE:
            return episode
    return None


def _by_lock(seen: Observations, change: Change, episode: LockEpisode) -> tuple[Claim, ...]:
    path = path_of_lock(seen, episode)
    failing = path.failing if path else ()
    claims = [
        claim_for(
            Aspect.PATH,
            f"pid {episode.root_holder.pid}, which held the lock on {episode.relation}, gave the "
            f"application name {change.application} of this change",
            change.evidence,
            episode.start_evidence,
            *(e.evidence for e in failing),
        ),
        claim_for(
            Aspect.MECHANISM,
            "the change blocks nothing itself: what it did is the lock above, tied to it by the "
            "application's name",
            change.evidence,
            episode.start_evidence,
            basis=Basis.INFERRED,
        ),
    ]
    claims += order_claims(
        seen,
        "it began before the lock was taken, by at least {margin}",
        Moment(change.start, System.CHANGES, change.evidence),
        Moment(episode.held_start, System.POSTGRES, episode.start_evidence),
    )
    return tuple(claims)


def _by_service(seen: Observations, change: Change) -> tuple[Claim, ...]:
    path = path_from_service(seen, change.service) if change.service else None
    failing = tuple(e for e in seen.failing)
    if path is not None and path.failing:
        text = f"{change.service} is behind {path.in_words}"
        cited = (change.evidence, *(e.evidence for e in path.failing), path.evidence)
        return (claim_for(Aspect.PATH, text, *cited, basis=path.basis),)
    if seen.knows_what_failed and failing:
        text = f"no failing route depends on {change.service or 'what was changed'}"
        return (claim_against(Aspect.PATH, text, change.evidence, *(e.evidence for e in failing)),)
    return (
        claim_against(
            Aspect.ABSENCE,
            f"no path is known from {change.service or 'this change'} to what failed",
            change.evidence,
        ),
    )

"""`lock_blocking`: a session held a lock that the failing requests' sessions had to wait for."""

from __future__ import annotations

from datetime import datetime, timedelta

from incident_rca.analysis.clocks import Sequence, order_of
from incident_rca.analysis.hypotheses.claims import (
    at_another_time,
    claim_against,
    claim_for,
)
from incident_rca.analysis.hypotheses.lock_absence import LOCK_SOURCES, without_episodes
from incident_rca.analysis.hypotheses.lock_mechanism import mechanism
from incident_rca.analysis.lock_words import held_in, who
from incident_rca.analysis.names import counted
from incident_rca.analysis.observations import Observations
from incident_rca.analysis.paths import DependencyPath, path_from_relation
from incident_rca.analysis.verdicts import Candidate, verdict_of
from incident_rca.model import (
    Aspect,
    Claim,
    Hypothesis,
    Impact,
    Kind,
    LockEpisode,
    Role,
    Span,
    Stance,
    System,
)

# Waiting sessions and failing requests are counted by different systems at different instants.
DOSE_TOLERANCE = 0.05
# A span this narrow is taken at its middle; of a wider one only the certain end counts.
NARROW = timedelta(seconds=5)
CONFIRM_BY = (
    "Ask who ran the statement and when it was cancelled or finished; on a copy, run it beside one "
    "insert and read pg_blocking_pids()."
)


def hypotheses(seen: Observations) -> tuple[Candidate, ...]:
    """One candidate a lock episode; the one with a path and most waiting is the trigger."""
    if not seen.lock_episodes:
        return without_episodes(seen)
    found: list[Candidate] = []
    for episode in seen.lock_episodes:
        path = path_from_relation(seen, episode.relation, episode.waiter_applications)
        has_trigger = any(c.hypothesis.role is Role.TRIGGER for c in found)
        found.append(_candidate(seen, episode, path, has_trigger=has_trigger))
    return tuple(found)


def _candidate(
    seen: Observations, episode: LockEpisode, path: DependencyPath | None, *, has_trigger: bool
) -> Candidate:
    holder = episode.root_holder
    needs = seen.is_recorded(*LOCK_SOURCES) and seen.has_requests()
    if path is None or not path.failing:
        claims: tuple[Claim, ...] = (
            _no_path(seen, episode),
            mechanism(episode, is_guess=_is_guess(seen, episode)),
        )
        role = Role.COINCIDENT if seen.outage else Role.CONTRIBUTING
    else:
        claims = tuple(_claims(seen, episode, path))
        wrong = any(c.stance is Stance.AGAINST and c.aspect is Aspect.ORDER for c in claims)
        wrong = wrong or _is_last_seen_before(seen, episode)
        role = Role.CONTRIBUTING if wrong or has_trigger else Role.TRIGGER
    what = held_in(episode, explained=True)
    circle = "; they waited for each other in a circle" if episode.deadlocked else ""
    sessions = counted(episode.peak_waiters, "session")
    return Candidate(
        hypothesis=Hypothesis(
            kind=Kind.LOCK_BLOCKING,
            object=episode.object,
            role=role,
            verdict=verdict_of(claims, needs_are_met=needs),
            statement=(
                f"{who(holder)} held {what} for {_quoted(holder.statement)}; up to {sessions} "
                f"waited{f' for {episode.relation}' if episode.root_relation else ''} behind "
                f"it{circle}."
            ),
            claims=claims,
            confirm_by=CONFIRM_BY,
        ),
        active=_active(seen, episode),
    )


def _quoted(statement: str) -> str:
    return f'"{statement}"' if statement else "a statement that is not recorded"


def _no_path(seen: Observations, episode: LockEpisode) -> Claim:
    who = ", ".join(episode.waiter_applications) or "sessions without a name"
    if not seen.outage:
        text = "no failing requests are recorded that a path could lead to"
        return claim_against(Aspect.ABSENCE, text, episode.peak_evidence)
    if not seen.knows_what_failed:
        text = f"no path is known from {episode.relation} ({who} waited) to what failed"
        return claim_against(Aspect.ABSENCE, text, episode.peak_evidence)
    return claim_against(
        Aspect.PATH,
        f"no failing route depends on {episode.relation}: only {who} waited for it",
        episode.peak_evidence,
        *(e.evidence for e in seen.failing),
    )


def _claims(seen: Observations, episode: LockEpisode, path: DependencyPath) -> list[Claim]:
    slow = tuple(e for s in seen.latency_shifts if s.service == path.service for e in s.evidence)
    who = ", ".join(episode.waiter_applications) or "sessions without a name"
    claims = [
        claim_for(
            Aspect.PATH,
            f"{episode.relation} is behind {path.in_words}; all waiting sessions were of {who}",
            episode.peak_evidence,
            *(e.evidence for e in path.failing),
            slow,
            path.evidence,
            basis=path.basis,
        ),
        mechanism(episode, is_guess=_is_guess(seen, episode)),
    ]
    claims += [
        claim_for(
            Aspect.MECHANISM,
            f"calls of {shift.service}.{shift.method} hung in that time: {shift.aggregate} rose "
            f"from {shift.baseline_p99_ms or 0:,.0f} to {shift.plateau_in_words}",
            shift.evidence,
        )
        for shift in seen.latency_shifts
        if shift.service == path.service
    ]
    claims += [*_order(seen, episode), *_at_another_time(seen, episode)]
    claims += [*_dose(seen, episode, path), *_recovery(seen, episode)]
    return [*claims, *_controls(seen, episode, path)]


def _is_guess(seen: Observations, episode: LockEpisode) -> bool:
    """Whether that it held the lock then rests on what is likely, not on what was seen."""
    return episode.root_holder.mode_basis == "candidate" or _is_last_seen_before(seen, episode)


def _order(seen: Observations, episode: LockEpisode) -> list[Claim]:
    if seen.outage is None:
        return []
    order = order_of(
        seen.case, episode.held_start, System.POSTGRES, seen.outage.start, System.GATEWAY
    )
    cited = (episode.start_evidence, seen.outage.evidence)
    if order.sequence is Sequence.BEFORE:
        text = (
            f"the lock was held before the first failing request, by {order.margin_seconds:.1f} s"
        )
        return [claim_for(Aspect.ORDER, text, *cited)]
    return []


def _at_another_time(seen: Observations, episode: LockEpisode) -> list[Claim]:
    """Requests that a lock hurts arrive while sessions wait for it, not before and not after."""
    if seen.outage is None:
        return []
    first_wait = Span(episode.held_start.hi, episode.held_start.hi)
    claims = at_another_time(
        seen, "the wait", first_wait, episode.held_end, System.POSTGRES, episode.end_evidence
    )
    order = order_of(seen.case, seen.outage.start, System.GATEWAY, first_wait, System.POSTGRES)
    if order.sequence is Sequence.BEFORE and not claims:
        text = f"requests failed {order.margin_seconds:,.1f} s before the first session waited"
        cited = (episode.start_evidence, seen.outage.evidence)
        claims.append(claim_against(Aspect.ORDER, text, *cited))
    return claims


def _is_last_seen_before(seen: Observations, episode: LockEpisode) -> bool:
    """Whether the lock's end is not recorded and its last sign lies before the first failure."""
    last = episode.held_end.lo
    if episode.held_end.hi is not None or seen.outage is None or last is None:
        return False
    return last < seen.outage.start.first


def _active(seen: Observations, episode: LockEpisode) -> tuple[datetime, datetime | None]:
    """When the lock made sessions wait; an end that is not recorded is its last sign.

    It stays open only where that sign is as late as its source can show.
    """
    start, end = episode.held_start, episode.held_end
    is_narrow = start.lo is not None and start.hi is not None and start.hi - start.lo <= NARROW
    begun = start.middle if is_narrow else start.hi or start.first
    if end.hi is not None:
        return begun, end.middle
    covered = [s.covered.end for s in seen.sources_of(System.POSTGRES) if s.covered]
    is_open = end.lo is None or (bool(covered) and end.lo >= max(covered) - NARROW)
    return begun, None if is_open else end.lo


def _dose(seen: Observations, episode: LockEpisode, path: DependencyPath) -> list[Claim]:
    if seen.pool is None or seen.outage is None or seen.pool.exhausted_at.hi is None:
        return []
    failures = seen.tables.failures
    routes = {(e.method, e.route) for e in path.failing}
    early = failures[
        (failures["at"] >= seen.outage.start.lo) & (failures["at"] <= seen.pool.exhausted_at.hi)
    ]
    known = zip(early["method"], early["route"], strict=True)
    number = sum(1 for pair in known if pair in routes)
    if not number or abs(number - episode.peak_waiters) > DOSE_TOLERANCE * episode.peak_waiters:
        return []
    return [
        claim_for(
            Aspect.DOSE,
            f"{number} failing requests had arrived on this path when the pool was full, and "
            f"{episode.peak_waiters} sessions waited at the peak: one request, one waiting session",
            episode.peak_evidence,
            *(e.evidence for e in path.failing),
        )
    ]


def _recovery(seen: Observations, episode: LockEpisode) -> list[Claim]:
    if seen.outage is None or seen.outage.end.lo is None or episode.held_end.hi is None:
        return []
    after = (seen.outage.end.lo - episode.held_end.hi).total_seconds()
    cited = (episode.end_evidence, seen.outage.evidence)
    if after <= 0:
        return [claim_for(Aspect.RECOVERY, "failures ended when the lock was released", *cited)]
    return [
        claim_against(
            Aspect.RECOVERY,
            f"requests that arrived up to {after:,.0f} s after the release failed as well: the "
            "lock alone does not explain them",
            *cited,
        )
    ]


def _controls(seen: Observations, episode: LockEpisode, path: DependencyPath) -> list[Claim]:
    is_stated = seen.case.topology.is_stated
    apart = [
        e
        for e in seen.endpoints
        if e.impact is Impact.UNAFFECTED and e not in path.endpoints and is_stated
    ]
    claims = [
        claim_for(
            Aspect.CONTROL,
            f"{endpoint.name} does not depend on {episode.relation} and stayed as usual",
            endpoint.evidence,
            path.evidence,
        )
        for endpoint in apart
    ]
    if episode.bystander_evidence:
        pids = ", ".join(str(b.pid) for b in episode.bystanders)
        claims.append(
            claim_for(
                Aspect.CONTROL,
                f"pid {pids} held a lock on {episode.relation} as well, in a mode that conflicts "
                "with none of the waiters': it blocked nobody",
                episode.bystander_evidence,
            )
        )
    return claims

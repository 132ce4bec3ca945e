"""`pool_exhaustion`: every connection was taken, so calls waited and failed."""

from __future__ import annotations

from incident_rca.analysis.hypotheses.claims import (
    at_another_time,
    claim_against,
    claim_for,
    not_recorded,
)
from incident_rca.analysis.observations import Observations
from incident_rca.analysis.paths import DependencyPath, path_from_service
from incident_rca.analysis.verdicts import Candidate, verdict_of
from incident_rca.model import Aspect, Claim, Hypothesis, Kind, PoolState, Role, Stance, System

CONFIRM_BY = (
    "Read the pool's own log or a thread dump of the outage: which code held the connections, and "
    "does it return them when its caller has gone?"
)


def hypotheses(seen: Observations) -> tuple[Candidate, ...]:
    """The pool that stood at its limit; what kept the outage going if it outlasted the trigger."""
    if seen.pool is None:
        if seen.has_metrics():
            return ()
        return (
            not_recorded(
                seen,
                Kind.POOL_EXHAUSTION,
                "a connection pool",
                System.GRPC_METRICS,
                "Import the pool's used, max and pending gauges of the window.",
            ),
        )
    path = path_from_service(seen, seen.pool.owner)
    claims = tuple(_claims(seen, seen.pool, path))
    outlasts = seen.outage is None or not seen.lock_episodes or _outlasts_locks(seen, seen.pool)
    until = seen.pool.exhausted_until
    role = Role.SUSTAINER if outlasts else Role.CONTRIBUTING
    if any(c.stance is Stance.AGAINST and c.aspect is Aspect.ORDER for c in claims):
        role = Role.COINCIDENT
    return (
        Candidate(
            hypothesis=Hypothesis(
                kind=Kind.POOL_EXHAUSTION,
                object=seen.pool.owner,
                role=role,
                verdict=verdict_of(claims, needs_are_met=seen.has_requests()),
                statement=(
                    f"All {seen.pool.size} connections of {seen.pool.owner}'s pool stayed taken, "
                    "so every call that needed one waited and failed."
                ),
                claims=claims,
                confirm_by=CONFIRM_BY,
            ),
            active=(seen.pool.exhausted_at.middle, until.middle if until.hi else None),
        ),
    )


def _outlasts_locks(seen: Observations, pool: PoolState) -> bool:
    ends = [e.held_end.hi for e in seen.lock_episodes if e.held_end.hi]
    return pool.exhausted_until.lo is None or any(end < pool.exhausted_until.lo for end in ends)


def _claims(seen: Observations, pool: PoolState, path: DependencyPath | None) -> list[Claim]:
    claims = []
    if path is not None and path.failing:
        claims.append(
            claim_for(
                Aspect.PATH,
                f"the pool is {pool.owner}'s, behind {path.in_words}",
                pool.evidence,
                *(e.evidence for e in path.failing),
                path.evidence,
                basis=path.basis,
            )
        )
    elif seen.outage is not None and seen.knows_what_failed:
        claims.append(
            claim_against(
                Aspect.PATH,
                f"no failing route depends on {pool.owner}",
                pool.evidence,
                *(e.evidence for e in seen.failing),
            )
        )
    claims.append(
        claim_for(
            Aspect.MECHANISM,
            f"the gauge stood at {pool.size} of {pool.size} connections while callers waited",
            pool.evidence,
            *(s.evidence for s in seen.latency_shifts if s.service == pool.owner),
        )
    )
    full, until = pool.exhausted_at, pool.exhausted_until
    claims += at_another_time(
        seen, "the full pool", full, until, System.GRPC_METRICS, pool.evidence
    )
    return [*claims, *_stuck(seen, pool), *_order(seen, pool, path), *_recovery(seen, pool)]


def _stuck(seen: Observations, pool: PoolState) -> list[Claim]:
    """Direct evidence of the state: as many sessions as the pool is large, doing nothing."""
    return [
        claim_for(
            Aspect.MECHANISM,
            f"{stuck.sessions} sessions of {stuck.application} were idle in transaction: they held "
            "their connections and waited for no lock any more",
            stuck.evidence,
        )
        for stuck in seen.stuck
        if stuck.sessions >= 0.9 * pool.size
    ]


def _order(seen: Observations, pool: PoolState, path: DependencyPath | None) -> list[Claim]:
    """Routes that the lock does not touch fail once the pool is full, not before."""
    claims = []
    full_from, full_to = pool.exhausted_at.lo, pool.exhausted_at.hi
    for endpoint in path.failing if path else ():
        first = endpoint.first_failure
        if first is None or full_from is None or full_to is None or seen.outage is None:
            continue
        if first >= full_from and first > seen.outage.start.first:
            claims.append(
                claim_for(
                    Aspect.DOSE,
                    f"{endpoint.name} began to fail {(first - full_from).total_seconds():.1f} s "
                    "after the pool was full, and had not failed before",
                    endpoint.evidence,
                    pool.evidence,
                )
            )
    return claims


def _recovery(seen: Observations, pool: PoolState) -> list[Claim]:
    if seen.outage is None or seen.outage.end.lo is None or pool.exhausted_until.hi is None:
        return []
    claims = []
    for ended in seen.terminations:
        if ended.at.lo is None or ended.sessions < 0.5 * pool.size:
            continue
        before = (ended.at.lo - seen.outage.end.lo).total_seconds()
        claims.append(
            claim_for(
                Aspect.RECOVERY,
                f"{ended.sessions} sessions were terminated, the pool drained, and the last "
                f"failing request had arrived {before:.0f} s before: later ones were served",
                ended.evidence,
                pool.evidence,
                seen.outage.evidence,
            )
        )
    if not claims and pool.exhausted_until.hi >= seen.outage.end.lo:
        claims.append(
            claim_for(
                Aspect.RECOVERY,
                "the pool drained when the failures ended",
                pool.evidence,
                seen.outage.evidence,
            )
        )
    return claims

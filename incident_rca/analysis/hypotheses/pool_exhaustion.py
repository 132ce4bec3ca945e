"""`pool_exhaustion`: every connection was taken, so calls waited and failed."""

from __future__ import annotations

from datetime import timedelta

from incident_rca.analysis.coverage import Hole, hole_of_rows
from incident_rca.analysis.hypotheses.claims import (
    Candidates,
    by_path,
    claim_against,
    claim_for,
    ended_together,
    not_covered,
    not_recorded,
    ruled_out,
)
from incident_rca.analysis.hypotheses.orders import Moment, at_another_time, order_claims
from incident_rca.analysis.observations import Observations
from incident_rca.analysis.paths import DependencyPath, path_from_service
from incident_rca.analysis.pool import PoolLimit, owner_of, pool_limits, pool_usage
from incident_rca.analysis.verdicts import Candidate, verdict_of
from incident_rca.model import (
    Aspect,
    Basis,
    Claim,
    Hypothesis,
    Kind,
    PoolState,
    Role,
    Span,
    Stance,
    System,
)

# Who ends so many of a pool's sessions drains it.
HALF = 0.5
# A gauge is read some seconds after what it shows.
READ_LATE = timedelta(seconds=10)
CONFIRM_BY = (
    "Read the pool's own log or a thread dump of the outage: which code held the connections, and "
    "does it return them when its caller has gone?"
)


def hypotheses(seen: Observations) -> Candidates:
    """The pool that stood at its limit; what kept the outage going if it outlasted the trigger."""
    if seen.pool is None:
        return _none(seen)
    path = path_from_service(seen, seen.pool.owner)
    claims = tuple(_claims(seen, seen.pool, path))
    until = seen.pool.exhausted_until
    role = Role.SUSTAINER
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
            service=seen.pool.owner,
            routes=frozenset(e.name for e in path.failing) if path else frozenset(),
        ),
    )


def _none(seen: Observations) -> Candidates:
    """That no pool was full where its gauges say so; that nobody knows where there are none."""
    if seen.outage is None and seen.has_metrics():
        return ()
    limits = pool_limits(seen.gauges)
    if not limits or seen.outage is None or not seen.has_metrics():
        confirm = "Import the pool's used, max and pending gauges of the window."
        thing = "a connection pool"
        return (not_recorded(seen, Kind.POOL_EXHAUSTION, thing, System.GRPC_METRICS, confirm),)
    if holes := _holes(seen, limits):
        confirm = "Import the pool's used gauge for the whole outage, or read the pool's own log."
        thing = "a connection pool"
        return (not_covered(seen, Kind.POOL_EXHAUSTION, thing, holes, confirm),)
    names = ", ".join(limit.owner for limit in limits)
    text = f"no pool with a recorded limit ({names}) reached it in the window"
    cited = tuple(e for limit in limits for e in limit.evidence)
    return (
        ruled_out(
            Kind.POOL_EXHAUSTION,
            names,
            "No connection pool was full.",
            CONFIRM_BY,
            claim_against(Aspect.MECHANISM, text, cited),
        ),
    )


def _holes(seen: Observations, limits: tuple[PoolLimit, ...]) -> tuple[Hole, ...]:
    """What the gauges leave out of the outage, of each pool that failing routes may need."""
    used = {usage.gauge: usage.used for usage in pool_usage(seen.case, seen.gauges)}
    nothing = seen.gauges.metrics.iloc[:0]
    found = (
        hole_of_rows(
            seen, used.get(limit.owner, nothing), f"the connections in use of {limit.owner}"
        )
        for limit in _of_what_failed(seen, limits)
    )
    return tuple(hole for hole in found if hole is not None)


def _of_what_failed(seen: Observations, limits: tuple[PoolLimit, ...]) -> tuple[PoolLimit, ...]:
    """The pools behind failing routes; all of them where none of these is known."""
    behind = []
    for limit in limits:
        service = owner_of(seen.case, limit.owner)
        path = path_from_service(seen, service.name) if service else None
        if path is not None and path.failing:
            behind.append(limit)
    return tuple(behind) or limits


def _claims(seen: Observations, pool: PoolState, path: DependencyPath | None) -> list[Claim]:
    claims = by_path(seen, f"{pool.owner}, whose pool it is,", path, pool.evidence)
    released = _recovery(seen, pool)
    has_release = any(c.stance is Stance.FOR for c in released)
    claims.append(
        claim_for(
            Aspect.MECHANISM,
            f"the gauge stood at {pool.size} of {pool.size} connections while callers waited"
            + ("" if has_release else "; that its release ended the failures is not seen"),
            pool.evidence,
            *(s.evidence for s in seen.latency_shifts if s.service == pool.owner),
            basis=Basis.OBSERVED if has_release else Basis.INFERRED,
        )
    )
    full, until = pool.exhausted_at, pool.exhausted_until
    claims += at_another_time(
        seen,
        "the full pool",
        full,
        until,
        System.GRPC_METRICS,
        pool.evidence,
        begun_by=pool.exhausted_by,
    )
    return [*claims, *_stuck(seen, pool), *_order(seen, pool, path), *released]


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
    """Routes that the lock does not touch fail once the pool is full, not before.

    Where the outage began before the record, so may their failures have.
    """
    if seen.outage is None or seen.outage.onset.lo is None:
        return []
    full = Moment(pool.exhausted_at, pool.exhausted_by, pool.evidence)
    later = [
        endpoint
        for endpoint in (path.failing if path else ())
        if endpoint.first_failure and endpoint.first_failure > seen.outage.start.first
    ]
    return [
        claim
        for endpoint in later
        if endpoint.first_failure
        for claim in order_claims(
            seen,
            f"{endpoint.name} began to fail {{margin}} after the pool was full, and had not "
            "failed before",
            full,
            Moment(Span.at(endpoint.first_failure), System.GATEWAY, endpoint.evidence),
            aspect=Aspect.DOSE,
        )
    ]


def _recovery(seen: Observations, pool: PoolState) -> list[Claim]:
    """What came of the failures when the connections were given back, or taken from their holders.

    A request that arrives while the pool drains may be served, so the last one that fails arrives
    up to its own time before.
    """
    if seen.outage is None or seen.outage.end.lo is None or pool.exhausted_until.hi is None:
        return []
    latencies = seen.failures_of(seen.failing)["latency_ms"].dropna()
    slowest = float(latencies.max()) if len(latencies) else 0.0
    until = pool.exhausted_until
    width = until.hi - until.lo if until.lo and until.hi else timedelta(0)
    slack = timedelta(milliseconds=slowest) + width
    for ended in seen.terminations:
        if ended.at.lo is None or ended.sessions < HALF * pool.size or not _meet(ended.at, until):
            continue
        what = f"{ended.sessions} sessions were terminated and the pool drained"
        cited = (ended.evidence, pool.evidence)
        return ended_together(seen, what, ended.at, *cited, slack=slack)
    return ended_together(seen, "the pool drained", until, pool.evidence, slack=slack)


def _meet(one: Span, other: Span) -> bool:
    """Whether two spans meet, give or take the seconds in which a gauge is read."""
    if one.hi is None or one.lo is None or other.lo is None or other.hi is None:
        return False
    return one.lo <= other.hi + READ_LATE and other.lo - READ_LATE <= one.hi

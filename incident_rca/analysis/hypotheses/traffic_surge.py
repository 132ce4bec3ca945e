"""`traffic_surge`: more requests came than usual, and more than could be served."""

from __future__ import annotations

from datetime import datetime

from incident_rca.analysis.hypotheses.claims import (
    Candidates,
    claim_against,
    claim_for,
    not_recorded,
    ruled_out,
)
from incident_rca.analysis.lock_watch import why_unwatched
from incident_rca.analysis.observations import Observations
from incident_rca.analysis.paths import DependencyPath, path_from_service
from incident_rca.analysis.surge import Surge, Traffic, traffic_before
from incident_rca.analysis.verdicts import Candidate, verdict_of
from incident_rca.model import Aspect, Claim, Hypothesis, Kind, Role, System, Verdict

OBJECT = "all routes"


def hypotheses(seen: Observations) -> Candidates:
    """Whether traffic rose before the first failure, against the lead-up."""
    if seen.outage is None:
        return ()
    traffic = _traffic(seen) if seen.has_requests() else None
    if traffic is None:
        confirm = "Import the gateway's log from some minutes before the first failure."
        return (not_recorded(seen, Kind.TRAFFIC_SURGE, "more traffic", System.GATEWAY, confirm),)
    if traffic.surge is None:
        return (_none(traffic),)
    return (_candidate(seen, traffic.surge),)


def _traffic(seen: Observations) -> Traffic | None:
    """That of all routes; where it did not rise, that of those of the service that was overrun."""
    of_all, path = traffic_before(seen), _saturated(seen)
    if path is None or (of_all is not None and of_all.surge):
        return of_all
    of_path = traffic_before(seen, frozenset(e.name for e in path.endpoints))
    return of_path if of_path is not None and of_path.surge else of_all


def _none(traffic: Traffic) -> Candidate:
    text = (
        "requests a minute did not rise before the first failure: "
        f"{traffic.usual_per_minute:.0f} are usual"
    )
    return ruled_out(
        Kind.TRAFFIC_SURGE,
        OBJECT,
        "No more requests came than usual.",
        "Compare with the same hour of other days.",
        claim_against(Aspect.MECHANISM, text, traffic.evidence),
    )


def _candidate(seen: Observations, surge: Surge) -> Candidate:
    path = _saturated(seen)
    claims = tuple(_claims(seen, surge, path))
    verdict = verdict_of(claims, needs_are_met=True)
    end: datetime | None = surge.end.middle
    return Candidate(
        hypothesis=Hypothesis(
            kind=Kind.TRAFFIC_SURGE,
            object=", ".join(surge.routes) if len(surge.routes) == 1 else OBJECT,
            role=Role.RULED_OUT if verdict is Verdict.CONTRADICTED else Role.TRIGGER,
            verdict=verdict,
            statement=(
                f"{surge.per_minute:.0f} requests a minute came instead of "
                f"{surge.usual_per_minute:.0f}, more than could be served."
            ),
            claims=claims,
            confirm_by="Who sent them? Compare callers and addresses with the same hour before.",
        ),
        active=(surge.start.middle, end),
        service=path.service if path else "",
        routes=frozenset(e.name for e in path.failing) if path else frozenset(),
        hidden=why_unwatched(seen, path.service) if path else "",
    )


def _saturated(seen: Observations) -> DependencyPath | None:
    """The service that a surge overran: the one whose pool was full, or whose calls became slow."""
    owners = [seen.pool.owner] if seen.pool else []
    owners += [shift.service for shift in seen.latency_shifts]
    paths = (path_from_service(seen, owner) for owner in owners)
    return next((path for path in paths if path and path.failing), None)


def _claims(seen: Observations, surge: Surge, path: DependencyPath | None) -> list[Claim]:
    text = (
        f"{surge.per_minute:.0f} requests a minute arrived on {', '.join(surge.routes) or OBJECT}, "
        f"against {surge.usual_per_minute:.0f} before, and they rose before any request had failed"
    )
    claims = [claim_for(Aspect.MECHANISM, text, surge.evidence)]
    if path is None:
        return claims
    failing = {e.name for e in path.failing}
    shared = sorted(failing & set(surge.routes))
    cited = [e for s in seen.latency_shifts if s.service == path.service for e in s.evidence]
    cited += seen.pool.evidence if seen.pool and seen.pool.owner == path.service else ()
    if shared:
        is_full = seen.pool is not None and seen.pool.owner == path.service
        text = (
            f"traffic rose on {' and '.join(shared)}, behind which is {path.service}, "
            f"{'whose pool was full' if is_full else 'which became slow'}"
        )
        claims.append(
            claim_for(
                Aspect.PATH,
                text,
                surge.evidence,
                tuple(cited),
                *(e.evidence for e in path.failing),
                path.evidence,
                basis=path.basis,
            )
        )
    elif seen.knows_what_failed:
        text = f"traffic did not rise on {' or '.join(sorted(failing))}, which failed"
        claims.append(
            claim_against(Aspect.PATH, text, surge.evidence, *(e.evidence for e in path.failing))
        )
    return claims

"""`dependency_latency`: a method that the failing routes call became slow; often a symptom."""

from __future__ import annotations

from incident_rca.analysis.hypotheses.claims import at_another_time, claim_against, claim_for
from incident_rca.analysis.observations import Observations
from incident_rca.analysis.paths import path_from_relation, path_from_service
from incident_rca.analysis.verdicts import Candidate, verdict_of
from incident_rca.model import Aspect, Claim, Hypothesis, Kind, LatencyShift, Role, System


def hypotheses(seen: Observations) -> tuple[Candidate, ...]:
    """One candidate a latency shift: a symptom where a lock or pool behind it is seen."""
    return tuple(_candidate(seen, shift) for shift in seen.latency_shifts)


def _candidate(seen: Observations, shift: LatencyShift) -> Candidate:
    claims = tuple(_claims(seen, shift))
    locked = any(
        path.service == shift.service
        for episode in seen.lock_episodes
        if (path := path_from_relation(seen, episode.relation, episode.waiter_applications))
    )
    explained = locked or (seen.pool is not None and seen.pool.owner == shift.service)
    name = f"{shift.service}.{shift.method}"
    return Candidate(
        hypothesis=Hypothesis(
            kind=Kind.DEPENDENCY_LATENCY,
            object=name,
            role=Role.SYMPTOM if explained else Role.CONTRIBUTING,
            verdict=verdict_of(claims, needs_are_met=seen.has_metrics()),
            statement=(
                f"Calls of {name} took {shift.plateau_in_words} instead of "
                f"{shift.baseline_p99_ms or 0:,.0f} ms ({shift.aggregate})"
                + ("; what is behind it is the lock or the pool above." if explained else ".")
            ),
            claims=claims,
            confirm_by=f"Read a trace of one slow call of {name}: where did its time go?",
        )
    )


def _mechanism(shift: LatencyShift) -> str:
    if shift.aggregate == "avg":
        took = f"by {shift.metric} calls took {shift.plateau_in_words}"
        return f"{took}: slow ones took longer than that"
    if shift.plateau_basis in ("average", "interpolation"):
        hidden = f"{shift.aggregate} of {shift.metric} cannot show how long its calls took"
        return f"{hidden}, for its histogram hides it: {shift.plateau_in_words}"
    return f"{shift.aggregate} of {shift.metric} stood at {shift.plateau_in_words}"


def _claims(seen: Observations, shift: LatencyShift) -> list[Claim]:
    path = path_from_service(seen, shift.service)
    claims = [claim_for(Aspect.MECHANISM, _mechanism(shift), shift.evidence)]
    if path and path.failing:
        claims.append(
            claim_for(
                Aspect.PATH,
                f"{shift.service}.{shift.method} is behind {path.in_words}",
                shift.evidence,
                *(e.evidence for e in path.failing),
                path.evidence,
                basis=path.basis,
            )
        )
    elif seen.outage and seen.knows_what_failed:
        claims.append(
            claim_against(
                Aspect.PATH,
                f"no failing route calls {shift.service}.{shift.method}",
                shift.evidence,
                *(e.evidence for e in seen.failing),
            )
        )
    claims += at_another_time(
        seen, "the slowness", shift.onset, shift.offset, System.GRPC_METRICS, shift.evidence
    )
    return claims

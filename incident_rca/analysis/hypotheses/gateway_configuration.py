"""`gateway_configuration`: the gateway sent a route's requests where nobody answers them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from incident_rca.analysis.call_counts import CallCounts, of_routes
from incident_rca.analysis.hypotheses.claims import Candidates, claim_against, claim_for, ruled_out
from incident_rca.analysis.observations import Observations
from incident_rca.analysis.rates import chance_of_more
from incident_rca.analysis.verdicts import Candidate, verdict_of
from incident_rca.analysis.waited import usually
from incident_rca.model import (
    Aspect,
    Case,
    Claim,
    EndpointImpact,
    Hypothesis,
    Impact,
    Kind,
    Role,
    Verdict,
)

if TYPE_CHECKING:
    import pandas as pd

# Error types (queries/duckdb/error_type.sql) that say that no backend answered, or why it could not
# be asked.
NO_ANSWER = frozenset(
    {"integration_network", "gateway_config", "backend_permission", "authorizer_failure"}
)
MOST = 0.9
# Of the usual calls at most this share still reaches the service that the route calls.
STOPPED_SHARE = 0.5
CHANCE = 1e-4
CONFIRM_BY = (
    "Compare the route's integration (address, port, permissions, stage variables) with the "
    "deployment before, and call that address from where the gateway runs."
)


def hypotheses(seen: Observations) -> Candidates:
    """One candidate a failing route whose requests no backend answered; else that none is such."""
    if seen.outage is None or not seen.failing:
        return ()
    counts = seen.calls if seen.has_metrics() else ()
    found = [
        _candidate(seen, endpoint, rows, counts)
        for endpoint in seen.failing
        if _is_unanswered(rows := seen.failures_of([endpoint]))
    ]
    return tuple(found) or (_none(seen),)


def _is_unanswered(rows: pd.DataFrame) -> bool:
    return bool(len(rows)) and bool(rows["error_type"].isin(NO_ANSWER).mean() >= MOST)


def _none(seen: Observations) -> Candidate:
    types = {t.type for t in seen.error_types}
    text = (
        f"the failing requests got an answer from behind the gateway or waited for one "
        f"({', '.join(sorted(types))}): it knew where to send them"
    )
    cited = tuple(e for t in seen.error_types for e in t.evidence)
    return ruled_out(
        Kind.GATEWAY_CONFIGURATION,
        seen.failing[0].name,
        "The gateway reached what it was to call.",
        CONFIRM_BY,
        claim_against(Aspect.MECHANISM, text, cited),
    )


def _candidate(
    seen: Observations,
    endpoint: EndpointImpact,
    rows: pd.DataFrame,
    counts: tuple[CallCounts, ...],
) -> Candidate:
    behind = of_routes(counts, seen.case, endpoint.name)
    claims = (
        _unanswered(seen.case, endpoint, rows),
        *_path(seen, endpoint),
        *(claim for c in behind for claim in _calls(endpoint, c)),
    )
    verdict = verdict_of(claims, needs_are_met=seen.has_requests())
    first, last = endpoint.first_failure, endpoint.last_failure
    return Candidate(
        hypothesis=Hypothesis(
            kind=Kind.GATEWAY_CONFIGURATION,
            object=endpoint.name,
            role=Role.RULED_OUT if verdict is Verdict.CONTRADICTED else Role.TRIGGER,
            verdict=verdict,
            statement=f"The gateway did not reach the backend of {endpoint.name}.",
            claims=claims,
            confirm_by=CONFIRM_BY,
        ),
        active=(first, last) if first and last else None,
        routes=frozenset({endpoint.name}),
        hidden="" if behind else f"no calls behind {endpoint.name} are counted",
    )


def _unanswered(case: Case, endpoint: EndpointImpact, rows: pd.DataFrame) -> Claim:
    types = ", ".join(sorted(set(rows["error_type"].dropna()) & NO_ANSWER))
    took = usually(case, rows)
    after = f" after {took.in_ms} (median)" if took else ""
    text = f"{len(rows):,} requests of {endpoint.name} ended{after} with {types}: nobody answered"
    return claim_for(Aspect.MECHANISM, text, endpoint.evidence)


def _path(seen: Observations, endpoint: EndpointImpact) -> list[Claim]:
    """Routes that call the same methods and went on show that the backend was there."""
    callees = {m for r in seen.case.topology.routes if r.name == endpoint.name for m in r.calls}
    owners = {s.name for s in seen.case.topology.services if callees & set(s.grpc)}
    beside = {
        route.name
        for route in seen.case.topology.routes
        for service in seen.case.topology.services
        if route.name != endpoint.name
        and service.name in owners
        and set(route.calls) & set(service.grpc)
    }
    well = [
        e
        for e in seen.endpoints
        if e.name in beside and e.impact is Impact.UNAFFECTED and e.requests
    ]
    also = [e for e in seen.failing if e.name in beside]
    if also:
        text = f"{' and '.join(e.name for e in also)}, on the same service, failed as well"
        return [claim_against(Aspect.CONTROL, text, *(e.evidence for e in also))]
    if not well:
        return []
    text = (
        f"{' and '.join(e.name for e in well)} need the same service and went on as usual: only "
        f"{endpoint.name} is cut off from it"
    )
    cited = (endpoint.evidence, *(e.evidence for e in well))
    return [claim_for(Aspect.PATH, text, *cited)]


def _calls(endpoint: EndpointImpact, counts: CallCounts) -> list[Claim]:
    """Whether the requests reached the service that the route calls."""
    if not counts.is_counted:
        text = f"no call of {counts.name} is counted in the outage: its caller may be down"
        return [claim_against(Aspect.ABSENCE, text, counts.evidence)]
    if counts.faults > counts.total / 2:
        text = f"calls of {counts.name} were made and failed ({counts.in_words})"
        return [claim_against(Aspect.MECHANISM, text, counts.evidence)]
    usual = counts.total_before / counts.seconds_before if counts.seconds_before else 0.0
    now = counts.total / counts.seconds_during if counts.seconds_during else 0.0
    fewer = chance_of_more(
        counts.total_before, counts.seconds_before, counts.total, counts.seconds_during
    )
    if now > STOPPED_SHARE * usual or fewer >= CHANCE:
        text = (
            f"calls of {counts.name} went on at {now * 60:.0f} a minute ({usual * 60:.0f} before): "
            f"what {endpoint.name} calls was reached, by it or by others"
        )
        return [claim_against(Aspect.DOSE, text, counts.evidence)]
    text = (
        f"calls of {counts.name} fell from {usual * 60:.0f} to {now * 60:.0f} a minute and did not "
        "fail: the requests never got there"
    )
    return [claim_for(Aspect.MECHANISM, text, counts.evidence, endpoint.evidence)]

"""`retry_storm`: callers tried again, and their own retries kept the service busy."""

from __future__ import annotations

from datetime import timedelta

from incident_rca.analysis.amplification import Amplification
from incident_rca.analysis.coverage import holes_of_calls
from incident_rca.analysis.evidence import setting_as_evidence
from incident_rca.analysis.hypotheses.claims import (
    Candidates,
    by_path,
    claim_against,
    claim_for,
    ended_together,
    not_compared,
    not_covered,
    not_recorded,
    ruled_out,
)
from incident_rca.analysis.observations import Observations
from incident_rca.analysis.paths import DependencyPath, path_from_service
from incident_rca.analysis.queue_flow import Recovery
from incident_rca.analysis.verdicts import Candidate, verdict_of
from incident_rca.model import Aspect, Basis, Claim, Hypothesis, Kind, Role, Stance, System, Verdict

OBJECT = "callers that try again"
CONFIRM_BY = "Read the callers' retry policy: how often, how soon, and is there a budget for it?"


def hypotheses(seen: Observations) -> Candidates:
    """One candidate a method that got more calls a request than usual; else that none did."""
    if seen.outage is None:
        return ()
    if not seen.has_metrics() or not seen.has_requests():
        confirm = "Import the counts of the gRPC calls by method, beside the gateway's log."
        return (not_recorded(seen, Kind.RETRY_STORM, OBJECT, System.GRPC_METRICS, confirm),)
    if seen.amplified:
        return tuple(_candidate(seen, each) for each in seen.amplified)
    return _none(seen)


def _none(seen: Observations) -> Candidates:
    metrics = seen.tables.metrics
    is_count = (metrics["aggregate"] == "count") & metrics["method"].notna()
    if not seen.case.topology.routes or not is_count.any() or seen.outage is None:
        return ()
    if holes := holes_of_calls(seen, is_count, "the counts of calls"):
        confirm = "Import the counts of these calls for the whole outage."
        return (not_covered(seen, Kind.RETRY_STORM, OBJECT, holes, confirm),)
    if seen.outage.onset.lo is None:
        confirm = "Report an earlier window, with counts of calls from before the outage."
        return (not_compared(seen, Kind.RETRY_STORM, OBJECT, confirm),)
    text = "no method got more calls for each request than before the outage"
    cited = (*seen.outage.evidence, *setting_as_evidence(seen.case, "which routes call what"))
    return (
        ruled_out(
            Kind.RETRY_STORM,
            OBJECT,
            "Callers did not try again more than usual.",
            CONFIRM_BY,
            claim_against(Aspect.MECHANISM, text, cited),
        ),
    )


def _candidate(seen: Observations, more: Amplification) -> Candidate:
    path = path_from_service(seen, more.service)
    claims = tuple(_claims(seen, more, path))
    if seen.recovery is not None and seen.recovery.service == more.service:
        claims = (*claims, _busy_for_nobody(seen.recovery))
    verdict = verdict_of(claims, needs_are_met=True)
    return Candidate(
        hypothesis=Hypothesis(
            kind=Kind.RETRY_STORM,
            object=more.name,
            role=Role.RULED_OUT if verdict is Verdict.CONTRADICTED else Role.SUSTAINER,
            verdict=verdict,
            statement=(
                f"Callers of {more.name} tried again: {more.mean:.1f} calls for each request "
                f"instead of {more.usual:.1f}."
            ),
            claims=claims,
            confirm_by=CONFIRM_BY,
        ),
        active=(more.start.first, more.end.hi),
        service=more.service,
        routes=frozenset(e.name for e in path.failing) if path else frozenset(),
    )


def _busy_for_nobody(recovery: Recovery) -> Claim:
    text = (
        f"{recovery.waiting:,} calls waited in the queue of {recovery.service}, of which no more "
        f"than {recovery.wanted:,} can still have had a caller, and {recovery.in_words}: it worked "
        "as before, for callers that had given up and called again"
    )
    return claim_for(Aspect.MECHANISM, text, recovery.evidence, basis=Basis.INFERRED)


def _claims(seen: Observations, more: Amplification, path: DependencyPath | None) -> list[Claim]:
    released = ended_together(
        seen,
        "there was one call a request again",
        more.end,
        more.evidence,
        slack=timedelta(seconds=more.bucket_seconds),
    )
    has_release = any(c.stance is Stance.FOR for c in released)
    claims = [
        claim_for(
            Aspect.MECHANISM,
            f"{more.calls:,} calls of {more.name} were made for {more.requests:,} requests: "
            f"{more.mean:.1f} for each (up to {more.highest:.1f}), against {more.usual:.1f} before",
            more.evidence,
            seen.outage.evidence if seen.outage else (),
            basis=Basis.OBSERVED if has_release else Basis.INFERRED,
        )
    ]
    claims += by_path(seen, more.name, path, more.evidence)
    return [*claims, *released]

"""`backend_failure`: a service answered calls with errors at once, or was not there to answer."""

from __future__ import annotations

from incident_rca.analysis.call_counts import SERVER_FAULTS, CallCounts
from incident_rca.analysis.coverage import Hole, holes_of_calls
from incident_rca.analysis.evidence import source_as_evidence
from incident_rca.analysis.hypotheses.claims import (
    Candidates,
    by_path,
    claim_against,
    claim_for,
    lacks_number,
    not_covered,
    not_recorded,
    ruled_out,
)
from incident_rca.analysis.lock_watch import why_unwatched
from incident_rca.analysis.locks import POSTGRES_LOGS
from incident_rca.analysis.observations import Observations
from incident_rca.analysis.paths import DependencyPath, path_from_service
from incident_rca.analysis.rates import chance_of_more
from incident_rca.analysis.verdicts import Candidate, verdict_of
from incident_rca.analysis.waited import FAST_SECONDS, usually
from incident_rca.model import (
    Aspect,
    Claim,
    Hypothesis,
    Kind,
    Role,
    SourceState,
    SourceStatus,
    System,
    Verdict,
)

CHANCE = 1e-4
FEWEST_FAULTS = 5
# Of the failing requests as many calls must have failed, give or take those of other callers.
ENOUGH = 0.2
# Nobody was there to answer: no lock makes a server refuse connections.
NOT_THERE = "UNAVAILABLE"
CONFIRM_BY = "Read the service's own log of the first failing call, and whether it was restarted."


def hypotheses(seen: Observations) -> Candidates:
    """One candidate a service whose calls failed more than before; the worst of its methods."""
    if seen.outage is None:
        return ()
    if not seen.has_metrics():
        thing = "a service that answered with errors"
        confirm = "Import the counts of the gRPC calls by status code."
        return (not_recorded(seen, Kind.BACKEND_FAILURE, thing, System.GRPC_METRICS, confirm),)
    failed = [c for c in seen.calls if _failed_more(c)]
    if not failed:
        return (_none(seen),) if seen.calls else ()
    by_service: dict[str, list[CallCounts]] = {}
    for each in failed:
        by_service.setdefault(each.service, []).append(each)
    return tuple(_candidate(seen, of_service) for of_service in by_service.values())


def _failed_more(counts: CallCounts) -> bool:
    if counts.faults < FEWEST_FAULTS:
        return False
    chance = chance_of_more(
        counts.faults, counts.seconds_during, counts.faults_before, counts.seconds_before
    )
    return counts.seconds_before == 0 or chance < CHANCE


def _none(seen: Observations) -> Candidate:
    if holes := _holes(seen):
        thing = "a service that answered with errors"
        confirm = "Import the counts of the gRPC calls by status code for the whole outage."
        return not_covered(seen, Kind.BACKEND_FAILURE, thing, holes, confirm)
    counts = seen.calls
    number = sum(c.total for c in counts)
    text = f"of {number:,} calls in the outage none more than before ended with a server's fault"
    return ruled_out(
        Kind.BACKEND_FAILURE,
        ", ".join(sorted({c.service for c in counts})),
        "No service answered calls with errors of its own.",
        CONFIRM_BY,
        claim_against(Aspect.MECHANISM, text, *(c.evidence for c in counts)),
    )


def _holes(seen: Observations) -> tuple[Hole, ...]:
    """What the counts by status code leave out of the outage."""
    metrics = seen.tables.metrics
    is_coded = (metrics["aggregate"] == "count") & metrics["status"].notna()
    return holes_of_calls(seen, is_coded, "the calls by status code")


def _candidate(seen: Observations, counts: list[CallCounts]) -> Candidate:
    worst = counts[0]
    path = path_from_service(seen, worst.service)
    claims = tuple(_claims(seen, counts, path))
    needs = seen.has_requests() and not lacks_number(claims)
    verdict = verdict_of(claims, needs_are_met=needs)
    return Candidate(
        hypothesis=Hypothesis(
            kind=Kind.BACKEND_FAILURE,
            object=worst.name,
            role=Role.RULED_OUT if verdict is Verdict.CONTRADICTED else Role.TRIGGER,
            verdict=verdict,
            statement=(
                f"Calls of {', '.join(c.name for c in counts)} failed: "
                f"{'; '.join(c.in_words for c in counts)} in the outage."
            ),
            claims=claims,
            confirm_by=CONFIRM_BY,
        ),
        active=(worst.faulty.first, worst.faulty.hi) if worst.faulty else None,
        service=worst.service,
        routes=frozenset(e.name for e in path.failing) if path else frozenset(),
        hidden=_hidden(seen, worst),
    )


def _claims(
    seen: Observations, counts: list[CallCounts], path: DependencyPath | None
) -> list[Claim]:
    worst = counts[0]
    claims = [
        claim_for(
            Aspect.MECHANISM,
            f"{c.faults:,} of {c.total:,} calls of {c.name} ended with {_faults_in_words(c)}; "
            f"before the outage {c.faults_before:,} of {c.total_before:,} did",
            c.evidence,
        )
        for c in counts
    ]
    claims += by_path(seen, worst.service, path, worst.evidence)
    if path is not None and path.failing:
        claims += _how_requests_failed(seen, counts, path)
    if hidden := _hidden(seen, worst):
        cited = [e for s in _of_postgres(seen) for e in source_as_evidence(seen.case, s)]
        claims.append(claim_against(Aspect.ABSENCE, hidden, tuple(cited), worst.evidence))
    return claims


def _how_requests_failed(
    seen: Observations, counts: list[CallCounts], path: DependencyPath
) -> list[Claim]:
    """Whether the failing requests were as many as the failing calls, and as fast."""
    took = usually(seen.case, seen.failures_of(path.failing))
    cited = (*(e.evidence for e in path.failing), counts[0].evidence)
    faults, failed = sum(c.faults for c in counts), sum(e.failed for e in path.failing)
    if faults < ENOUGH * failed:
        text = f"{faults:,} calls failed while {failed:,} requests did"
        if holes := _holes(seen):
            missing = "; ".join(hole.in_words for hole in holes)
            text += f", but not all are recorded: {missing} are missing"
            return [claim_against(Aspect.DOSE, text, *cited)]
        text += ": they are not the same"
        return [claim_against(Aspect.MECHANISM, text, *cited)]
    limit_ms = 1000 * min(FAST_SECONDS, seen.case.thresholds.plausible_deadline_seconds)
    if took and took.least_ms > limit_ms:
        text = (
            f"the failing requests took {took.in_seconds} (median): something made them wait "
            "before they failed, so the errors are what that ended with"
        )
        return [claim_against(Aspect.MECHANISM, text, *cited)]
    if not took or took.most_ms > limit_ms:
        return []
    text = (
        f"the failing requests were answered in {took.in_ms} (median): nobody "
        f"waited; {faults:,} calls and {failed:,} requests failed"
    )
    return [claim_for(Aspect.DOSE, text, *cited)]


def _faults_in_words(counts: CallCounts) -> str:
    shown = sorted((c, n) for c, n in counts.during.items() if c in SERVER_FAULTS and n)
    return ", ".join(code for code, _ in shown)


def _hidden(seen: Observations, counts: CallCounts) -> str:
    """Why a deadlock may be behind errors, which the server's log would name."""
    refused = counts.during.get(NOT_THERE, 0)
    if 2 * refused > counts.faults or seen.is_recorded(*POSTGRES_LOGS):
        return ""
    return why_unwatched(seen, counts.service)


def _of_postgres(seen: Observations) -> list[SourceStatus]:
    return [s for s in seen.sources_of(System.POSTGRES) if s.state is not SourceState.OK]

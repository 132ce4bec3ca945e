"""`missing_deadline`: calls hung for as long as something else let them, and no deadline acted."""

from __future__ import annotations

from incident_rca.analysis.evidence import setting_as_evidence
from incident_rca.analysis.hypotheses.claims import (
    at_another_time,
    claim_against,
    claim_for,
    not_recorded,
)
from incident_rca.analysis.observations import Observations
from incident_rca.analysis.paths import path_from_service
from incident_rca.analysis.verdicts import Candidate, verdict_of
from incident_rca.model import (
    Aspect,
    Basis,
    Claim,
    EndpointImpact,
    Hypothesis,
    Kind,
    LatencyShift,
    Role,
    System,
    Verdict,
)

DEADLINE_EXCEEDED = "DEADLINE_EXCEEDED"
# A request lasts as long as the call it waits for, give or take the gateway's own work.
SAME_DURATION = 0.05


def hypotheses(seen: Observations) -> tuple[Candidate, ...]:
    """One candidate a method whose calls hung with status codes that are known."""
    if not seen.latency_shifts and not seen.has_metrics():
        return (
            not_recorded(
                seen,
                Kind.MISSING_DEADLINE,
                "a client deadline",
                System.GRPC_METRICS,
                "Import the latencies and the counts by status code of the gRPC calls.",
            ),
        )
    return tuple(_candidate(seen, shift) for shift in seen.latency_shifts if shift.status_counts)


def hung_without_deadline(seen: Observations, shift: LatencyShift) -> bool:
    """Whether calls outlasted any plausible deadline with other codes seen and that one never.

    Absence of a code counts only beside codes that are present. What a histogram's end shows is
    "at least", and that is enough; where one of its buckets hides how long, nothing is.
    """
    longest_ms = seen.case.thresholds.plausible_deadline_seconds * 1000
    return (
        bool(failed_codes(shift))
        and not shift.status_counts.get(DEADLINE_EXCEEDED)
        and DEADLINE_EXCEEDED not in shift.unsure_codes
        and shift.plateau_basis != "interpolation"
        and shift.plateau_ms > longest_ms
    )


def failed_codes(shift: LatencyShift) -> tuple[str, ...]:
    """The codes other than OK with which calls ended; one that was counted and is zero is none."""
    return tuple(code for code, number in shift.status_counts.items() if code != "OK" and number)


def _candidate(seen: Observations, shift: LatencyShift) -> Candidate:
    claims = tuple(_claims(seen, shift))
    verdict = verdict_of(claims, needs_are_met=seen.has_metrics())
    seconds = shift.plateau_ms / 1000
    return Candidate(
        hypothesis=Hypothesis(
            kind=Kind.MISSING_DEADLINE,
            object=f"{shift.service}.{shift.method}",
            role=Role.RULED_OUT if verdict is Verdict.CONTRADICTED else Role.CONTRIBUTING,
            verdict=verdict,
            statement=(
                f"No client deadline below {seconds:.0f} s acted on "
                f"{shift.service}.{shift.method}: its callers waited until something else ended "
                "the call."
                if hung_without_deadline(seen, shift)
                else f"Whether a deadline would have helped {shift.service}.{shift.method} is open."
            ),
            claims=claims,
            confirm_by=(
                "Read the call's options in the caller's code, or the grpc-timeout header at the "
                "server: is a deadline set, and which?"
            ),
        )
    )


def _claims(seen: Observations, shift: LatencyShift) -> list[Claim]:
    claims = []
    is_bound = shift.plateau_basis in ("ceiling", "interpolation")
    path = path_from_service(seen, shift.service)
    as_long = tuple(e for e in path.failing if _lasts_as_long(seen, e, shift)) if path else ()
    if path and as_long:
        claims.append(
            claim_for(
                Aspect.PATH,
                f"requests of {' and '.join(e.name for e in as_long)} lasted as long as the call "
                f"of {shift.service}.{shift.method} that they wait for"
                + (f" ({shift.plateau_in_words})" if is_bound else ""),
                shift.evidence,
                *(e.evidence for e in as_long),
                path.evidence,
                basis=Basis.INFERRED if is_bound else path.basis,
            )
        )
    codes = ", ".join(f"{code} {n}" for code, n in shift.status_counts.items())
    if hung_without_deadline(seen, shift):
        limit = seen.case.thresholds.plausible_deadline_seconds
        claims.append(
            claim_for(
                Aspect.MECHANISM,
                f"calls took {shift.plateau_in_words} and none ended with {DEADLINE_EXCEEDED}, "
                f"though other codes were recorded ({codes})",
                shift.evidence,
                setting_as_evidence(
                    seen.case, f"a client deadline above {limit:g} s is taken as not plausible"
                ),
            )
        )
    elif shift.status_counts.get(DEADLINE_EXCEEDED):
        number = shift.status_counts[DEADLINE_EXCEEDED]
        text = f"a deadline acted: {number} calls ended with {DEADLINE_EXCEEDED}"
        claims.append(claim_against(Aspect.MECHANISM, text, shift.evidence))
    else:
        text = f"the codes recorded ({codes}) show no failed call to judge by"
        if DEADLINE_EXCEEDED in shift.unsure_codes:
            text = f"a count of {DEADLINE_EXCEEDED} began late: how high it began is not recorded"
        elif failed_codes(shift):
            took = f"calls took {shift.plateau_in_words}"
            text = f"{took}, which a plausible deadline may have let them"
        claims.append(claim_against(Aspect.ABSENCE, text, shift.evidence))
    claims += at_another_time(
        seen, "the slowness", shift.onset, shift.offset, System.GRPC_METRICS, shift.evidence
    )
    return claims


def _lasts_as_long(seen: Observations, endpoint: EndpointImpact, shift: LatencyShift) -> bool:
    failures = seen.tables.failures
    rows = failures[(failures["method"] == endpoint.method) & (failures["route"] == endpoint.route)]
    middle = float(rows["latency_ms"].median())
    if shift.plateau_basis == "ceiling":
        return middle >= shift.plateau_ms
    return abs(middle - shift.plateau_ms) <= SAME_DURATION * shift.plateau_ms

"""`missing_deadline`: calls hung for as long as something else let them, and no deadline acted."""

from __future__ import annotations

from incident_rca.analysis.evidence import setting_as_evidence
from incident_rca.analysis.hypotheses.claims import (
    claim_against,
    claim_for,
    not_recorded,
)
from incident_rca.analysis.hypotheses.orders import at_another_time
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
# What a server measures says how long it worked, not how long its callers waited.
BY_SERVER = "server"
# A request lasts as long as the call it waits for, give or take the gateway's own work.
SAME_DURATION = 0.05


def hypotheses(seen: Observations) -> tuple[Candidate, ...]:
    """One candidate a method whose calls hung with known status codes, as its callers saw it."""
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
    return tuple(_candidate(seen, shift) for shift in as_callers_saw(seen))


def as_callers_saw(seen: Observations) -> tuple[LatencyShift, ...]:
    """One shift with status codes a method: by what its callers measured, else by its server."""
    by_method: dict[tuple[str, str], LatencyShift] = {}
    coded = [shift for shift in seen.latency_shifts if shift.status_counts]
    for shift in sorted(coded, key=lambda s: BY_SERVER in s.metric.casefold()):
        by_method.setdefault((shift.service, shift.method), shift)
    return tuple(by_method.values())


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
    return Candidate(
        hypothesis=Hypothesis(
            kind=Kind.MISSING_DEADLINE,
            object=f"{shift.service}.{shift.method}",
            role=Role.RULED_OUT if verdict is Verdict.CONTRADICTED else Role.CONTRIBUTING,
            verdict=verdict,
            statement=_statement(seen, shift),
            claims=claims,
            confirm_by=(
                "Read the call's options in the caller's code, or the grpc-timeout header at the "
                "server: is a deadline set, and which?"
            ),
        )
    )


def _statement(seen: Observations, shift: LatencyShift) -> str:
    name, seconds = f"{shift.service}.{shift.method}", shift.plateau_ms / 1000
    if hung_without_deadline(seen, shift):
        return (
            f"No client deadline below {seconds:.0f} s acted on {name}: its callers waited until "
            "something else ended the call."
        )
    if deadline_is_too_long(seen, shift):
        return (
            f"The deadline of {name} was too long: it ended calls only after {seconds:.1f} s, and "
            "each held what it had taken until then."
        )
    return f"Whether a deadline would have helped {name} is open."


def deadline_is_too_long(seen: Observations, shift: LatencyShift) -> bool:
    """Whether a deadline ended calls, later than is plausible for a call that a user waits for.

    Calls that a deadline ends last as long as it, to some ten milliseconds: where most of those
    that failed did so, their level is it.
    """
    longest_ms = seen.case.thresholds.plausible_deadline_seconds * 1000
    ended = shift.status_counts.get(DEADLINE_EXCEEDED, 0)
    failed = sum(n for code, n in shift.status_counts.items() if code != "OK")
    return (
        2 * ended > failed
        and shift.plateau_basis != "interpolation"
        and shift.plateau_ms > longest_ms
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
    claims.append(_by_codes(seen, shift))
    claims += at_another_time(
        seen, "the slowness", shift.onset, shift.offset, System.GRPC_METRICS, shift.evidence
    )
    return claims


def _by_codes(seen: Observations, shift: LatencyShift) -> Claim:
    """What the calls' codes and their length say of a deadline."""
    codes = ", ".join(f"{code} {n}" for code, n in shift.status_counts.items())
    number = shift.status_counts.get(DEADLINE_EXCEEDED, 0)
    limit = seen.case.thresholds.plausible_deadline_seconds
    assumed = setting_as_evidence(
        seen.case, f"a client deadline above {limit:g} s is taken as not plausible"
    )
    if hung_without_deadline(seen, shift):
        text = (
            f"calls took {shift.plateau_in_words} and none ended with {DEADLINE_EXCEEDED}, "
            f"though other codes were recorded ({codes})"
        )
        return claim_for(Aspect.MECHANISM, text, shift.evidence, assumed)
    if deadline_is_too_long(seen, shift):
        text = (
            f"{number} calls ended with {DEADLINE_EXCEEDED} after {shift.plateau_in_words}: a "
            "deadline acted, and it was too long to spare the callers the wait"
        )
        return claim_for(Aspect.MECHANISM, text, shift.evidence, assumed)
    if number:
        text = f"a deadline acted: {number} calls ended with {DEADLINE_EXCEEDED}"
        return claim_against(Aspect.MECHANISM, text, shift.evidence)
    text = f"the codes recorded ({codes}) show no failed call to judge by"
    if DEADLINE_EXCEEDED in shift.unsure_codes:
        text = f"a count of {DEADLINE_EXCEEDED} began late: how high it began is not recorded"
    elif failed_codes(shift):
        took = f"calls took {shift.plateau_in_words}"
        text = f"{took}, which a plausible deadline may have let them"
    return claim_against(Aspect.ABSENCE, text, shift.evidence)


def _lasts_as_long(seen: Observations, endpoint: EndpointImpact, shift: LatencyShift) -> bool:
    middle = float(seen.failures_of([endpoint])["latency_ms"].median())
    if shift.plateau_basis == "ceiling":
        return middle >= shift.plateau_ms
    return abs(middle - shift.plateau_ms) <= SAME_DURATION * shift.plateau_ms

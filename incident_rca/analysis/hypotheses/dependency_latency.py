"""`dependency_latency`: a method that the failing routes call became slow; often a symptom."""

from __future__ import annotations

from datetime import timedelta

from incident_rca.analysis.call_counts import CallCounts
from incident_rca.analysis.clocks import Sequence
from incident_rca.analysis.coverage import holes_of_calls
from incident_rca.analysis.evidence import instant, rows_as_evidence, source_as_evidence
from incident_rca.analysis.frames import distinct
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
from incident_rca.analysis.hypotheses.missing_deadline import BY_SERVER
from incident_rca.analysis.hypotheses.orders import (
    Moment,
    at_another_time,
    order_between,
    starved_meanwhile,
)
from incident_rca.analysis.latency import AGGREGATES
from incident_rca.analysis.latency_cuts import gave_up_more
from incident_rca.analysis.lock_watch import why_unwatched
from incident_rca.analysis.observations import Observations
from incident_rca.analysis.paths import DependencyPath, path_from_service
from incident_rca.analysis.queue_flow import Recovery
from incident_rca.analysis.verdicts import Candidate, verdict_of
from incident_rca.analysis.waited import usually
from incident_rca.model import (
    Aspect,
    Basis,
    Claim,
    Evidence,
    Hypothesis,
    Kind,
    LatencyShift,
    Role,
    SourceState,
    Span,
    System,
)
from incident_rca.typed_frames import plain


def hypotheses(seen: Observations) -> Candidates:
    """One candidate a method that became slow; else that none did, or that nobody measured it."""
    if not seen.latency_shifts:
        return _none(seen)
    by_method: dict[tuple[str, str], list[LatencyShift]] = {}
    for shift in seen.latency_shifts:
        by_method.setdefault((shift.service, shift.method), []).append(shift)
    return tuple(_candidate(seen, shifts) for shifts in by_method.values())


def _none(seen: Observations) -> Candidates:
    if seen.outage is None:
        return ()
    metrics = seen.tables.metrics
    is_latency = metrics["aggregate"].isin(AGGREGATES) & metrics["method"].notna()
    if not seen.has_metrics() or not is_latency.any():
        confirm = "Import the latencies of the gRPC calls."
        thing = "a service that became slow"
        return (not_recorded(seen, Kind.DEPENDENCY_LATENCY, thing, System.GRPC_METRICS, confirm),)
    if hidden := [c for c in seen.calls if gave_up_more(c.cut_off)]:
        return (_hidden_by_deadlines(hidden),)
    if holes := holes_of_calls(seen, is_latency, "the latencies"):
        confirm = "Import the latencies of these calls for the whole outage, or read its traces."
        thing = "a service that became slow"
        return (not_covered(seen, Kind.DEPENDENCY_LATENCY, thing, holes, confirm),)
    if seen.outage.onset.lo is None:
        confirm = "Report an earlier window, with latencies of calls from before the outage."
        return (not_compared(seen, Kind.DEPENDENCY_LATENCY, "a service that became slow", confirm),)
    rows = metrics[is_latency]
    text = "no method whose latency is recorded became slower than it was before"
    at = Span(instant(rows["at"].min()), instant(rows["at"].max()), "first to last bucket")
    cited = rows_as_evidence(
        rows, system=System.GRPC_METRICS, at=at, seen="latencies of calls", first="row"
    )
    return (
        ruled_out(
            Kind.DEPENDENCY_LATENCY,
            "the methods that are recorded",
            "No call became slow.",
            "Methods without latencies in this case may have been slow.",
            claim_against(Aspect.MECHANISM, text, cited, seen.outage.evidence),
        ),
    )


def _hidden_by_deadlines(cut_off: list[CallCounts]) -> Candidate:
    """What cannot be ruled out: latencies end at a deadline, and more calls than usual met it."""
    name = ", ".join(c.name for c in cut_off)
    told = "; ".join(f"of {c.name} {c.cut_off.in_words}" for c in cut_off)
    text = f"{told}: how long those would have taken is not recorded"
    claims = (claim_against(Aspect.ABSENCE, text, *(c.evidence for c in cut_off)),)
    return Candidate(
        hypothesis=Hypothesis(
            kind=Kind.DEPENDENCY_LATENCY,
            object=name,
            role=Role.CONTRIBUTING,
            verdict=verdict_of(claims, needs_are_met=False),
            statement=f"Whether {name} became slow cannot be said: its callers gave up on calls.",
            claims=claims,
            confirm_by=f"Read a trace of a call of {name} that was cut off: where did its time go?",
        )
    )


def _candidate(seen: Observations, shifts: list[LatencyShift]) -> Candidate:
    """A method's candidate by all that measured it; its server says best when it was slow.

    It acts for as long as calls were slow, but no longer than to the recovery of its service.
    """
    shift = shifts[0]
    measured = next((s for s in shifts if _is_by_server(s.metric)), shift)
    path = path_from_service(seen, shift.service)
    claims = tuple(_claims(seen, shifts, measured, path))
    name = f"{shift.service}.{shift.method}"
    hangs = seen.outage is not None and path is not None and bool(path.failing)
    role = Role.TRIGGER if hangs else Role.CONTRIBUTING
    if hangs and (queued := _queued(seen, measured)):
        text = (
            f"{shift.service} itself answered {name} as fast as before and was slow in another "
            "method: these callers waited before it"
        )
        claims = (*claims, claim_against(Aspect.DOSE, text, queued, shift.evidence))
        role = Role.SYMPTOM
    same = [s for s in shifts if s.metric == measured.metric]
    start = min(s.onset.first for s in same)
    ends = [s.offset.hi for s in same]
    end = None if None in ends else max(end for end in ends if end)
    if seen.recovery is not None and seen.recovery.service == shift.service:
        claims = (*claims, _recovered(seen.recovery))
        end = seen.recovery.at.middle
    return Candidate(
        hypothesis=Hypothesis(
            kind=Kind.DEPENDENCY_LATENCY,
            object=name,
            role=role,
            verdict=verdict_of(claims, needs_are_met=seen.has_metrics()),
            statement=(
                f"Calls of {name} took {shift.plateau_in_words} instead of "
                f"{shift.baseline_p99_ms or 0:,.0f} ms ({shift.aggregate})."
            ),
            claims=claims,
            confirm_by=f"Read a trace of one slow call of {name}: where did its time go?",
        ),
        active=(start, end),
        service=shift.service,
        routes=frozenset(e.name for e in path.failing) if path else frozenset(),
        hidden=_hidden(seen, shift, path),
    )


def _recovered(recovery: Recovery) -> Claim:
    """What it does not explain: calls that were slow when their service was not any more."""
    text = (
        f"{recovery.in_words}, as its queue shows, which held {recovery.waiting:,} calls then: "
        "those that were slow from then on waited in it"
    )
    return claim_against(Aspect.RECOVERY, text, recovery.evidence, basis=Basis.INFERRED)


def _queued(seen: Observations, measured: LatencyShift) -> tuple[Evidence, ...]:
    """The latencies by a method's server, where these did not rise and those of another method did.

    Empty where the server measured this method slow as well, or no method, or nobody recorded it.
    """
    service = measured.service
    others = [s for s in seen.latency_shifts if s.service == service and _is_by_server(s.metric)]
    if not others or _is_by_server(measured.metric):
        return ()
    metrics = seen.tables.metrics
    rows = metrics[
        metrics["aggregate"].isin(AGGREGATES)
        & metrics["metric"].isin([m for m in distinct(metrics, "metric") if _is_by_server(m)])
        & metrics["value"].notna()
        & (metrics["at"] >= measured.onset.first)
    ]
    names = plain(rows["service"]) + "/" + plain(rows["method"])
    rows = rows[names.eq(measured.full_method).fillna(False)]
    if rows.empty:
        return ()
    at = Span(instant(rows["at"].min()), instant(rows["at"].max()), "first to last bucket")
    told = f"{measured.service} took at most {rows['value'].max():,.0f} ms for {measured.method}"
    return rows_as_evidence(rows, system=System.GRPC_METRICS, at=at, seen=told, first="row")


def _is_by_server(metric: str) -> bool:
    return BY_SERVER in metric.casefold()


def _hidden(seen: Observations, shift: LatencyShift, path: DependencyPath | None) -> str:
    """What may be behind the slowness without being seen: locks, or a pool that was too small."""
    if path is None:
        return f"which routes call {shift.service} is not known"
    pool = seen.pool
    if pool is not None and pool.owner == shift.service and not _is_slow_first(shift, seen):
        return f"the pool of {pool.owner} may have been full before calls became slow"
    return why_unwatched(seen, shift.service)


def _is_slow_first(shift: LatencyShift, seen: Observations) -> bool:
    """Whether the calls may have been slow before the pool was full, which that fills."""
    assert seen.pool is not None
    full = Moment(seen.pool.exhausted_at, seen.pool.exhausted_by, seen.pool.evidence)
    slow = Moment(Span.at(shift.onset.first), System.GRPC_METRICS, shift.evidence)
    return order_between(seen, full, slow).sequence is not Sequence.BEFORE


def _mechanism(shift: LatencyShift) -> str:
    if shift.cut_off is not None:
        took = f"{shift.aggregate} of {shift.metric} was {shift.plateau_in_words}"
        return f"{took}, where calls are cut off: {shift.cut_off.in_words}"
    if shift.aggregate == "avg":
        took = f"by {shift.metric} calls took {shift.plateau_in_words}"
        return f"{took}: slow ones took longer than that"
    if shift.plateau_basis in ("average", "interpolation"):
        hidden = f"{shift.aggregate} of {shift.metric} cannot show how long its calls took"
        return f"{hidden}, for its histogram hides it: {shift.plateau_in_words}"
    return f"{shift.aggregate} of {shift.metric} was {shift.plateau_in_words}"


def _claims(
    seen: Observations,
    shifts: list[LatencyShift],
    measured: LatencyShift,
    path: DependencyPath | None,
) -> list[Claim]:
    claims = [claim_for(Aspect.MECHANISM, _mechanism(s), s.evidence) for s in shifts]
    shift = shifts[0]
    cited = tuple(dict.fromkeys(e for s in shifts for e in s.evidence))
    claims += by_path(seen, f"{shift.service}.{shift.method}", path, cited)
    if path and path.failing:
        claims += _requests_waited(seen, shift, path)
    claims += at_another_time(
        seen, "the slowness", measured.onset, measured.offset, System.GRPC_METRICS, cited
    )
    slack = timedelta(milliseconds=shift.peak_ms) + _width(measured.offset)
    claims += ended_together(
        seen, "calls were as fast as before", measured.offset, cited, slack=slack
    )
    begun, over = (
        Moment(span, System.GRPC_METRICS, cited) for span in (measured.onset, measured.offset)
    )
    claims += starved_meanwhile(seen, path, begun, over)
    if why := why_unwatched(seen, shift.service):
        unseen = [s for s in seen.sources_of(System.POSTGRES) if s.state is not SourceState.OK]
        about = tuple(e for s in unseen for e in source_as_evidence(seen.case, s))
        claims.append(claim_against(Aspect.ABSENCE, why, about, cited))
    return claims


def _width(span: Span) -> timedelta:
    return span.hi - span.lo if span.lo and span.hi else timedelta(0)


def _requests_waited(seen: Observations, shift: LatencyShift, path: DependencyPath) -> list[Claim]:
    """Whether the failing requests took as long as it takes to wait for slow calls."""
    took = usually(seen.case, seen.failures_of(path.failing))
    usual = shift.baseline_p99_ms
    if took is None or not usual:
        return []
    cited = (*(e.evidence for e in path.failing), shift.evidence)
    if took.least_ms > usual:
        text = (
            f"the failing requests took {took.in_ms} (median), the calls behind them usually "
            f"{usual:,.0f} ms ({shift.aggregate})"
        )
        return [claim_for(Aspect.DOSE, text, *cited)]
    if took.most_ms > usual:
        return []
    text = (
        f"the failing requests took {took.in_ms} (median), no longer than the calls behind "
        f"them usually do ({usual:,.0f} ms {shift.aggregate}): they did not wait for slow ones"
    )
    return [claim_against(Aspect.DOSE, text, *cited)]

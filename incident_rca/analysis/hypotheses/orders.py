"""What came first: the one form in which every kind asserts it, with its margin and its clocks."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from incident_rca.analysis.clocks import Order, Sequence, order_of, settled_by
from incident_rca.analysis.evidence import instant
from incident_rca.analysis.frames import values
from incident_rca.analysis.hypotheses.claims import claim_against, claim_for
from incident_rca.analysis.observations import Observations
from incident_rca.analysis.outage import failures_in
from incident_rca.analysis.paths import DependencyPath, starved_on
from incident_rca.analysis.traced import UNTIED, TracedWaits
from incident_rca.model import (
    Aspect,
    Basis,
    Claim,
    ClockBasis,
    Clocks,
    Evidence,
    Span,
    Stance,
    System,
)

# A request whose log says no latency may have been under way for as long as the gateway lets one
# be: 29 s by default, which an owner may have raised to minutes.
LONGEST_UNKNOWN_MS = 300_000.0


@dataclass(frozen=True, slots=True)
class Moment:
    """Something that was seen to happen, on the clock of its system."""

    at: Span
    system: System
    evidence: tuple[Evidence, ...]


def order_between(seen: Observations, earlier: Moment, later: Moment) -> Order:
    """How the one lies to the other, all clocks allowed for."""
    return order_of(seen.clocks, earlier.at, earlier.system, later.at, later.system)


def order_claims(
    seen: Observations,
    text: str,
    earlier: Moment,
    later: Moment,
    *,
    stance: Stance = Stance.FOR,
    aspect: Aspect = Aspect.ORDER,
    tie: TracedWaits = UNTIED,
) -> list[Claim]:
    """The claim that the one came before the other; none where the intervals do not stay apart.

    `{margin}` in its text becomes what stays between them. It rests on an assumption where nobody
    measured the clocks, and says so. A `tie` by ids is a mechanism, whatever the clocks say, and
    outranks them: an order against it becomes a remark on the clocks.
    """
    order = order_between(seen, earlier, later)
    if order.sequence is not Sequence.BEFORE:
        return []
    cited = (earlier.evidence, later.evidence)
    # A name in the text may have braces of its own, as a route with a parameter has.
    margin = order.margin_seconds
    said = text.replace("{margin}", f"{margin:,.{1 if margin >= 1 else 3}f} s")
    if tie.in_words and stance is Stance.AGAINST:
        remark = f"{tie.in_words}, which outranks the clocks: by them alone {said}"
        return [claim_for(aspect, remark, tie.evidence, *cited)]
    basis = Basis.OBSERVED
    if order.basis is ClockBasis.ASSUMED:
        basis = Basis.ASSUMED
        said += f"; {_assumption(seen.clocks, earlier.system, later.system, order)}"
    said += f"; {tie.in_words}, whatever the clocks say" if tie.in_words else ""
    make = claim_for if stance is Stance.FOR else claim_against
    return [make(aspect, said, *cited, tie.evidence, basis=basis)]


def _assumption(clocks: Clocks, one: System, other: System, order: Order) -> str:
    """What an order rests on where a clock was not measured, and what would undo it."""
    unmeasured = sorted(
        {c.source for c in clocks.sources if c.system in (one, other)}
        & {c.source for c in clocks.sources if c.basis is ClockBasis.ASSUMED}
    )
    return (
        f"the clock of {', '.join(unmeasured)} was not measured: this assumes that it is no more "
        f"than {order.margin_seconds:,.1f} s further off than declared"
    )


def unsettled(seen: Observations, question: str, one: Moment, other: Moment) -> tuple[str, ...]:
    """The question of what came first with what would settle it; none where it is settled."""
    order = order_between(seen, one, other)
    if order.sequence is not Sequence.INSEPARABLE:
        return ()
    return (f"{question} The two are not separable: {settled_by(order)}.",)


def first_answer(seen: Observations) -> Moment:
    """When the first request that failed was answered, as far as the onset tells which it was.

    Not when it arrived: what makes it fail may begin while it is under way.
    """
    assert seen.outage is not None
    onset = seen.outage.onset
    _, took = min(_failed(seen))
    lo, hi = (None if side is None else side + took for side in (onset.lo, onset.hi))
    return Moment(Span(lo, hi, "arrival and latency"), System.GATEWAY, seen.outage.evidence)


def last_answer(seen: Observations) -> Moment:
    """When the last of the requests that failed was answered."""
    assert seen.outage is not None
    at = max(arrived + took for arrived, took in _failed(seen))
    return Moment(Span(at, at, "arrival and latency"), System.GATEWAY, seen.outage.evidence)


def _failed(seen: Observations) -> list[tuple[datetime, timedelta]]:
    """When each failed request of the outage arrived, and how long it was under way."""
    assert seen.outage is not None
    return [
        (arrived, timedelta(milliseconds=LONGEST_UNKNOWN_MS if ms is None else ms))
        for at, ms in values(failures_in(seen.tables, seen.outage), "at", "latency_ms")
        if (arrived := instant(at)) is not None
    ]


def starved_meanwhile(
    seen: Observations,
    path: DependencyPath | None,
    start: Moment,
    end: Moment,
) -> list[Claim]:
    """A claim for each route of the path whose requests stopped while a state held.

    What hangs may never be logged, so a silence is what the state may have done to that route. It
    is as well what nobody asking looks like: inferred, and no path of failures.
    """
    claims = []
    for starvation in starved_on(seen, path):
        stopped = Moment(starvation.onset, System.GATEWAY, starvation.evidence)
        before, after = order_between(seen, stopped, start), order_between(seen, end, stopped)
        if Sequence.BEFORE in (before.sequence, after.sequence):
            continue
        text = (
            f"requests of {starvation.name}, which depends on it, stopped meanwhile: "
            f"{starvation.per_minute:,.0f} a minute came instead of "
            f"{starvation.usual_per_minute:,.0f}"
        )
        claims.append(
            claim_for(Aspect.DOSE, text, starvation.evidence, start.evidence, basis=Basis.INFERRED)
        )
    return claims


def at_another_time(
    seen: Observations,
    what: str,
    start: Span,
    end: Span,
    system: System,
    *evidence: tuple[Evidence, ...],
    begun_by: System | None = None,
    tie: TracedWaits = UNTIED,
) -> list[Claim]:
    """A claim against what was over before the outage, or began after it; none if inseparable.

    `begun_by` is the system by whose clock it began, if not by that by which it ended.
    """
    if seen.outage is None:
        return []
    outage = seen.outage
    cited = tuple(item for group in evidence for item in group)
    first = Moment(outage.onset, System.GATEWAY, outage.evidence)
    claims = order_claims(
        seen,
        f"{what} was over {{margin}} or more before requests began to fail",
        Moment(end, system, cited),
        first,
        stance=Stance.AGAINST,
        tie=tie,
    )
    if not claims and not outage.ongoing:
        claims = order_claims(
            seen,
            f"{what} began {{margin}} after the last failing request was answered",
            last_answer(seen),
            Moment(start, begun_by or system, cited),
            stance=Stance.AGAINST,
            tie=tie,
        )
    return claims

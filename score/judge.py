"""The judge: what an analysis says of a case, beside what is true of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from math import inf

from incident_rca.analysis.clocks import Sequence as Order
from incident_rca.analysis.clocks import order_of
from incident_rca.analysis.roles import HOLDS
from incident_rca.model import (
    Analysis,
    Aspect,
    ErrorBurst,
    Hypothesis,
    Role,
    Span,
    Stance,
    System,
    Verdict,
)
from score.blame import Blame, asserted
from score.manifest import START
from score.plans import Plan
from score.truth import Expected, Onset, TrueIncident, Truth

# Instants are written in milliseconds.
ROUNDED = 0.001
BY_WAIT = "the wait that took the last connection"


@dataclass(frozen=True, slots=True)
class Named:
    """What an answer made of one true incident, or of a quiet window (`expected` is None there)."""

    expected: Expected | None
    is_right: bool
    is_wrong: bool
    abstains: bool


@dataclass(frozen=True, slots=True)
class Found:
    """An onset that was found, or that a source showed and was not: then it has no width.

    `width` is that of its span over its source's resolution.
    """

    what: str
    is_inside: bool
    width: float | None
    is_ramp: bool


@dataclass(frozen=True, slots=True)
class Ordered:
    """A pair of onsets: whether its order can be told, and was told, and is wrong."""

    is_determinable: bool
    is_asserted: bool
    is_wrong: bool


@dataclass(frozen=True, slots=True)
class Explained:
    """Seconds: how far from the truth they were said to be, and how many there are in truth."""

    error: float
    true: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """One case. `trusts_clocks` is false where a clock was further off than was declared."""

    seed: int
    kind: str
    named: tuple[Named, ...]
    supports_in_quiet: bool
    onsets: tuple[Found, ...]
    orders: tuple[Ordered, ...]
    explained: tuple[Explained, ...]
    trusts_clocks: bool


def judged(plan: Plan, truth: Truth, analysis: Analysis) -> Judged:
    """Everything that is scored of one case."""
    blames = (*asserted(analysis), *_false_sustainers(plan, analysis))
    pairs = tuple(incidents_met(plan, truth, analysis))
    numbers = [n for _, n in pairs]
    named = [named_by(i, [b for b in blames if b.incident == n]) for i, n in pairs]
    elsewhere = [b for b in blames if b.incident not in numbers]
    if elsewhere or not pairs:
        named.append(named_by(None, elsewhere))
    supported = [h for h in analysis.hypotheses if h.verdict is Verdict.SUPPORTED]
    known = tuple(matched_onsets(plan, truth, analysis))
    return Judged(
        seed=plan.seed,
        kind=plan.kind,
        named=tuple(named),
        supports_in_quiet=truth.is_quiet and bool(supported),
        onsets=tuple(
            _found(plan, onset, span, analysis)
            for onset, span in known
            if span is not None or onset.is_shown
        ),
        orders=(*_orders(plan, known, analysis), *_claimed(pairs, analysis)),
        explained=tuple(
            e
            for (incident, number), verdict in zip(pairs, named, strict=False)
            if verdict.is_right and (e := _explained(incident, number, analysis)) is not None
        ),
        trusts_clocks=not plan.observation.outside,
    )


def named_by(incident: TrueIncident | None, blames: Sequence[Blame]) -> Named:
    """What these blames make of an incident; of none at all each of them is wrong."""
    right = [
        b for b in blames if incident and b.kind == incident.kind and b.object in incident.objects
    ]
    return Named(
        expected=incident.expected if incident else None,
        is_right=bool(right) and len(right) == len(blames),
        is_wrong=len(right) < len(blames),
        abstains=not blames,
    )


def _false_sustainers(plan: Plan, analysis: Analysis) -> Iterator[Blame]:
    """What is said to keep an outage going, and by the design of the scene cannot."""
    for h in analysis.hypotheses:
        is_said = h.role is Role.SUSTAINER and h.verdict in HOLDS
        if is_said and h.kind.value not in plan.sustainers:
            yield Blame(h.kind.value, h.object, h.incident)


def incidents_met(
    plan: Plan, truth: Truth, analysis: Analysis
) -> Iterator[tuple[TrueIncident, int]]:
    """Each true incident with the number of the reported one that meets it; 0 where none does."""
    shift = _shift(plan, analysis, "gateway")
    outages = {n: analysis.outage_of(n) for n in (1, *(i.number for i in analysis.other_incidents))}
    for incident in truth.incidents:
        met = (n for n, o in outages.items() if o is not None and _meets(o, incident, shift))
        yield incident, next(met, 0)


def _meets(outage: ErrorBurst, incident: TrueIncident, shift: float) -> bool:
    start, end = _seconds(outage.start.lo), _seconds(outage.end.lo)
    assert start is not None and end is not None
    return start <= incident.outage[1] + shift + 1 and end >= incident.outage[0] + shift - 1


def _shift(plan: Plan, analysis: Analysis, system: str) -> float:
    """How far a system's times in a report are off: its clock, less what the analysis took off."""
    moved = [c.moved_seconds for c in analysis.clocks.sources if c.system.value == system]
    return plan.observation.offsets[system] - (moved[0] if moved else 0)


def _seconds(at: datetime | None) -> float | None:
    return None if at is None else (at - START).total_seconds()


# --- onsets -------------------------------------------------------------------------------------


def matched_onsets(
    plan: Plan, truth: Truth, analysis: Analysis
) -> Iterator[tuple[Onset, Span | None]]:
    """Each true onset with the span that the analysis gives it; None where it found none.

    What goes on and off within one rise is told as one: its span is that of the first of them.
    """
    given: set[tuple[str, str, Span]] = set()
    for onset in truth.onsets:
        span = _span_of(plan, onset, analysis)
        is_new = span is not None and (onset.what, onset.object, span) not in given
        if span is not None:
            given.add((onset.what, onset.object, span))
        yield onset, span if is_new else None
    for incident, number in incidents_met(plan, truth, analysis):
        onset = Onset(
            what="outage",
            system="gateway",
            object="",
            at=incident.outage[0],
            since=incident.outage[0],
            until=incident.outage[1],
            resolution=_left_by_rate(incident),
            is_ramp=incident.is_ramp,
            is_shown=plan.observation.has("gateway"),
        )
        outage = analysis.outage_of(number)
        yield onset, None if outage is None else outage.onset


def _left_by_rate(incident: TrueIncident) -> float:
    """The quiet that a rate of failures leaves open before its first event: the rule of three.

    Of three mean gaps, in which at a constant rate nothing comes in 5 of 100 cases (Hanley and
    Lippman-Hand, JAMA 1983): no method can date the beginning of the failures better by counts.
    """
    start, end = incident.outage
    return max(ROUNDED, 3 * (end - start) / max(1, incident.failures))


def _span_of(plan: Plan, onset: Onset, analysis: Analysis) -> Span | None:
    if onset.what == "lock":
        found = [
            (e.held_start, e.held_end) for e in analysis.lock_episodes if e.object == onset.object
        ]
    elif onset.what == "latency":
        found = [
            (s.onset, s.offset)
            for s in analysis.latency_shifts
            if f"{s.service}.{s.method}" == onset.object
        ]
    else:
        pool = analysis.pool
        is_it = pool is not None and pool.owner == onset.object
        found = [(pool.exhausted_at, pool.exhausted_until)] if pool is not None and is_it else []
    shift = _shift(plan, analysis, onset.system)
    for start, end in found:
        first, last = _seconds(start.first), _seconds(end.hi)
        if first is not None and first <= onset.until + shift and (last or inf) >= onset.at + shift:
            return start
    return None


def _found(plan: Plan, onset: Onset, span: Span | None, analysis: Analysis) -> Found:
    if span is None:
        return Found(onset.what, is_inside=False, width=None, is_ramp=onset.is_ramp)
    # A pool's instant may come from a wait for a lock: then it is by the clock that told of that.
    system = "postgres" if span.reason == BY_WAIT else onset.system
    shift = _shift(plan, analysis, system)
    lo, hi = _seconds(span.lo), _seconds(span.hi)
    low, high = -inf if lo is None else lo, inf if hi is None else hi
    return Found(
        what=onset.what,
        is_inside=low - ROUNDED <= onset.at + shift and onset.since + shift <= high + ROUNDED,
        width=(high - low) / onset.resolution,
        is_ramp=onset.is_ramp,
    )


# --- orders -------------------------------------------------------------------------------------


def _orders(
    plan: Plan, known: Sequence[tuple[Onset, Span | None]], analysis: Analysis
) -> Iterator[Ordered]:
    """Each pair of onsets of two systems, by the rule by which the analysis asserts an order."""
    for position, (one, a) in enumerate(known):
        for other, b in known[position + 1 :]:
            if one.system == other.system:
                continue
            order = Order.INSEPARABLE
            if a is not None and b is not None:
                systems = System(one.system), System(other.system)
                order = order_of(analysis.clocks, a, systems[0], b, systems[1]).sequence
            yield Ordered(
                is_determinable=_is_determinable(plan, one, other),
                is_asserted=order is not Order.INSEPARABLE,
                is_wrong=(order is Order.BEFORE and one.since >= other.at)
                or (order is Order.AFTER and other.since >= one.at),
            )


def _is_determinable(plan: Plan, one: Onset, other: Onset) -> bool:
    """Whether they lie further apart than their sources and clocks leave open at the worst."""
    seen = plan.observation
    left = one.resolution + other.resolution
    left += 2 * (seen.bounds[one.system] + seen.bounds[other.system])
    left += (one.at - one.since) + (other.at - other.since)
    is_sharp = not one.is_ramp and not other.is_ramp and one.is_shown and other.is_shown
    return is_sharp and abs(one.at - other.at) > left and not seen.outside


def _claimed(pairs: Sequence[tuple[TrueIncident, int]], analysis: Analysis) -> Iterator[Ordered]:
    """Each claim of an order in what is said of a true cause: it did begin before the failures.

    Of several hypotheses of one kind and object only the first is of the cause itself: the others
    are of other sessions that held the same table at another time.
    """
    for incident, number in pairs:
        of_cause = [h for h in analysis.hypotheses if h.incident == number and _is_of(h, incident)]
        for claim in (c for h in of_cause[:1] for c in h.claims if c.aspect is Aspect.ORDER):
            is_wrong = claim.stance is Stance.AGAINST
            yield Ordered(is_determinable=False, is_asserted=True, is_wrong=is_wrong)


def _is_of(hypothesis: Hypothesis, incident: TrueIncident) -> bool:
    return hypothesis.kind.value == incident.kind and hypothesis.object in incident.objects


# --- seconds ------------------------------------------------------------------------------------


def _explained(incident: TrueIncident, number: int, analysis: Analysis) -> Explained | None:
    """The seconds of the trigger and, where the scene promises one, of its sustainers."""

    def said(role: str) -> float:
        return sum(
            h.explains_seconds
            for h in analysis.hypotheses
            if h.incident == number and h.role.value == role
        )

    error = abs(said("trigger") - incident.trigger_seconds)
    true = incident.trigger_seconds
    if incident.sustained_seconds is not None:
        error += abs(said("sustainer") - incident.sustained_seconds)
        true += incident.sustained_seconds
    return Explained(error, true)

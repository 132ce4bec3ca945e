"""The largest outage step by step, from what may have started it to how it ended."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from incident_rca.analysis.roles import HOLDS
from incident_rca.model import (
    Analysis,
    Aspect,
    ErrorBurst,
    Event,
    Evidence,
    Hypothesis,
    Kind,
    Role,
    Stance,
    Starvation,
    System,
)
from incident_rca.report.contract import numbered_claims
from incident_rca.report.summary import Sentence, best_of, no_trigger, of_role, support_of
from incident_rca.report.told import (
    TELLING,
    of_claim,
    of_claims,
    of_event,
    of_kinds,
    of_statement,
    told_about,
)
from incident_rca.report.wording import Clock, as_sentence, end_of_record, explains

# The kinds of events of the timeline by the step that they belong to.
STARTS = ("lock_held", "lock_queue", "lock_load")
CHANGES = ("change",)
CALLS = ("latency_onset",)
POOL = ("pool_full",)
FAILS = ("failure_first",)
STARVES = ("starved",)
ENDS = (
    "capacity_back",
    "lock_released",
    "sessions_terminated",
    "pool_freed",
    "latency_offset",
    "failure_last",
    "starved_until",
)
STAYS = ("sessions_stuck",)


@dataclass(frozen=True, slots=True)
class Step:
    """One link of the chain: a few words of ours, and what is said of it."""

    lead: str
    told: tuple[Sentence, ...]


def steps(analysis: Analysis) -> tuple[Step, ...]:
    """The links from cause to effect; what nothing was recorded of is left out."""
    outage = analysis.outage
    if outage is None:
        return ()
    told = (
        ("What may have started it", _start(analysis, outage)),
        ("How that reaches the requests", _path(analysis)),
        ("What became of the calls between services", _calls(analysis)),
        ("What became of the connection pool", _pool(analysis)),
        ("What callers got", _callers(analysis, outage)),
        ("How it ended", _end(analysis, outage)),
    )
    made = ((lead, tuple(dict.fromkeys(sentences))) for lead, sentences in told)
    return tuple(Step(lead, sentences) for lead, sentences in made if sentences)


def sustained(analysis: Analysis) -> tuple[Sentence, ...]:
    """What kept the outage going when its trigger was over, or that nothing is known to have."""
    outage = analysis.outage
    if outage is None:
        return ()
    found = [h for h in of_role(analysis, Role.SUSTAINER) if h.incident == 1]
    if not found:
        return (_nothing_sustained(analysis, outage),)
    clock = Clock.of(analysis)
    made: list[Sentence] = []
    for h in found:
        made += [of_statement(h), _explained(analysis, h)]
        made += of_claims(h, "mechanism", "dose", stance=Stance.FOR)
        made += [of_event(clock, e) for e in of_kinds(analysis, _cited(h), *STAYS)]
    return tuple(dict.fromkeys(made))


def _cited(hypothesis: Hypothesis) -> frozenset[Evidence]:
    return frozenset(e for claim in hypothesis.claims for e in claim.evidence)


def _explained(analysis: Analysis, hypothesis: Hypothesis) -> Sentence:
    seconds = explains(analysis, hypothesis.explains_seconds)
    return Sentence("{} explains {}.", (hypothesis.id, seconds), support_of(hypothesis))


def _nothing_sustained(analysis: Analysis, outage: ErrorBurst) -> Sentence:
    left = explains(analysis, analysis.unexplained_seconds)
    triggers = [
        h for h in of_role(analysis, Role.TRIGGER) if h.incident == 1 and h.explains_seconds
    ]
    if not triggers:
        pattern = "No hypothesis qualifies as the sustainer; unexplained: {}."
        return Sentence(pattern, (left,), outage.evidence)
    names = ", ".join(h.id for h in triggers)
    explained = explains(analysis, sum(h.explains_seconds for h in triggers))
    return Sentence(
        "No hypothesis qualifies as the sustainer: {} explains {}; unexplained: {}.",
        (names, explained, left),
        tuple(dict.fromkeys((*support_of(triggers[0]), *outage.evidence))),
    )


def _start(analysis: Analysis, outage: ErrorBurst) -> Iterator[Sentence]:
    best = best_of(analysis, Role.TRIGGER)
    if best is None:
        yield no_trigger(analysis, outage)
        return
    yield of_statement(best)
    clock = Clock.of(analysis)
    began = [e for e in _changes(analysis) if e.at.first <= outage.start.first]
    yield from (of_event(clock, e) for e in began)
    yield from (of_event(clock, e) for e in of_kinds(analysis, _cited(best), *STARTS))
    for number, claim in numbered_claims(best):
        is_mechanism = claim.aspect is Aspect.MECHANISM and claim.stance is Stance.FOR
        # What only the metrics of calls say is told with the calls.
        if is_mechanism and {e.system for e in claim.evidence} != {System.GRPC_METRICS}:
            yield of_claim(number, claim)


def _changes(analysis: Analysis) -> tuple[Event, ...]:
    """When the changes began and ended that may have had a part."""
    cited = (
        evidence
        for h in of_role(analysis, Role.CONTRIBUTING)
        if h.kind is Kind.CHANGE and h.incident == 1 and h.verdict in HOLDS
        for evidence in _cited(h)
    )
    return of_kinds(analysis, cited, *CHANGES)


def _path(analysis: Analysis) -> list[Sentence]:
    best = best_of(analysis, Role.TRIGGER)
    return of_claims(best, "path") if best else []


def _calls(analysis: Analysis) -> Iterator[Sentence]:
    clock, cited = Clock.of(analysis), told_about(analysis, *TELLING)
    yield from (of_event(clock, e) for e in of_kinds(analysis, cited, *CALLS))
    for h in _holding(analysis, Kind.DEPENDENCY_LATENCY, Kind.MISSING_DEADLINE):
        if h.role is not Role.TRIGGER:
            yield of_statement(h)


def _pool(analysis: Analysis) -> Iterator[Sentence]:
    clock, pool = Clock.of(analysis), analysis.pool
    held = _holding(analysis, Kind.POOL_EXHAUSTION)
    for h in held:
        yield from (of_event(clock, e) for e in of_kinds(analysis, _cited(h), *POOL))
        if h.role is not Role.SUSTAINER:
            yield of_statement(h)
    if held and pool and set(pool.evidence) & {e for h in held for e in _cited(h)}:
        yield Sentence("{}", (as_sentence(pool.note),), pool.evidence)


def _holding(analysis: Analysis, *kinds: Kind) -> list[Hypothesis]:
    return [
        h
        for h in analysis.hypotheses
        if h.kind in kinds and h.incident == 1 and h.verdict in HOLDS and h.role in TELLING
    ]


def _callers(analysis: Analysis, outage: ErrorBurst) -> Iterator[Sentence]:
    clock = Clock.of(analysis)
    failing = [e for endpoint in analysis.endpoints for e in endpoint.evidence]
    starved = [e for s in starved_in(analysis, outage) for e in s.evidence]
    yield from (of_event(clock, e) for e in of_kinds(analysis, failing, *FAILS))
    yield from (of_event(clock, e) for e in of_kinds(analysis, starved, *STARVES))


def starved_in(analysis: Analysis, outage: ErrorBurst) -> tuple[Starvation, ...]:
    """The routes whose requests stopped coming for a while of the outage."""
    start, end = outage.start.first, outage.end.hi
    return tuple(
        s
        for s in analysis.starvations
        if (end is None or s.onset.first <= end) and (s.offset.hi is None or s.offset.hi >= start)
    )


def _end(analysis: Analysis, outage: ErrorBurst) -> Iterator[Sentence]:
    clock = Clock.of(analysis)
    causes = [
        h
        for role in (Role.TRIGGER, Role.SUSTAINER)
        for h in of_role(analysis, role)
        if h.incident == 1
    ]
    cited = {
        *told_about(analysis, *TELLING),
        *(e for endpoint in analysis.endpoints for e in endpoint.evidence),
        *(e for s in starved_in(analysis, outage) for e in s.evidence),
    }
    changed = [e for e in _changes(analysis) if e.at.first > outage.start.first]
    ended = (*of_kinds(analysis, cited, *ENDS), *changed)
    yield from (of_event(clock, e) for e in analysis.timeline if e in ended)
    for h in causes:
        yield from of_claims(h, "recovery")
    if outage.ongoing:
        what, until = end_of_record(analysis)
        text = f"It had not ended when {what} did, at {{}} UTC."
        yield Sentence(text, (clock.time(until),), outage.evidence)

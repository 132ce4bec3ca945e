"""Three ways to keep such an outage from its callers, and what this evidence says of each."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from incident_rca.analysis.roles import HOLDS
from incident_rca.model import Analysis, EndpointImpact, ErrorBurst, Hypothesis, Kind, Role
from incident_rca.report.answers import READS
from incident_rca.report.numbers import grouped
from incident_rca.report.summary import Code, Sentence, best_of
from incident_rca.report.told import CAUSES, of_kinds, of_name, told_about
from incident_rca.report.wording import Clock, as_sentence
from incident_rca.window import format_duration

# Causes that a guard in front of the call leaves as they are; load is what it takes away.
_UNTOUCHED = frozenset(Kind) - {Kind.TRAFFIC_SURGE, Kind.RETRY_STORM, Kind.UNKNOWN}
_IN_THE_DATABASE = frozenset({Kind.LOCK_BLOCKING, Kind.DEADLOCK})
# A failing call this many times as slow as usual is what DESIGN calls degraded.
_SLOW = 3.0


@dataclass(frozen=True, slots=True)
class Option:
    """A way: what it is in general, what is said for it and where it ends, what nobody recorded."""

    name: str
    meaning: str
    speaks_for: tuple[Sentence, ...]
    limits: tuple[Sentence, ...]
    not_recorded: str


def options(analysis: Analysis) -> tuple[Option, ...]:
    """The three ways beside the largest outage; none where no request failed in one."""
    outage = analysis.outage
    failing = [e for e in analysis.endpoints if e.is_failing]
    if outage is None or not failing:
        return ()
    trigger = best_of(analysis, Role.TRIGGER)
    cause = trigger if trigger and trigger.verdict in HOLDS else None
    return (
        Option(
            "Circuit breaker with a deadline",
            "The caller gives a call up after a time, and calls nothing for a while once too many "
            "have failed.",
            (*_no_guard(analysis), *_waits(failing, is_slow=True)),
            (*_waits(failing, is_slow=False), *_leaves(cause), *_outlived(analysis)),
            "whether one is configured and did not act, and what a caller could be answered "
            "instead.",
        ),
        Option(
            "Asynchronous queue",
            "What is asked is accepted at once and done later, by workers.",
            tuple(_writes(failing)),
            (*_reads(failing), *_backlog(outage, failing), *_same_wait(cause)),
            "whether a caller may be told yes before the work is done, and what becomes of those "
            "whose work fails then.",
        ),
        Option(
            "Service mesh",
            "A proxy beside each service sets deadlines, breakers and retries for its calls.",
            tuple(_proxies(analysis)),
            (*_behind(cause), *_outlived(analysis)),
            "whether proxies stand between the services already, and what it takes to run them.",
        ),
    )


def _no_guard(analysis: Analysis) -> Iterator[Sentence]:
    """The findings that no deadline or breaker acted, each once."""
    for finding in analysis.findings:
        if finding.rule in ("no-deadline-acted", "no-breaker-acted"):
            yield Sentence("{}", (as_sentence(finding.statement),), finding.evidence)


def _proxies(analysis: Analysis) -> Iterator[Sentence]:
    found = dict.fromkeys(e for sentence in _no_guard(analysis) for e in sentence.evidence)
    if found:
        text = "Its proxies can set the guards that did not act, see above."
        yield Sentence(text, (), tuple(found))


def _waits(failing: list[EndpointImpact], *, is_slow: bool) -> Iterator[Sentence]:
    """How long callers waited: what failing at once would spare, or that it would spare little."""
    for e in failing:
        if e.p99_ms is None or not e.baseline_p99_ms:
            continue
        if (e.p99_ms >= _SLOW * e.baseline_p99_ms) is not is_slow:
            continue
        spares = "which failing at once spares" if is_slow else "so failing at once spares little"
        values = (Code(e.name), f"{e.p99_ms:,.0f}", f"{e.baseline_p99_ms:,.0f}")
        yield Sentence(
            f"p99 of {{}} was about {{}} ms, usually {{}} ms, {spares}.", values, e.evidence
        )


def _leaves(cause: Hypothesis | None) -> Iterator[Sentence]:
    if cause and cause.kind in _UNTOUCHED:
        yield of_name(cause, "It does not take away what may have started the outage: ")


def _outlived(analysis: Analysis) -> Iterator[Sentence]:
    """What says that a connection stayed taken though nobody waited for its call any more."""
    clock = Clock.of(analysis)
    for event in of_kinds(analysis, told_about(analysis, *CAUSES), "sessions_stuck"):
        said = (clock.span(event.at), as_sentence(event.title))
        pattern = "A deadline frees a connection only where the server ends its work too. {}: {}"
        yield Sentence(pattern, said, event.evidence)


def _writes(failing: list[EndpointImpact]) -> Iterator[Sentence]:
    for e in failing:
        if e.method.upper() not in READS:
            values = (grouped(e.failed), Code(e.name))
            pattern = "{} failing requests of {} may be work that can be done later."
            yield Sentence(pattern, values, e.evidence)


def _reads(failing: list[EndpointImpact]) -> Iterator[Sentence]:
    for e in failing:
        if e.method.upper() in READS:
            values = (grouped(e.failed), Code(e.name))
            pattern = "{} failing requests of {} are reads: their callers wait for the answer."
            yield Sentence(pattern, values, e.evidence)


def _backlog(outage: ErrorBurst, failing: list[EndpointImpact]) -> Iterator[Sentence]:
    if any(e.method.upper() not in READS for e in failing):
        yield Sentence(
            "If nothing of it could be worked off before, the first would have waited {} at the "
            "last failure.",
            (format_duration(outage.duration_seconds),),
            outage.evidence,
        )


def _same_wait(cause: Hypothesis | None) -> Iterator[Sentence]:
    if cause and cause.kind in _UNTOUCHED:
        yield of_name(cause, "Workers that do the same work meet the same cause: ")


def _behind(cause: Hypothesis | None) -> Iterator[Sentence]:
    if cause and cause.kind in _IN_THE_DATABASE:
        lead = "It acts on calls between services; what may have started this lies behind them: "
        yield of_name(cause, lead)

"""What the report calls things and how it writes times and ids, in document and screen."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime

from incident_rca import lock_modes
from incident_rca.analysis.lock_words import who
from incident_rca.model import (
    Analysis,
    Aspect,
    ClockBasis,
    EndpointImpact,
    Evidence,
    Hypothesis,
    Impact,
    Incident,
    Kind,
    Role,
    Session,
    Severity,
    SourceClock,
    SourceStatus,
    Span,
    Starvation,
    System,
    TimeWindow,
    Verdict,
)
from incident_rca.report.numbers import grouped, percent, rounded
from incident_rca.report.safe_text import NOTHING

SYSTEM_NAMES: Mapping[System, str] = {
    System.POSTGRES: "PostgreSQL",
    System.GRPC_METRICS: "gRPC metrics",
    System.GATEWAY: "gateway",
    System.CHANGES: "changes",
    System.SETTINGS: "settings",
}
ROLE_NAMES: Mapping[Role, str] = {
    Role.TRIGGER: "candidate trigger",
    Role.SUSTAINER: "candidate sustainer",
    Role.CONTRIBUTING: "contributing",
    Role.SYMPTOM: "symptom",
    Role.COINCIDENT: "coincident",
    Role.RULED_OUT: "ruled out",
}
ROLE_MEANINGS: Mapping[Role, str] = {
    Role.TRIGGER: "what may have started the outage",
    Role.SUSTAINER: "what may have kept it going",
    Role.CONTRIBUTING: "what made it worse or longer",
    Role.SYMPTOM: "an effect, not a cause",
    Role.COINCIDENT: "happened at the same time, no link found",
    Role.RULED_OUT: "the evidence speaks against it",
}
# What is called contributing only if it holds, where nobody knows, or it does not.
_OF_NO_CAUSE = {
    "open": "whether it had a part is not known",
    "not a cause": "the evidence speaks against it",
}
KIND_NAMES: Mapping[Kind, str] = {
    Kind.LOCK_BLOCKING: "wait for a lock",
    Kind.DEADLOCK: "deadlock",
    Kind.POOL_EXHAUSTION: "connection pool used up",
    Kind.MISSING_DEADLINE: "calls that no deadline ends",
    Kind.DEPENDENCY_LATENCY: "a slow dependency",
    Kind.BACKEND_FAILURE: "a service that fails by itself",
    Kind.GATEWAY_CONFIGURATION: "a gateway that cannot reach its backend",
    Kind.TRAFFIC_SURGE: "more requests than usual",
    Kind.RETRY_STORM: "callers that try again and again",
    Kind.CHANGE: "a deployment, migration or other change",
    Kind.UNKNOWN: "something that is not recorded",
}
VERDICT_MEANINGS: Mapping[Verdict, str] = {
    Verdict.SUPPORTED: "path and mechanism observed, by at least two systems, nothing against them",
    Verdict.WEAK: "one of these is missing",
    Verdict.INSUFFICIENT: "more is missing, or a source that it needs",
    Verdict.CONTRADICTED: "the evidence speaks against its path or its mechanism",
}
ASPECT_MEANINGS: Mapping[Aspect, str] = {
    Aspect.PATH: "how it reaches the requests that failed",
    Aspect.MECHANISM: "why it makes them fail in the way they did",
    Aspect.ORDER: "what came first",
    Aspect.DOSE: "more of it, more failures",
    Aspect.RECOVERY: "what ended when it ended",
    Aspect.CONTROL: "what it does not touch stayed well",
    Aspect.ABSENCE: "what should be there and is not",
}
SEVERITY_ORDER = tuple(Severity)

# Words in a finding's rule that tell when its remedy acts; what is none of these prevents.
_REMEDY_TYPES = (
    ("detect", ("alert", "monitor", "recorded", "telemetry", "logging")),
    ("mitigate", ("deadline", "breaker", "timeout", "pool", "retry", "idle")),
)


@dataclass(frozen=True, slots=True)
class Clock:
    """Writes instants as UTC times of day, with the date where it is not `day`."""

    day: date

    @classmethod
    def of(cls, analysis: Analysis) -> Clock:
        return cls(analysis.case.window.start.date())

    def time(self, instant: datetime) -> str:
        """`10:00:01`, or `02-28 10:00:01` on another day."""
        return instant.strftime("%H:%M:%S" if instant.date() == self.day else "%m-%d %H:%M:%S")

    def optional(self, instant: datetime | None) -> str:
        return NOTHING if instant is None else self.time(instant)

    def span(self, span: Span) -> str:
        """`10:00:01`, or the two bounds if they lie in different seconds."""
        if span.lo is None or span.hi is None:
            known = self.optional(span.lo or span.hi)
            return f"{'≥' if span.hi is None else '≤'} {known}" if known != NOTHING else "unknown"
        if span.lo.replace(microsecond=0) == span.hi.replace(microsecond=0):
            return self.time(span.lo)
        same_minute = span.lo.replace(second=0, microsecond=0) == span.hi.replace(
            second=0, microsecond=0
        )
        return (
            f"{self.time(span.lo)}–{span.hi:%S}" if same_minute else self._range(span.lo, span.hi)
        )

    def window(self, window: TimeWindow | None) -> str:
        """`14:10:00–14:55:00`, or a dash where nothing was covered."""
        return NOTHING if window is None else self._range(window.start, window.end)

    def _range(self, lo: datetime, hi: datetime) -> str:
        if lo.date() == hi.date():
            return f"{self.time(lo)}–{hi:%H:%M:%S}"
        return f"{lo:%m-%d %H:%M:%S}–{hi:%m-%d %H:%M:%S}"


def ids(analysis: Analysis, evidence: tuple[Evidence, ...], limit: int | None = None) -> str:
    """The short ids of `evidence`, `L3fa2, G9b1c`, and how many more there are beyond `limit`."""
    cited = analysis.cite(evidence)
    if limit is None or len(cited) <= limit:
        return ", ".join(cited)
    return f"{', '.join(cited[:limit])} +{len(cited) - limit}"


def rows_of(evidence: Evidence) -> str:
    """Where a piece of evidence stands: `raw/access.ndjson.gz:48112` or `…:12–30`."""
    if evidence.rows is None:
        return evidence.file
    first, last = evidence.rows
    return f"{evidence.file}:{first}" if first == last else f"{evidence.file}:{first}–{last}"


def lock_words(mode: str) -> str:
    """A lock mode in words, with what it means: `SHARE lock (blocks writes, not reads)`."""
    if mode not in lock_modes.MODES:
        return f"{mode or 'unknown'} lock"
    return f"{lock_modes.in_words(mode)} lock ({lock_modes.meaning(mode)})"


def session_words(session: Session) -> str:
    """`PID 4711 (worker)`, or the process id alone, or the name of a prepared transaction."""
    if not session.pid:
        return who(session)
    return (
        f"PID {session.pid} ({session.application})"
        if session.application
        else f"PID {session.pid}"
    )


def by_status(counts: Mapping[int, int]) -> str:
    """The status codes from 500 that occur, `502, 504`."""
    return ", ".join(str(status) for status in sorted(counts) if status >= 500 and counts[status])


def role_name(hypothesis: Hypothesis) -> str:
    """The role in few words."""
    if hypothesis.role is Role.CONTRIBUTING and hypothesis.verdict is Verdict.INSUFFICIENT:
        return "open"
    if hypothesis.role is Role.CONTRIBUTING and hypothesis.verdict is Verdict.CONTRADICTED:
        return "not a cause"
    return hypothesis.role.value.replace("_", " ")


def role_words(analysis: Analysis, hypothesis: Hypothesis) -> str:
    """The role with its meaning and, where there are several, its outage."""
    role, name = hypothesis.role, role_name(hypothesis)
    meaning = _OF_NO_CAUSE.get(name, ROLE_MEANINGS[role])
    text = f"{name if name in _OF_NO_CAUSE else ROLE_NAMES[role]} ({meaning})"
    return f"{text}, outage {hypothesis.incident}" if analysis.other_incidents else text


def sources_count(hypothesis: Hypothesis) -> str:
    """`3 independent sources (gateway, gRPC metrics, PostgreSQL)`."""
    names = ", ".join(SYSTEM_NAMES[system] for system in hypothesis.systems)
    number = len(hypothesis.systems)
    word = "source" if number == 1 else "sources"
    return f"{number} independent {word} ({names})" if names else "no independent source"


def end_of_record(analysis: Analysis) -> tuple[str, datetime]:
    """What ends what is known of the requests, the window or their log, and when."""
    case = analysis.case
    if case.recorded is None or case.recorded.end == case.window.end:
        return "the window", case.window.end
    return "the gateway's log", case.recorded.end


def explains(analysis: Analysis, seconds: float, incident: int = 1) -> str:
    """`240 s (17.2 % of the outage)`; without an outage only the seconds."""
    outage = analysis.outage_of(incident)
    whole = outage.duration_seconds if outage else 0.0
    text = f"{grouped(seconds)} s"
    return f"{text} ({percent(seconds / whole)} of the outage)" if whole > 0 else text


def other_outage(analysis: Analysis, incident: Incident) -> str:
    """An outage beside the largest one, in one sentence: when, how many failed, what started it."""
    clock, outage = Clock.of(analysis), incident.outage
    until = f"the end of {end_of_record(analysis)[0]}" if outage.ongoing else clock.span(outage.end)
    triggers = [
        f"{h.id} ({h.kind.value}, {h.verdict.value})"
        for h in analysis.hypotheses
        if h.incident == incident.number and h.role is Role.TRIGGER
    ]
    started = ", ".join(triggers) or "nothing in this evidence"
    return (
        f"outage {incident.number}, {clock.span(outage.start)} to {until}: "
        f"{grouped(incident.failed_requests)} requests failed; started by {started}"
    )


def failed_of(endpoint: EndpointImpact) -> str:
    """`1,250 (100 %)`, or `0`."""
    if not endpoint.failed or not endpoint.requests:
        return grouped(endpoint.failed)
    return f"{grouped(endpoint.failed)} ({percent(endpoint.failed / endpoint.requests)})"


def impact_words(endpoint: EndpointImpact) -> str:
    """The impact, with the numbers that decided it where they are not the failures."""
    if endpoint.impact is Impact.STARVED and endpoint.baseline_per_minute is not None:
        before, during = endpoint.baseline_per_minute, endpoint.incident_per_minute
        return f"starved: {_from_to(before, during)} a minute"
    slower = endpoint.p99_ms is not None and endpoint.baseline_p99_ms is not None
    if endpoint.impact is Impact.DEGRADED and slower:
        return f"degraded: p99 {_ms(endpoint.baseline_p99_ms)} → {_ms(endpoint.p99_ms)} ms"
    return endpoint.impact.value


def rates(starvation: Starvation) -> str:
    """How many requests a minute came before and during it: `60 → 0.5`."""
    return _from_to(starvation.usual_per_minute, starvation.per_minute)


def _from_to(before: float, during: float) -> str:
    return " → ".join(f"{round(rounded(value), 1):,}" for value in (before, during))


def _ms(value: float | None) -> str:
    return NOTHING if value is None else f"{round(value):,}"


_CLOCK_BASIS = {
    ClockBasis.MEASURED: "measured",
    ClockBasis.SHARED_IDS: "by ids of requests that PostgreSQL and the gateway share",
    ClockBasis.ASSUMED: "ASSUMED: nobody measured it",
}


def clock_note(clock: SourceClock) -> str:
    """How far a clock may be off, what says so, and what was taken off its times."""
    moved = clock.moved_seconds
    way = "earlier" if moved > 0 else "later"
    return f"clock {clock_offset(*clock.bounds)} ({_CLOCK_BASIS[clock.basis]})" + (
        f", so its times are shown {abs(moved):,} s {way} than it has them" if moved else ""
    )


def source_note(source: SourceStatus, clock: SourceClock) -> str:
    """What limits a source: its resolution, clock, unreadable lines, what it may have missed."""
    notes = [
        f"resolution {grouped(source.resolution_seconds)} s" if source.resolution_seconds else "",
        clock_note(clock),
        f"{grouped(source.unparsed)} lines unreadable" if source.unparsed else "",
        source.reason,
        source.hint,
        source.blind,
        f"cannot show {source.cannot_show}" if source.cannot_show else "",
    ]
    return "; ".join(note for note in notes if note)


def clock_offset(lo: float, hi: float) -> str:
    """`±0.05 s`, or the two bounds where they differ.

    >>> clock_offset(-0.05, 0.05), clock_offset(-0.5, 1)
    ('±0.05 s', '-0.5 to +1 s')
    """
    if lo == -hi:
        return f"±{rounded(hi)} s"
    return f"{rounded(lo):+} to {rounded(hi):+} s"


def remedy_type(rule: str) -> str:
    """When the remedy for a finding acts: `detect`, `mitigate` or `prevent`."""
    for kind, words in _REMEDY_TYPES:
        if any(word in rule.lower() for word in words):
            return kind
    return "prevent"


def as_sentence(text: str) -> str:
    """`text` with one full stop at its end."""
    stripped = text.strip()
    return stripped if stripped.endswith(("?", "!", "…")) else stripped.rstrip(".") + "."

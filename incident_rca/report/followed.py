"""What an engineer who follows an outage asks each time: is it over, and what is new (pure)."""

from __future__ import annotations

from datetime import timedelta

from incident_rca.analysis.outage import recorded_until
from incident_rca.model import Analysis, ErrorBurst, Evidence, Hypothesis, Role
from incident_rca.redact import plain
from incident_rca.report.numbers import grouped
from incident_rca.report.summary import sentences
from incident_rca.report.wording import Clock
from incident_rca.window import format_duration

# Logs come late, and a client may wait a minute for its answer: a shorter quiet proves nothing.
QUIET_ENOUGH = timedelta(minutes=5)
_TELLING = frozenset({Role.TRIGGER, Role.SUSTAINER, Role.CONTRIBUTING})


def last_outage(analysis: Analysis) -> ErrorBurst | None:
    """The outage of the window that goes on, else the one that ended last."""
    outages = [i.outage for i in analysis.other_incidents]
    outages += [analysis.outage] if analysis.outage else []
    return max(outages, key=lambda o: (o.ongoing, o.end.first), default=None)


def quiet_since_the_last_failure(analysis: Analysis) -> timedelta | None:
    """How long no outage was left when the log of the requests ended; None without an outage."""
    outage = last_outage(analysis)
    if outage is None or outage.end.lo is None:
        return None
    return max(timedelta(0), recorded_until(analysis.case) - outage.end.lo)


def is_over(analysis: Analysis) -> bool:
    """Whether the last outage ended long enough ago for late log lines to have come."""
    quiet, outage = quiet_since_the_last_failure(analysis), last_outage(analysis)
    ongoing = outage is not None and outage.ongoing
    return quiet is not None and not ongoing and quiet >= QUIET_ENOUGH


def answer(analysis: Analysis) -> str:
    """The answer to "is it over?", with the times that it rests on."""
    return f"Is it over? {state(analysis)}"


def state(analysis: Analysis) -> str:
    """Whether it is over, in one sentence that needs no question before it."""
    outage, clock = last_outage(analysis), Clock.of(analysis)
    quiet = quiet_since_the_last_failure(analysis)
    if outage is None or outage.end.lo is None or quiet is None:
        said = next((s.plain for s in sentences(analysis)), "there is no evidence yet.")
        return f"Not known: {said}"
    last = f"the last failing request arrived at {clock.time(outage.end.lo)} UTC"
    length = format_duration(max(0.0, round(quiet.total_seconds())))
    if outage.ongoing:
        return f"No: {last}, {length} before the end of the log."
    if quiet < QUIET_ENOUGH:
        told = f"{length} before its end; {format_duration(QUIET_ENOUGH.total_seconds())}"
        return f"As far as the log goes, yes: {last}, {told} of quiet would be sure."
    later = [b for b in analysis.outage.blips if _is_after(b, outage)] if analysis.outage else []
    nothing = "only single requests have" if later else "nothing has"
    return f"Yes: {last}, and {nothing} failed in the {length} since."


def _is_after(blip: Evidence, outage: ErrorBurst) -> bool:
    return outage.end.lo is not None and blip.at.first > outage.end.lo


def changes(before: Analysis | None, now: Analysis) -> tuple[str, ...]:
    """What is other than the last time: requests that failed, and each verdict that moved."""
    known = _by_subject(before) if before else {}
    current = _by_subject(now)
    found = [
        f"{grouped(now.failed_requests - before.failed_requests)} more requests failed, "
        f"{grouped(now.failed_requests)} in all"
        for before in ([before] if before else [])
        if now.failed_requests > before.failed_requests
    ]
    for subject, hypothesis in current.items():
        earlier = known.get(subject)
        if earlier is None:
            found.append(f"new: {_said(hypothesis)}")
        elif (earlier.role, earlier.verdict) != (hypothesis.role, hypothesis.verdict):
            found.append(f"changed: {_said(hypothesis)}, before {_judged(earlier)}")
    found += [f"no longer: {_said(h)}" for s, h in known.items() if s not in current]
    return tuple(found)


def _by_subject(analysis: Analysis) -> dict[tuple[str, str], Hypothesis]:
    """The hypotheses that say something of the cause, by what they are about."""
    return {(h.kind.value, h.object): h for h in analysis.hypotheses if h.role in _TELLING}


def _said(hypothesis: Hypothesis) -> str:
    return plain(f"{hypothesis.kind}, {hypothesis.object}: {_judged(hypothesis)}", 300)


def _judged(hypothesis: Hypothesis) -> str:
    return f"{hypothesis.role}, {hypothesis.verdict}"

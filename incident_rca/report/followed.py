"""What an engineer who follows an outage asks each time: is it over, and what is new (pure)."""

from __future__ import annotations

from datetime import timedelta

from incident_rca.model import Analysis, Hypothesis, Role
from incident_rca.redact import plain
from incident_rca.report.numbers import grouped
from incident_rca.report.summary import sentences
from incident_rca.report.wording import Clock
from incident_rca.window import format_duration

# Logs come late, and a client may wait a minute for its answer: a shorter quiet proves nothing.
QUIET_ENOUGH = timedelta(minutes=5)
_TELLING = frozenset({Role.TRIGGER, Role.SUSTAINER, Role.CONTRIBUTING})


def quiet_since_the_last_failure(analysis: Analysis) -> timedelta | None:
    """How long nothing has failed at the end of the window; None where no outage was found."""
    outage = analysis.outage
    if outage is None or outage.end.lo is None:
        return None
    return analysis.case.window.end - outage.end.lo


def is_over(analysis: Analysis) -> bool:
    """Whether the outage ended long enough ago for late log lines to have come."""
    quiet = quiet_since_the_last_failure(analysis)
    ongoing = analysis.outage is not None and analysis.outage.ongoing
    return quiet is not None and not ongoing and quiet >= QUIET_ENOUGH


def answer(analysis: Analysis) -> str:
    """The answer to "is it over?", with the times that it rests on."""
    outage, clock = analysis.outage, Clock.of(analysis)
    quiet = quiet_since_the_last_failure(analysis)
    if outage is None or outage.end.lo is None or quiet is None:
        said = next((s.plain for s in sentences(analysis)), "there is no evidence yet.")
        return f"Is it over? Not known: {said}"
    last = f"the last failing request arrived at {clock.time(outage.end.lo)} UTC"
    length = format_duration(max(0.0, round(quiet.total_seconds())))
    if outage.ongoing:
        return f"Is it over? No: {last}, {length} before the end of the window."
    if quiet < QUIET_ENOUGH:
        needed = format_duration(QUIET_ENOUGH.total_seconds())
        return f"Is it over? Perhaps: {last}, {length} ago; {needed} of quiet would tell."
    return f"Is it over? Yes: {last}, and nothing has failed in the {length} since."


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

"""What this evidence leaves open, as questions that somebody can answer."""

from __future__ import annotations

from collections.abc import Iterator

from incident_rca.analysis.hypotheses.missing_deadline import failed_codes, hung_without_deadline
from incident_rca.analysis.names import counted, may_be_one
from incident_rca.analysis.observations import Observations
from incident_rca.analysis.verdicts import Candidate
from incident_rca.model import Aspect, Basis, LatencyShift, Role, SourceState, Stance


def open_questions(seen: Observations, candidates: tuple[Candidate, ...]) -> tuple[str, ...]:
    """The open questions, each once, in the order of the report."""
    asked = [
        *_sources(seen),
        *_topology(seen),
        *_order(candidates),
        *_clocks(seen),
        *_calls(seen),
        *_unjudged(seen),
        *_sessions(seen),
    ]
    return tuple(dict.fromkeys(asked))


def _sources(seen: Observations) -> Iterator[str]:
    for source in seen.case.sources:
        if source.state in (SourceState.FAILED, SourceState.PARTIAL, SourceState.SKIPPED):
            yield (
                f"What would {source.name} ({source.system}) have shown? It is {source.state}: "
                f"{source.reason}."
            )
    if seen.outage and not seen.baselines:
        yield "Did requests fail before the window as well? No baseline was collected."


def _topology(seen: Observations) -> Iterator[str]:
    if seen.case.topology:
        yield from _unconfirmed(seen)
        return
    by_ids = " that shared ids of requests do not carry" if seen.clocks.link else ""
    yield (
        "Which service owns which tables and methods, and which routes call them? Without "
        f"[services.NAME] and [[routes]] in incident-rca.toml no verdict{by_ids} is above weak."
    )
    for shift in seen.latency_shifts:
        yield f"Is this so? Then add it to incident-rca.toml: {'; '.join(_lines(seen, shift))}"


def _unconfirmed(seen: Observations) -> Iterator[str]:
    topology = seen.case.topology
    named = [f"service {s.name}" for s in topology.services if s.basis is Basis.INFERRED]
    named += [f"route {r.name}" for r in topology.routes if r.basis is Basis.INFERRED]
    if named:
        yield (
            f"Is what the topology says of {', '.join(named)} so? It is inferred, and no verdict "
            "that rests on it is above weak. Who knows takes the line inferred = true out of "
            "incident-rca.toml and reports again with --config."
        )


def _lines(seen: Observations, shift: LatencyShift) -> Iterator[str]:
    """The lines of a topology that this evidence suggests, for a person to confirm."""
    yield f"[services.{shift.service}]"
    yield f'grpc = ["{shift.full_method}"]'
    tables = [
        f'"{episode.relation}"'
        for episode in seen.lock_episodes
        if any(may_be_one(shift.service, name) for name in episode.waiter_applications)
    ]
    if tables:
        yield f"tables = [{', '.join(tables)}]"
    if seen.pool and may_be_one(seen.pool.owner, shift.service):
        yield f"pool_size = {seen.pool.size}"
    for endpoint in seen.failing:
        yield "[[routes]]"
        yield f'method = "{endpoint.method}"'
        yield f'path = "{endpoint.route}"'
        yield f'calls = ["{shift.full_method}"]'


def _order(candidates: tuple[Candidate, ...]) -> Iterator[str]:
    """Orders that could not be told of what may be to blame, or are wrong by unmeasured clocks."""
    for candidate in candidates:
        if candidate.hypothesis.role in (Role.TRIGGER, Role.SUSTAINER):
            yield from candidate.unsettled
        for claim in candidate.hypothesis.claims:
            is_wrong = claim.aspect is Aspect.ORDER and claim.stance is Stance.AGAINST
            if is_wrong and claim.basis is Basis.ASSUMED:
                yield (
                    f"Are the clocks right? Nobody measured them, and by them alone "
                    f"{candidate.hypothesis.kind.value.replace('_', ' ')} on "
                    f"{candidate.hypothesis.object} is contradicted: {claim.text}. An id of "
                    "requests that both sides log, or an offset measured at the source, would say."
                )


def _clocks(seen: Observations) -> Iterator[str]:
    link = seen.clocks.link
    if link is not None and link.bounds is None:
        yield (
            f"Why do the ids of {counted(link.requests, 'request')} that PostgreSQL and the "
            f"gateway share tell nothing of their clocks? As bounds, {link.note}."
        )


def _calls(seen: Observations) -> Iterator[str]:
    for shift in seen.latency_shifts:
        if not hung_without_deadline(seen, shift):
            continue
        seconds = shift.plateau_ms / 1000
        codes = ", ".join(failed_codes(shift))
        if shift.plateau_basis == "ceiling":
            yield (
                f"What ended the calls of {shift.service}.{shift.method}, and when? They ended "
                f"with {codes} after at least {seconds:g} s, where their histogram ends: that is "
                "no time-out. A trace or a bound above it shows how long they took."
            )
        else:
            yield (
                f"What ended the calls of {shift.service}.{shift.method} after {seconds:.0f} s? "
                f"They ended with {codes}: a proxy's idle time-out, a pool's acquire time-out and "
                "a gateway's limit all stand near 30 s by default."
            )
        yield (
            "Was a deadline or a circuit breaker configured and did not act, or was there none? "
            "The evidence shows that none acted, not what was configured."
        )


def _unjudged(seen: Observations) -> Iterator[str]:
    """A series without a baseline rises above nothing: it is no shift, and not as usual either."""
    if seen.outage is None:
        return
    start = seen.outage.onset.first
    for name in seen.latencies.without_usual(start):
        yield (
            f"How long do calls of {name} usually take? Too few values are recorded before "
            "requests failed to say whether they became slow."
        )


def _sessions(seen: Observations) -> Iterator[str]:
    for stuck in seen.stuck:
        yield (
            f"Why did {stuck.sessions} sessions of {stuck.application} stay idle in transaction "
            "after the lock was released: does the code give its connection back when its caller "
            "has gone?"
        )
    for ended in seen.terminations:
        yield f"What terminated the {ended.sessions} sessions: a person, a restart or a time-out?"

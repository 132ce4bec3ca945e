"""The one place where roles are decided: which of the hypotheses that hold started the outage.

What lies deeper explains what lies above it on the same path: a lock makes calls slow, slow calls
fill a pool, a full pool makes calls fail. So the deepest that holds is the trigger, and what it
explains is its symptom (Bronson et al., HotOS 2021, on triggers and sustaining effects).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from incident_rca.analysis.verdicts import Candidate, decides
from incident_rca.model import Aspect, Basis, Hypothesis, Kind, Role, Verdict

HOLDS = frozenset({Verdict.SUPPORTED, Verdict.WEAK})
# How deep a kind lies; the kinds that are not here never start an outage.
DEPTH: Mapping[Kind, int] = {
    Kind.DEADLOCK: 0,
    Kind.LOCK_BLOCKING: 1,
    Kind.GATEWAY_CONFIGURATION: 2,
    Kind.TRAFFIC_SURGE: 3,
    Kind.BACKEND_FAILURE: 4,
    Kind.DEPENDENCY_LATENCY: 5,
}
# What an explained one of these is: its calls failed or were slow because of the trigger.
SYMPTOMS = frozenset({Kind.BACKEND_FAILURE, Kind.DEPENDENCY_LATENCY})
# A pool and retries keep an outage going; they are no more than a part of it while its trigger is.
SUSTAINERS = frozenset({Kind.POOL_EXHAUSTION, Kind.RETRY_STORM})


def with_roles(
    candidates: Sequence[Candidate],
    last_failure: datetime | None = None,
    patience: timedelta = timedelta(0),
) -> tuple[Candidate, ...]:
    """The candidates, in their order, with the roles that they have beside each other.

    What goes on behind the last failure keeps nothing going; None where failures have not ended.
    Neither does what was only left by a trigger: requests that waited as it ended may fail for as
    long as requests have `patience`, and so may those that queued behind them.

    A candidate that came as `coincident`, `ruled_out` or `contributing` for good keeps its role:
    only those that came as `trigger` or `sustainer` are compared.
    """
    triggers: list[Candidate] = []
    for candidate in sorted(candidates, key=_by_depth):
        if candidate.hypothesis.role is Role.TRIGGER and _starts(candidate, triggers, candidates):
            triggers.append(candidate)
    failing_until = None if last_failure is None else last_failure - patience
    return tuple(_with_role(c, triggers, failing_until) for c in candidates)


def _by_depth(candidate: Candidate) -> tuple[bool, int, int, float, str]:
    """Those that hold before those that may; then the deepest, the surest, the first."""
    hypothesis = candidate.hypothesis
    begun = candidate.active[0].timestamp() if candidate.active else float("inf")
    verdict = list(Verdict).index(hypothesis.verdict)
    holds = hypothesis.verdict in HOLDS
    return not holds, DEPTH.get(hypothesis.kind, 9), verdict, begun, hypothesis.object


def _starts(
    candidate: Candidate, triggers: Sequence[Candidate], everyone: Sequence[Candidate]
) -> bool:
    """Whether nothing explains it: no trigger on its path, and nothing deeper that may be there."""
    verdict, kind = candidate.hypothesis.verdict, candidate.hypothesis.kind
    if verdict is Verdict.CONTRADICTED or any(_explains(t, candidate) for t in triggers):
        return False
    if kind is Kind.LOCK_BLOCKING:
        return True
    if verdict not in HOLDS or candidate.hidden:
        return False
    is_deeper = DEPTH[kind] < DEPTH[Kind.LOCK_BLOCKING]
    return is_deeper or not any(_is_open(other, candidate) for other in everyone)


def _explains(trigger: Candidate, candidate: Candidate) -> bool:
    """Whether what a trigger broke is all that this one could have broken."""
    same = bool(trigger.service) and trigger.service == candidate.service
    return same or (bool(candidate.routes) and candidate.routes <= trigger.routes)


def _is_open(other: Candidate, candidate: Candidate) -> bool:
    """Whether a lock on the same path may be what is behind it.

    One of which too little is known; or one that only clocks which nobody measured put at another
    time, no further away than the slowness lasted.
    """
    hypothesis = other.hypothesis
    if hypothesis.kind is not Kind.LOCK_BLOCKING or not _explains(other, candidate):
        return False
    if hypothesis.verdict is Verdict.CONTRADICTED:
        return _rests_on_clocks(hypothesis) and _is_near(other, candidate)
    return hypothesis.role is Role.TRIGGER and hypothesis.verdict is Verdict.INSUFFICIENT


def _rests_on_clocks(hypothesis: Hypothesis) -> bool:
    """Whether nothing but orders by unmeasured clocks speaks against its path and mechanism."""
    against = [c for c in hypothesis.claims if decides(c)]
    return bool(against) and all(
        c.aspect is Aspect.ORDER and c.basis is Basis.ASSUMED for c in against
    )


def _is_near(other: Candidate, candidate: Candidate) -> bool:
    if other.active is None or candidate.active is None:
        return False
    (start, end), (since, until) = other.active, candidate.active
    if until is None:
        return True
    gap = max(start - until, since - end if end else timedelta(0))
    return gap <= until - since


def _with_role(
    candidate: Candidate, triggers: Sequence[Candidate], failing_until: datetime | None
) -> Candidate:
    role = candidate.hypothesis.role
    if role is Role.TRIGGER and not any(candidate is t for t in triggers):
        role = _beside(candidate)
    elif role is Role.SUSTAINER and not _outlasts(candidate, triggers, failing_until):
        role = Role.CONTRIBUTING
    return replace(candidate, hypothesis=replace(candidate.hypothesis, role=role))


def _beside(candidate: Candidate) -> Role:
    """What one is that might have been the trigger and is not."""
    kind, verdict = candidate.hypothesis.kind, candidate.hypothesis.verdict
    if verdict in HOLDS and kind in SYMPTOMS:
        return Role.SYMPTOM
    if verdict is Verdict.CONTRADICTED and kind is not Kind.LOCK_BLOCKING:
        return Role.RULED_OUT
    return Role.CONTRIBUTING


def _outlasts(
    candidate: Candidate, triggers: Sequence[Candidate], failing_until: datetime | None
) -> bool:
    """Whether its state went on when each trigger was over; more traffic lasts as long as it.

    Where no trigger is known, nobody knows whether it did: then it only took part.
    """
    if candidate.active is None or not triggers:
        return False
    until = candidate.active[1]
    for trigger in triggers:
        over = trigger.active[1] if trigger.active else None
        is_surge = trigger.hypothesis.kind is Kind.TRAFFIC_SURGE
        if is_surge:
            continue
        if not _is_later(until, over) or (failing_until and not _is_later(failing_until, over)):
            return False
    return True


def _is_later(one: datetime | None, other: datetime | None) -> bool:
    """Whether an end comes after another; an open one comes after all but an open one."""
    return other is not None and (one is None or one > other)

"""When a lock was held, against when requests failed: claims, and what could not be told apart."""

from __future__ import annotations

from incident_rca.analysis.clocks import Sequence
from incident_rca.analysis.hypotheses.claims import claim_for
from incident_rca.analysis.hypotheses.orders import (
    Moment,
    at_another_time,
    first_answer,
    order_between,
    order_claims,
    unsettled,
)
from incident_rca.analysis.observations import Observations
from incident_rca.analysis.traced import TracedWaits
from incident_rca.model import Aspect, Claim, LockEpisode, Span, Stance, System


def order_of_lock(seen: Observations, episode: LockEpisode, traced: TracedWaits) -> list[Claim]:
    """Whether it was held first, and whether requests failed when nobody waited.

    Requests that a lock hurts arrive while sessions wait for it, not before and not after.
    """
    if seen.outage is None:
        return []
    text = "the lock was held {margin} or more before requests began to fail"
    claims = order_claims(seen, text, _held(episode), _failed(seen), tie=traced)
    first_wait = Span(episode.held_start.hi, episode.held_start.hi)
    wrong = at_another_time(
        seen,
        "the wait",
        first_wait,
        episode.held_end,
        System.POSTGRES,
        episode.end_evidence or episode.start_evidence,
        tie=traced,
    )
    wrong = wrong or order_claims(
        seen,
        "the first requests that failed were answered {margin} before a session waited",
        first_answer(seen),
        Moment(first_wait, System.POSTGRES, episode.start_evidence),
        stance=Stance.AGAINST,
        tie=traced,
    )
    return [*claims, *wrong]


def recovery_of_lock(seen: Observations, episode: LockEpisode) -> list[Claim]:
    """Whether requests still failed that arrived when the lock was gone."""
    outage = seen.outage
    if outage is None or outage.end.lo is None or episode.held_end.hi is None:
        return []
    released = Moment(episode.held_end, System.POSTGRES, episode.end_evidence)
    last = Moment(Span(outage.end.lo, outage.end.lo), System.GATEWAY, outage.evidence)
    after = order_claims(
        seen,
        "requests that arrived up to {margin} after the release failed as well: the lock alone "
        "does not explain them",
        released,
        last,
        stance=Stance.AGAINST,
        aspect=Aspect.RECOVERY,
    )
    if after:
        return after
    text = "failures ended when the lock was released"
    return [claim_for(Aspect.RECOVERY, text, episode.end_evidence, outage.evidence)]


def is_last_seen_before(seen: Observations, episode: LockEpisode) -> bool:
    """Whether the lock's end is not recorded and its last sign lies before the first failure."""
    if episode.held_end.hi is not None or seen.outage is None or episode.held_end.lo is None:
        return False
    last = Span(episode.held_end.lo, episode.held_end.lo)
    moment = Moment(last, System.POSTGRES, episode.end_evidence)
    first = Moment(seen.outage.start, System.GATEWAY, seen.outage.evidence)
    return order_between(seen, moment, first).sequence is Sequence.BEFORE


def open_order(seen: Observations, episode: LockEpisode) -> tuple[str, ...]:
    """What would tell whether it was held before the first failure, where that is not settled."""
    if seen.outage is None:
        return ()
    question = "Was the lock held before requests began to fail?"
    return unsettled(seen, question, _held(episode), _failed(seen))


def _held(episode: LockEpisode) -> Moment:
    return Moment(episode.held_start, System.POSTGRES, episode.start_evidence)


def _failed(seen: Observations) -> Moment:
    assert seen.outage is not None
    return Moment(seen.outage.onset, System.GATEWAY, seen.outage.evidence)

"""What does not fit: statements that the evidence of this case cannot all be true with."""

from __future__ import annotations

from collections.abc import Iterator

from incident_rca.analysis.names import may_be_one
from incident_rca.analysis.observations import Observations
from incident_rca.analysis.paths import path_from_relation
from incident_rca.analysis.traced import path_of_lock, traced_waits
from incident_rca.analysis.waited import least_ms, usually
from incident_rca.lock_modes import ROW_EXCLUSIVE, blocks_reads, conflicts, in_words
from incident_rca.model import Contradiction, EndpointImpact, LockEpisode

# API Gateway's integration limit for REST APIs: 29 s by default, and it answers with 504 itself.
GATEWAY_LIMIT_SECONDS = 29.0
READING_METHODS = frozenset({"GET", "HEAD"})


def contradictions(seen: Observations) -> tuple[Contradiction, ...]:
    """The contradictions that follow from this evidence, in the order of the cascade."""
    return (
        *_reads_behind_a_write_lock(seen),
        *_paths_not_stated(seen),
        *_pool_and_latency(seen),
        *_status(seen),
        *_log_and_count(seen),
    )


def _reads_behind_a_write_lock(seen: Observations) -> Iterator[Contradiction]:
    """A lock that blocks no reads cannot make reads fail: something else did."""
    for episode in seen.lock_episodes:
        if not _blocks_writes_only(episode) or not _overlaps(seen, episode):
            continue
        path = path_of_lock(seen, episode)
        reads = [e for e in path.failing if e.method in READING_METHODS] if path else []
        for endpoint in reads:
            served = _served_meanwhile(seen, episode, endpoint)
            meanwhile = (
                f" {served} of its requests were served while the lock was held, before it failed."
                if served
                else ""
            )
            cause = "The full pool" if seen.pool else "Something that is not recorded"
            yield Contradiction(
                statement=(
                    f"{in_words(episode.root_holder.mode)} on {episode.relation} blocks writes, "
                    f"not reads, yet {endpoint.name} failed.{meanwhile} {cause} explains it, not "
                    "the lock."
                ),
                evidence=(
                    *episode.start_evidence,
                    *endpoint.evidence,
                    *(seen.pool.evidence if seen.pool else ()),
                ),
            )


def _blocks_writes_only(episode: LockEpisode) -> bool:
    """Whether neither the holder nor anybody in its queue makes a plain read wait."""
    holder = episode.root_holder.mode
    if "relation" not in episode.lock_types or episode.root_relation or not holder:
        return False
    queued = (*episode.waiter_modes, *(a.mode for a in episode.queue_amplifiers))
    return conflicts(holder, ROW_EXCLUSIVE) and not any(map(blocks_reads, (holder, *queued)))


def _overlaps(seen: Observations, episode: LockEpisode) -> bool:
    if seen.outage is None or episode.held_start.hi is None or seen.outage.end.lo is None:
        return False
    is_over = episode.held_end.hi is not None and episode.held_end.hi < seen.outage.start.first
    return not is_over and episode.held_start.hi <= seen.outage.end.lo


def _served_meanwhile(seen: Observations, episode: LockEpisode, endpoint: EndpointImpact) -> int:
    """The requests served from the first waiter on, until the route failed or the lock was gone."""
    gateway, until = seen.tables.gateway, endpoint.first_failure
    if episode.held_end.hi is not None and until is not None:
        until = min(until, episode.held_end.hi)
    served = gateway[
        (gateway["method"] == endpoint.method)
        & (gateway["route"] == endpoint.route)
        & (gateway["second"] >= episode.held_start.hi)
        & (gateway["second"] < until)
        & (gateway["status"] < 500)
    ]
    return int(served["requests"].sum())


def _paths_not_stated(seen: Observations) -> Iterator[Contradiction]:
    """Requests whose own ids show that they waited for a table that no line leads them to."""
    if not seen.case.topology.is_stated:
        return
    for episode in seen.lock_episodes:
        traced = traced_waits(seen, episode)
        path = path_from_relation(seen, episode.relation, episode.waiter_applications)
        stated = {e.name for e in path.endpoints} if path else set()
        missing = [name for name in traced.routes if name not in stated]
        if missing:
            yield Contradiction(
                statement=(
                    f"{traced.in_words}, yet the topology states no path from "
                    f"{' and '.join(missing)} to {episode.relation}: a line is missing in it, and "
                    "what else it does not state may be so as well."
                ),
                evidence=(*traced.evidence, *(path.evidence if path else ())),
            )


def _pool_and_latency(seen: Observations) -> Iterator[Contradiction]:
    if seen.pool is not None and not seen.pool.consistent:
        slow = [s for s in seen.latency_shifts if may_be_one(s.service, seen.pool.owner)]
        yield Contradiction(
            statement=f"{seen.pool.note}.",
            evidence=(*seen.pool.evidence, *(e for s in slow for e in s.evidence)),
        )


def _status(seen: Observations) -> Iterator[Contradiction]:
    """A gateway that gives up on a hung backend answers 504 itself; a 502 came from behind it."""
    for endpoint in seen.failing:
        failures = seen.failures_of([endpoint])
        is_late = least_ms(seen.case, failures) >= GATEWAY_LIMIT_SECONDS * 1000
        rows = failures[is_late & (failures["status"] == 502)]
        if took := usually(seen.case, rows):
            yield Contradiction(
                statement=(
                    f"{len(rows):,} requests of {endpoint.name} hung for {took.in_seconds} and "
                    "ended with 502. A gateway that gives up on a hung backend answers 504, at "
                    f"{GATEWAY_LIMIT_SECONDS:.0f} s by default: its limit must be higher here, and "
                    "something behind it turned the hang into a 502."
                ),
                evidence=endpoint.evidence,
            )


def _log_and_count(seen: Observations) -> Iterator[Contradiction]:
    """A log with fewer failures than the gateway counted cannot say that a request did not fail."""
    if seen.lacking_log is not None:
        log = seen.lacking_log
        yield Contradiction(
            statement=(
                f"The gateway counted {log.counted:,} failures (5xx), its log holds "
                f"{log.logged:,}: the log, or the filter that it was read with, lacks lines. What "
                "is not seen failing here may have failed."
            ),
            evidence=log.evidence,
        )

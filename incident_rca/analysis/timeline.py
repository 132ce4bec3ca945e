"""All episodes on one timeline: events with their spans, stably sorted."""

from __future__ import annotations

from collections.abc import Iterator

from incident_rca.analysis.lock_words import held_in, who
from incident_rca.analysis.names import named_shifts
from incident_rca.analysis.observations import Observations
from incident_rca.analysis.outage import failures_in_no_burst
from incident_rca.model import Event, Evidence, LockEpisode, Span, System


def build_timeline(incidents: tuple[Observations, ...]) -> tuple[Event, ...]:
    """Every event of the window, by the middle of its span: the best guess of its order."""
    events = dict.fromkeys(event for seen in incidents for event in _events(seen))
    return tuple(sorted(events, key=lambda e: (e.at.middle, e.at.first, e.system, e.kind, e.title)))


def _events(seen: Observations) -> list[Event]:
    return [
        *_changes(seen),
        *(event for episode in seen.lock_episodes for event in _locks(episode)),
        *_loads(seen),
        *_sessions(seen),
        *_latency(seen),
        *_pool(seen),
        *_recovery(seen),
        *_gateway(seen),
        *_starvations(seen),
    ]


def _event(
    system: System, kind: str, at: Span, title: str, evidence: tuple[Evidence, ...]
) -> Event:
    return Event(
        at=at, system=system, source=evidence[0].source, kind=kind, title=title, evidence=evidence
    )


def _changes(seen: Observations) -> Iterator[Event]:
    for change in seen.changes:
        whole = change.start == change.end
        title = change.title if whole else f"{change.title}: began"
        yield _event(System.CHANGES, "change", change.start, title, change.evidence)
        if not whole:
            title = f"{change.title}: ended"
            yield _event(System.CHANGES, "change", change.end, title, change.evidence)


def _locks(episode: LockEpisode) -> Iterator[Event]:
    yield _event(
        System.POSTGRES,
        "lock_held",
        episode.held_start,
        f"{who(episode.root_holder)} takes {held_in(episode)}",
        episode.start_evidence,
    )
    if episode.peak_waiters > 1:
        yield _event(
            System.POSTGRES,
            "lock_queue",
            episode.peak_at,
            f"{episode.peak_waiters} sessions wait for {episode.relation}",
            episode.peak_evidence,
        )
    if episode.held_end.hi is not None:
        title = f"the lock on {episode.relation} is released"
        yield _event(
            System.POSTGRES, "lock_released", episode.held_end, title, episode.end_evidence
        )


def _loads(seen: Observations) -> Iterator[Event]:
    for load in seen.lock_loads:
        yield _event(System.POSTGRES, "lock_load", load.at, load.in_words, load.evidence)


def _sessions(seen: Observations) -> Iterator[Event]:
    for stuck in seen.stuck:
        title = f"{stuck.sessions} sessions of {stuck.application} are idle in transaction"
        yield _event(System.POSTGRES, "sessions_stuck", stuck.since, title, stuck.evidence)
    for ended in seen.terminations:
        title = f"{ended.sessions} sessions are terminated by an administrator command"
        yield _event(System.POSTGRES, "sessions_terminated", ended.at, title, ended.evidence)


def _latency(seen: Observations) -> Iterator[Event]:
    for shift, name in named_shifts((*seen.latency_shifts, *seen.other_shifts)):
        title = (
            f"calls of {name} begin to hang (seen when they end, {shift.plateau_in_words} later)"
        )
        yield _event(System.GRPC_METRICS, "latency_onset", shift.onset, title, shift.evidence)
        if shift.offset.hi is not None:
            title = f"calls of {name} are as fast as before"
            yield _event(System.GRPC_METRICS, "latency_offset", shift.offset, title, shift.evidence)


def _recovery(seen: Observations) -> Iterator[Event]:
    if seen.recovery is not None:
        found = seen.recovery
        title = f"{found.in_words}; calls that queued before it stay slow"
        yield _event(System.GRPC_METRICS, "capacity_back", found.at, title, found.evidence)


def _pool(seen: Observations) -> Iterator[Event]:
    if seen.pool is None:
        return
    pool, name = seen.pool, f"the pool of {seen.pool.owner}"
    full = f"{name} is full: {pool.size} of {pool.size} connections"
    yield _event(System.GRPC_METRICS, "pool_full", pool.exhausted_at, full, pool.evidence)
    if pool.exhausted_until.hi is not None:
        freed = f"{name} has free connections again"
        yield _event(System.GRPC_METRICS, "pool_freed", pool.exhausted_until, freed, pool.evidence)


def _gateway(seen: Observations) -> Iterator[Event]:
    for blip in seen.outage.blips if seen.outage else failures_in_no_burst(seen.tables):
        yield _event(System.GATEWAY, "blip", blip.at, blip.seen, (blip,))
    if seen.outage is None:
        return
    for endpoint in seen.failing:
        if endpoint.first_failure is None or endpoint.last_failure is None:
            continue
        statuses = "/".join(str(status) for status in endpoint.by_status)
        first = f"{endpoint.name}: first failing request ({statuses})"
        last = f"{endpoint.name}: last failing request, {endpoint.failed:,} in all"
        cited = endpoint.evidence
        yield _event(System.GATEWAY, "failure_first", Span.at(endpoint.first_failure), first, cited)
        yield _event(System.GATEWAY, "failure_last", Span.at(endpoint.last_failure), last, cited)
    starved = {s.name for s in seen.starvations}
    for endpoint in (e for e in seen.hit if not e.failed and e.name not in starved):
        title = (
            f"{endpoint.name}: {endpoint.incident_per_minute:.0f} requests a minute instead of "
            f"{endpoint.baseline_per_minute or 0:.0f}, no errors"
        )
        yield _event(System.GATEWAY, endpoint.impact, seen.outage.start, title, endpoint.evidence)


def _starvations(seen: Observations) -> Iterator[Event]:
    for starvation in seen.starvations:
        rates = f"{starvation.per_minute:.0f} a minute instead of {starvation.usual_per_minute:.0f}"
        title = f"{starvation.name}: requests stop coming, {rates}"
        cited = starvation.evidence
        yield _event(System.GATEWAY, "starved", starvation.onset, title, cited)
        if starvation.offset.hi is not None:
            title = f"{starvation.name}: requests come again"
            yield _event(System.GATEWAY, "starved_until", starvation.offset, title, cited)

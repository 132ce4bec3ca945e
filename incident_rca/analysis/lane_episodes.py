"""What was seen, as episodes of the lanes of the aligned series, and the time of an incident."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from itertools import chain

from incident_rca.analysis.lock_turns import in_turns
from incident_rca.analysis.lock_words import held_in, who
from incident_rca.analysis.observations import Observations
from incident_rca.model import Episode, ErrorBurst, LaneName, TimeWindow

# What lies further from an outage than this share of it, or than the minutes below, is not shown
# beside it: it would push the outage itself together.
_BESIDE = 1.0
_BESIDE_AT_LEAST = timedelta(minutes=5)
_MARGIN = 0.1
_MARGIN_AT_LEAST = timedelta(minutes=1)
_CAUSES = (LaneName.LOCK_WAITERS, LaneName.LATENCY, LaneName.POOL, LaneName.REQUESTS)

Episodes = Mapping[LaneName, tuple[Episode, ...]]


def episodes_of(observed: Sequence[Observations]) -> Episodes:
    """The episodes of all incidents by lane, each once, in order of time."""
    found: dict[LaneName, dict[Episode, None]] = {name: {} for name in LaneName}
    for name, episode in chain(*(_of_incident(seen) for seen in observed), _locks(observed)):
        found[name][episode] = None
    return {
        name: tuple(sorted(some, key=lambda e: (e.start.middle, e.title)))
        for name, some in found.items()
    }


def _of_incident(seen: Observations) -> Iterator[tuple[LaneName, Episode]]:
    for change in seen.changes:
        yield LaneName.CHANGES, Episode(change.title, change.start, change.end, change.evidence)
    for shift in (*seen.latency_shifts, *seen.other_shifts):
        title = f"{shift.service}.{shift.method}: {shift.plateau_in_words}"
        yield LaneName.LATENCY, Episode(title, shift.onset, shift.offset, shift.evidence)
    if (pool := seen.pool) is not None:
        title = f"{pool.owner}: all {pool.size} in use"
        until = pool.exhausted_until
        yield LaneName.POOL, Episode(title, pool.exhausted_at, until, pool.evidence)
    if (outage := seen.outage) is not None:
        title = f"{outage.failures:,} requests failed"
        yield LaneName.FAILURES, Episode(title, outage.onset, outage.end, outage.evidence)
    for starved in seen.starvations:
        title = f"{starved.name} stopped coming"
        yield LaneName.REQUESTS, Episode(title, starved.onset, starved.offset, starved.evidence)


def _locks(observed: Sequence[Observations]) -> Iterator[tuple[LaneName, Episode]]:
    known = dict.fromkeys(e for seen in observed for e in seen.lock_episodes)
    for turns in in_turns(known):
        lock = turns.episode
        holder = who(lock.root_holder) if turns.holders == 1 else f"{turns.holders} sessions"
        title = f"{held_in(lock)} by {holder}"
        yield LaneName.LOCK_WAITERS, Episode(title, lock.held_start, lock.held_end, lock.evidence)


def time_of(window: TimeWindow, outage: ErrorBurst | None, episodes: Episodes) -> TimeWindow | None:
    """The time of an outage with what lasted into it; of all that was seen where there is none.

    None where nothing was.
    """
    causes = [e for name in _CAUSES for e in episodes[name]]
    if outage is None:
        found = [_limits(e, window) for e in causes]
    else:
        start, end = outage.start.first, outage.end.hi or window.end
        beside = max((end - start) * _BESIDE, _BESIDE_AT_LEAST)
        near = [
            (lo, hi) for lo, hi in (_limits(e, window) for e in causes) if lo < end > start < hi
        ]
        found = [
            (start, end),
            *((max(lo, start - beside), min(hi, end + beside)) for lo, hi in near),
        ]
    if not found:
        return None
    first, last = min(lo for lo, _ in found), max(hi for _, hi in found)
    margin = max((last - first) * _MARGIN, _MARGIN_AT_LEAST)
    first, last = max(window.start, first - margin), min(window.end, last + margin)
    return TimeWindow(first, last) if first < last else None


def _limits(episode: Episode, window: TimeWindow) -> tuple[datetime, datetime]:
    return episode.start.first, episode.end.hi or window.end


def meeting(episodes: Iterable[Episode], window: TimeWindow) -> tuple[Episode, ...]:
    """Those that reach into a window."""
    limits = ((e, *_limits(e, window)) for e in episodes)
    return tuple(e for e, lo, hi in limits if lo < window.end and hi >= window.start)

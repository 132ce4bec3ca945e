"""What an incident withheld from requests -> from when to when, from whom, and how it ended.

A lock on one of the service's tables, else calls that were slow for a reason that is not recorded.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from incident_rca.analysis.names import may_be_one
from incident_rca.analysis.observations import Observations
from incident_rca.analysis.paths import DependencyPath, path_from_relation
from incident_rca.errors import NotReplayable
from incident_rca.model import Evidence, LatencyShift, LockEpisode, Premise

# The modes of what only reads, SELECT and SELECT … FOR UPDATE.
_MODES_OF_READERS = frozenset({"AccessShareLock", "RowShareLock"})
# More than is replayed behind the end of a window.
_A_DAY_MS = 86_400_000


@dataclass(frozen=True, slots=True)
class Withheld:
    """What the incident withheld, when, from whom; `kept_until_ms` as of Traffic.

    `slow` are the calls that hung for a reason that is not recorded, None where a lock was held.
    """

    blocked: tuple[tuple[int, int], ...]
    kept_until_ms: int | None
    reads_too: bool
    slow: LatencyShift | None
    premises: tuple[Premise, ...]


def ms_of(seen: Observations, at: datetime) -> int:
    """An instant in ms from where the incident's part of the window begins."""
    return round((at - seen.part.start).total_seconds() * 1000)


def _end_ms(seen: Observations, end: datetime | None) -> int:
    """An end in ms; one that is not recorded lies behind all that is replayed."""
    return ms_of(seen, end) if end is not None else ms_of(seen, seen.part.end) + _A_DAY_MS


def by_weight(episodes: tuple[LockEpisode, ...]) -> list[LockEpisode]:
    """Those whose waiters waited longest first."""
    return sorted(episodes, key=lambda e: (-e.waiter_seconds, e.object))


def withheld_from(seen: Observations, path: DependencyPath) -> Withheld:
    """What a lock on one of the service's tables withheld, else what a slow dependency did."""
    episodes = [
        e for e in by_weight(seen.lock_episodes) if _is_behind(seen, path, e) and _met(seen, e)
    ]
    if episodes:
        return _withheld_by_locks(seen, episodes)
    shift = shift_of(seen, path.service)
    if shift is None:
        raise NotReplayable(
            f"no lock and no slow call is recorded that held connections of {path.service}",
            hint="a replay needs lock evidence, or latencies of the service's calls",
        )
    end = None if shift.offset.hi is None else shift.offset.middle
    over = "beyond the window" if end is None else f"{end:%H:%M:%S} UTC, when they were quick again"
    return Withheld(
        blocked=((ms_of(seen, shift.onset.middle), _end_ms(seen, end)),),
        kept_until_ms=None,
        reads_too=True,
        slow=shift,
        premises=(
            Premise(
                f"calls of {shift.full_method or shift.method} hang until {over}, whatever the "
                "protection: what held them up, and whether that would have ended sooner, is not "
                "recorded",
                shift.evidence,
            ),
        ),
    )


def shift_of(seen: Observations, service: str) -> LatencyShift | None:
    """The slowest of the service's calls in the outage."""
    assert seen.outage is not None
    begin, end = seen.outage.start.first, seen.outage.end.first
    meeting = (
        shift
        for shift in seen.latency_shifts
        if may_be_one(shift.service, service)
        and shift.onset.first <= end
        and (shift.offset.hi is None or shift.offset.hi >= begin)
    )
    return max(meeting, key=lambda s: (s.plateau_ms, s.full_method), default=None)


def _is_behind(seen: Observations, path: DependencyPath, episode: LockEpisode) -> bool:
    found = path_from_relation(seen, episode.relation, episode.waiter_applications)
    return found is not None and found.service == path.service


def _met(seen: Observations, episode: LockEpisode) -> bool:
    """Whether a lock was held while requests failed, not only in another incident beside."""
    assert seen.outage is not None
    until = episode.held_end.hi
    begin, end = seen.outage.start.first, seen.outage.end.first
    return episode.held_start.first <= end and (until is None or until >= begin)


def _withheld_by_locks(seen: Observations, episodes: list[LockEpisode]) -> Withheld:
    stretches = sorted(
        (ms_of(seen, e.held_start.middle), _end_ms(seen, e.held_end.hi)) for e in episodes
    )
    modes = {mode for e in episodes for mode in e.waiter_modes}
    reads_too = bool(modes & _MODES_OF_READERS) or not modes
    kept_until, kept = _kept_until(seen, episodes, max(end for _, end in stretches))
    waiters = " and ".join(sorted(modes)) or "locks of unknown mode"
    # A row lock holds up who wants the same row; which rows requests wanted is in no log.
    still = ", which was not seen" if any(e.held_end.hi is None for e in episodes) else ""
    on_rows = ", and every other one is taken to want a row that was locked"
    evidence = tuple(item for e in episodes for item in e.evidence)
    return Withheld(
        blocked=tuple(_joined(stretches)),
        kept_until_ms=kept_until,
        reads_too=reads_too,
        slow=None,
        premises=(
            Premise(
                f"what waits for {' and '.join(sorted({e.relation for e in episodes}))} waits "
                f"until the lock is released{still}; it wanted {waiters}, so "
                + ("every request waits" if reads_too else "requests that only read do not wait")
                + (on_rows if all(e.is_on_rows for e in episodes) else ""),
                evidence,
            ),
            kept,
        ),
    )


def _joined(stretches: list[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """Stretches that overlap, as one."""
    start, end = stretches[0]
    for next_start, next_end in stretches[1:]:
        if next_start > end:
            yield start, end
            start, end = next_start, next_end
        end = max(end, next_end)
    yield start, end


def _kept_until(
    seen: Observations, episodes: list[LockEpisode], released: int
) -> tuple[int | None, Premise]:
    """When connections came back whose callers had gone, if that was after the lock's release."""
    applications = {a for e in episodes for a in e.waiter_applications}
    stuck = next((s for s in seen.stuck if s.application in applications), None)
    if stuck is None or stuck.until.lo is None or _end_ms(seen, stuck.until.hi) <= released:
        return None, Premise(
            "a call whose caller has gone returns its connection once its statement has ended: "
            "no session is recorded that kept its transaction open"
        )
    ended = [t for t in seen.terminations if ms_of(seen, t.at.first) > released]
    near = [t for t in ended if stuck.until.hi is None or t.at.first <= stuck.until.hi]
    until = None if stuck.until.hi is None else stuck.until.middle
    until = near[-1].at.first if near else until
    over = "beyond the window" if until is None else f"until {until:%H:%M:%S} UTC"
    evidence: tuple[Evidence, ...] = stuck.evidence + (near[-1].evidence if near else ())
    return _end_ms(seen, until), Premise(
        f"a call whose caller has gone before its lock was granted keeps its connection {over}: "
        f"{stuck.sessions} sessions did so",
        evidence,
    )


def cut_of(shift: LatencyShift | None) -> tuple[int | None, Premise]:
    """After how long the backend gives a call up, by the latency of the calls themselves."""
    codes = set(shift.status_counts) - {"OK"} if shift else set()
    if shift is None or not codes or shift.censored or shift.plateau_basis != "values":
        return None, Premise("calls wait without end: nothing is recorded that cuts them off")
    return round(shift.plateau_ms), Premise(
        f"the backend gives a call up after {shift.plateau_ms:,.0f} ms, and a call waits that long "
        "for a connection at most",
        shift.evidence,
    )

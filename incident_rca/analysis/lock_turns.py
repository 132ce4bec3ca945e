"""Sessions that took turns in holding one relation, as one cause."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TypeVar

from incident_rca.model import LockEpisode

Named = TypeVar("Named", str, tuple[str, ...])
# Whose hold begins this soon after the last one's end kept the same requests waiting.
PAUSE = timedelta(seconds=5)


@dataclass(frozen=True, slots=True)
class Turns:
    """One or more episodes on one relation, as one; `holders` is how many root holders it had."""

    episode: LockEpisode
    holders: int


def in_turns(episodes: Iterable[LockEpisode]) -> tuple[Turns, ...]:
    """The episodes, those of one relation that follow each other as one; most waiting first.

    The session that made the others wait longest stands for all.
    """
    by_object: dict[str, list[LockEpisode]] = {}
    for episode in episodes:
        by_object.setdefault(episode.object, []).append(episode)
    found = [_as_one(run) for each in by_object.values() for run in _runs(each)]
    return tuple(
        sorted(
            found, key=lambda t: (-t.episode.waiter_seconds, t.episode.object, _begin(t.episode))
        )
    )


def _begin(episode: LockEpisode) -> datetime:
    return episode.held_start.first


def _end(episode: LockEpisode) -> datetime | None:
    """When it ended at the latest; None where it was not seen to end."""
    return episode.held_end.hi


def _runs(episodes: list[LockEpisode]) -> Iterator[list[LockEpisode]]:
    run: list[LockEpisode] = []
    until: datetime | None = None
    for episode in sorted(episodes, key=_begin):
        if run and until is not None and _begin(episode) > until + PAUSE:
            yield run
            run = []
        end = _end(episode)
        until = end if not run else (None if end is None or until is None else max(until, end))
        run.append(episode)
    if run:
        yield run


def _as_one(run: list[LockEpisode]) -> Turns:
    if len(run) == 1:
        return Turns(run[0], 1)
    first = min(run, key=lambda e: (e.held_start.hi or _begin(e), e.root_holder.session))
    last = max(run, key=lambda e: (_end(e) is None, _end(e) or _begin(e), e.root_holder.session))
    main = max(run, key=lambda e: (e.waiter_seconds, e.root_holder.session))
    busiest = max(run, key=lambda e: (e.peak_waiters, e.root_holder.session))
    outcomes: dict[str, int] = {}
    for episode in run:
        for outcome, number in episode.outcomes.items():
            outcomes[outcome] = outcomes.get(outcome, 0) + number
    return Turns(
        replace(
            main,
            held_start=first.held_start,
            held_end=last.held_end,
            start_evidence=tuple(dict.fromkeys([*first.start_evidence, *main.start_evidence])),
            end_evidence=last.end_evidence,
            peak_waiters=busiest.peak_waiters,
            peak_at=busiest.peak_at,
            peak_evidence=busiest.peak_evidence,
            waiters_total=sum(e.waiters_total for e in run),
            waiter_ids=_united(e.waiter_ids for e in run),
            waits=sum(e.waits for e in run),
            waited_until=max((e.waited_until for e in run if e.waited_until), default=None),
            waiter_seconds=sum(e.waiter_seconds for e in run),
            waiter_modes=_united(e.waiter_modes for e in run),
            waiter_applications=_united(e.waiter_applications for e in run),
            lock_types=_united(e.lock_types for e in run),
            deadlocked=any(e.deadlocked for e in run),
            outcomes=dict(sorted(outcomes.items())),
            evidence=tuple(dict.fromkeys(x for e in run for x in e.evidence)),
        ),
        len({e.root_holder.session for e in run}),
    )


def _united(groups: Iterable[tuple[Named, ...]]) -> tuple[Named, ...]:
    return tuple(sorted({name for group in groups for name in group}))

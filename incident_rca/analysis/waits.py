"""Lock edges of any source -> the waits behind them, each an interval of one session."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import accumulate
from typing import TYPE_CHECKING

from incident_rca.analysis.evidence import instant
from incident_rca.analysis.frames import values

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, slots=True)
class Wait:
    """One session's wait: it ended at `end`, or was last seen at `seen_until` and ended later.

    `outcome` is that of the `locks` table, or "" where no source says how the wait ended.
    """

    session: str
    start: datetime
    seen_until: datetime
    end: datetime | None
    outcome: str = ""

    @property
    def until(self) -> datetime:
        return self.end or self.seen_until


def waits_of(edges: pd.DataFrame) -> tuple[Wait, ...]:
    """The waits in rows of the `locks` table; what two sources saw of one wait is one wait."""
    starts = edges["wait_start"].fillna(edges["at"])
    pieces = edges.assign(start=starts).groupby(["waiter", "start"], sort=True)
    known = pieces.agg(
        seen=("at", "max"), end=("wait_end", "max"), outcome=("wait_outcome", "max")
    ).reset_index()
    seen: dict[str, list[Wait]] = {}
    columns = ("waiter", "start", "seen", "end", "outcome")
    for session, begun, sampled, ended, outcome in values(known, *columns):
        start, last, end = instant(begun), instant(sampled), instant(ended)
        if start is not None and last is not None:
            wait = Wait(session, start, max(start, last), end, outcome or "")
            seen.setdefault(session, []).append(wait)
    merged = [wait for waits in seen.values() for wait in _merged(waits)]
    return tuple(sorted(merged, key=lambda w: (w.start, w.session)))


def _merged(waits: Iterable[Wait]) -> list[Wait]:
    """Overlapping pieces of one session's wait, joined."""
    joined: list[Wait] = []
    for wait in sorted(waits, key=lambda w: (w.start, w.until)):
        if joined and wait.start <= joined[-1].until:
            known = joined[-1]
            ends = [e for e in (known.end, wait.end) if e is not None]
            joined[-1] = replace(
                known,
                seen_until=max(known.seen_until, wait.seen_until),
                end=max(ends) if ends else None,
                outcome=wait.outcome or known.outcome,
            )
        else:
            joined.append(wait)
    return joined


def peak_of(waits: Iterable[Wait]) -> tuple[int, datetime]:
    """The largest number of sessions that waited at once, and since when."""
    at_once = _at_once(waits)
    peak = max(waiting for _, waiting in at_once)
    return peak, next(at for at, waiting in at_once if waiting == peak)


def times_of(waits: Iterable[Wait], number: int) -> tuple[datetime, ...]:
    """When as many sessions waited at once, each time that it came to that."""
    at_once = _at_once(waits)
    return tuple(
        at
        for place, (at, waiting) in enumerate(at_once)
        if waiting == number and (place == 0 or at_once[place - 1][1] < number)
    )


def _at_once(waits: Iterable[Wait]) -> list[tuple[datetime, int]]:
    """How many sessions waited from each start and end of a wait on; starts before ends."""
    steps = sorted(
        [(w.start, 1) for w in waits] + [(w.until, -1) for w in waits],
        key=lambda step: (step[0], -step[1]),
    )
    waiting = accumulate(change for _, change in steps)
    return [(at, number) for (at, _), number in zip(steps, waiting, strict=True)]

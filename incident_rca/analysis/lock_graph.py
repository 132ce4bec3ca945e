"""Who waits for whom at one instant, followed to the end: the roots that nobody else blocks."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from itertools import chain
from typing import TYPE_CHECKING

from incident_rca.analysis.frames import values

if TYPE_CHECKING:
    import pandas as pd

UNKNOWN = ""


@dataclass(frozen=True, slots=True, order=True)
class Root:
    """A session at the end of a chain of waits; in a circle (`deadlocked`) it is its smallest."""

    session: str
    deadlocked: bool = False


@dataclass(frozen=True, slots=True)
class _Links:
    """For each waiter whom it waits for: at the instants of samples, and over logged waits."""

    sampled: Mapping[tuple[str, datetime, str], tuple[str, ...]] = field(hash=False)
    logged: Mapping[str, tuple[tuple[datetime, datetime, tuple[str, ...]], ...]] = field(hash=False)

    def ahead(self, source: str, at: datetime, waiter: str) -> tuple[str, ...]:
        """Whom `waiter` waits for at an instant of a source; who waits for nobody: none."""
        known = self.sampled.get((source, at, waiter))
        if known is not None:
            return known
        waits = self.logged.get(waiter, ())
        holders = [known for begun, ended, known in waits if begun <= at <= ended]
        return tuple(dict.fromkeys(chain.from_iterable(holders)))


def session_keys(locks: pd.DataFrame) -> pd.DataFrame:
    """`locks` with `waiter` and `holder`: one text a session, whichever source names it.

    A source without the start of a backend says its pid alone; where just one session of that pid
    is known in this evidence, it is that one.
    """
    import pandas as pd

    full: dict[str, set[str]] = {}
    for column in ("waiter_session", "holder_session"):
        for key in locks[column].dropna().unique():
            pid, _, start = key.partition("@")
            # The name of a prepared transaction may have that sign, too.
            if key.startswith("prepared "):
                full.setdefault("0", set()).add(key)
            elif start and pid.isdecimal():
                full.setdefault(pid, set()).add(key)

    def named(key: str | None, pid: int | None) -> str | None:
        if key is None and pid is None:
            return None
        short = key if key is not None else str(pid)
        known = full.get(short, set())
        return min(known) if len(known) == 1 else short

    waiters = [named(*cells) for cells in values(locks, "waiter_session", "waiter_pid")]
    holders = [named(*cells) for cells in values(locks, "holder_session", "holder_pid")]
    # Built as a frame, so that columns of nothing but nulls stay columns of texts.
    keys = pd.DataFrame({"waiter": waiters, "holder": holders}, index=locks.index, dtype="str")
    return locks.assign(waiter=keys["waiter"], holder=keys["holder"])


def with_roots(edges: pd.DataFrame) -> pd.DataFrame:
    """One row an edge and root of its holder, with the columns `root` and `deadlocked`.

    A session that waits for several at once has several roots: each of them has to go before it
    can go on. An edge whose holder is not known has the root UNKNOWN.
    """
    links = _links(edges)
    known: dict[tuple[str, datetime, str], tuple[Root, ...]] = {}
    positions: list[int] = []
    found: list[Root] = []
    cells = values(edges, "source", "at", "holder", "wait_end", "wait_outcome")
    for position, (source, begun, holder, end, outcome) in enumerate(cells):
        # The circle closes with its last wait: at the start of the others it is none yet.
        at = end if outcome == "deadlock" and end is not None else begun
        key = (source, at, holder)
        if holder is not None and key not in known:
            known[key] = tuple(sorted(_roots(links, source, at, holder)))
        roots = known[key] if holder is not None else (Root(UNKNOWN),)
        positions += [position] * len(roots)
        found += roots
    repeated = edges.iloc[positions]
    return repeated.assign(
        root=[r.session for r in found], deadlocked=[r.deadlocked for r in found]
    )


def _links(edges: pd.DataFrame) -> _Links:
    sampled: dict[tuple[str, datetime, str], list[str]] = {}
    # By wait: a queue for one row has many rows a wait, and each of them asks for all before it.
    logged: dict[str, dict[tuple[datetime, datetime], list[str]]] = {}
    columns = ("source", "at", "waiter", "holder", "wait_start", "wait_end")
    for source, at, waiter, holder, begun, ended in values(edges, *columns):
        if holder is None:
            continue
        sampled.setdefault((source, at, waiter), []).append(holder)
        if begun is not None and ended is not None:
            logged.setdefault(waiter, {}).setdefault((begun, ended), []).append(holder)
    return _Links(
        {key: tuple(dict.fromkeys(holders)) for key, holders in sampled.items()},
        {
            waiter: tuple((*span, tuple(dict.fromkeys(holders))) for span, holders in waits.items())
            for waiter, waits in logged.items()
        },
    )


def _roots(links: _Links, source: str, at: datetime, holder: str) -> Iterable[Root]:
    """Every end of the ways onwards from a holder, and every circle on them."""
    ahead: dict[str, tuple[str, ...]] = {}
    waiting = [holder]
    while waiting:
        session = waiting.pop()
        if session not in ahead:
            # A patched server may name a session as its own blocker; it does not wait for itself.
            ahead[session] = tuple(h for h in links.ahead(source, at, session) if h != session)
            waiting += ahead[session]
    endless = _endless(ahead)
    reached = {session: _reachable(endless, session) for session in endless}
    circles = {
        frozenset(s for s in reached[session] if session in reached[s])
        for session in endless
        if session in reached[session]
    }
    yield from (Root(session) for session, onwards in ahead.items() if not onwards)
    yield from (Root(min(circle), deadlocked=True) for circle in circles)


def _endless(ahead: Mapping[str, tuple[str, ...]]) -> Mapping[str, tuple[str, ...]]:
    """Those that are on a circle or lead to one: what is left when all others have gone on.

    In the order in which sessions go on (Kahn, 1962), so in a queue of many it is soon none.
    """
    behind: dict[str, list[str]] = {}
    for session, onwards in ahead.items():
        for other in onwards:
            behind.setdefault(other, []).append(session)
    open_ways = {session: len(onwards) for session, onwards in ahead.items()}
    free = [session for session, number in open_ways.items() if not number]
    while free:
        gone = free.pop()
        del open_ways[gone]
        for session in behind.get(gone, ()):
            open_ways[session] -= 1
            if not open_ways[session]:
                free.append(session)
    return {s: tuple(h for h in ahead[s] if h in open_ways) for s in open_ways}


def _reachable(ahead: Mapping[str, tuple[str, ...]], start: str) -> frozenset[str]:
    """Whom one comes to from `start`; itself only on a circle."""
    found: set[str] = set()
    waiting = list(ahead[start])
    while waiting:
        session = waiting.pop()
        if session not in found:
            found.add(session)
            waiting += [h for h in ahead[session] if h not in found]
    return frozenset(found)

"""Who waits for whom at one instant, followed to the end: the roots that nobody else blocks."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING

from incident_rca.analysis.evidence import instant
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
    logged: Mapping[str, tuple[tuple[datetime, datetime, str], ...]] = field(hash=False)

    def ahead(self, source: str, at: datetime, waiter: str) -> tuple[str, ...]:
        """Whom `waiter` waits for at an instant of a source; who waits for nobody: none."""
        known = self.sampled.get((source, at, waiter))
        if known is not None:
            return known
        spans = self.logged.get(waiter, ())
        return tuple(dict.fromkeys(h for begun, ended, h in spans if begun <= at <= ended))


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
    logged: dict[str, list[tuple[datetime, datetime, str]]] = {}
    columns = ("source", "at", "waiter", "holder", "wait_start", "wait_end")
    for source, at, waiter, holder, begun, ended in values(edges, *columns):
        if holder is None:
            continue
        sampled.setdefault((source, at, waiter), []).append(holder)
        start, end = instant(begun), instant(ended)
        if start is not None and end is not None:
            logged.setdefault(waiter, []).append((start, end, holder))
    return _Links(
        {key: tuple(dict.fromkeys(holders)) for key, holders in sampled.items()},
        {key: tuple(spans) for key, spans in logged.items()},
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
    reached = {session: _reachable(ahead, session) for session in ahead}
    circles = {
        frozenset(s for s in reached[session] if session in reached[s])
        for session in ahead
        if session in reached[session]
    }
    yield from (Root(session) for session, onwards in ahead.items() if not onwards)
    yield from (Root(min(circle), deadlocked=True) for circle in circles)


def _reachable(ahead: Mapping[str, tuple[str, ...]], start: str) -> frozenset[str]:
    """Whom one comes to from `start`; itself only on a circle."""
    found: set[str] = set()
    waiting = list(ahead[start])
    while waiting:
        session = waiting.pop()
        if session not in found:
            found.add(session)
            waiting += ahead[session]
    return frozenset(found)

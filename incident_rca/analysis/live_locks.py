"""The tables of one snapshot -> who blocks whom now, and what would end it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

from incident_rca.analysis.evidence import instant
from incident_rca.analysis.frames import values
from incident_rca.analysis.lock_graph import UNKNOWN, session_keys, with_roots
from incident_rca.analysis.lock_words import held
from incident_rca.analysis.ways_out import Claimed, way_out
from incident_rca.model import Session
from incident_rca.model.live import Blocker, Waiting

if TYPE_CHECKING:
    import pandas as pd

Row = Mapping[str, Any]
_RANK = {"hard": 0, "named": 1, "soft": 2}
_NOBODY = Session(
    pid=None, application="", mode="", state="", statement="", statement_basis="last", mode_basis=""
)


@dataclass(frozen=True, slots=True)
class _Edge:
    kind: str
    lock: tuple[str, str]
    lock_type: str
    waiter: Session
    since: datetime | None
    holder: Session
    root: str
    deadlocked: bool


def blockers(locks: pd.DataFrame, sessions: Mapping[int, Row], at: datetime) -> tuple[Blocker, ...]:
    """Each session that blocks and is not blocked, the longest queue first.

    `locks` is the table of one snapshot, `sessions` its rows of pg_stat_activity by pid.
    """
    edges = tuple(_edges(locks))
    roots = sorted({edge.root for edge in edges})
    below = {root: tuple(e for e in edges if e.root == root) for root in roots}
    waits = tuple(_claimed(edges))
    found = (_blocker(root, own, waits, sessions, at) for root, own in below.items())
    return tuple(sorted(found, key=lambda b: (-sum(map(size, b.waiting)), b.session.session)))


def size(waiting: Waiting) -> int:
    """How many sessions stand in a branch of the tree."""
    return waiting.count + sum(map(size, waiting.behind))


def _edges(locks: pd.DataFrame) -> Iterable[_Edge]:
    waiting = locks[locks["edge"] != "none"]
    columns = (
        *("edge", "database", "relation", "lock_type", "waiter", "waiter_pid"),
        *("waiter_application", "waiter_mode", "waiter_statement", "wait_start"),
        *("holder", "holder_pid", "holder_application", "holder_mode", "holder_state"),
        *("holder_statement", "holder_statement_basis", "holder_mode_basis", "root", "deadlocked"),
    )
    for cells in values(with_roots(session_keys(waiting)), *columns):
        row = dict(zip(columns, cells, strict=True))
        yield _Edge(
            kind=row["edge"],
            lock=(row["database"] or "", row["relation"]),
            lock_type=row["lock_type"] or "",
            waiter=Session(
                pid=row["waiter_pid"],
                session=row["waiter"],
                application=row["waiter_application"] or "",
                mode=row["waiter_mode"] or "",
                state="active",
                statement=row["waiter_statement"] or "",
                statement_basis="running",
                mode_basis="requested",
            ),
            since=instant(row["wait_start"]),
            holder=_holder(row),
            root=row["root"],
            deadlocked=bool(row["deadlocked"]),
        )


def _holder(row: Row) -> Session:
    if row["holder"] is None:
        return _NOBODY
    return Session(
        pid=row["holder_pid"],
        session=row["holder"],
        application=row["holder_application"] or "",
        mode=row["holder_mode"] or "",
        state=row["holder_state"] or "",
        statement=row["holder_statement"] or "",
        statement_basis=row["holder_statement_basis"] or "last",
        mode_basis=row["holder_mode_basis"] or "",
    )


def _blocker(
    root: str,
    edges: tuple[_Edge, ...],
    waits: tuple[Claimed, ...],
    sessions: Mapping[int, Row],
    at: datetime,
) -> Blocker:
    own = [edge for edge in edges if edge.holder.session == root]
    session = own[0].holder if own else replace(_NOBODY, session=root)
    facts = sessions.get(session.pid or 0, {})
    holding = dict.fromkeys(
        held(e.holder.mode, e.lock[1], [e.lock_type], explained=True) for e in own
    )
    return Blocker(
        session=session,
        database=edges[0].lock[0],
        held=tuple(holding),
        transaction_start=facts.get("xact_start"),
        state_since=facts.get("state_change"),
        deadlocked=any(edge.deadlocked for edge in edges),
        waiting=_behind(root if own else UNKNOWN, _parents(edges, root), frozenset({root})),
        way_out=way_out(session, facts, waits, {e.waiter.session for e in edges} - {root}, at),
    )


def _claimed(edges: tuple[_Edge, ...]) -> Iterable[Claimed]:
    """Each wait with all who hold the lock against it."""
    holders: dict[tuple[object, ...], set[str]] = {}
    one: dict[tuple[object, ...], _Edge] = {}
    for edge in edges:
        key = (edge.waiter.session, *edge.lock, edge.lock_type)
        one.setdefault(key, edge)
        if edge.kind != "soft":
            holders.setdefault(key, set()).add(edge.holder.session)
    for place, edge in one.items():
        yield Claimed(
            waiter=edge.waiter.session,
            lock=(*edge.lock, edge.lock_type),
            mode=edge.waiter.mode,
            since=edge.since,
            held_by=frozenset(holders.get(place, ())),
        )


def _parents(edges: tuple[_Edge, ...], root: str) -> Mapping[str, list[_Edge]]:
    """Under whom each waiter is shown, once: the root where it blocks the waiter itself."""
    best: dict[str, _Edge] = {}
    for edge in edges:
        known = best.get(edge.waiter.session)
        if known is None or _place(edge, root) < _place(known, root):
            best[edge.waiter.session] = edge
    below: dict[str, list[_Edge]] = {}
    for edge in best.values():
        below.setdefault(edge.holder.session, []).append(edge)
    return below


def _place(edge: _Edge, root: str) -> tuple[bool, int, str]:
    return edge.holder.session != root, _RANK.get(edge.kind, 3), edge.holder.session


def _behind(
    session: str, below: Mapping[str, list[_Edge]], above: frozenset[str]
) -> tuple[Waiting, ...]:
    """The branch below a session; those who wait alike and block nobody are one line."""
    alike: dict[tuple[object, ...], list[Waiting]] = {}
    for edge in below.get(session, ()):
        if edge.waiter.session in above:
            continue
        one = Waiting(
            session=edge.waiter,
            relation=edge.lock[1],
            lock_types=(edge.lock_type,),
            since=edge.since,
            is_soft=edge.kind == "soft",
            behind=_behind(edge.waiter.session, below, above | {edge.waiter.session}),
        )
        same = (one.session.application, one.session.mode, one.session.statement, one.relation)
        key = (*same, one.lock_types, one.is_soft, one.session.session if one.behind else "")
        alike.setdefault(key, []).append(one)
    joined = [_joined(group) for group in alike.values()]
    return tuple(sorted(joined, key=lambda w: (not w.behind, -w.count, w.session.session)))


def _joined(group: list[Waiting]) -> Waiting:
    first = min(group, key=lambda w: (w.since is None, w.since, w.session.session))
    return replace(first, count=len(group))

"""One snapshot of pg_locks and its sessions -> who blocks whom, as rows of the `locks` table.

A holder blocks a waiter for sure (`hard`) where its granted mode conflicts with the mode asked for;
that follows from pg_locks alone. Who merely stands ahead in the queue (`soft`) does not: the order
of the queue is not in pg_locks, so `pg_blocking_pids` says it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache
from typing import Any, NamedTuple

from incident_rca.formats.holder_statements import SeenStatements
from incident_rca.formats.lock_tags import ROW_LOCKS, described, tag_of
from incident_rca.formats.parsed import session_of, utc_instant
from incident_rca.lock_modes import MODES, conflicts

Row = dict[str, Any]
# Tables and partitioned tables, materialised views, foreign and TOAST tables: what rows are in.
_HOLDS_ROWS = frozenset({"r", "p", "m", "f", "t"})


class Owner(NamedTuple):
    """Who holds or waits: a process with its parallel workers, or a prepared transaction."""

    pid: int
    prepared: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """The rows of one snapshot; names are those known so far, by database name and OID.

    `prepared` has the name of each prepared transaction by its virtual transaction.
    """

    line: int
    at: datetime
    locks: Sequence[Row] = field(hash=False)
    sessions: Mapping[int, Row] = field(hash=False)
    databases: Mapping[int, str] = field(hash=False)
    relations: Mapping[tuple[str, int], Row] = field(hash=False)
    prepared: Mapping[str, Row] = field(hash=False)


def edges_of(snapshot: Snapshot, statements: SeenStatements) -> list[Row]:
    """The edges of every lock that somebody waits for, and a `none` row for who blocks nobody."""
    owned = [(_owner(snapshot, lock), lock) for lock in snapshot.locks]
    about = _relations_of_waiters(snapshot, owned)
    by_tag: dict[tuple[Any, ...], list[tuple[Owner, Row]]] = {}
    for owner, lock in owned:
        by_tag.setdefault(tag_of(lock), []).append((owner, lock))
    rows: list[Row] = []
    for locks in by_tag.values():
        if any(not lock["granted"] for _, lock in locks):
            rows += _edges_of_lock(snapshot, locks, about, statements)
    return rows


def _owner(snapshot: Snapshot, lock: Row) -> Owner:
    pid = lock["pid"]
    if pid is None:
        known = snapshot.prepared.get(lock["virtualtransaction"], {})
        return Owner(0, known.get("gid") or f"with virtual id {lock['virtualtransaction']}")
    return Owner(snapshot.sessions.get(pid, {}).get("leader_pid") or pid)


def _relations_of_waiters(snapshot: Snapshot, owned: Sequence[tuple[Owner, Row]]) -> dict[Any, Row]:
    """For who waits for a row (a transaction's end), a lock row that says in which table it is.

    heapam takes the row's `tuple` lock before it waits for the transaction that changed the row. An
    insert into a unique index does not; then it is the one table that the waiter writes to.
    """
    waiting = {o for o, lock in owned if not lock["granted"] and lock["locktype"] in ROW_LOCKS}
    about: dict[Any, Row] = {}
    written: dict[Owner, list[Row]] = {}
    for owner, lock in owned:
        if owner not in waiting:
            continue
        if lock["locktype"] == "tuple":
            about[owner] = lock
        elif lock["locktype"] == "relation" and lock["mode"] == "RowExclusiveLock":
            known = _relation(snapshot, lock)
            if known is None or known["kind"] in _HOLDS_ROWS:
                written.setdefault(owner, []).append(lock)
    for owner, locks in written.items():
        if owner not in about and len(locks) == 1:
            about[owner] = locks[0]
    return about


def _relation(snapshot: Snapshot, lock: Row) -> Row | None:
    """What is recorded of a lock's relation: only under its own database, for OIDs repeat."""
    database = snapshot.databases.get(lock["database"] or 0, "")
    return snapshot.relations.get((database, lock["relation"] or 0))


def _edges_of_lock(
    snapshot: Snapshot,
    locks: Sequence[tuple[Owner, Row]],
    about: Mapping[Any, Row],
    statements: SeenStatements,
) -> Iterator[Row]:
    holders: dict[Owner, list[Row]] = {}
    waiters: dict[Owner, Row] = {}
    for owner, lock in locks:
        if lock["granted"]:
            holders.setdefault(owner, []).append(lock)
        else:
            waiters[owner] = lock
    blocked_by = _blocked_by(holders, waiters)
    queue = _queue_of(waiters)
    shown_as: dict[tuple[Owner, str, str, str], Row] = {}
    for waiter, wanted in waiters.items():
        place = _place(snapshot, waiter, about.get(waiter, wanted), wanted)
        asked = _waiter(snapshot, waiter, wanted, statements)
        hard = blocked_by[waiter]
        ahead = [o for o in _ahead(snapshot, waiter, queue) if o not in hard]
        soft = {o: waiters[o] for o in _telling(ahead, waiter, blocked_by)}
        for edge, blockers in (("hard", hard), ("soft", soft)):
            for owner, lock in blockers.items():
                key = (owner, edge, lock["mode"], place["relation"])
                if key not in shown_as:
                    shown_as[key] = _holder(snapshot, owner, lock, place, statements)
                yield {"edge": edge, **place, **asked, **shown_as[key]}
        if not hard and not soft:
            yield {"edge": "unknown", **place, **asked}
    guilty = {owner for hard in blocked_by.values() for owner in hard}
    for owner, held in holders.items():
        if owner not in guilty:
            lock = max(held, key=_strength)
            place = _place(snapshot, owner, lock, lock)
            yield {"edge": "none", **place, **_holder(snapshot, owner, lock, place, statements)}


def _blocked_by(
    holders: Mapping[Owner, Sequence[Row]], waiters: Mapping[Owner, Row]
) -> dict[Owner, Mapping[Owner, Row]]:
    """Whose granted lock conflicts with what each waiter asks for, looked up once a mode."""
    of_mode = {
        mode: {
            owner: strongest
            for owner, held in holders.items()
            if (strongest := _conflicting(held, mode)) is not None
        }
        for mode in {wanted["mode"] for wanted in waiters.values()}
    }
    return {
        waiter: {owner: lock for owner, lock in of_mode[wanted["mode"]].items() if owner != waiter}
        for waiter, wanted in waiters.items()
    }


def _conflicting(held: Sequence[Row], wanted: str) -> Row | None:
    """The strongest of an owner's locks that conflicts with the mode asked for."""
    return max((h for h in held if conflicts(h["mode"], wanted)), key=_strength, default=None)


def _strength(lock: Row) -> int:
    return MODES.index(lock["mode"]) if lock["mode"] in MODES else -1


@dataclass(frozen=True, slots=True)
class _Queue:
    """Who waits for one lock: since when, in which mode, and for each mode who may stop it."""

    starts: Mapping[Owner, datetime | None] = field(hash=False)
    modes: Mapping[Owner, str] = field(hash=False)
    rivals: Mapping[str, Sequence[tuple[datetime, Owner]]] = field(hash=False)


def _queue_of(waiters: Mapping[Owner, Row]) -> _Queue:
    """The queue, looked through once a mode and not once a waiter: it may be hundreds long."""
    starts = {owner: _instant(lock["waitstart"]) for owner, lock in waiters.items()}
    modes = {owner: lock["mode"] for owner, lock in waiters.items()}
    rivals = {
        wanted: [
            (since, owner)
            for owner, since in starts.items()
            if since is not None and conflicts(modes[owner], wanted)
        ]
        for wanted in set(modes.values())
    }
    return _Queue(starts, modes, rivals)


def _ahead(snapshot: Snapshot, waiter: Owner, queue: _Queue) -> list[Owner]:
    """Who else waits ahead in a conflicting mode: as the server says, else by the waits' starts.

    The start alone is not quite the order: who upgrades a lock may be put ahead of others
    (ProcSleep in proc.c), so it stands in only where the server was not asked.
    """
    named = snapshot.sessions.get(waiter.pid, {}).get("blocking_pids")
    if named is not None:
        leaders = [snapshot.sessions.get(pid, {}).get("leader_pid") or pid for pid in named]
        known = {Owner(pid) for pid in leaders} & queue.modes.keys() - {waiter}
        return sorted(known, key=lambda owner: owner.pid)
    since = queue.starts[waiter]
    rivals = queue.rivals[queue.modes[waiter]] if since is not None else ()
    return [other for begun, other in rivals if since is not None and begun < since]


def _telling(
    ahead: Sequence[Owner], waiter: Owner, blocked_by: Mapping[Owner, Mapping[Owner, Row]]
) -> Sequence[Owner]:
    """Those ahead in the queue whose own wait tells something that the waiter's does not.

    Who waits ahead for holders that block the waiter directly adds nothing; and without this a
    queue of n that all want one row would have n² / 2 edges at each sample.
    """
    own = blocked_by[waiter].keys()
    telling = [other for other in ahead if not blocked_by[other].keys() <= own]
    return telling or (ahead[:1] if not own else [])


def _place(snapshot: Snapshot, owner: Owner, lock: Row, wanted: Row) -> Row:
    """What the lock is on; a name only where it was recorded for this very database."""
    known = _relation(snapshot, lock) if lock["relation"] is not None else None
    session = snapshot.sessions.get(owner.pid, {})
    return {
        "line": snapshot.line,
        "at": snapshot.at,
        "lock_type": wanted["locktype"],
        "database": snapshot.databases.get(lock["database"] or 0) or session.get("database"),
        "relation": f"{known['schema']}.{known['relation']}" if known else described(lock),
        "relation_oid": lock["relation"],
    }


def _waiter(snapshot: Snapshot, owner: Owner, lock: Row, statements: SeenStatements) -> Row:
    session = snapshot.sessions.get(owner.pid, {})
    return {
        "waiter_pid": owner.pid,
        "waiter_session": _session_of(owner, session.get("backend_start")),
        "waiter_application": _application(session),
        "waiter_mode": lock["mode"],
        "waiter_statement": statements.clean(session.get("query")),
        "waiter_trace_ids": statements.ids(session),
        "wait_start": _instant(lock["waitstart"]),
    }


def _holder(
    snapshot: Snapshot, owner: Owner, lock: Row, place: Row, statements: SeenStatements
) -> Row:
    """Who holds, or waits ahead. The lock was taken after its transaction began: `held_since`."""
    session = snapshot.sessions.get(owner.pid, {})
    statement = statements.of_holder(session, lock["mode"], lock["locktype"], place["relation"])
    return {
        "holder_pid": owner.pid,
        "holder_session": _session_of(owner, session.get("backend_start")),
        "holder_application": _application(session),
        "holder_mode": lock["mode"],
        "holder_mode_basis": "granted" if lock["granted"] else "requested",
        "holder_state": "prepared" if owner.prepared else session.get("state"),
        "holder_statement": statement.text,
        "holder_statement_basis": statement.basis,
        "holder_trace_ids": statements.ids(session),
        "held_since": _instant(session.get("xact_start")),
    }


def _application(session: Row) -> str | None:
    """The application's name; a background process has none and goes by what it is."""
    name, kind = session.get("application_name"), session.get("backend_type")
    return name or (kind if kind != "client backend" else None)


# A long queue is in each of many snapshots with the same sessions and the same instants.
_KNOWN = 1 << 14


@lru_cache(_KNOWN)
def _session_of(owner: Owner, backend_start: str | None) -> str:
    return session_of(owner.pid, _instant(backend_start), owner.prepared)


@lru_cache(_KNOWN)
def _instant(text: str | None) -> datetime | None:
    return utc_instant(text) if text else None

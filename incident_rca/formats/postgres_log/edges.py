"""Waits and statements of a log -> rows of `locks`: who is proven to hold, and who is not.

The DETAIL of a wait names every process with a granted lock there, conflicting or not (proc.c,
ProcSleep). So a named process is a candidate, and a holder only by one of these proofs:

- *owner*: the lock is the id of a transaction, of a virtual transaction or of a speculative
  insertion. Only its owner can hold that exclusively, and while somebody waits no other lock on it
  is granted (see `OWNED_LOCKS`). So the one process named is it, in ExclusiveLock.
- *statement*: it is named in every DETAIL of that lock, it logged a statement on the waiters' table
  that began before the first of them waited and whose mode conflicts with theirs (PostgreSQL
  documentation, "Explicit Locking"), and its end fits. An autovacuum that was cancelled at that
  table while they waited need not be named: it works only where it has the lock already
  (vacuum.c, vacuum_open_relation: SKIP_LOCKED).
- *queue*: it is the only holder named, and all who wait beside it, by that same DETAIL, want the
  same mode. Each of them waits for a granted lock or for somebody ahead. If nobody waited for this
  holder, all would wait for each other: a deadlock, which the server reports. So its lock conflicts
  with that mode. With other modes in the queue only one of them need conflict: no proof.
- *report*: a deadlock report or a cancelled autovacuum says so (`observed.py`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import lru_cache
from typing import TypeVar

from incident_rca.formats.parsed import session_of
from incident_rca.formats.postgres_log.contexts import bare
from incident_rca.formats.postgres_log.lock_messages import ROW_LOCKS, Lock
from incident_rca.formats.postgres_log.observed import (
    Look,
    Observed,
    Proof,
    Row,
    Statement,
    Wait,
)
from incident_rca.lock_modes import ROW_EXCLUSIVE, ROW_SHARE, conflicts
from incident_rca.redact import redact_sql
from incident_rca.statement_tables import tables_of
from incident_rca.trace_ids import ids_in_session

# Thousands wait with the same few statements.
_tables_in = lru_cache(maxsize=1024)(tables_of)
_redacted = lru_cache(maxsize=1024)(redact_sql)
# The line of a wait is written a moment after its clock was read; a prefix may have whole seconds.
_SLACK = timedelta(seconds=1)


@dataclass(slots=True)
class _Knowledge:
    """What the whole log says of tables, and of who waited when."""

    by_oid: dict[tuple[int | None, int], str | None] = field(default_factory=dict)
    oids: dict[tuple[str | None, str], int | None] = field(default_factory=dict)
    spelled: dict[tuple[str | None, str], str | None] = field(default_factory=dict)
    waits: dict[int, list[Wait]] = field(default_factory=dict)

    def running(self, pid: int, at: datetime) -> Statement | None:
        """The statement with which a process waited itself at an instant."""
        wait = _waiting(self.waits.get(pid, ()), at)
        if wait is None or not wait.statement:
            return None
        return Statement(wait.statement, wait.begun, wait.end, wait.application, is_running=True)


def rows_of(seen: Observed, resolution_seconds: float) -> list[Row]:
    """One row a wait and proven holder, one `unknown` row a wait without any.

    Beside them one `none` row a process that was only named. Two times of the log that are nearer
    than its resolution may be in the other order.
    """
    slack = timedelta(seconds=resolution_seconds)
    by_lock: dict[str, list[Wait]] = {}
    waits = list(seen.all_waits())
    for wait in waits:
        by_lock.setdefault(wait.lock.text, []).append(wait)
    names = _known_of(waits, by_lock)
    rows: list[Row] = []
    for text, group in by_lock.items():
        _prove_by_queue(group, seen.looks.get(text, ()))
        group.sort(key=lambda w: (w.begun, w.pid))
        for episode in _overlapping(group):
            rows.extend(_rows_of_episode(episode, seen, names, slack))
    return sorted(rows, key=lambda r: (r["line"], r["holder_pid"] or 0))


def _overlapping(group: list[Wait]) -> list[list[Wait]]:
    """Waits that overlap in time, joined: one stretch in which the same lock was contended."""
    episodes: list[list[Wait]] = []
    until: datetime | None = None
    for wait in group:
        if until is None or wait.begun > until:
            episodes.append([])
            until = wait.end or wait.begun
        episodes[-1].append(wait)
        until = max(until, wait.end or wait.begun)
    return episodes


def _prove_by_queue(group: list[Wait], looks: Iterable[Look]) -> None:
    by_pid: dict[int, list[Wait]] = {}
    for wait in group:
        by_pid.setdefault(wait.pid, []).append(wait)
    for look in looks:
        queue = [_waiting(by_pid.get(pid, ()), look.at) for pid in look.queue]
        waits = [wait for wait in queue if wait is not None]
        if len(waits) < len(queue) or len({wait.mode for wait in waits}) != 1:
            continue
        if any(wait.outcome == "deadlock" for wait in waits):
            continue
        for wait in waits:
            wait.proofs.setdefault(look.holder, Proof())


def _waiting(waits: Iterable[Wait], at: datetime) -> Wait | None:
    """The wait that went on at an instant: a process has one at a time, so the latest."""
    fitting = [w for w in waits if w.begun <= at + _SLACK and (w.end is None or w.end >= at)]
    before = [w for w in fitting if w.begun <= at]
    return max(before, key=lambda w: w.begun) if before else next(iter(fitting), None)


def _rows_of_episode(
    episode: list[Wait], seen: Observed, names: _Knowledge, slack: timedelta
) -> Iterator[Row]:
    in_every = frozenset.intersection(
        *(w.named for w in episode if w.named is not None),
        frozenset(p for w in episode for p in w.named or ()),
    )
    begun, ended = episode[0].begun, max((w.end or w.begun) for w in episode)
    tables = frozenset(bare(name) for w in episode for name in _tables_of_wait(w))
    # The mode of a statement is that of its table, not of a row, transaction or advisory lock.
    is_of_table = episode[0].lock.type == "relation"
    cancelled = seen.vacuums_cancelled(tables, begun, ended + _SLACK) if is_of_table else ()
    by_statement = in_every.union(cancelled) if is_of_table else frozenset()
    unproven = {id(wait): wait for wait in episode}
    named = {p for w in episode for p in (*(w.named or ()), *w.proofs)}
    for pid in sorted(named.union(cancelled)):
        statements = list(seen.statements.get(pid, ()))
        held = _hold(statements, tables, begun + slack, ended) if pid in by_statement else None
        place = _place(episode, held, names)
        blocks_somebody = False
        for wait in episode:
            took = held if held and _blocks(held, wait, slack) else None
            proof = wait.proofs.get(pid) or (Proof() if took else None)
            if proof is None:
                continue
            said = took or names.running(pid, wait.begun)
            earlier = _last_fitting(statements, tables, wait)
            if earlier and proof.mode is None and wait.lock.type == "relation":
                proof = replace(proof, mode=earlier.mode)
                said = earlier if took is None else took
            said = said or earlier
            holder = _holder(pid, proof, took, said, seen, wait.begun)
            yield _waiter(wait, seen) | {"edge": proof.edge} | place | holder
            unproven.pop(id(wait), None)
            blocks_somebody = True
        if not blocks_somebody:
            holder = _holder(pid, Proof(edge="none"), held, held, seen, begun)
            yield {"line": episode[0].line, "at": begun, "edge": "none"} | place | holder
    place = _place(episode, None, names)
    for wait in unproven.values():
        yield _waiter(wait, seen) | {"edge": "unknown", "holder_pid": None} | place


def _waiter(wait: Wait, seen: Observed) -> Row:
    session, application = seen.session(wait.pid, wait.begun)
    if wait.session_start:
        session = session_of(wait.pid, wait.session_start)
    return {
        "line": wait.line,
        "at": wait.begun,
        "waiter_pid": wait.pid,
        "waiter_session": session,
        "waiter_application": wait.application or application,
        "waiter_mode": wait.mode,
        "waiter_statement": _redacted(wait.statement),
        "waiter_trace_ids": ids_in_session(wait.statement, wait.application),
        "wait_start": wait.start,
        "wait_end": wait.end,
        "wait_end_line": wait.end_line,
        "wait_outcome": wait.outcome,
    }


def _holder(
    pid: int,
    proof: Proof,
    took: Statement | None,
    said: Statement | None,
    seen: Observed,
    at: datetime,
) -> Row:
    """The holder's columns: `took` is the statement that took the lock, `said` one it logged."""
    session, application = seen.session(pid, at)
    is_running = said is not None and (said is took or said.is_running)
    return {
        "holder_pid": pid,
        # A prepared transaction has no process; the log does not say its name.
        "holder_session": session if pid else None,
        "holder_application": (said.application if said else None) or application,
        "holder_mode": took.mode if took else proof.mode,
        "holder_mode_basis": "statement" if took and took.until else proof.basis,
        "holder_state": "active" if is_running else None,
        "holder_statement": _redacted(said.sql) if said else "",
        "holder_statement_basis": "running" if is_running else "last",
        "holder_trace_ids": ids_in_session(said.sql, said.application) if said else None,
        "held_since": took.since if took else None,
        "held_until": took.until if took else None,
    }


def _hold(
    statements: list[Statement], tables: frozenset[str], begun: datetime, ended: datetime
) -> Statement | None:
    """The logged statement on the waiters' table, from before the first wait to the last.

    Where its end is not logged it may be over long since: then its mode is that of a candidate.
    """
    for said in reversed(statements):
        if (
            said.mode
            and (said.since is None or said.since <= begun)
            and (not tables or not tables.isdisjoint(map(bare, _tables_in(said.sql))))
            and (said.until is None or begun <= said.until <= ended + _SLACK)
        ):
            return said
    return None


def _blocks(held: Statement, wait: Wait, slack: timedelta) -> bool:
    over = held.until is not None and held.until + slack < wait.begun
    return not over and conflicts(held.mode or "", wait.mode)


def _last_fitting(
    statements: list[Statement], tables: frozenset[str], wait: Wait
) -> Statement | None:
    """The last statement before a wait that may have taken its lock: it may be over, the lock not.

    On a table that is one with a conflicting mode, of rows one that writes or locks them.
    """
    for said in reversed(statements):
        if said.since is None or said.since > wait.begun or said.mode is None:
            continue
        if wait.lock.type == "relation":
            fits = conflicts(said.mode, wait.mode)
        else:
            fits = said.mode in (ROW_EXCLUSIVE, ROW_SHARE)
        if fits and not tables.isdisjoint(map(bare, _tables_in(said.sql))):
            return said
    return None


def _tables_of_wait(wait: Wait) -> list[str]:
    return [wait.table] if wait.table else _tables_in(wait.statement)


# --- names ------------------------------------------------------------------------------------


def _known_of(waits: Iterable[Wait], by_lock: Mapping[str, list[Wait]]) -> _Knowledge:
    """What a log tells of names: by the row that one waits for and that another has in hand.

    A process that waits for a row's owner holds the row's tuple lock, so its CONTEXT names the
    table of those who wait for that tuple lock (heapam.c, heap_acquire_tuplock).
    """
    names = _Knowledge()
    in_hand: dict[tuple[int, str], set[str]] = {}
    for wait in waits:
        names.waits.setdefault(wait.pid, []).append(wait)
        for name in (*_tables_of_wait(wait), *_tables_in(wait.statement)):
            if "." in name:
                _agree(names.spelled, (wait.database, bare(name)), name)
        if wait.table:
            in_hand.setdefault((wait.pid, wait.row), set()).add(wait.table)
    for group in by_lock.values():
        lock = group[0].lock
        if lock.relation_oid is None:
            continue
        key = (lock.database_oid, lock.relation_oid)
        for wait in group:
            found = {t for pid in wait.named or () for t in in_hand.get((pid, lock.row), ())}
            if not found and len(own := {bare(n) for n in _tables_in(wait.statement)}) == 1:
                found = own
            for table in found:
                _agree(names.by_oid, key, table)
                _agree(names.oids, (wait.database, table), lock.relation_oid)
    return names


_Key = TypeVar("_Key")
_Value = TypeVar("_Value")


def _agree(known: dict[_Key, _Value | None], key: _Key, value: _Value) -> None:
    """Keeps a value that all agree on, and None where two differ."""
    if known.setdefault(key, value) != value:
        known[key] = None


def _place(episode: list[Wait], held: Statement | None, names: _Knowledge) -> Row:
    """Where the lock is: its type, database, and table by the name that statements write."""
    lock = episode[0].lock
    database = next((w.database for w in episode if w.database), None)
    table = _table_of(episode, held, names)
    oid = lock.relation_oid
    if table and oid is None and lock.type in ROW_LOCKS:
        oid = names.oids.get((database, bare(table)))
    spelled = names.spelled.get((database, bare(table))) if table else None
    return {
        "lock_type": lock.type,
        "database": database,
        "relation": spelled or table or _unnamed(lock),
        "relation_oid": oid,
    }


def _table_of(episode: list[Wait], held: Statement | None, names: _Knowledge) -> str | None:
    """The one table that CONTEXT or all statements name; the log itself has only its OID."""
    lock = episode[0].lock
    if lock.relation_oid is None and lock.type not in ROW_LOCKS:
        return None
    said = {w.table for w in episode if w.table}
    if len(said) == 1:
        return said.pop()
    texts = [name for w in episode for name in _tables_in(w.statement)]
    if held:
        texts += _tables_in(held.sql)
    tables = {bare(name): name for name in texts}
    if len(tables) == 1:
        return next(iter(tables.values()))
    if lock.relation_oid is None:
        return None
    return names.by_oid.get((lock.database_oid, lock.relation_oid))


def _unnamed(lock: Lock) -> str:
    return lock.text if lock.relation_oid is None else f"relation {lock.relation_oid}"

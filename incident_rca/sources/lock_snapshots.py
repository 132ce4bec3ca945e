"""What the flight recorder asks a server, as the records of a lock recording (format 1).

`header` describes the file, `probe` is the heartbeat, `snapshot` the locks that somebody waits for.
The reader of the same format is `incident_rca.formats.lock_recording`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

from incident_rca import __version__
from incident_rca.formats.lock_recording import FORMAT_NAME, FORMAT_VERSION
from incident_rca.formats.lock_tags import ROW_LOCKS, TAG, Tag

if TYPE_CHECKING:
    import psycopg

    from incident_rca.sources.postgres import ServerFacts

    Connection = psycopg.Connection[tuple[Any, ...]]

Record = dict[str, Any]
Row = list[Any]

COLUMNS: Mapping[str, Sequence[str]] = {
    "counts": ("application_name", "state", "wait_event_type", "wait_event", "sessions"),
    "statements": ("pid", "backend_start", "xact_start", "query_start", "query"),
    "locks": (
        *("pid", "locktype", "database", "relation", "page", "tuple", "virtualxid"),
        *("transactionid", "classid", "objid", "objsubid", "virtualtransaction", "mode"),
        *("granted", "fastpath", "waitstart"),
    ),
    "sessions": (
        *("pid", "backend_start", "leader_pid", "database", "application_name", "backend_type"),
        *("state", "wait_event_type", "wait_event", "xact_start", "query_start", "state_change"),
        *("query", "backend_xid", "blocking_pids"),
    ),
    "relations": ("database", "oid", "schema", "relation", "kind", "reltuples"),
    "databases": ("oid", "database"),
    "prepared": (
        *("gid", "transaction", "virtualtransaction", "database", "owner", "prepared_at"),
    ),
}
_LOCK = {name: number for number, name in enumerate(COLUMNS["locks"])}
_PID, _KIND, _DATABASE = _LOCK["pid"], _LOCK["locktype"], _LOCK["database"]
_RELATION, _XID, _MODE = _LOCK["relation"], _LOCK["transactionid"], _LOCK["mode"]
_VIRTUAL, _GRANTED, _SINCE = _LOCK["virtualtransaction"], _LOCK["granted"], _LOCK["waitstart"]
_FIRST_OF_TAG, _LAST_OF_TAG = _LOCK[TAG[0]], _LOCK[TAG[-1]]
_WAITS_FOR_A_TRANSACTION = ROW_LOCKS | {"virtualxid"}
_LEADER = COLUMNS["sessions"].index("leader_pid")
_SESSION_DATABASE = COLUMNS["sessions"].index("database")
SHARED = 0

# Asking pg_blocking_pids takes the whole lock table for a moment, once a waiter.
ASK_ALL_UP_TO = 200
ASK_FIRST_AND_LAST = 10
ROUND_TRIPS = 7
REST_OF_CATALOGS = 30


@dataclass(slots=True)
class Known:
    """What stands in the file already and is not written again; a new file begins with a new one.

    `databases` are names by OID, `relations` the (database name, OID) written, `nameless` those the
    catalogs had no name for, `prepared` virtual transactions, `statements` those of the last probe.
    Locked catalogs are not asked for `rest` snapshots.
    """

    databases: dict[int, str | None] = field(default_factory=lambda: {SHARED: ""})
    relations: set[tuple[str, int]] = field(default_factory=set)
    nameless: set[int] = field(default_factory=set)
    prepared: set[str] = field(default_factory=set)
    statements: frozenset[tuple[Any, ...]] = frozenset()
    rest: int = 0


def header(
    facts: ServerFacts,
    *,
    started_at: datetime,
    interval_seconds: float,
    clock_offset_seconds: tuple[float, float],
) -> Record:
    """The first line of a recording, and the first one after each reconnection."""
    from incident_rca.sources.plain_rows import written

    return {
        "kind": "header",
        "format": FORMAT_NAME,
        "format_version": FORMAT_VERSION,
        "recorder_version": __version__,
        "started_at": written(started_at),
        "interval_seconds": interval_seconds,
        "server": {
            "version": facts.version,
            "version_num": facts.version_num,
            "cluster": facts.cluster,
            "database": facts.database,
            "postmaster_start": written(facts.postmaster_start),
            "max_connections": facts.max_connections,
            "deadlock_timeout_ms": facts.deadlock_timeout_ms,
            "track_activity_query_size": facts.track_activity_query_size,
            "log_lock_waits": facts.log_lock_waits,
            "log_line_prefix": facts.log_line_prefix,
            "log_timezone": facts.log_timezone,
        },
        "visibility": "full" if facts.sees_all_sessions else "restricted",
        "clock": {"offset_seconds": list(clock_offset_seconds)},
        "columns": {name: list(columns) for name, columns in COLUMNS.items()},
    }


def clock_offset(connection: Connection, now: Callable[[], datetime]) -> tuple[float, float]:
    """Bounds of the server's clock minus ours, in seconds, from several round trips.

    The server reads its clock between our two readings, so each trip gives bounds, and all of them
    hold at once. Where a clock was set meanwhile they do not: then the widest bounds are returned.
    """
    from incident_rca.queries import load_query

    text = load_query("postgres/clock.sql").text.encode()
    bounds: list[tuple[float, float]] = []
    for _ in range(ROUND_TRIPS):
        before = now()
        ((server,),) = connection.execute(text).fetchall()
        after = now()
        bounds.append(((server - after).total_seconds(), (server - before).total_seconds()))
    lows, highs = zip(*bounds, strict=True)
    if max(lows) <= min(highs):
        return max(lows), min(highs)
    return min(lows), max(highs)


def probe(connection: Connection, facts: ServerFacts, known: Known | None = None) -> Record:
    """The heartbeat: who waits, the sessions by state, and statements that may lock strongly.

    Statements that the last probe saw as well are left out. It takes no lock, except that a role
    which may not see the states of others has to count the waiters in pg_locks.
    """
    from incident_rca.sources.plain_rows import rows_of

    known = known if known is not None else Known()
    counts: list[Row] = []
    statements: list[tuple[Any, ...]] = []
    at = ""
    for at_of_row, *count_columns, pid, begun, xact, started, query in rows_of(connection, "probe"):
        at = max(at, at_of_row)
        if pid is None:
            counts.append(count_columns)
        else:
            statements.append((pid, begun, xact, started, query))
    if facts.sees_all_sessions:
        waiting = sum(count[-1] for count in counts if count[2] == "Lock")
    else:
        ((waiting,),) = rows_of(connection, "probe_restricted")
    record: Record = {"kind": "probe", "at": at, "waiting": waiting, "counts": counts}
    new = [list(statement) for statement in statements if statement not in known.statements]
    known.statements = frozenset(statements)
    return record | ({"statements": new} if new else {})


def snapshot(connection: Connection, facts: ServerFacts, known: Known) -> Record:
    """The locks that somebody waits for, the sessions in them, and names not written yet."""
    from incident_rca.sources.plain_rows import rows_of

    known.rest = max(0, known.rest - 1)
    every = rows_of(connection, "locks")
    locks_at = sessions_at = every[0][0]
    held = [lock[1:] for lock in every if lock[1 + _KIND] is not None]
    locks = relevant(held)
    sessions: list[Row] = []
    if pids := {lock[_PID] for lock in locks if lock[_PID] is not None}:
        found = _sessions(connection, pids, asked_waiters(locks))
        sessions_at = found[0][0] if found else locks_at
        sessions = [list(session[1:]) for session in found]
    databases = _new_databases(connection, known, locks, sessions)
    for session in sessions:
        session[_SESSION_DATABASE] = known.databases.get(session[_SESSION_DATABASE])
    return {
        "kind": "snapshot",
        "locks_at": locks_at,
        "sessions_at": sessions_at,
        "locks": locks,
        "sessions": sessions,
        "relations": _new_relations(connection, facts, known, locks),
        "databases": databases,
        "prepared": _new_prepared(connection, known, locks, held),
    }


def _sessions(
    connection: Connection, pids: set[int], waiters: Sequence[int]
) -> list[tuple[Any, ...]]:
    """These sessions, and those that they name: parallel leaders and who blocks them.

    Leaders and blockers mostly hold a lock in question themselves, so that nothing is left to ask.
    """
    from incident_rca.sources.plain_rows import rows_of

    found = rows_of(connection, "sessions", {"pids": sorted(pids), "waiters": waiters})
    named = {leader for session in found if (leader := session[1 + _LEADER])}
    named.update(pid for session in found for pid in session[-1] or () if pid)
    if more := sorted(named - pids):
        found += rows_of(connection, "sessions", {"pids": more, "waiters": []})
    return found


def relevant(locks: Iterable[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    """The rows of pg_locks about a lock that somebody waits for, and what explains them.

    Who waits for a transaction's end waits for a row: the `tuple` and `relation` rows of that
    session say of which table. A prepared transaction is named by its `transactionid` row.
    """
    locks = list(locks)
    waiting = [lock for lock in locks if not lock[_GRANTED]]
    waited = {_tag(lock) for lock in waiting}
    for_rows = {lock[_PID] for lock in waiting if lock[_KIND] in _WAITS_FOR_A_TRANSACTION}
    prepared = {lock[_VIRTUAL] for lock in locks if lock[_PID] is None and _tag(lock) in waited}
    return [
        lock
        for lock in locks
        if _tag(lock) in waited
        or (lock[_PID] in for_rows and lock[_KIND] in ("tuple", "relation"))
        or (lock[_KIND] == "transactionid" and lock[_PID] is None and lock[_VIRTUAL] in prepared)
    ]


def asked_waiters(locks: Iterable[tuple[Any, ...]]) -> list[int]:
    """The waiters to ask pg_blocking_pids about: all, or of very many a few that stand for them.

    Whoever waits for the same lock in the same mode has the same holders before it, so one of each
    is asked, and those who have waited longest and shortest.
    """
    waiting = [lock for lock in locks if not lock[_GRANTED] and lock[_PID] is not None]
    if len(waiting) > ASK_ALL_UP_TO:
        # `waitstart` is null for the first instant of a wait: that is the latest of all.
        waiting.sort(key=lambda lock: (lock[_SINCE] is None, lock[_SINCE] or "", lock[_PID]))
        alike = {(_tag(lock), lock[_MODE]): lock for lock in reversed(waiting)}
        ends = waiting[:ASK_FIRST_AND_LAST] + waiting[-ASK_FIRST_AND_LAST:]
        waiting = [*alike.values(), *ends]
    return sorted({lock[_PID] for lock in waiting})


def _tag(lock: Sequence[Any]) -> Tag:
    return tuple(lock[_FIRST_OF_TAG : _LAST_OF_TAG + 1])


def _new_databases(
    connection: Connection,
    known: Known,
    locks: Iterable[Sequence[Any]],
    sessions: Iterable[Sequence[Any]],
) -> list[Row]:
    """Names of databases that no line of this file has named yet."""
    seen = {lock[_DATABASE] for lock in locks} | {row[_SESSION_DATABASE] for row in sessions}
    new = sorted(oid for oid in seen if oid is not None and oid not in known.databases)
    named = _names(connection, known, "databases", {"oids": new}) if new else None
    if named is None:
        return []
    known.databases.update(dict.fromkeys(new) | dict(named))
    return [list(row) for row in named]


def _new_relations(
    connection: Connection, facts: ServerFacts, known: Known, locks: Iterable[Sequence[Any]]
) -> list[Row]:
    """Names of relations of the connected database and of shared catalogs, and of no other one.

    The same OID is another table in another database. A relation that the catalogs do not show (it
    was created by a transaction that has not ended) is asked for again with the next new one.
    """
    ours = {name: oid for oid, name in known.databases.items()}.get(facts.database)
    places = {SHARED: "", ours: facts.database}
    seen = {
        (places[lock[_DATABASE]], lock[_RELATION])
        for lock in locks
        if lock[_RELATION] is not None and lock[_DATABASE] in places
    }
    if not seen:
        known.nameless = set()
    unnamed = seen - known.relations
    asked = sorted({oid for _, oid in unnamed})
    named = None
    if not known.nameless.issuperset(asked):
        named = _names(connection, known, "relations", {"oids": asked})
    if named is None:
        return []
    found: list[Row] = []
    for oid, schema, relation, kind, reltuples, is_shared in named:
        place = "" if is_shared else facts.database
        if (place, oid) in unnamed:
            found.append([place, oid, schema, relation, kind, reltuples])
            known.relations.add((place, oid))
    known.nameless = {oid for _, oid in seen - known.relations}
    return found


def _new_prepared(
    connection: Connection,
    known: Known,
    locks: Iterable[Sequence[Any]],
    held: Iterable[Sequence[Any]],
) -> list[Row]:
    """Prepared transactions in these locks, joined with their virtual transactions.

    PostgreSQL's documentation joins by `virtualtransaction = '-1/' || transaction`; that holds only
    once the server has been restarted. The row of the transaction itself says it always.
    """
    wanted = {lock[_VIRTUAL] for lock in locks if lock[_PID] is None} - known.prepared
    if not wanted:
        return []
    virtual = {
        lock[_XID]: lock[_VIRTUAL]
        for lock in held
        if lock[_PID] is None and lock[_KIND] == "transactionid"
    }
    found = [
        [gid, xid, virtual[xid], database, owner, prepared_at]
        for gid, xid, database, owner, prepared_at in _names(connection, known, "prepared") or ()
        if virtual.get(xid) in wanted
    ]
    known.prepared.update(row[2] for row in found)
    return found


def _names(
    connection: Connection,
    known: Known,
    query: str,
    parameters: Mapping[str, Sequence[int]] | None = None,
) -> list[tuple[Any, ...]] | None:
    """What a catalog says, or None while it is locked: evidence without names is evidence."""
    from psycopg.errors import LockNotAvailable

    from incident_rca.sources.plain_rows import rows_of

    if known.rest:
        return None
    try:
        return rows_of(connection, query, parameters)
    except LockNotAvailable:
        known.rest = REST_OF_CATALOGS
        return None

"""What a lock recorder sees: the records that `incident-rca record` would have written.

They go through the real format (`formats/lock_recording.py`); nothing here decides who blocks whom.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from score.engine import Process
from score.lock_table import Request, Session, Tag
from score.simulator import Simulation

Record = dict[str, Any]
DATABASE_OID = 16384
FIRST_TABLE_OID = 24576
COLUMNS = {
    "counts": ["application_name", "state", "wait_event_type", "wait_event", "sessions"],
    "locks": [
        *("pid", "locktype", "database", "relation", "page", "tuple", "virtualxid"),
        *("transactionid", "classid", "objid", "objsubid", "virtualtransaction"),
        *("mode", "granted", "fastpath", "waitstart"),
    ],
    "sessions": [
        *("pid", "backend_start", "leader_pid", "database", "application_name", "backend_type"),
        *("state", "wait_event_type", "wait_event", "xact_start", "query_start", "state_change"),
        *("query", "blocking_pids"),
    ],
    "relations": ["database", "oid", "schema", "relation", "kind", "reltuples"],
    "databases": ["oid", "database"],
}


@dataclass(slots=True, kw_only=True)
class Recorder:
    """A recorder of one interval; `stamp` writes an instant as the server's clock shows it.

    `knows_wait_start` is false for servers before PostgreSQL 14. In `gaps` it does not run.
    """

    simulation: Simulation
    interval: float
    stamp: Callable[[float], str]
    knows_wait_start: bool = True
    gaps: tuple[tuple[float, float], ...] = ()
    records: list[Record] = field(default_factory=list)
    oids: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        tables = sorted({t for s in self.simulation.world.services for t in s.tables})
        self.oids = {table: FIRST_TABLE_OID + n for n, table in enumerate(tables)}
        self.records.append(
            {
                "kind": "header",
                "format": "incident-rca/lock-recording",
                "format_version": 1,
                "recorder_version": "0.1.0",
                "started_at": self.stamp(0.0),
                "interval_seconds": self.interval,
                "server": {"database": self.simulation.world.database},
                "visibility": "full",
                "columns": COLUMNS,
            }
        )

    def watch(self) -> Process[None]:
        """A probe each interval, and a snapshot while somebody waits and once after."""
        rng, had_waits = self.simulation.rng, False
        yield self.interval * rng.random()
        while True:
            now = self.simulation.engine.now
            if any(start <= now < end for start, end in self.gaps):
                had_waits = False
            else:
                waits = self.simulation.locks.waits()
                self._probe(waits)
                if waits or had_waits:
                    self._snapshot(waits)
                had_waits = bool(waits)
            yield self.interval * rng.uniform(0.98, 1.02)

    def _probe(self, waits: list[Request]) -> None:
        waiting = {r.session.pid: r for r in waits}
        counts = Counter(
            (s.application, s.state, *_wait_event(s, waiting))
            for s in self.simulation.sessions
            if s.state != "closed"
        )
        self.records.append(
            {
                "kind": "probe",
                "at": self.stamp(self.simulation.engine.now),
                "waiting": len(waits),
                "counts": [[*key, n] for key, n in sorted(counts.items(), key=str)],
            }
        )

    def _snapshot(self, waits: list[Request]) -> None:
        """All locks of the sessions that have or want what somebody waits for."""
        at = self.stamp(self.simulation.engine.now)
        table = self.simulation.locks
        involved: dict[int, Session] = {}
        for tag in {r.tag: None for r in waits}:
            lock = table.locks[tag]
            for session in (*(s for s, _ in lock.granted), *(r.session for r in lock.queue)):
                involved[session.pid] = session
        waiting = {r.session.pid: r for r in waits}
        rows = [row for s in involved.values() for row in self._held(s)]
        rows += [row for r in waits for row in self._wanted(r)]
        names = {r.tag[0] for r in waits}
        self.records.append(
            {
                "kind": "snapshot",
                "locks_at": at,
                "sessions_at": at,
                "locks": rows,
                "sessions": [self._session(s, waiting.get(s.pid)) for s in involved.values()],
                "relations": [
                    [self._database, self.oids[n], *n.split("."), "r", 1e6] for n in sorted(names)
                ],
                "databases": [[DATABASE_OID, self._database]],
                "prepared": [],
            }
        )

    @property
    def _database(self) -> str:
        return self.simulation.world.database

    def _held(self, session: Session) -> Iterable[list[Any]]:
        for tag, mode in session.held.items():
            if tag[1] is None:
                yield self._row(session, "relation", self.oids[tag[0]], mode=mode, granted=True)
            else:
                yield self._row(session, "transactionid", xid=xid_of(session), granted=True)

    def _wanted(self, request: Request) -> Iterable[list[Any]]:
        session, (table, row) = request.session, request.tag
        if row is None:
            yield self._row(
                session, "relation", self.oids[table], mode=request.mode, since=request.began
            )
            return
        lock = self.simulation.locks.locks[request.tag]
        if lock.queue[0] is not request:
            yield self._row(session, "tuple", self.oids[table], row, since=request.began)
            return
        # heapam takes the row's own lock first and waits then for the transaction that changed it.
        yield self._row(session, "tuple", self.oids[table], row, granted=True)
        for owner, _ in lock.granted:
            yield self._row(
                session,
                "transactionid",
                xid=xid_of(owner),
                mode="ShareLock",
                since=request.first_since,
            )

    def _row(
        self,
        session: Session,
        kind: str,
        oid: int | None = None,
        row: int | None = None,
        *,
        xid: int | None = None,
        mode: str = "ExclusiveLock",
        granted: bool = False,
        since: float | None = None,
    ) -> list[Any]:
        wait_start = self.stamp(since) if since is not None and self.knows_wait_start else None
        place = [DATABASE_OID if oid else None, oid, 0 if row is not None else None, row]
        virtual = f"{session.pid % 200}/{session.pid}"
        return [
            *(session.pid, kind, *place, None, xid, None, None, None, virtual),
            *(mode, granted, False, wait_start),
        ]

    def _session(self, session: Session, request: Request | None) -> list[Any]:
        def at(instant: float | None) -> str | None:
            return None if instant is None else self.stamp(instant)

        waiting = {} if request is None else {session.pid: request}
        return [
            session.pid,
            at(session.backend_start),
            None,
            session.database,
            session.application,
            "client backend",
            session.state,
            *_wait_event(session, waiting),
            at(session.since),
            at(session.query_since),
            at(session.state_since),
            session.query,
            self._blocking(request) if request else None,
        ]

    def _blocking(self, request: Request) -> list[int]:
        hard, soft = self.simulation.locks.blockers(request)
        if request.tag[1] is not None and soft:
            hard = []  # of a row only the first waits for its owner, the others for that first one
        return sorted({s.pid for s in (*hard, *soft)})


def xid_of(session: Session) -> int:
    """The id of a session's transaction."""
    return 5_000_000 + session.pid * 97 + int((session.since or 0.0) * 10)


def _wait_event(session: Session, waiting: dict[int, Request]) -> tuple[str | None, str | None]:
    request = waiting.get(session.pid)
    if request is not None:
        return "Lock", _lock_type(request.tag)
    return ("Client", "ClientRead") if session.state.startswith("idle") else (None, None)


def _lock_type(tag: Tag) -> str:
    return "relation" if tag[1] is None else "transactionid"

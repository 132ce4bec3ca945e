"""What is gathered while the records of a log go by: waits, statements and events."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from incident_rca.formats.parsed import session_of
from incident_rca.formats.postgres_log.contexts import autovacuum_of, bare, row_of
from incident_rca.formats.postgres_log.lock_messages import (
    Lock,
    WaitMessage,
    blocked_in,
    cancelled_worker,
    holders_and_queue,
    redacted_report,
    statements_in,
    wait_of,
)
from incident_rca.formats.postgres_log.records import Record
from incident_rca.lock_modes import EXCLUSIVE, SHARE, mode_of_statement
from incident_rca.redact import redact_sql

Row = dict[str, Any]

_DURATION = re.compile(
    r"duration: (?P<ms>\d{1,12}(?:\.\d+)?) ms(?:\s+(?:statement|execute[^:]*): (?P<sql>.*))?", re.S
)
_STATEMENT = re.compile(r"(?:statement|execute[^:]*): (?P<sql>.*)", re.S)
_SETTING = re.compile(r'parameter "log_lock_waits" changed to "(?P<value>[^"]*)"')
_IS_DDL = re.compile(
    r"\s*(?:create|alter|drop|truncate|reindex|refresh|cluster|vacuum|analyze|comment|grant|revoke"
    r"|lock|security|import|reassign)\b",
    re.I,
)
_KIND_BY_SQLSTATE = {
    "57P01": "terminated",
    "57014": "cancelled",
    "55P03": "lock_timeout",
    "40P01": "deadlock",
}
# For logs whose prefix has no %e: the server's texts (postgres.c, proc.c, lock.c, deadlock.c).
_SQLSTATE_BY_MESSAGE = (
    ("canceling statement due to lock timeout", "55P03"),
    ("could not obtain lock on ", "55P03"),
    ("canceling statement due to ", "57014"),
    ("canceling autovacuum task", "57014"),
    ("deadlock detected", "40P01"),
    ("terminating connection due to administrator command", "57P01"),
    ("terminating autovacuum process due to administrator command", "57P01"),
    ("terminating background worker", "57P01"),
)
# A process of no known id; 0 is a prepared transaction.
_NO_PID = -1
_STATEMENTS_KEPT = 32


@dataclass(frozen=True, slots=True)
class Look:
    """One DETAIL that names a single holder: who waited beside it at that instant."""

    at: datetime
    holder: int
    queue: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Proof:
    """Why a process is known to block a waiter: its mode, if known, and how that is known."""

    edge: str = "hard"
    mode: str | None = None
    basis: str = "candidate"


@dataclass(slots=True)
class Wait:
    """One wait of a process for a lock; its end is known if it was granted or broken off.

    `begun` is its start or, where only another line tells of it, the time of that line.
    """

    line: int
    pid: int
    mode: str
    lock: Lock
    begun: datetime
    start: datetime | None = None
    session_start: datetime | None = None
    application: str | None = None
    database: str | None = None
    statement: str = ""
    row: str = ""
    table: str = ""
    named: frozenset[int] | None = None
    proofs: dict[int, Proof] = field(default_factory=dict)
    end: datetime | None = None
    end_line: int | None = None
    outcome: str | None = None


@dataclass(slots=True)
class Statement:
    """A statement that was logged; `until` is None where its end is not."""

    sql: str
    since: datetime | None
    until: datetime | None
    application: str | None
    is_running: bool = False
    events: list[Row] = field(default_factory=list)

    @property
    def mode(self) -> str | None:
        """The strongest lock that it takes on its table; asked of few, since it is slow to tell."""
        return mode_of_statement(self.sql)


@dataclass(frozen=True, slots=True)
class CancelledVacuum:
    """An autovacuum worker that was cancelled at its table: it held that until then."""

    pid: int
    table: str
    at: datetime


@dataclass(slots=True)
class Observed:
    """The state behind the records read so far; memory grows with waits and errors only."""

    open: dict[int, Wait] = field(default_factory=dict)
    waits: list[Wait] = field(default_factory=list)
    looks: dict[str, list[Look]] = field(default_factory=dict)
    events: list[Row] = field(default_factory=list)
    statements: dict[int, deque[Statement]] = field(default_factory=dict)
    cancelled_vacuums: list[CancelledVacuum] = field(default_factory=list)
    sessions: dict[int, list[tuple[datetime, str | None]]] = field(default_factory=dict)
    pids: dict[int, int] = field(default_factory=dict)
    lock_waits_setting: str = ""
    has_wait_line: bool = False
    broken_off: int = 0

    def see(self, record: Record) -> None:
        """Takes in one record."""
        pid = record.pid
        if pid is not None and record.session_start is not None:
            self._see_session(pid, record)
        wait = wait_of(record.message) if _is_of_server(record) else None
        if wait and (pid is None or wait.pid == pid):
            self._see_wait(record, wait)
        elif record.severity in ("ERROR", "FATAL", "PANIC"):
            self._see_error(record)
        else:
            self._see_other(record)

    def _see_session(self, pid: int, record: Record) -> None:
        """A process id may be used again: what waited then is over, when is not known."""
        start = record.session_start
        assert start is not None
        known = self.sessions.setdefault(pid, [])
        if not known or known[-1][0] != start:
            known.append((start, record.application))
            self._leave(pid)
        elif record.application and known[-1][1] is None:
            known[-1] = (start, record.application)

    def _leave(self, pid: int) -> None:
        if pid in self.open:
            self.waits.append(self.open.pop(pid))

    def _see_wait(self, record: Record, message: WaitMessage) -> None:
        self.has_wait_line = True
        start = record.at - timedelta(milliseconds=message.waited_ms)
        wait = self._wait(record, message.pid, message.mode, message.lock, start)
        detail = holders_and_queue(record.detail)
        if detail:
            self._see_detail(record, wait, *detail)
        if message.verb == "acquired":
            self._end(wait, record, "granted")
        elif message.verb.startswith(("detected", "failed")):
            self._end(wait, record, "deadlock")

    def _wait(
        self, record: Record, pid: int, mode: str, lock: Lock, start: datetime | None
    ) -> Wait:
        """The open wait of a process, which is always the only one, or a new one."""
        wait = self.open.get(pid)
        # A later start of more than a prefix of whole seconds can hide is another wait.
        is_other = wait is not None and (
            wait.lock.text != lock.text
            or (wait.start and start and start > wait.start + timedelta(seconds=1.5))
        )
        if wait is None or is_other:
            self._leave(pid)
            wait = Wait(record.line, pid, mode, lock, start or record.at)
            self.open[pid] = wait
        if start is not None and wait.start is None:
            wait.line, wait.begun, wait.start, wait.mode = record.line, start, start, mode
        if record.pid in (None, pid):
            self._describe(wait, record)
        return wait

    def _describe(self, wait: Wait, record: Record) -> None:
        wait.session_start = wait.session_start or record.session_start
        wait.application = wait.application or record.application
        wait.database = wait.database or record.database
        wait.statement = wait.statement or record.statement
        row = row_of(record.context) if wait.lock.type == "transactionid" else None
        if row and not wait.table:
            wait.row, wait.table = row

    def _see_detail(
        self, record: Record, wait: Wait, holders: tuple[int, ...], queue: tuple[int, ...]
    ) -> None:
        if wait.pid in holders:
            # It got the lock before this was written: who is named beside it did not block it.
            return
        named = frozenset(holders)
        wait.named = named if wait.named is None else wait.named & named
        if len(named) != 1 or wait.pid not in queue:
            return
        if wait.lock.is_owned and wait.mode == SHARE:
            wait.proofs[holders[0]] = Proof(mode=EXCLUSIVE, basis="granted")
        else:
            known = tuple(self.pids.setdefault(pid, pid) for pid in queue)
            self.looks.setdefault(wait.lock.text, []).append(Look(record.at, holders[0], known))

    def _end(self, wait: Wait, record: Record, outcome: str | None) -> None:
        wait.end, wait.end_line, wait.outcome = record.at, record.line, outcome
        self._leave(wait.pid)

    def _see_error(self, record: Record) -> None:
        sqlstate = record.sqlstate or next(
            (code for text, code in _SQLSTATE_BY_MESSAGE if record.message.startswith(text)), ""
        )
        kind = _KIND_BY_SQLSTATE.get(sqlstate, "error")
        if kind in ("deadlock", "lock_timeout"):
            self.broken_off += 1
        if kind == "deadlock":
            self._see_deadlock(record)
        wait = self.open.get(record.pid) if record.pid is not None else None
        if wait:
            ended_session = "terminated" if record.severity != "ERROR" else None
            self._end(wait, record, ended_session if kind == "error" else kind)
        worker = autovacuum_of(record.context) if kind == "cancelled" else None
        if worker and record.pid is not None:
            self._see_cancelled_vacuum(record, record.pid, *worker)
        self._add_event(record, kind, sqlstate)

    def _see_deadlock(self, record: Record) -> None:
        """Each line of the report is an edge.

        A blocker that itself waits for another lock cannot be in this one's queue: it holds it. On
        one lock two can only block each other by what both hold, since who holds what a waiter
        wants is put before it (JoinWaitQueue); in a longer circle one may just be ahead.
        """
        report = list(blocked_in(record.detail))
        wants = {edge.pid: edge.lock.text for edge in report}
        said = statements_in(record.detail)
        for edge in report:
            if edge.blocker is None:
                continue
            is_hard = len(report) == 2 or wants.get(edge.blocker) != edge.lock.text
            wait = self._last_wait(record, edge.pid, edge.mode, edge.lock)
            is_owned = edge.lock.is_owned and edge.mode == SHARE
            proof = Proof(mode=EXCLUSIVE, basis="granted") if is_owned else Proof()
            wait.statement = wait.statement or said.get(edge.pid, "")
            wait.database = wait.database or record.database
            wait.proofs[edge.blocker] = proof if is_hard else Proof(edge="named")

    def _last_wait(self, record: Record, pid: int, mode: str, lock: Lock) -> Wait:
        """The wait that a report tells of: an open one, or the one that it just ended."""
        if pid not in self.open:
            recent = (w for w in reversed(self.waits[-1000:]) if w.pid == pid)
            last = next(recent, None)
            if last and last.end and last.lock.text == lock.text:
                if record.at - last.end <= timedelta(seconds=1):
                    return last
        return self._wait(record, pid, mode, lock, None)

    def _see_cancelled_vacuum(self, record: Record, pid: int, task: str, table: str) -> None:
        """VACUUM and ANALYZE take SHARE UPDATE EXCLUSIVE, and hold it as long as they work."""
        done = Statement(f"{task.upper()} {table}", None, record.at, record.application)
        self._statements_of(pid).append(done)
        self.cancelled_vacuums.append(CancelledVacuum(pid, table, record.at))

    def _see_other(self, record: Record) -> None:
        message = record.message
        worker = cancelled_worker(message)
        if worker is not None:
            # proc.c sends it only to a worker that holds what the waiter wants.
            for edge in blocked_in(record.detail):
                wait = self._wait(record, edge.pid, edge.mode, edge.lock, None)
                wait.proofs.setdefault(worker, Proof())
            self._add_event(record, "cancelled", "", pid=worker)
        elif message.startswith("disconnection: ") and record.pid is not None:
            self._leave(record.pid)
        elif setting := _SETTING.match(message):
            self.lock_waits_setting = setting["value"]
        else:
            self._see_statement(record)

    def _see_statement(self, record: Record) -> None:
        """A statement that log_statement printed, or its duration; each closes or opens a hold."""
        duration = _DURATION.fullmatch(record.message)
        begun = None if duration else _STATEMENT.match(record.message)
        if begun:
            said = self._remember(record, begun["sql"], record.at, None)
            self._add_statement_event(said, record, "ddl", begun["sql"], None)
        elif duration:
            ms = float(duration["ms"])
            known = self._statements_of(_NO_PID if record.pid is None else record.pid)
            ended = next((said for said in reversed(known) if said.until is None), None)
            sql = duration["sql"] or (ended.sql if ended else "")
            if ended is None and sql:
                since = record.at - timedelta(milliseconds=ms)
                ended = self._remember(record, sql, since, None)
            if ended:
                ended.until = record.at
                self._add_statement_event(ended, record, "finished", sql, ms)

    def _statements_of(self, pid: int) -> deque[Statement]:
        return self.statements.setdefault(pid, deque(maxlen=_STATEMENTS_KEPT))

    def _remember(
        self, record: Record, sql: str, since: datetime, until: datetime | None
    ) -> Statement:
        said = Statement(sql, since, until, record.application)
        self._statements_of(_NO_PID if record.pid is None else record.pid).append(said)
        return said

    def _add_statement_event(
        self, said: Statement, record: Record, kind: str, sql: str, ms: float | None
    ) -> None:
        """Events of reads and writes are kept with their statement, of which few are kept."""
        if _IS_DDL.match(sql):
            self.events.append(_event(record, kind, record.sqlstate, sql, ms))
        else:
            said.events.append(_event(record, kind, record.sqlstate, sql, ms, is_short=True))

    def _add_event(self, record: Record, kind: str, sqlstate: str, pid: int | None = None) -> None:
        row = _event(record, kind, sqlstate, record.statement, None)
        self.events.append(row if pid is None else row | {"pid": pid})

    def session(self, pid: int, at: datetime) -> tuple[str, str | None]:
        """The session that a process id meant at an instant, and its application."""
        known = [s for s in self.sessions.get(pid, ()) if s[0] <= at + timedelta(seconds=1)]
        start, application = known[-1] if known else (None, None)
        return session_of(pid, start), application

    def all_waits(self) -> Iterable[Wait]:
        """The waits of the whole log; those still open have no end."""
        return [*self.waits, *self.open.values()]

    def vacuums_cancelled(
        self, tables: frozenset[str], since: datetime, until: datetime
    ) -> frozenset[int]:
        """The autovacuum workers that were cancelled at one of these tables in this time."""
        return frozenset(
            vacuum.pid
            for vacuum in self.cancelled_vacuums
            if since <= vacuum.at <= until and bare(vacuum.table) in tables
        )


def _is_of_server(record: Record) -> bool:
    """Whether a message is the server's own: RAISE LOG of PL/pgSQL writes any text."""
    return record.severity == "LOG" and " at RAISE" not in record.context.partition("\n")[0]


def _event(
    record: Record,
    kind: str,
    sqlstate: str,
    statement: str,
    duration_ms: float | None,
    *,
    is_short: bool = False,
) -> Row:
    detail = redacted_report(record.detail) if kind == "deadlock" else record.detail
    text = " ".join(part for part in (record.message, detail) if part)
    return {
        "line": record.line,
        "at": record.at,
        "kind": kind,
        "pid": record.pid,
        "application": record.application,
        "database": record.database,
        "sqlstate": sqlstate or None,
        # Many are dropped again: what is kept in the end is redacted then.
        "statement": statement if is_short else redact_sql(statement),
        "message": "" if kind in ("ddl", "finished") else text,
        "duration_ms": duration_ms,
    }

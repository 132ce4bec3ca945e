"""Sessions of a scene, and the control session that watches over them.

A blocked statement is sent through libpq without waiting for its answer, so no threads are needed.
"""

from __future__ import annotations

import select
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar

import psycopg
from psycopg import pq

from tests.lab.scenes.truth import Outcome
from tests.lab.servers import Server

PATIENCE_SECONDS = 15.0
# SQLSTATE (docs, errcodes-appendix): what a statement ended with.
OUTCOMES: Mapping[str, Outcome] = {
    "57014": "cancelled",
    "55P03": "lock_timeout",
    "40P01": "deadlock",
    "57P01": "terminated",
    "57P02": "terminated",
}
T = TypeVar("T")


def until(condition: Callable[[], T | None], what: str) -> T:
    """The first true answer of `condition`; a TimeoutError that says `what` if none comes."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not (answer := condition()):
        if time.monotonic() > deadline:
            raise TimeoutError(f"not within {PATIENCE_SECONDS} s: {what}")
        time.sleep(0.002)
    return answer


@dataclass
class Session:
    """A client's session; `last_statement` is the text that pg_stat_activity shows of it."""

    connection: psycopg.Connection
    application: str
    pid: int
    backend_start: datetime
    last_statement: str = ""

    def run(self, statement: str) -> list[Any]:
        """The rows of a statement that is not expected to wait."""
        self.last_statement = statement
        cursor = self.connection.execute(statement)
        return cursor.fetchall() if cursor.description else []

    def send(self, statement: str) -> None:
        """Sends a statement without waiting for its answer, which `outcome` reads."""
        self.last_statement = statement
        self.connection.pgconn.send_query(statement.encode())

    def outcome(self) -> Outcome:
        """How the statement that was sent has ended, read from the server's answer."""
        pgconn = self.connection.pgconn
        poll = select.poll()
        poll.register(pgconn.socket, select.POLLIN)
        outcome: Outcome = "granted"
        try:
            while True:
                while pgconn.is_busy():
                    if not poll.poll(PATIENCE_SECONDS * 1000):
                        raise TimeoutError(f"no answer to {self.last_statement}")
                    pgconn.consume_input()
                result = pgconn.get_result()
                if result is None:
                    return outcome
                if result.status == pq.ExecStatus.FATAL_ERROR and outcome == "granted":
                    state = result.error_field(pq.DiagnosticField.SQLSTATE)
                    outcome = OUTCOMES[state.decode()] if state else "terminated"
        except psycopg.OperationalError:
            return "terminated"


class Control:
    """A session in the database `postgres`, so that it is no part of any scene."""

    def __init__(self, server: Server) -> None:
        self.connection = server.connect(application_name="lab")

    def rows(self, query: str, *values: object) -> list[Any]:
        return self.connection.execute(query, values).fetchall()

    def ask(self, query: str, *values: object) -> Any:
        """The first column of the first row; None if there is no row."""
        row = self.connection.execute(query, values).fetchone()
        return row[0] if row else None

    def now(self) -> datetime:
        """The server's clock."""
        now = self.ask("SELECT clock_timestamp()")
        assert isinstance(now, datetime)
        return now

    def until_granted(self, pid: int, lock_type: str, mode: str) -> None:
        query = """SELECT 1 FROM pg_locks
            WHERE pid = %s AND locktype = %s AND mode = %s AND granted"""
        until(lambda: self.ask(query, pid, lock_type, mode), f"{pid} got {mode} on a {lock_type}")

    def until_waiting(self, pid: int, lock_type: str) -> None:
        """Returns when this pid waits; by its wait event, which is set after its row in pg_locks.

        One backend is looked at, so that this stays cheap with hundreds of waiters.
        """
        query = """SELECT 1 FROM pg_stat_get_activity(%s)
            WHERE wait_event_type = 'Lock' AND wait_event = %s"""
        until(lambda: self.ask(query, pid, lock_type), f"{pid} waits for a {lock_type}")

    def until_gone(self, pid: int) -> None:
        query = "SELECT NOT EXISTS (SELECT 1 FROM pg_stat_activity WHERE pid = %s)"
        until(lambda: self.ask(query, pid), f"{pid} is gone")

    def until_workers(self, leader: int, count: int) -> list[int]:
        """The pids of this backend's parallel workers, once as many of them sleep."""
        query = """SELECT a.pid FROM pg_stat_activity a
            WHERE a.leader_pid = %s AND a.pid <> a.leader_pid AND a.wait_event = 'PgSleep'"""

        def workers() -> list[int] | None:
            pids = [pid for (pid,) in self.rows(query, leader)]
            return pids if len(pids) == count else None

        return until(workers, f"{count} parallel workers of {leader}")

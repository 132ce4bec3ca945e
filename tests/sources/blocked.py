"""Sessions that wait for locks on a real server, without a thread for each."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

import psycopg

from tests.lab.servers import Server

PATIENCE_SECONDS = 30.0


def until(holds: Callable[[], bool]) -> None:
    """Waits until it holds; fails after a long while."""
    end = time.monotonic() + PATIENCE_SECONDS
    while not holds():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.02)


@contextmanager
def in_transaction(server: Server, *statements: str, database: str = "postgres") -> Iterator[int]:
    """A session that has run these statements and is idle in its transaction; its process id."""
    with server.connect(database, autocommit=False) as session:
        for statement in statements:
            session.execute(statement.encode())
        yield session.info.backend_pid
        session.rollback()


@contextmanager
def waiters(
    server: Server, count: int, *statements: str, database: str = "postgres"
) -> Iterator[list[int]]:
    """So many sessions; each has run all statements but the last, and waits in that one."""
    with ExitStack() as stack, server.connect() as look:
        sessions = [
            stack.enter_context(server.connect(database, autocommit=False)) for _ in range(count)
        ]
        pids = [session.info.backend_pid for session in sessions]
        *before, last = statements
        try:
            for session in sessions:
                session.execute(b"SELECT 1")
                for statement in before:
                    session.execute(statement.encode())
                session.pgconn.send_query(last.encode())
                session.pgconn.flush()
            until(lambda: waiting(look, pids) == count)
            yield pids
        finally:
            # They are in the middle of a statement, so there is nothing to commit.
            for session in sessions:
                session.close()
        until(lambda: not running(look, pids))


def waiting(look: psycopg.Connection, pids: list[int]) -> int:
    """How many of these sessions wait for a lock."""
    query = "SELECT count(DISTINCT pid) FROM pg_locks WHERE NOT granted AND pid = ANY (%s)"
    ((count,),) = look.execute(query, [pids]).fetchall()
    return int(count)


def running(look: psycopg.Connection, pids: list[int]) -> bool:
    """Whether any of these sessions is still there; those that only wait are ended."""
    query = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid = ANY (%s)"
    return bool(look.execute(query, [pids]).fetchall())

"""A real index build that blocks writers beside a reader that blocks nobody, on a real server."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import psycopg

from tests.lab.servers import Server

Connection = psycopg.Connection[Any]
BUILD = "CREATE INDEX stock_sku ON stock (slowly(sku))"
LOCKS = "SELECT count(*) FROM pg_locks WHERE {condition}"
INSERT = "INSERT INTO stock VALUES ('sku-1', 'ada@example.com')"


@dataclass
class Scene:
    """The process ids of those in it, and how to go on."""

    holder: int
    reader: int
    waiters: tuple[int, ...]
    finish_build: Callable[[], None]


@contextmanager
def blocked_writers(server: Server, count: int = 3) -> Iterator[Scene]:
    """Writers that wait behind a running CREATE INDEX; `finish_build` lets it end, uncommitted.

    The build is held by an advisory lock inside the expression that it indexes.
    """
    with server.connect() as gate, server.connect(application_name="migrate") as holder:
        gate.execute("CREATE TABLE stock (sku text, note text)")
        gate.execute("INSERT INTO stock VALUES ('a', 'b')")
        gate.execute(
            "CREATE FUNCTION slowly(t text) RETURNS text IMMUTABLE LANGUAGE plpgsql AS "
            "$$BEGIN PERFORM pg_advisory_xact_lock_shared(7); RETURN t; END$$"
        )
        gate.execute("SELECT pg_advisory_lock(7)")
        with server.connect() as reader:
            reader.autocommit = holder.autocommit = False
            reader.execute("SELECT count(*) FROM stock")
            builds = _start(holder, BUILD)
            wait_for(server, "relation = 'stock'::regclass AND mode = 'ShareLock'", 1)
            writers = [server.connect(application_name="shop") for _ in range(count)]
            inserts = [_start(writer, INSERT) for writer in writers]
            wait_for(server, "relation = 'stock'::regclass AND NOT granted", count)

            def finish_build() -> None:
                gate.execute("SELECT pg_advisory_unlock(7)")
                builds.join(10)

            pids = tuple(writer.info.backend_pid for writer in writers)
            yield Scene(holder.info.backend_pid, reader.info.backend_pid, pids, finish_build)
            finish_build()
            holder.rollback()
            for insert, writer in zip(inserts, writers, strict=True):
                insert.join(10)
                writer.close()


def wait_for(server: Server, condition: str, count: int) -> None:
    """Returns when at least `count` rows of pg_locks fulfil the condition."""
    with server.connect() as connection:
        for _ in range(1000):
            row = connection.execute(LOCKS.format(condition=condition).encode()).fetchone()
            if row and row[0] >= count:
                return
            time.sleep(0.01)
    raise AssertionError(f"never {count} locks with {condition}")


def _start(connection: Connection, statement: str) -> threading.Thread:
    thread = threading.Thread(target=connection.execute, args=(statement,), daemon=True)
    thread.start()
    return thread

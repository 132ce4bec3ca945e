"""A schema with tables to migrate on a real server, and what the server does to each statement.

A statement that may run in a transaction is run in one and looked at before that ends. One that may
not is made to wait behind EXCLUSIVE, which lets only reads pass, and what it then asks for is read.
"""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import psycopg

from incident_rca.lock_modes import MODES
from incident_rca.migrations import grammar
from incident_rca.migrations.lint import LintFinding, Surroundings, lint_text
from incident_rca.migrations.locks import locks_of
from incident_rca.migrations.operations import Operation
from incident_rca.migrations.runners import refuses_transaction
from incident_rca.migrations.weighing import Thresholds
from incident_rca.sources.table_sizes import fetch_sizes
from tests.lab.servers import Server

SHOP = Path(__file__).resolve().parents[1] / "migrations" / "shop.sql"
LOCKS = """
    SELECT c.relname, l.mode, l.granted FROM pg_locks l JOIN pg_class c ON c.oid = l.relation
    JOIN pg_namespace n ON n.oid = c.relnamespace WHERE l.pid = %s AND n.nspname = %s
"""
READ = "SELECT sum(seq_tup_read) FROM pg_stat_xact_user_tables WHERE relid = ANY(%s)"
FILES = "SELECT oid, relfilenode FROM pg_class WHERE relnamespace = %s::regnamespace"
PATIENCE_SECONDS = 20
SHOPS = itertools.count()


@dataclass
class Shop:
    """A schema with the tables of shop.sql, a session that migrates it and one that looks on."""

    server: Server
    schema: str
    session: psycopg.Connection
    observer: psycopg.Connection

    def locks(self, *, granted: bool) -> dict[str, str]:
        """The strongest mode of each relation of the schema that the session has, or waits for."""
        pid = self.session.info.backend_pid
        rows = self.observer.execute(LOCKS, [pid, self.schema]).fetchall()
        found: dict[str, str] = {}
        for name, mode, has in rows:
            if has is granted:
                found[name] = max(found.get(name, mode), mode, key=MODES.index)
        return found

    def run(self, sql: str) -> None:
        self.session.execute(sql.encode())

    def files(self) -> dict[int, int]:
        return dict(self.session.execute(FILES, [self.schema]).fetchall())

    def rows_read(self, relations: Iterable[int]) -> int:
        row = self.session.execute(READ, [list(relations)]).fetchone()
        return int(row[0] or 0) if row else 0


def open_shop(server: Server) -> Iterator[Shop]:
    schema = f"shop_{next(SHOPS)}"
    with server.connect() as session, server.connect() as observer:
        made = Shop(server, schema, session, observer)
        made.run(f"CREATE SCHEMA {schema}; SET search_path TO {schema}")
        made.run(SHOP.read_text(encoding="utf-8"))
        yield made
        session.rollback()
        made.run(f"DROP SCHEMA {schema} CASCADE")


@dataclass(frozen=True)
class Seen:
    """What the server did: the modes, the rows read one after the other, the files written anew."""

    modes: dict[str, str]
    rows_read: int
    rewritten: bool


def watch(shop: Shop, sql: str, operation: Operation, *, keep: bool = True) -> Seen:
    """Runs a statement and says what it took."""
    if refuses_transaction(operation):
        return watch_waiting(shop, sql, operation)
    shop.session.autocommit = False
    try:
        files = shop.files()
        rows_read = shop.rows_read(files)
        shop.run(sql)
        modes = shop.locks(granted=True)
        read = shop.rows_read({**files, **shop.files()}) - rows_read
        seen = Seen(modes, read, changed(files, shop.files()))
        if keep:
            shop.session.commit()
    finally:
        shop.session.rollback()
        shop.session.autocommit = True
    return seen


def changed(before: dict[int, int], after: dict[int, int]) -> bool:
    """Whether a relation that is still there has another file."""
    return any(after.get(oid, file) != file for oid, file in before.items())


def watch_waiting(shop: Shop, sql: str, operation: Operation) -> Seen:
    """Lets it wait behind a lock on its table, reads what it asks for, and lets it go on."""
    named = [lock.relation.name for lock in locks_of(operation)]
    table = "orders" if named and named[0].startswith("orders") else named[0]
    failed: list[psycopg.Error] = []

    def work() -> None:
        try:
            shop.run(sql)
        except psycopg.Error as error:
            failed.append(error)

    before = shop.files()
    with shop.server.connect(autocommit=False) as blocker:
        blocker.execute(f"LOCK TABLE {shop.schema}.{table} IN EXCLUSIVE MODE".encode())
        thread = threading.Thread(target=work)
        thread.start()
        limit = time.monotonic() + PATIENCE_SECONDS
        while not (modes := shop.locks(granted=False)):
            assert time.monotonic() < limit and not failed, failed
            time.sleep(0.005)
    thread.join(PATIENCE_SECONDS)
    assert not thread.is_alive() and not failed, failed
    return Seen(modes, 0, changed(before, shop.files()))


def operations(sql: str) -> list[tuple[str, Operation]]:
    parsed = grammar.parse(sql)
    assert not isinstance(parsed, grammar.Unreadable), parsed
    data = sql.encode()
    return [(data[p.start : p.end].decode(), p.operation) for p in parsed]


def findings(shop: Shop, text: str) -> tuple[LintFinding, ...]:
    """What lint says of a text, with sizes from this server and a thousand rows as large."""
    sizes = fetch_sizes(
        shop.server.dsn, now=lambda: datetime.now(UTC), watch_seconds=0, sleep=time.sleep
    )
    around = Surroundings(sizes=sizes, thresholds=Thresholds(large_table_rows=500))
    return lint_text(f"SET search_path TO {shop.schema};\n{text}", around).findings

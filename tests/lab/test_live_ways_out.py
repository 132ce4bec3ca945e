"""What the live view says would happen, done: the proposed command is run and the waiters counted.

Each waiter is in a transaction of its own, so that it keeps what it gets: then those that go on at
once are told apart from those that go on after them.
"""

from __future__ import annotations

import itertools
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime

import psycopg
import pytest

from incident_rca import live
from incident_rca.model.live import Blocker, LiveLocks
from tests.lab import scenes
from tests.lab.servers import Server

# How long nothing has to move before nobody is said to go on.
QUIET_SECONDS = 0.4
SHARE_ROW_EXCLUSIVE = "LOCK TABLE stock IN SHARE ROW EXCLUSIVE MODE"
UPDATE = "UPDATE stock SET quantity = 0 WHERE sku = 'sku-{}'"
STOCK = (
    "CREATE TABLE stock (sku text PRIMARY KEY, quantity int NOT NULL)",
    "INSERT INTO stock SELECT 'sku-' || n, n FROM generate_series(1, 20) n",
)
INSERT = "INSERT INTO stock VALUES ('new-{}', 1)"
SELECT = "SELECT count(*) FROM stock"
ALTER = "ALTER TABLE stock ADD COLUMN note text"
SLEEP = "SELECT pg_sleep(600)"
_numbers = itertools.count(1)


def look(dsn: str) -> LiveLocks:
    watched = live.watch(dsn)
    try:
        return live.live_locks(live.read_records(watched, lambda: datetime.now(UTC)), "lab")
    finally:
        watched.connection.close()


@dataclass
class Session:
    """A client's session that can send a statement without waiting for its end."""

    connection: psycopg.Connection
    pid: int

    def run(self, *statements: str) -> None:
        for statement in statements:
            self.connection.execute(statement)

    def send(self, statement: str) -> None:
        self.connection.pgconn.send_query(statement.encode())


@dataclass
class Scenery:
    """A database with a table, holders in it and who waits for them."""

    server: Server
    control: psycopg.Connection
    database: str
    sessions: list[Session] = field(default_factory=list)

    @property
    def dsn(self) -> str:
        return self.server.dsn_of(self.database)

    def session(self, *statements: str) -> Session:
        connection = self.server.connect(self.database)
        session = Session(connection, connection.info.backend_pid)
        self.sessions.append(session)
        session.run(*statements)
        return session

    def holder(self, *statements: str) -> Session:
        return self.session("BEGIN", *statements)

    def waiter(self, statement: str, mode: str, lock_type: str = "relation") -> int:
        """The pid of a new session that waits, in a transaction."""
        return self.waits(self.session("BEGIN"), statement, mode, lock_type)

    def waits(
        self, session: Session, statement: str, mode: str, lock_type: str = "relation"
    ) -> int:
        session.send(statement)
        self.until_locked(session, mode, lock_type, granted=False)
        return session.pid

    def until_locked(
        self, session: Session, mode: str, lock_type: str, *, granted: bool = True
    ) -> None:
        query = """SELECT 1 FROM pg_locks WHERE pid = %s AND mode = %s AND locktype = %s
            AND granted = %s AND (granted OR waitstart IS NOT NULL)"""
        values = [session.pid, mode, lock_type, granted]
        until(lambda: self.control.execute(query, values).fetchone(), f"{mode} of {session.pid}")

    def insert(self) -> int:
        return self.waiter(INSERT.format(next(_numbers)), "RowExclusiveLock")


def until(condition: Callable[[], object], what: str) -> None:
    """Returns when the condition holds; TimeoutError after a while."""
    deadline = time.monotonic() + 15
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(what)
        time.sleep(0.005)


def waiting(server: Server) -> set[int]:
    with server.connect() as connection:
        return {pid for (pid,) in connection.execute("SELECT pid FROM pg_locks WHERE NOT granted")}


@contextmanager
def scenery(server: Server, *tables: str) -> Iterator[Scenery]:
    database = f"ways_out_{next(_numbers)}"
    with server.connect() as control:
        control.execute(f"CREATE DATABASE {database}")
        scene = Scenery(server, control, database)
        try:
            scene.session(*STOCK, *tables)
            yield scene
        finally:
            for session in scene.sessions:
                session.connection.close()
            query = "SELECT gid FROM pg_prepared_xacts WHERE database = %s"
            for (gid,) in control.execute(query, [database]).fetchall():
                with server.connect(database) as connection:
                    connection.execute(f"ROLLBACK PREPARED {quoted(gid)}")
            control.execute(f"DROP DATABASE {database} WITH (FORCE)")


def predicted(blocker: Blocker) -> tuple[int, int]:
    """How many go on at once, and how many wait on, as the words say."""
    then, still = blocker.way_out.then, blocker.way_out.still
    at_once = re.match(r"(\d+) sessions? would go on at once", then)
    assert at_once or then == "nobody would go on at once", then
    wait_on = re.match(r"(\d+) sessions? would wait on", still)
    assert wait_on or still == ""
    return int(at_once[1]) if at_once else 0, int(wait_on[1]) if wait_on else 0


def ended(server: Server, database: str, command: str, before: set[int], goes_on: int) -> set[int]:
    """Who still waits after the command and a moment, of those who waited before it."""
    with server.connect(database) as connection:
        connection.execute(command)
    if goes_on:
        until(lambda: len(before - waiting(server)) >= goes_on, f"{goes_on} go on")
    time.sleep(QUIET_SECONDS)
    return before & waiting(server)


Play = Callable[[Scenery], int]
"""Sets a scene up and returns the pid of the holder to end (0: a prepared transaction)."""


def reader_alter_readers(scene: Scenery) -> int:
    holder = scene.holder(SELECT)
    scene.waiter(ALTER, "AccessExclusiveLock")
    for _ in range(3):
        scene.waiter(SELECT, "AccessShareLock")
    return holder.pid


def parallel_workers(scene: Scenery) -> int:
    """An index build whose workers each hold a lock of their own; a cancel ends them all."""
    holder = scene.session(
        """CREATE FUNCTION slow(n int) RETURNS int LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
        AS $$ BEGIN PERFORM pg_sleep(1); RETURN n; END $$""",
        "INSERT INTO stock SELECT 'more-' || n, n FROM generate_series(1, 5000) n",
        "ALTER TABLE stock SET (parallel_workers = 2)",
        "SET maintenance_work_mem = '128MB'",
        "SET min_parallel_table_scan_size = 0",
    )
    holder.send("CREATE INDEX slow_idx ON stock (slow(quantity))")
    query = "SELECT count(*) = 2 FROM pg_stat_activity WHERE leader_pid = %s AND pid <> leader_pid"
    until(lambda: scene.control.execute(query, [holder.pid]).fetchone() == (True,), "workers")
    scene.insert()
    scene.insert()
    return holder.pid


def one_of_two_readers(scene: Scenery) -> int:
    holder = scene.holder(SELECT)
    scene.holder(SELECT)
    scene.waiter(ALTER, "AccessExclusiveLock")
    return holder.pid


def one_of_two_share_holders(scene: Scenery) -> int:
    holder = scene.holder("LOCK TABLE stock IN SHARE MODE")
    scene.holder("LOCK TABLE stock IN SHARE MODE")
    scene.insert()
    scene.insert()
    return holder.pid


def inserts_around_a_stronger_lock(scene: Scenery) -> int:
    holder = scene.holder("CREATE INDEX ON stock (quantity)")
    scene.insert()
    scene.insert()
    scene.waiter(SHARE_ROW_EXCLUSIVE, "ShareRowExclusiveLock")
    scene.insert()
    return holder.pid


def stronger_lock_first(scene: Scenery) -> int:
    holder = scene.holder("CREATE INDEX ON stock (quantity)")
    scene.waiter(SHARE_ROW_EXCLUSIVE, "ShareRowExclusiveLock")
    scene.insert()
    scene.insert()
    return holder.pid


def upgrader_jumps_the_queue(scene: Scenery) -> int:
    holder = scene.holder(SELECT)
    upgrader = scene.holder(SELECT)
    scene.waiter(ALTER, "AccessExclusiveLock")
    scene.waits(upgrader, "LOCK TABLE stock IN ACCESS EXCLUSIVE MODE", "AccessExclusiveLock")
    scene.waiter(SELECT, "AccessShareLock")
    return holder.pid


def two_rows_and_a_queue_for_one(scene: Scenery) -> int:
    holder = scene.holder(UPDATE.format(1), UPDATE.format(2))
    scene.waiter(UPDATE.format(1), "ShareLock", "transactionid")
    scene.waiter(UPDATE.format(2), "ShareLock", "transactionid")
    scene.waiter(UPDATE.format(1), "ExclusiveLock", "tuple")
    scene.waiter(UPDATE.format(2), "ExclusiveLock", "tuple")
    return holder.pid


def two_holders_of_rows_of_one_table(scene: Scenery) -> int:
    holder = scene.holder(UPDATE.format(1))
    other = scene.holder(UPDATE.format(2))
    scene.waiter(UPDATE.format(1), "ShareLock", "transactionid")
    scene.waiter(UPDATE.format(2), "ShareLock", "transactionid")
    assert other.pid != holder.pid
    return holder.pid


def chain_over_tables(scene: Scenery) -> int:
    holder = scene.holder("LOCK TABLE stock")
    middle = scene.holder("LOCK TABLE orders IN EXCLUSIVE MODE")
    scene.waits(middle, SELECT, "AccessShareLock")
    scene.waiter("INSERT INTO orders VALUES (1)", "RowExclusiveLock")
    return holder.pid


def same_table_in_two_tables(scene: Scenery) -> int:
    holder = scene.holder("LOCK TABLE stock", "LOCK TABLE orders IN SHARE MODE")
    scene.waiter(SELECT, "AccessShareLock")
    scene.waiter("INSERT INTO orders VALUES (1)", "RowExclusiveLock")
    return holder.pid


def idle_session_with_advisory_locks(scene: Scenery) -> int:
    holder = scene.session("SELECT pg_advisory_lock(7)")
    scene.waiter("SELECT pg_advisory_xact_lock(7)", "ExclusiveLock", "advisory")
    scene.waiter("SELECT pg_advisory_xact_lock_shared(7)", "ShareLock", "advisory")
    return holder.pid


def active_session_with_an_advisory_lock(scene: Scenery) -> int:
    """A cancel would end its statement, and its session would keep the lock."""
    holder = scene.session("SELECT pg_advisory_lock(7)")
    holder.send(SLEEP)
    scene.waiter("SELECT pg_advisory_xact_lock(7)", "ExclusiveLock", "advisory")
    return holder.pid


def running_statement(scene: Scenery) -> int:
    holder = scene.session()
    holder.send("SELECT count(*), pg_sleep(600) FROM (SELECT FROM stock LIMIT 1) s")
    scene.until_locked(holder, "AccessShareLock", "relation")
    scene.waiter(ALTER, "AccessExclusiveLock")
    return holder.pid


def running_statement_later_in_a_transaction(scene: Scenery) -> int:
    holder = scene.holder(SHARE_ROW_EXCLUSIVE)
    holder.send(SLEEP)
    scene.insert()
    scene.insert()
    return holder.pid


def deadlock(scene: Scenery) -> int:
    patient = "SET LOCAL deadlock_timeout = '60s'"
    one, two = scene.holder(patient, UPDATE.format(1)), scene.holder(patient, UPDATE.format(2))
    scene.waits(one, UPDATE.format(2), "ShareLock", "transactionid")
    scene.waits(two, UPDATE.format(1), "ShareLock", "transactionid")
    return min((one, two), key=lambda session: str(session.pid)).pid


PLAYS: tuple[Play, ...] = (
    reader_alter_readers,
    parallel_workers,
    one_of_two_readers,
    one_of_two_share_holders,
    inserts_around_a_stronger_lock,
    stronger_lock_first,
    upgrader_jumps_the_queue,
    two_rows_and_a_queue_for_one,
    two_holders_of_rows_of_one_table,
    chain_over_tables,
    same_table_in_two_tables,
    idle_session_with_advisory_locks,
    active_session_with_an_advisory_lock,
    running_statement,
    running_statement_later_in_a_transaction,
    deadlock,
)


@pytest.mark.parametrize("play", PLAYS, ids=lambda play: play.__name__)
def test_the_first_command_does_what_was_said(server: Server, play: Play) -> None:
    with scenery(server, "CREATE TABLE orders (id int)") as scene:
        pid = play(scene)
        before = waiting(scene.server)
        blockers = {blocker.session.pid: blocker for blocker in look(scene.dsn).blockers}
        go_on, wait_on = predicted(blockers[pid])
        command, *_ = blockers[pid].way_out.commands
        after = ended(server, scene.database, command, before, go_on)
        gone = {pid} if play is deadlock else set()
        assert len(before - gone - after) == go_on
        assert len(after) >= wait_on
        if len(blockers) == 1:
            assert len(after) == wait_on


def test_an_autovacuum_is_cancelled_and_only_its_own_run_is_lost(server: Server) -> None:
    with scenes.autovacuum_cancelled(server) as truth:
        (blocker,) = look(truth.dsn).blockers
        cancel, _ = blocker.way_out.commands
        assert cancel == f"SELECT pg_cancel_backend({blocker.session.pid});"
        assert predicted(blocker) == (1, 1)
        assert "vacuumed again later" in blocker.way_out.undoes
        before = waiting(truth.server)
        with truth.server.connect(truth.database) as connection:
            connection.execute(cancel)
        until(lambda: not before & waiting(truth.server), "all waiters go on")


def test_a_cancel_keeps_what_was_locked_before_a_savepoint(server18: Server) -> None:
    with scenery(server18) as scene:
        holder = scene.holder(SHARE_ROW_EXCLUSIVE, "SAVEPOINT a")
        holder.send(SLEEP)
        scene.insert()
        (blocker,) = look(scene.dsn).blockers
        cancel, terminate = blocker.way_out.commands
        assert blocker.way_out.then.endswith(
            "(after a cancel only if no savepoint came after its lock)"
        )
        before = waiting(scene.server)
        assert ended(server18, scene.database, cancel, before, 0) == before
        assert ended(server18, scene.database, terminate, before, 1) == set()


GIDS = (
    "payment",
    "o'clock",
    "two  blanks",
    " around ",
    "line\nbreak\ttab",
    "back\\slash",
    "esc\x1b[31mred",
    "bidi\u202eevil",
    "hangul\u3164filler \U0001f600",
    "x" * 199,
    "[bold]payment[/bold]",
    "a@b",
    "'; DROP TABLE stock; --",
)


def quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


@pytest.mark.parametrize("finish", ["ROLLBACK", "COMMIT"])
@pytest.mark.parametrize("gid", GIDS)
def test_the_command_for_a_prepared_transaction_names_just_that(
    server18: Server, gid: str, finish: str
) -> None:
    with scenery(server18) as scene:
        scene.holder(SHARE_ROW_EXCLUSIVE).run(f"PREPARE TRANSACTION {quoted(gid)}")
        other = "another"
        scene.holder(SELECT).run(f"PREPARE TRANSACTION {quoted(other)}")
        scene.insert()
        (blocker,) = look(scene.dsn).blockers
        (command,) = (c for c in blocker.way_out.commands if c.startswith(finish))
        assert command.isascii() and command.isprintable() and "  " not in command
        before = waiting(scene.server)
        assert ended(server18, scene.database, command, before, 1) == set()
        assert prepared(server18) == {other}


def prepared(server: Server) -> set[str]:
    with server.connect() as connection:
        return {gid for (gid,) in connection.execute("SELECT gid FROM pg_prepared_xacts")}


def test_two_prepared_transactions_with_names_alike_are_two(server18: Server) -> None:
    """The part before `@` of one is the name of the other."""
    with scenery(server18, "CREATE TABLE orders (id int)") as scene:
        for gid, table in (("pay", "stock"), ("pay@2", "orders")):
            scene.holder(f"LOCK TABLE {table}").run(f"PREPARE TRANSACTION '{gid}'")
            scene.waiter(f"SELECT FROM {table}", "AccessShareLock")
        found = {b.session.session: b for b in look(scene.dsn).blockers}
    assert found.keys() == {"prepared pay", "prepared pay@2"}
    assert found["prepared pay@2"].held[0].endswith("public.orders")


def test_looking_changes_nothing(server18: Server) -> None:
    """The commands are printed and never run: all wait as before, and nobody was ended."""
    with scenes.create_index_held(server18) as truth:
        before = waiting(server18)
        for _ in range(3):
            look(truth.dsn)
        assert waiting(server18) == before
        with server18.connect() as connection:
            alive = connection.execute(
                "SELECT count(*) FROM pg_stat_activity WHERE pid = %s", [truth.holds[0].pid]
            ).fetchone()
        assert alive == (1,)
        with psycopg.connect(truth.dsn) as connection:
            left = connection.execute(
                "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'incident-rca'"
            ).fetchone()
        assert left == (0,)

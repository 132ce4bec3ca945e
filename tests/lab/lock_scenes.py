"""Scenes of sessions that wait for each other on a real server, and what each of them did.

A scene knows who held what because it did it; nothing here reads a log but to know when a wait was
written to it.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import psycopg

from tests.lab.servers import Server

PATIENCE_SECONDS = 20


@dataclass(frozen=True)
class Edge:
    """Who waited for whom, for what kind of lock, on which table, and how it ended."""

    waiter: int
    holder: int
    lock_type: str
    relation: str
    outcome: str | None


@dataclass
class Session:
    """One connection, whose blocking statement runs in a thread of its own."""

    connection: psycopg.Connection
    pid: int
    thread: threading.Thread | None = None
    error: str = ""

    def run(self, sql: str) -> None:
        self.connection.execute(sql.encode())

    def start(self, sql: str) -> None:
        def work() -> None:
            try:
                self.connection.execute(sql.encode())
            except psycopg.Error as error:
                self.error = error.sqlstate or "lost"

        self.thread = threading.Thread(target=work)
        self.thread.start()

    def finish(self) -> None:
        assert self.thread is not None
        self.thread.join(PATIENCE_SECONDS)
        assert not self.thread.is_alive()


@dataclass
class Stage:
    """A server with the sessions of its scenes; its jsonlog says when to go on."""

    server: Server
    log: str
    sessions: list[Session] = field(default_factory=list)
    edges: set[Edge] = field(default_factory=set)
    innocent: set[int] = field(default_factory=set)
    unproven: set[int] = field(default_factory=set)

    def session(self, name: str, options: str = "") -> Session:
        connection = self.server.connect(application_name=name, options=options)
        made = Session(connection, connection.info.backend_pid)
        self.sessions.append(made)
        return made

    def until(self, condition: Callable[[], bool]) -> None:
        limit = time.monotonic() + PATIENCE_SECONDS
        while not condition():
            assert time.monotonic() < limit, "it never came"
            time.sleep(0.02)

    def until_logged(self, text: str, suffix: str = ".json") -> None:
        path = (self.server.logs / self.log).with_suffix(suffix)
        self.until(lambda: path.exists() and text in path.read_text(encoding="utf-8"))

    def waits(self, session: Session, sql: str) -> None:
        """Starts a statement and returns when the server has logged that it waits."""
        session.start(sql)
        self.until_logged(f"process {session.pid} still waiting")

    def close(self) -> None:
        """Ends all sessions, and returns when every log holds all that was logged before."""
        for session in self.sessions:
            session.connection.close()
        with self.server.connect() as connection:
            mark = f"the scenes of {connection.info.backend_pid} are over"
            connection.execute(f"DO $$ BEGIN RAISE LOG '{mark}'; END $$".encode())
        for suffix in (".json", ".csv", ".log"):
            self.until_logged(mark, suffix)


def index_build(stage: Stage) -> None:
    """An index build and a reader in open transactions; two writers wait."""
    builder, reader = stage.session("builder"), stage.session("reader")
    builder.run("BEGIN")
    builder.run("CREATE INDEX stock_sku ON stock (sku)")
    reader.run("BEGIN")
    reader.run("SELECT count(*) FROM stock")
    writers = [stage.session(f"writer-{n}") for n in range(2)]
    for writer in writers:
        stage.waits(writer, "INSERT INTO stock (sku) VALUES ('it''s\na \"new\" one')")
    builder.run("ROLLBACK")
    reader.run("ROLLBACK")
    for writer in writers:
        writer.finish()
        stage.edges.add(Edge(writer.pid, builder.pid, "relation", "stock", "granted"))
    stage.innocent.add(reader.pid)


def row_queue(stage: Stage) -> None:
    """Three sessions want a row that an open transaction changed."""
    holder = stage.session("row-holder")
    holder.run("BEGIN")
    holder.run("UPDATE orders SET state = 'held' WHERE id = 1")
    queue = [stage.session(f"row-waiter-{n}") for n in range(3)]
    for waiter in queue:
        stage.waits(waiter, "UPDATE orders SET state = 'next' WHERE id = 1")
    holder.run("COMMIT")
    for waiter in queue:
        waiter.finish()
    first = queue[0]
    stage.edges.add(Edge(first.pid, holder.pid, "transactionid", "orders", "granted"))
    for later in queue[1:]:
        stage.edges.add(Edge(later.pid, first.pid, "tuple", "orders", "granted"))


def advisory(stage: Stage) -> None:
    holder, waiter = stage.session("advisor"), stage.session("advised")
    holder.run("SELECT pg_advisory_lock(42)")
    stage.waits(waiter, "SELECT pg_advisory_lock(42)")
    holder.run("SELECT pg_advisory_unlock(42)")
    waiter.finish()
    (oid,) = waiter.connection.execute(
        "SELECT oid FROM pg_database WHERE datname = current_database()"
    ).fetchone() or (0,)
    name = f"advisory lock [{oid},0,42,1]"
    stage.edges.add(Edge(waiter.pid, holder.pid, "advisory", name, "granted"))


def concurrent_index(stage: Stage) -> None:
    """CREATE INDEX CONCURRENTLY waits for the transaction that writes to the table."""
    writer, builder = stage.session("old-writer"), stage.session("concurrent")
    writer.run("BEGIN")
    writer.run("INSERT INTO carts (sku) VALUES ('a')")
    (vxid,) = builder.connection.execute(
        "SELECT virtualtransaction FROM pg_locks WHERE pid = %s LIMIT 1", [writer.pid]
    ).fetchone() or ("",)
    stage.waits(builder, "CREATE INDEX CONCURRENTLY carts_sku ON carts (sku)")
    writer.run("COMMIT")
    builder.finish()
    name = f"virtual transaction {vxid}"
    stage.edges.add(Edge(builder.pid, writer.pid, "virtualxid", name, "granted"))


def deadlock(stage: Stage) -> None:
    one, two = stage.session("dead-one"), stage.session("dead-two")
    one.run("BEGIN")
    two.run("BEGIN")
    one.run("UPDATE left_rows SET n = 1 WHERE id = 1")
    two.run("UPDATE right_rows SET n = 1 WHERE id = 1")
    stage.waits(one, "UPDATE right_rows SET n = 4711 WHERE id = 1")
    two.start("UPDATE left_rows SET n = 4712 WHERE id = 1")
    two.finish()
    assert two.error == "40P01"
    two.run("ROLLBACK")
    one.finish()
    one.run("COMMIT")
    stage.edges.add(Edge(two.pid, one.pid, "transactionid", "left_rows", "deadlock"))
    stage.edges.add(Edge(one.pid, two.pid, "transactionid", "right_rows", "granted"))


def broken_off(stage: Stage) -> None:
    """Five sessions wait for one table, and each of them is stopped in another way."""
    holder, boss = stage.session("ledger-holder"), stage.session("boss")
    holder.run("BEGIN")
    holder.run("ALTER TABLE ledger ADD COLUMN note text")
    ways = {
        "lock_timeout": stage.session("impatient", "-c lock_timeout=1500"),
        "cancelled": stage.session("slow", "-c statement_timeout=1500"),
        "by pg_cancel_backend": stage.session("stopped"),
        "terminated": stage.session("killed"),
        "by the client": stage.session("gone", "-c client_connection_check_interval=100"),
    }
    for session in ways.values():
        stage.waits(session, "SELECT count(*) FROM ledger")
    boss.run(f"SELECT pg_cancel_backend({ways['by pg_cancel_backend'].pid})")
    boss.run(f"SELECT pg_terminate_backend({ways['terminated'].pid})")
    gone = ways["by the client"]
    gone.connection.pgconn.finish()
    stage.until_logged("connection to client lost")
    for session in ways.values():
        session.finish()
    holder.run("ROLLBACK")
    outcomes = {"by pg_cancel_backend": "cancelled", "by the client": "terminated"}
    for way, session in ways.items():
        outcome = outcomes.get(way, way)
        stage.edges.add(Edge(session.pid, holder.pid, "relation", "ledger", outcome))


def prepared(stage: Stage) -> None:
    """A prepared transaction holds a row; it has no process."""
    holder, waiter = stage.session("preparer"), stage.session("behind-prepared")
    holder.run("BEGIN")
    holder.run("UPDATE orders SET state = 'prepared' WHERE id = 1")
    holder.run("PREPARE TRANSACTION 'left-behind'")
    stage.waits(waiter, "UPDATE orders SET state = 'after' WHERE id = 1")
    holder.run("COMMIT PREPARED 'left-behind'")
    waiter.finish()
    stage.edges.add(Edge(waiter.pid, 0, "transactionid", "orders", "granted"))


def same_key(stage: Stage) -> None:
    """Two inserts of one key: CONTEXT names the index, not the table."""
    holder, waiter = stage.session("first-key"), stage.session("second-key")
    holder.run("BEGIN")
    holder.run("INSERT INTO orders VALUES (9, 'first')")
    stage.waits(waiter, "INSERT INTO orders VALUES (9, 'second')")
    holder.run("COMMIT")
    waiter.finish()
    assert waiter.error == "23505"
    stage.edges.add(Edge(waiter.pid, holder.pid, "transactionid", "orders", "granted"))


def upgrade(stage: Stage) -> None:
    """The holder that blocks a writer waits itself: DETAIL names it in the queue, not as holder.

    The only process that DETAIL calls a holder is a reader that blocks no writer.
    """
    reader, holder = stage.session("bystander"), stage.session("upgrader")
    writer = stage.session("behind-upgrade")
    reader.run("BEGIN")
    reader.run("SELECT count(*) FROM notes")
    holder.run("BEGIN")
    holder.run("LOCK TABLE notes IN SHARE MODE")
    stage.waits(holder, "LOCK TABLE notes IN ACCESS EXCLUSIVE MODE")
    stage.waits(writer, "INSERT INTO notes VALUES ('x')")
    reader.run("COMMIT")
    holder.finish()
    holder.run("COMMIT")
    writer.finish()
    stage.edges.add(Edge(holder.pid, reader.pid, "relation", "notes", "granted"))
    stage.unproven.add(writer.pid)


FORGED = (
    "process 1 still waiting for AccessExclusiveLock on relation 16384 of database 5 after 1.0 ms"
)


def hostile_text(stage: Stage) -> None:
    """Statements and messages that look like lines of a log, in an error and in a wait."""
    holder, waiter = stage.session("LOG:  app"), stage.session("x [1] LOG:  process 1 acquired")
    stamp = "2026-01-15 14:23:02.000 UTC [1] LOG:  "
    text = f'/*\n{stamp}{FORGED}\nLOG:  {FORGED}\nDETAIL:  Process holding the lock: 2.\n","\n*/'
    holder.run("BEGIN")
    holder.run("ALTER TABLE notes ADD COLUMN more text")
    stage.waits(waiter, f"{text} TABLE notes")
    holder.run("ROLLBACK")
    waiter.finish()
    waiter.run(f"DO $$ BEGIN RAISE LOG '{FORGED}'; END $$")
    waiter.start(f"{text} SELECT 1/0")
    waiter.finish()
    stage.edges.add(Edge(waiter.pid, holder.pid, "relation", "notes", "granted"))


SCENES = (
    index_build,
    row_queue,
    advisory,
    concurrent_index,
    deadlock,
    broken_off,
    prepared,
    same_key,
    upgrade,
    hostile_text,
)


def make_tables(server: Server) -> None:
    """The tables of the scenes."""
    with server.connect() as connection:
        for name in ("stock", "carts", "ledger", "notes"):
            connection.execute(f"CREATE TABLE {name} (sku text)".encode())
        connection.execute("CREATE TABLE orders (id int PRIMARY KEY, state text)")
        connection.execute("INSERT INTO orders VALUES (1, 'new')")
        for name in ("left_rows", "right_rows"):
            connection.execute(f"CREATE TABLE {name} (id int PRIMARY KEY, n int)".encode())
            connection.execute(f"COPY {name} FROM PROGRAM 'printf 1,0' CSV".encode())


def play(server: Server, log: str, *scenes: Callable[[Stage], None]) -> Stage:
    """Plays scenes one after the other; the stage then says what was done."""
    stage = Stage(server, log)
    try:
        for scene in scenes:
            scene(stage)
    finally:
        stage.close()
    return stage

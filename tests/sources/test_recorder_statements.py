"""The recorder's statements on real servers: what they show, what they ask, and what they lock."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest

from incident_rca.queries import load_query
from incident_rca.sources import lock_snapshots, postgres
from incident_rca.sources.lock_snapshots import (
    COLUMNS,
    Known,
    asked_waiters,
    clock_offset,
    header,
    probe,
    snapshot,
)
from incident_rca.sources.plain_rows import rows_of
from tests.lab.servers import Server, running_server
from tests.sources.blocked import in_transaction, until, waiters

Connection = psycopg.Connection[tuple[Any, ...]]
Row = dict[str, Any]


@pytest.fixture(scope="module", params=[18, 16])
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    with running_server(request.param, {"max_connections": "400"}) as running:
        with running.connect() as setup:
            setup.execute("CREATE TABLE stock (sku int PRIMARY KEY, n int)")
            setup.execute("INSERT INTO stock SELECT i, 0 FROM generate_series(1, 9) i")
            setup.execute("CREATE ROLE watcher LOGIN IN ROLE pg_read_all_stats")
            setup.execute("CREATE ROLE nobody LOGIN")
        yield running


@pytest.fixture
def connection(server: Server) -> Iterator[Connection]:
    with postgres.connect(server.dsn_of("postgres", "watcher")) as opened:
        yield opened


def rows(record: Row, kind: str) -> list[Row]:
    return [dict(zip(COLUMNS[kind], row, strict=True)) for row in record.get(kind, ())]


def taken(connection: Connection) -> set[str]:
    """The relations that the open transaction holds a lock on, but the one looked into here."""
    found = connection.execute(
        "SELECT relation::regclass::text FROM pg_locks "
        "WHERE pid = pg_backend_pid() AND locktype = 'relation'"
    )
    return {name for (name,) in found} - {"pg_locks"}


# --- the connection -----------------------------------------------------------------------------


def test_the_connection_is_named_and_cannot_write(server: Server, connection: Connection) -> None:
    with server.connect() as look:
        named = look.execute(
            "SELECT application_name FROM pg_stat_activity WHERE pid = %s",
            [connection.info.backend_pid],
        ).fetchone()
    assert named == ("incident-rca",)
    with pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
        connection.execute("CREATE TABLE made (i int)")


def test_a_sleeping_statement_is_cut_off(connection: Connection) -> None:
    with pytest.raises(psycopg.errors.QueryCanceled):
        connection.execute("SELECT pg_sleep(30)")


# --- what they lock -----------------------------------------------------------------------------


def test_probe_and_sessions_lock_no_relation(connection: Connection) -> None:
    facts = postgres.server_facts(connection)
    connection.execute("BEGIN")
    probe(connection, facts)
    rows_of(connection, "sessions", {"pids": [1], "waiters": [1]})
    assert taken(connection) == set()
    # The view, which they do not use, would have.
    connection.execute("SELECT count(*) FROM pg_stat_activity")
    assert {"pg_database", "pg_authid"} <= taken(connection)
    connection.execute("ROLLBACK")


def test_names_lock_nothing_of_the_users(connection: Connection, server: Server) -> None:
    facts = postgres.server_facts(connection)
    connection.execute("BEGIN")
    with (
        in_transaction(server, "CREATE INDEX i ON stock (n)"),
        waiters(server, 1, "INSERT INTO stock VALUES (99)"),
    ):
        shown = snapshot(connection, facts, Known())
    assert [row["relation"] for row in rows(shown, "relations")] == ["stock"]
    held = taken(connection)
    assert held and all(name.startswith("pg_") for name in held)
    connection.execute("ROLLBACK")


def test_exclusive_locks_on_tables_and_catalogs_stop_nothing(server: Server) -> None:
    with postgres.connect(server.dsn) as ours:
        facts = postgres.server_facts(ours)
        known = Known()
        snapshot(ours, facts, known)
        with (
            in_transaction(
                server,
                "LOCK TABLE stock IN ACCESS EXCLUSIVE MODE",
                "LOCK TABLE pg_catalog.pg_database IN ACCESS EXCLUSIVE MODE",
                "LOCK TABLE pg_catalog.pg_authid IN ACCESS EXCLUSIVE MODE",
            ) as holder,
        ):
            # A new session cannot even log in now; an old one can wait.
            beat = probe(ours, facts, known)
            assert holder in {row["pid"] for row in rows(beat, "statements")}
            assert rows_of(ours, "sessions", {"pids": [holder], "waiters": []})[0][1] == holder


def test_a_snapshot_without_names_where_the_catalogs_are_locked(server: Server) -> None:
    with (
        postgres.connect(server.dsn) as ours,
        server.connect(autocommit=False) as holder,
        waiters_of_stock(server) as (blocker, (waiter,)),
    ):
        facts = postgres.server_facts(ours)
        known = Known()
        holder.execute("LOCK TABLE pg_catalog.pg_database IN ACCESS EXCLUSIVE MODE")
        shown = snapshot(ours, facts, known)
        assert shown["databases"] == shown["relations"] == []
        assert {row["pid"] for row in rows(shown, "sessions")} == {blocker, waiter}
        assert {row["database"] for row in rows(shown, "sessions")} == {None}
        holder.rollback()
        # Catalogs that were locked are left alone for a while, and asked again then.
        later = [snapshot(ours, facts, known) for _ in range(lock_snapshots.REST_OF_CATALOGS)]
        assert [bool(s["databases"]) for s in later] == [False] * (len(later) - 1) + [True]
        assert [row["relation"] for row in rows(later[-1], "relations")] == ["stock"]


# --- the heartbeat ------------------------------------------------------------------------------

LISTED = (
    "CREATE INDEX made ON stock (n)",
    "/* by hand */ -- really\n  alter table stock add column made int",
    "BEGIN; SET LOCAL lock_timeout = '1s'; LOCK TABLE stock IN SHARE MODE",
    "TRUNCATE stock",
    "DO $$ BEGIN NULL; END $$",
    "/* ** */vacuum_is_no_word_here",
)
PLAIN = (
    "SELECT 1",
    "  \n/* a * b */ select 1",
    "-- note\nUPDATE stock SET n = 1",
    "WITH a AS (SELECT 1) SELECT * FROM a",
    "BEGIN",
    "BEGIN; SELECT 1",
    "SAVEPOINT before_it",
    "SET LOCAL work_mem = '4MB'",
    "(SELECT 1)",
)


@pytest.mark.parametrize("statement", [*LISTED, *PLAIN])
def test_statements_that_may_lock_strongly_are_listed(
    server: Server, connection: Connection, statement: str
) -> None:
    facts = postgres.server_facts(connection)
    with server.connect() as session:
        session.pgconn.exec_(b"BEGIN")
        session.pgconn.exec_(b"SAVEPOINT s")
        session.pgconn.exec_(statement.encode())
        beat = probe(connection, facts)
        found = {row["query"]: row for row in rows(beat, "statements")}
        pid = session.info.backend_pid
        session.pgconn.exec_(b"ROLLBACK")
    if statement in LISTED:
        assert found[statement]["pid"] == pid
        assert found[statement]["xact_start"] <= found[statement]["query_start"] < beat["at"]
    else:
        assert found == {}


def test_a_statement_is_written_once_and_none_outside_a_transaction(
    server: Server, connection: Connection
) -> None:
    facts = postgres.server_facts(connection)
    known = Known()
    with server.connect() as session:
        session.execute("CREATE TABLE made (i int)")
        assert "statements" not in probe(connection, facts, known)
        with in_transaction(server, "DROP TABLE made"):
            assert len(probe(connection, facts, known)["statements"]) == 1
            assert "statements" not in probe(connection, facts, known)
            assert len(probe(connection, facts, Known())["statements"]) == 1
        with in_transaction(server, "DROP TABLE made"):
            assert len(probe(connection, facts, known)["statements"]) == 1
        session.execute("DROP TABLE made")


def test_the_counts_are_those_of_the_view(server: Server, connection: Connection) -> None:
    facts = postgres.server_facts(connection)
    ours = connection.info.backend_pid
    with waiters_of_stock(server), server.connect() as look:
        look.execute("SELECT 1")
        theirs = (
            "SELECT application_name, state, wait_event_type, wait_event, count(*) "
            "FROM pg_stat_activity WHERE pid NOT IN (pg_backend_pid(), %s) "
            "AND backend_type = 'client backend' GROUP BY 1, 2, 3, 4"
        )

        def agree() -> bool:
            """Two looks at a moving thing: sessions of other tests may just be ending."""
            seen = {tuple(count[:4]): count[4] for count in probe(connection, facts)["counts"]}
            # The second session is idle while the probe looks; it may not wait for its client yet.
            idle = ("", "idle", "Client", "ClientRead")
            seen[idle] = seen.get(idle, 0) - 1
            shown = {tuple(key): n for *key, n in look.execute(theirs, [ours]).fetchall()}
            return shown == {key: n for key, n in seen.items() if key[1] and n}

        until(agree)
        beat = probe(connection, facts)
    assert beat["waiting"] == 1
    assert ["", "active", "Lock", "relation", 1] in beat["counts"]


# --- the snapshot -------------------------------------------------------------------------------


class waiters_of_stock:
    """A session that builds an index in its transaction and one that waits to insert."""

    def __init__(self, server: Server, database: str = "postgres", count: int = 1) -> None:
        build = ("CREATE INDEX i ON stock (n)", "SELECT 'done'")
        self.holder = in_transaction(server, *build, database=database)
        insert = "INSERT INTO stock VALUES (99)"
        self.waiters = waiters(server, count, insert, database=database)

    def __enter__(self) -> tuple[int, list[int]]:
        return self.holder.__enter__(), self.waiters.__enter__()

    def __exit__(self, *given: Any) -> None:
        self.waiters.__exit__(*given)
        self.holder.__exit__(*given)


def test_a_snapshot_shows_the_lock_and_only_that(server: Server, connection: Connection) -> None:
    facts = postgres.server_facts(connection)
    known = Known()
    with (
        waiters_of_stock(server, count=2) as (holder, waiting),
        in_transaction(server, "CREATE TABLE elsewhere (i int)", "LOCK TABLE elsewhere"),
        server.connect() as look,
    ):
        first = snapshot(connection, facts, known)
        again = snapshot(connection, facts, known)
        ((oid, reltuples),) = look.execute(
            "SELECT oid, reltuples FROM pg_class WHERE relname = 'stock'"
        ).fetchall()
        starts: dict[int, datetime] = dict(
            look.execute("SELECT pid, waitstart FROM pg_locks WHERE NOT granted").fetchall()
        )
    locks = rows(first, "locks")
    assert {(row["pid"], row["mode"], row["granted"]) for row in locks} == {
        (holder, "ShareLock", True),
        *((pid, "RowExclusiveLock", False) for pid in waiting),
    }
    assert {(row["locktype"], row["relation"]) for row in locks} == {("relation", oid)}
    assert {row["pid"]: instant(row["waitstart"]) for row in locks if row["waitstart"]} == starts
    sessions = {row["pid"]: row for row in rows(first, "sessions")}
    assert sessions.keys() == {holder, *waiting}
    assert sessions[holder]["query"] == "SELECT 'done'"
    assert sessions[holder]["state"] == "idle in transaction"
    assert sessions[holder]["blocking_pids"] is None
    assert [sessions[pid]["blocking_pids"] for pid in waiting] == [[holder], [holder]]
    assert {row["database"] for row in sessions.values()} == {"postgres"}
    assert rows(first, "relations") == [
        {
            "database": "postgres",
            "oid": oid,
            "schema": "public",
            "relation": "stock",
            "kind": "r",
            "reltuples": reltuples,
        }
    ]
    assert [row["database"] for row in rows(first, "databases")] == ["postgres"]
    assert again["relations"] == again["databases"] == []
    assert first["locks_at"] < first["sessions_at"] < again["locks_at"]


def instant(text: str) -> datetime:
    assert len(text) == len("2026-01-15T14:00:00.000000Z") and text.endswith("Z")
    return datetime.fromisoformat(text)


def test_after_the_wait_a_snapshot_is_empty(server: Server, connection: Connection) -> None:
    facts = postgres.server_facts(connection)
    shown = snapshot(connection, facts, Known())
    assert [shown[key] for key in ("locks", "sessions", "relations", "databases")] == [[]] * 4
    now = datetime.now(UTC)
    assert now - timedelta(minutes=1) < instant(shown["locks_at"]) < now
    assert shown["sessions_at"] == shown["locks_at"]


def test_a_row_lock_comes_with_its_table(server: Server, connection: Connection) -> None:
    facts = postgres.server_facts(connection)
    update = "UPDATE stock SET n = n + 1 WHERE sku = 1"
    with in_transaction(server, update) as holder, waiters(server, 2, update) as waiting:
        shown = snapshot(connection, facts, Known())
    locks = rows(shown, "locks")
    assert {row["locktype"] for row in locks} == {"transactionid", "tuple", "relation"}
    names = {row["relation"] for row in rows(shown, "relations")}
    assert names == {"stock", "stock_pkey"}
    blockers = {row["pid"]: row["blocking_pids"] for row in rows(shown, "sessions")}
    assert blockers.keys() == {holder, *waiting} and blockers[holder] is None
    # One waits for the transaction; the other for the row, behind the first.
    first = next(pid for pid in waiting if blockers[pid] == [holder])
    assert [blockers[pid] for pid in waiting if pid != first] == [[first]]
    xids = {row["transactionid"] for row in locks if row["locktype"] == "transactionid"}
    assert xids == {row["backend_xid"] for row in rows(shown, "sessions") if row["pid"] == holder}


def test_a_parallel_worker_brings_its_leader(server: Server, connection: Connection) -> None:
    with server.connect() as session, server.connect() as look:
        session.execute("SET debug_parallel_query = on")
        leader = session.info.backend_pid
        session.pgconn.send_query(b"SELECT pg_sleep(60)")
        session.pgconn.flush()
        query = "SELECT pid FROM pg_stat_activity WHERE leader_pid = %s"
        until(lambda: bool(look.execute(query, [leader]).fetchall()))
        ((worker,),) = look.execute(query, [leader]).fetchall()
        found = lock_snapshots._sessions(connection, {worker}, [])
        look.execute("SELECT pg_terminate_backend(%s)", [leader])
        session.close()
    assert [row[1] for row in found] == [worker, leader]


def test_a_prepared_transaction_has_its_name(server: Server, connection: Connection) -> None:
    facts = postgres.server_facts(connection)
    with server.connect() as session:
        for statement in ("BEGIN", "LOCK TABLE stock", "PREPARE TRANSACTION 'transfer-7'"):
            session.execute(statement.encode())
        with waiters(server, 1, "INSERT INTO stock VALUES (99)"):
            shown = snapshot(connection, facts, Known())
        session.execute("ROLLBACK PREPARED 'transfer-7'")
    (prepared,) = rows(shown, "prepared")
    held = [row for row in rows(shown, "locks") if row["pid"] is None]
    assert {row["locktype"] for row in held} == {"relation", "transactionid"}
    assert {row["virtualtransaction"] for row in held} == {prepared["virtualtransaction"]}
    assert (prepared["gid"], prepared["database"]) == ("transfer-7", "postgres")
    assert [row["blocking_pids"] for row in rows(shown, "sessions")] == [[0]]


def test_of_many_waiters_few_are_asked(server: Server, connection: Connection) -> None:
    facts = postgres.server_facts(connection)
    with waiters_of_stock(server, count=300) as (holder, waiting):
        shown = snapshot(connection, facts, Known())
    sessions = rows(shown, "sessions")
    assert {row["pid"] for row in sessions} == {holder, *waiting}
    asked = {row["pid"] for row in sessions if row["blocking_pids"] is not None}
    ends = 2 * lock_snapshots.ASK_FIRST_AND_LAST
    assert ends <= len(asked) <= ends + 1
    by_start = sorted(
        (row["waitstart"], row["pid"]) for row in rows(shown, "locks") if not row["granted"]
    )
    assert {by_start[0][1], by_start[-1][1]} <= asked
    assert {str(row["blocking_pids"]) for row in sessions} == {str([holder]), "None"}


def test_up_to_a_limit_all_are_asked_and_beyond_it_one_of_each_lock_and_mode() -> None:
    def lock(pid: int, oid: int, mode: str, granted: bool = False) -> tuple[Any, ...]:
        given = {"pid": pid, "locktype": "relation", "database": 5, "relation": oid, "mode": mode}
        row = {**given, "granted": granted, "waitstart": f"2026-01-15T14:00:00.{pid:06}Z"}
        return tuple(row.get(column) for column in COLUMNS["locks"])

    locks = [lock(1, 16, "ShareLock", True), *(lock(n, 16, "RowExclusiveLock") for n in range(9))]
    assert asked_waiters(locks) == list(range(9))
    # In the middle by the start of their waits, so only their lock or mode can choose them.
    many = [lock(n, 16, "RowExclusiveLock") for n in range(100, 400)]
    many[150], many[151] = lock(250, 17, "RowExclusiveLock"), lock(251, 16, "ExclusiveLock")
    assert asked_waiters(many) == [*range(100, 110), 250, 251, *range(390, 400)]


def test_a_table_of_another_database_gets_no_name(server: Server) -> None:
    with server.connect() as setup:
        setup.execute("CREATE DATABASE cloned TEMPLATE postgres")
    with server.connect("cloned") as other:
        other.execute("ALTER TABLE stock RENAME TO something_else")
        other.execute("CREATE VIEW stock AS SELECT 1 AS sku, 1 AS n")
        other.execute("DROP VIEW stock")
    with postgres.connect(server.dsn) as ours:
        facts = postgres.server_facts(ours)
        with (
            in_transaction(server, "LOCK TABLE something_else", database="cloned"),
            waiters(server, 1, "SELECT * FROM something_else", database="cloned"),
        ):
            shown = snapshot(ours, facts, Known())
    assert len(rows(shown, "locks")) == 2 and shown["relations"] == []
    assert {row["database"] for row in rows(shown, "sessions")} == {"cloned"}
    ((oid, name),) = shown["databases"]
    assert name == "cloned" and {row["database"] for row in rows(shown, "locks")} == {oid}


def test_a_shared_catalog_has_its_name(server: Server) -> None:
    with postgres.connect(server.dsn) as ours:
        facts = postgres.server_facts(ours)
        hold = "LOCK TABLE pg_catalog.pg_tablespace IN EXCLUSIVE MODE"
        with in_transaction(server, hold), waiters(server, 1, hold):
            shown = snapshot(ours, facts, Known())
    assert [(row["database"], row["relation"]) for row in rows(shown, "relations")] == [
        ("", "pg_tablespace")
    ]


# --- who may see what ---------------------------------------------------------------------------


def test_a_role_without_privileges_still_counts_the_waiters(server: Server) -> None:
    with (
        postgres.connect(server.dsn_of("postgres", "nobody")) as ours,
        waiters_of_stock(server, count=3) as (holder, waiting),
    ):
        facts = postgres.server_facts(ours)
        beat = probe(ours, facts)
        shown = snapshot(ours, facts, Known())
    assert not facts.sees_all_sessions
    assert beat["waiting"] == 3 and "statements" not in beat
    sessions = {row["pid"]: row for row in rows(shown, "sessions")}
    assert sessions.keys() == {holder, *waiting}
    assert {row["query"] for row in sessions.values()} == {"<insufficient privilege>"}
    assert [sessions[pid]["blocking_pids"] for pid in waiting] == [[holder]] * 3
    made = header(
        facts,
        started_at=datetime(2026, 1, 15, 14, tzinfo=UTC),
        interval_seconds=1.0,
        clock_offset_seconds=(0.0, 0.1),
    )
    assert made["visibility"] == "restricted"


def test_a_statement_in_another_encoding_is_shown_as_far_as_it_can_be(
    server: Server, connection: Connection
) -> None:
    facts = postgres.server_facts(connection)
    with server.connect() as setup:
        setup.execute(
            "CREATE DATABASE latin ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0"
        )
    lock = "LOCK TABLE pg_catalog.pg_tablespace IN EXCLUSIVE MODE"
    with server.connect("latin", client_encoding="latin1", autocommit=False) as session:
        session.execute(f"{lock} /* déjà vu */".encode("latin1"))
        with waiters(server, 1, lock):
            shown = snapshot(connection, facts, Known())
            beat = probe(connection, facts)
        session.rollback()
    texts = {row["query"] for row in (*rows(shown, "sessions"), *rows(beat, "statements"))}
    assert any("d\ufffdj\ufffd vu" in text for text in texts), texts


# --- clocks and the header ----------------------------------------------------------------------


@pytest.mark.parametrize("ahead", [-7.0, 0.0, 3600.0])
def test_the_offset_lies_within_its_bounds(connection: Connection, ahead: float) -> None:
    # The server's clock is this machine's, so the true offset is known.
    lo, hi = clock_offset(connection, lambda: datetime.now(UTC) - timedelta(seconds=ahead))
    assert lo <= ahead <= hi and hi - lo < 1


def test_bounds_that_contradict_each_other_become_wide(connection: Connection) -> None:
    readings = iter(range(0, 1000, 10))
    base = datetime.now(UTC)
    lo, hi = clock_offset(connection, lambda: base + timedelta(seconds=next(readings)))
    assert hi - lo >= 100


def test_the_header_describes_the_server_and_every_column(connection: Connection) -> None:
    facts = postgres.server_facts(connection)
    made = header(
        facts,
        started_at=datetime(2026, 1, 15, 14, tzinfo=UTC),
        interval_seconds=2.0,
        clock_offset_seconds=(-0.5, 0.25),
    )
    assert (made["kind"], made["format_version"], made["visibility"]) == ("header", 1, "full")
    assert made["started_at"] == "2026-01-15T14:00:00.000000Z"
    assert made["clock"] == {"offset_seconds": [-0.5, 0.25]}
    shown = connection.execute("SHOW deadlock_timeout").fetchone()
    assert shown == ("200ms",) and made["server"]["deadlock_timeout_ms"] == 200.0
    assert set(made["columns"]) == set(COLUMNS)


def test_the_columns_of_the_queries_are_those_that_they_name() -> None:
    for name, kind in (("locks", "locks"), ("relations", "relations"), ("prepared", "prepared")):
        named = load_query(f"postgres/{name}.sql").headers["columns"]
        for column in set(COLUMNS[kind]) - {"database", "virtualtransaction"}:
            assert column in named, (name, column)

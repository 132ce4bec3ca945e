"""pgwatch's lock pairs: on a table of its documented columns, filled from real sessions.

pgwatch is a program of its own, so a partitioned table as its sink makes it (admin_schema.sql)
stands for a measurements database; the pairs in it are those of pg_locks on a real server, matched
as its metric says: the same relation or transaction, one granted and one not, whatever their modes.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from incident_rca.errors import Unreachable
from incident_rca.formats.parsed import Parsed
from incident_rca.model import TimeWindow
from incident_rca.sources import pgwatch
from incident_rca.sources.answers import Absent
from incident_rca.sources.postgres import connect
from tests.formats.builders import kind_of, parse, rows
from tests.lab.servers import Server, running_server
from tests.sources.lock_scene import BUILD, blocked_writers, wait_for

MEASUREMENTS = (
    "CREATE SCHEMA admin",
    "CREATE TABLE admin.all_distinct_dbname_metrics (dbname text, metric text)",
    "CREATE TABLE public.blocking_locks (time timestamptz NOT NULL DEFAULT now(), "
    "dbname text NOT NULL, data jsonb NOT NULL, tag_data jsonb) PARTITION BY LIST (dbname)",
    "CREATE TABLE public.blocking_locks_shop PARTITION OF public.blocking_locks "
    "FOR VALUES IN ('shop-1')",
)
AT = datetime(2026, 1, 15, 14, 23, tzinfo=UTC)
WINDOW = TimeWindow(AT - timedelta(minutes=5), AT + timedelta(minutes=5))


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with running_server() as running:
        with running.connect() as connection:
            connection.execute("CREATE DATABASE measurements")
            connection.execute("CREATE DATABASE other")
        with running.connect("measurements") as connection:
            for statement in MEASUREMENTS:
                connection.execute(statement.encode())
        yield running


@pytest.fixture
def shop(server: Server) -> Iterator[Server]:
    yield server
    with server.connect("measurements") as connection:
        connection.execute("TRUNCATE blocking_locks")
    with server.connect() as connection:
        connection.execute("DROP TABLE IF EXISTS stock")
        connection.execute("DROP FUNCTION IF EXISTS slowly")


def poll(server: Server, at: datetime) -> None:
    """One poll of the metric, written as pgwatch's sink writes it."""
    with server.connect() as connection:
        locks = connection.execute(
            "SELECT l.pid, l.locktype, l.mode, l.granted, l.database, l.relation, "
            "l.transactionid::text, l.relation::regclass::text, a.query, a.usename "
            "FROM pg_locks l JOIN pg_stat_activity a USING (pid) WHERE pid <> pg_backend_pid()"
        ).fetchall()
    pairs = [
        (waiting, other)
        for waiting, other in product(locks, locks)
        if not waiting[3] and other[3] and waiting[0] != other[0] and _meet(waiting, other)
    ]
    with server.connect("measurements") as connection:
        for w, o in pairs:
            data = {
                "waiting_query": w[8],
                "waiting_pid": w[0],
                "other_locktype": o[1],
                "other_table": o[7],
                "other_query": o[8],
                "other_mode": o[2],
                "other_pid": o[0],
                "other_user": o[9],
            }
            tags = {
                "waiting_locktype": w[1],
                "waiting_user": w[9],
                "waiting_mode": w[2],
                "waiting_table": w[7] or "null",
                "real_dbname": "shop",
            }
            connection.execute(
                "INSERT INTO blocking_locks VALUES (%s, 'shop-1', %s, %s)",
                [at, json.dumps(data), json.dumps(tags)],
            )


def _meet(waiting: Any, other: Any) -> bool:
    by_relation = waiting[5] is not None and waiting[4:6] == other[4:6]
    return by_relation or (waiting[6] is not None and waiting[6] == other[6])


def fetched(server: Server, folder: Path, window: TimeWindow = WINDOW) -> Parsed:
    with connect(server.dsn_of("measurements")) as connection:
        answer = pgwatch.fetch(connection, window, asked_at=window.end)
    assert not isinstance(answer, Absent)
    path = folder / "pgwatch.json"
    path.write_text(json.dumps(answer))
    assert kind_of(path) == "pgwatch_history"
    return parse("pgwatch_history", path)


def test_the_reader_beside_the_build_blocks_nobody(shop: Server, tmp_path: Path) -> None:
    with blocked_writers(shop) as scene:
        poll(shop, AT)
    parsed = fetched(shop, tmp_path)
    found = rows(parsed, "locks")
    hard = [row for row in found if row["edge"] == "hard"]
    assert {(row["waiter_pid"], row["holder_pid"]) for row in hard} == {
        (waiter, scene.holder) for waiter in scene.waiters
    }
    assert {(r["waiter_mode"], r["holder_mode"], r["relation"], r["database"]) for r in hard} == {
        ("RowExclusiveLock", "ShareLock", "stock", "shop")
    }
    assert {r["holder_statement"] for r in hard} == {BUILD}
    # pgwatch itself stored a pair of the reader with each writer: half of its pairs are false.
    none = [row for row in found if row["edge"] == "none"]
    assert [(row["holder_pid"], row["holder_mode"]) for row in none] == [
        (scene.reader, "AccessShareLock")
    ]
    assert none[0]["waiter_pid"] is None
    assert parsed.rows == 2 * len(scene.waiters)


def test_a_row_lock_is_hard_and_about_the_table_of_its_statement(
    shop: Server, tmp_path: Path
) -> None:
    with shop.connect() as holder, shop.connect() as waiter:
        holder.execute("CREATE TABLE stock (sku text)")
        holder.execute("INSERT INTO stock VALUES ('a')")
        holder.autocommit = False
        holder.execute("UPDATE stock SET sku = 'b'")
        update = threading.Thread(target=waiter.execute, args=("UPDATE stock SET sku = 'c'",))
        update.start()
        wait_for(shop, "locktype = 'transactionid' AND NOT granted", 1)
        poll(shop, AT)
        pids = (waiter.info.backend_pid, holder.info.backend_pid)
        holder.rollback()
        update.join(10)
    hard = [row for row in rows(fetched(shop, tmp_path), "locks") if row["edge"] == "hard"]
    assert [(row["waiter_pid"], row["holder_pid"]) for row in hard] == [pids]
    assert (hard[0]["lock_type"], hard[0]["relation"]) == ("transactionid", "stock")


def test_the_cadence_is_that_of_the_samples(shop: Server, tmp_path: Path) -> None:
    with blocked_writers(shop, 1):
        for seconds in (0, 30, 60, 90):
            poll(shop, AT + timedelta(seconds=seconds))
    parsed = fetched(shop, tmp_path)
    assert parsed.resolution_seconds == 30.0
    assert parsed.covered == TimeWindow(AT, AT + timedelta(seconds=120))
    assert parsed.blind == ""
    late = fetched(shop, tmp_path, TimeWindow(AT + timedelta(seconds=60), WINDOW.end))
    assert {row["at"] for row in rows(late, "locks")} == {
        AT + timedelta(seconds=60),
        AT + timedelta(seconds=90),
    }


def test_no_row_is_not_no_wait(shop: Server, tmp_path: Path) -> None:
    parsed = fetched(shop, tmp_path)
    assert (parsed.rows, parsed.covered) == (0, None)
    assert "nobody waits" in parsed.blind


def test_another_database_is_none_of_pgwatch(server: Server) -> None:
    with connect(server.dsn_of("other")) as connection:
        absent = pgwatch.fetch(connection, WINDOW, asked_at=WINDOW.end)
    assert isinstance(absent, Absent) and "holds no measurements" in absent.reason


def test_a_preset_without_the_metric_is_told(server: Server) -> None:
    with server.connect("other") as connection:
        for statement in MEASUREMENTS[:2]:
            connection.execute(statement.encode())
    try:
        with connect(server.dsn_of("other")) as connection:
            absent = pgwatch.fetch(connection, WINDOW, asked_at=WINDOW.end)
    finally:
        with server.connect("other") as connection:
            connection.execute("DROP SCHEMA admin CASCADE")
    assert isinstance(absent, Absent)
    assert "does not collect blocking_locks" in absent.reason and "debug" in absent.hint


def test_a_role_without_privileges_is_told(server: Server) -> None:
    with server.connect() as connection:
        connection.execute("CREATE ROLE nosy LOGIN")
    with connect(server.dsn_of("measurements", "nosy")) as connection:
        with pytest.raises(Unreachable, match="permission denied"):
            pgwatch.fetch(connection, WINDOW, asked_at=WINDOW.end)

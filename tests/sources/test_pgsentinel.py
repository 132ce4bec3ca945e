"""pgsentinel's history: on a table of its documented columns, filled from real sessions.

The extension is not at hand, so a table of the columns that its SQL script declares
(pgsentinel--1.0b.sql, and `leader_pid` of later ones) stands for its view; what is in it are
samples of pg_stat_activity and pg_blocking_pids, taken as src/pgsentinel.c does.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from incident_rca.errors import Unreachable
from incident_rca.formats.parsed import Parsed
from incident_rca.model import TimeWindow
from incident_rca.sources import pgsentinel
from incident_rca.sources.answers import Absent
from incident_rca.sources.postgres import connect
from tests.formats.builders import Row, kind_of, parse, rows
from tests.lab.servers import Server, running_server
from tests.sources.lock_scene import BUILD, blocked_writers, wait_for

VIEW = """
CREATE TABLE {schema}.pg_active_session_history (
    ash_time timestamptz, datid oid, datname text, pid integer, leader_pid integer, usesysid oid,
    usename text, application_name text, client_addr text, client_hostname text,
    client_port integer, backend_start timestamptz, xact_start timestamptz,
    query_start timestamptz, state_change timestamptz, wait_event_type text, wait_event text,
    state text, backend_xid xid, backend_xmin xid, top_level_query text, query text, cmdtype text,
    queryid bigint, backend_type text, blockers integer, blockerpid integer, blocker_state text)
"""
SAMPLE = """
INSERT INTO {schema}.pg_active_session_history
SELECT now(), act.datid, act.datname, act.pid, act.leader_pid, act.usesysid,
    act.usename, act.application_name, text(act.client_addr), act.client_hostname, act.client_port,
    act.backend_start, act.xact_start, act.query_start, act.state_change,
    coalesce(act.wait_event_type, 'CPU'), coalesce(act.wait_event, 'CPU'), act.state,
    act.backend_xid, act.backend_xmin, act.query, act.query, NULL, act.query_id, act.backend_type,
    nullif(cardinality(pg_blocking_pids(act.pid)), 0), nullif((pg_blocking_pids(act.pid))[1], 0),
    blk.state
FROM pg_stat_activity act LEFT JOIN pg_stat_activity blk ON blk.pid = (pg_blocking_pids(act.pid))[1]
WHERE act.state = 'active' AND act.pid <> pg_backend_pid()
"""


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with running_server() as running:
        yield running


def sampled(server: Server, schema: str = "public") -> datetime:
    """One sample of the server; returns its instant."""
    with server.connect() as connection, connection.transaction():
        connection.execute(SAMPLE.format(schema=schema).encode())
        row = connection.execute("SELECT now()").fetchone()
    assert row is not None
    at: datetime = row[0]
    return at.astimezone(UTC)


def fetched(server: Server, folder: Path, window: TimeWindow, **given: Any) -> Parsed:
    """What is fetched of a window, written as raw/ has it and read again."""
    with connect(server.dsn) as connection:
        answer = pgsentinel.fetch(connection, window, asked_at=window.end)
    assert not isinstance(answer, Absent)
    path = folder / "pgsentinel.json"
    path.write_text(json.dumps({**answer, **given}))
    assert kind_of(path) == "pgsentinel_history"
    return parse("pgsentinel_history", path)


def around(*instants: datetime) -> TimeWindow:
    return TimeWindow(min(instants) - timedelta(hours=1), max(instants) + timedelta(hours=1))


def drop(server: Server, schema: str = "public") -> None:
    with server.connect() as connection:
        connection.execute(f"DROP TABLE IF EXISTS {schema}.pg_active_session_history".encode())
        connection.execute("DROP TABLE IF EXISTS stock")
        connection.execute("DROP FUNCTION IF EXISTS slowly")


@pytest.fixture
def history(server: Server) -> Iterator[Server]:
    with server.connect() as connection:
        connection.execute(VIEW.format(schema="public").encode())
    yield server
    drop(server)


def pairs(parsed: Parsed) -> list[Row]:
    return rows(parsed, "locks")


def test_an_index_build_is_named_while_it_runs_and_when_it_idles(
    history: Server, tmp_path: Path
) -> None:
    with blocked_writers(history) as scene:
        running = sampled(history)
        scene.finish_build()
        idle = sampled(history)
    parsed = fetched(history, tmp_path, around(running, idle))
    during = [row for row in pairs(parsed) if row["at"] == running and row["relation"] == "stock"]
    assert {(row["waiter_pid"], row["holder_pid"]) for row in during} == {
        (waiter, scene.holder) for waiter in scene.waiters
    }
    assert {row["edge"] for row in during} == {"named"}
    assert {row["holder_statement"] for row in during} == {BUILD}
    assert {row["holder_statement_basis"] for row in during} == {"running"}
    assert {row["holder_application"] for row in during} == {"migrate"}
    assert all(row["holder_mode"] is None and row["waiter_mode"] is None for row in during)
    assert all(row["lock_type"] == "relation" for row in during)
    assert all("ada" not in row["waiter_statement"] for row in during)
    after = [row for row in pairs(parsed) if row["at"] == idle]
    assert {(row["waiter_pid"], row["holder_pid"]) for row in after} == {
        (waiter, scene.holder) for waiter in scene.waiters
    }
    # Sessions that idle in a transaction are not sampled: what it ran is not known any more.
    assert {row["holder_state"] for row in after} == {"idle in transaction"}
    assert {row["holder_statement_basis"] for row in after} == {None}
    assert all(scene.reader not in (row["holder_pid"], row["waiter_pid"]) for row in pairs(parsed))


def test_an_advisory_lock_is_not_on_the_table_of_the_statement(
    history: Server, tmp_path: Path
) -> None:
    with blocked_writers(history) as scene:
        at = sampled(history)
    (row,) = [
        r for r in pairs(fetched(history, tmp_path, around(at))) if r["lock_type"] == "advisory"
    ]
    assert (row["waiter_pid"], row["relation"]) == (scene.holder, "advisory (not named)")


def test_a_session_is_its_process_and_its_start(history: Server, tmp_path: Path) -> None:
    with blocked_writers(history, 1) as scene:
        at = sampled(history)
        with history.connect() as connection:
            started: dict[int, datetime] = dict(
                connection.execute("SELECT pid, backend_start FROM pg_stat_activity").fetchall()
            )
    (row,) = [r for r in pairs(fetched(history, tmp_path, around(at))) if r["relation"] == "stock"]
    for side, pid in (("waiter", scene.waiters[0]), ("holder", scene.holder)):
        start = started[pid].astimezone(UTC).replace(microsecond=0)
        assert row[f"{side}_session"] == f"{pid}@{start.isoformat().replace('+00:00', 'Z')}"


def test_only_the_window_is_fetched(history: Server, tmp_path: Path) -> None:
    with blocked_writers(history, 1):
        first = sampled(history)
        second = sampled(history)
    parsed = fetched(history, tmp_path, TimeWindow(second, second + timedelta(hours=1)))
    assert {row["at"] for row in pairs(parsed)} == {second}
    assert parsed.covered is not None and parsed.covered.start == second
    assert parsed.blind == "" and first < second


def test_a_ring_that_begins_late_says_so(history: Server, tmp_path: Path) -> None:
    with blocked_writers(history, 1):
        at = sampled(history)
    parsed = fetched(
        history, tmp_path, TimeWindow(at - timedelta(hours=1), at + timedelta(hours=1))
    )
    assert parsed.covered == TimeWindow(at, at + timedelta(seconds=1))
    assert f"{at:%H:%M:%S}" in parsed.blind and "does not reach back" in parsed.blind


def test_a_ring_that_is_full_was_overwritten(history: Server, tmp_path: Path) -> None:
    with blocked_writers(history, 1):
        at = sampled(history)
    with history.connect() as connection:
        (count,) = connection.execute(
            "SELECT count(*) FROM pg_active_session_history"
        ).fetchone() or (0,)
        connection.execute(
            f"ALTER DATABASE postgres SET pgsentinel_ash.max_entries = {count}".encode()
        )
        connection.execute("ALTER DATABASE postgres SET pgsentinel_ash.sampling_period = 5")
    try:
        parsed = fetched(history, tmp_path, around(at))
    finally:
        with history.connect() as connection:
            connection.execute("ALTER DATABASE postgres RESET ALL")
    assert parsed.blind.startswith(f"the ring of {count} rows was overwritten")
    assert parsed.resolution_seconds == 5.0


def test_a_ring_of_another_time_is_blind(history: Server, tmp_path: Path) -> None:
    with blocked_writers(history, 1):
        at = sampled(history)
    early = TimeWindow(at - timedelta(days=1), at - timedelta(hours=1))
    parsed = fetched(history, tmp_path, early)
    assert (parsed.rows, parsed.covered) == (0, None)
    assert parsed.blind.startswith("the ring holds nothing of the window (its oldest sample is of")


def test_an_empty_ring_is_blind(history: Server, tmp_path: Path) -> None:
    parsed = fetched(history, tmp_path, around(datetime.now(UTC)))
    assert (parsed.rows, parsed.covered, parsed.blind) == (0, None, "the ring is empty")


def test_the_view_is_found_in_any_schema(server: Server, tmp_path: Path) -> None:
    with server.connect() as connection:
        connection.execute('CREATE SCHEMA IF NOT EXISTS "My Ash"')
        connection.execute(VIEW.format(schema='"My Ash"').encode())
    try:
        with blocked_writers(server, 1) as scene:
            at = sampled(server, '"My Ash"')
        parsed = fetched(server, tmp_path, around(at))
    finally:
        drop(server, '"My Ash"')
    assert scene.waiters[0] in {row["waiter_pid"] for row in pairs(parsed)}


def test_a_prepared_transaction_is_a_blocker_without_a_process(
    history: Server, tmp_path: Path
) -> None:
    with history.connect() as holder, history.connect() as waiter:
        holder.execute("CREATE TABLE stock (sku text)")
        holder.autocommit = False
        holder.execute("LOCK TABLE stock IN SHARE MODE")
        holder.execute("PREPARE TRANSACTION 'transfer-7'")
        pid = waiter.info.backend_pid
        insert = threading.Thread(target=waiter.execute, args=("INSERT INTO stock VALUES ('a')",))
        insert.start()
        wait_for(history, f"pid = {pid} AND NOT granted", 1)
        at = sampled(history)
        holder.autocommit = True
        holder.execute("ROLLBACK PREPARED 'transfer-7'")
        insert.join(10)
    (row,) = pairs(fetched(history, tmp_path, around(at)))
    assert (row["waiter_pid"], row["holder_pid"]) == (pid, 0)
    assert row["holder_session"].startswith("prepared")


def test_without_the_extension_it_is_absent(server: Server) -> None:
    with connect(server.dsn) as connection:
        absent = pgsentinel.fetch(connection, around(datetime.now(UTC)), asked_at=datetime.now(UTC))
    assert isinstance(absent, Absent) and "postgres" in absent.reason


def test_a_view_that_may_not_be_read_is_an_error_with_its_reason(history: Server) -> None:
    with history.connect() as connection:
        connection.execute("CREATE ROLE nosy LOGIN")
        connection.execute("REVOKE ALL ON pg_active_session_history FROM PUBLIC")
    with connect(history.dsn_of("postgres", "nosy")) as connection:
        with pytest.raises(Unreachable, match="permission denied"):
            pgsentinel.fetch(connection, around(datetime.now(UTC)), asked_at=datetime.now(UTC))


def test_the_scene_names_whom_the_server_names(history: Server) -> None:
    """The scene itself: the holder blocks each writer, the reader blocks none."""
    with blocked_writers(history) as scene, history.connect() as connection:
        for waiter in scene.waiters:
            blockers = connection.execute("SELECT pg_blocking_pids(%s)", [waiter]).fetchone()
            assert blockers is not None and scene.holder in blockers[0]
            assert scene.reader not in blockers[0]

"""What a real server still knows afterwards: invalid indexes, long statements, migration tables."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest

from incident_rca.formats.parsed import Parsed
from incident_rca.model import TimeWindow
from incident_rca.sources import residue
from incident_rca.sources.postgres import connect
from tests.formats.builders import Row, kind_of, parse, rows
from tests.lab.servers import Server, running_server
from tests.sources.lock_scene import wait_for

NOW = datetime(2026, 1, 15, 14, 23, tzinfo=UTC)
INSERT = "INSERT INTO {} VALUES {}"
WINDOW = TimeWindow(NOW - timedelta(hours=1), NOW + timedelta(hours=1))


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with running_server(
        18, {"shared_preload_libraries": "'pg_stat_statements'"}, contrib=True
    ) as s:
        yield s


@pytest.fixture
def database(server: Server) -> Iterator[str]:
    """A new database, so that each test leaves nothing to the next."""
    with server.connect() as connection:
        connection.execute("CREATE DATABASE lab")
    yield "lab"
    with server.connect() as connection:
        connection.execute("DROP DATABASE lab WITH (FORCE)")


def run(server: Server, *statements: str) -> None:
    with server.connect("lab") as connection:
        for statement in statements:
            connection.execute(statement.encode())


def fetched(server: Server, folder: Path, user: str = "postgres") -> Parsed:
    with connect(server.dsn_of("lab", user)) as connection:
        answer = residue.fetch(connection, WINDOW, asked_at=WINDOW.end)
    path = folder / "residue.json"
    path.write_text(json.dumps(answer))
    assert kind_of(path) == "server_residue"
    return parse("server_residue", path)


def of_kind(parsed: Parsed, kind: str) -> list[Row]:
    return [row for row in rows(parsed, "residue") if row["kind"] == kind]


def broken_index(server: Server) -> None:
    """A table whose concurrent index build failed, on a column, an expression and with a WHERE."""
    run(server, "CREATE TABLE stock (sku text, q int)", "INSERT INTO stock VALUES ('a'), ('A')")
    with pytest.raises(psycopg.errors.UniqueViolation), server.connect("lab") as connection:
        connection.execute(
            "CREATE UNIQUE INDEX CONCURRENTLY stock_sku ON stock (lower(sku), q) "
            "NULLS NOT DISTINCT WHERE sku <> ''"
        )


def test_an_invalid_index_is_found_without_touching_its_table(
    server: Server, database: str, tmp_path: Path
) -> None:
    broken_index(server)
    with server.connect(database) as holder, holder.transaction():
        holder.execute("LOCK TABLE stock IN ACCESS EXCLUSIVE MODE")
        (index,) = of_kind(fetched(server, tmp_path), "invalid_index")
    assert (index["relation"], index["name"]) == ("public.stock", "stock_sku")
    assert index["statement"] == (
        "CREATE UNIQUE INDEX stock_sku ON public.stock USING btree "
        "((expression), q) WHERE (expression)"
    )
    assert (index["database"], index["at"]) == ("lab", None)


def test_a_valid_index_is_no_residue(server: Server, database: str, tmp_path: Path) -> None:
    run(server, "CREATE TABLE stock (sku text)", "CREATE INDEX ON stock (sku)")
    assert of_kind(fetched(server, tmp_path), "invalid_index") == []


def test_an_index_that_is_being_built_is_no_residue(
    server: Server, database: str, tmp_path: Path
) -> None:
    run(server, "CREATE TABLE stock (sku text)")
    with server.connect(database) as writer, server.connect(database) as builder:
        with writer.transaction():
            writer.execute("INSERT INTO stock VALUES ('a')")
            build = threading.Thread(
                target=builder.execute, args=("CREATE INDEX CONCURRENTLY ON stock (sku)",)
            )
            build.start()
            wait_for(server, "locktype = 'virtualxid' AND NOT granted", 1)
            (found,) = invalid_of(server)
            assert of_kind(fetched(server, tmp_path), "invalid_index") == []
        build.join(10)
    assert found == "stock_sku_idx"


def invalid_of(server: Server) -> list[str]:
    with server.connect("lab") as connection:
        query = "SELECT indexrelid::regclass::text FROM pg_index WHERE NOT indisvalid"
        return [row[0] for row in connection.execute(query.encode())]


@pytest.mark.parametrize("version", ["1.7", "1.8", "1.10", "1.12"])
def test_the_longest_statements_are_known_in_every_version_of_the_extension(
    server: Server, database: str, version: str, tmp_path: Path
) -> None:
    run(
        server,
        'CREATE SCHEMA "My Stats"',
        f"CREATE EXTENSION pg_stat_statements SCHEMA \"My Stats\" VERSION '{version}'",
        "CREATE TABLE stock (sku text)",
        "CREATE ROLE secretive PASSWORD 'hunter2'",
        "DROP ROLE secretive",
        "/* app:shop */ INSERT INTO stock SELECT 'ada@example.com' FROM pg_sleep(0.2)",
        "CREATE INDEX stock_sku ON stock (sku)",
        "CREATE INDEX other_sku ON stock (sku)",
        "SELECT count(*) FROM stock",
    )
    parsed = fetched(server, tmp_path)
    statements = {row["statement"]: row for row in of_kind(parsed, "statement")}
    insert = next(row for text, row in statements.items() if text.startswith("INSERT"))
    assert (insert["calls"], insert["at"]) == (1, None)
    assert 200 <= insert["max_ms"] == pytest.approx(insert["mean_ms"])
    assert {
        "CREATE INDEX stock_sku ON stock (sku)",
        "CREATE INDEX other_sku ON stock (sku)",
    } <= set(statements)
    assert not any(text.startswith("SELECT") for text in statements)
    raw = (tmp_path / "residue.json").read_text()
    assert "hunter2" not in raw and "ROLE" not in raw
    assert parsed.blind == ""


def test_statements_without_the_extension_are_a_blind_spot(
    server: Server, database: str, tmp_path: Path
) -> None:
    parsed = fetched(server, tmp_path)
    assert "pg_stat_statements is not installed" in parsed.blind
    assert parsed.rows == 0


def test_statements_of_a_library_that_is_not_loaded(tmp_path: Path) -> None:
    with running_server(18, contrib=True) as plain:
        with plain.connect() as connection:
            connection.execute("CREATE DATABASE lab")
        run(plain, "CREATE EXTENSION pg_stat_statements")
        assert "shared_preload_libraries" in fetched(plain, tmp_path).blind


def test_a_role_that_sees_its_own_statements_only(
    server: Server, database: str, tmp_path: Path
) -> None:
    run(server, "CREATE EXTENSION pg_stat_statements", "CREATE ROLE nosy LOGIN")
    try:
        assert "its own statements only" in fetched(server, tmp_path, "nosy").blind
    finally:
        run(server, "DROP ROLE nosy")


TIMED: dict[str, tuple[str, str, list[str]]] = {
    "django": (
        "django_migrations (id bigint, app text, name text, applied timestamptz)",
        "(1, 'shop', '0041_old', '2026-01-15 10:00+00'), "
        "(2, 'shop', '0042_index', '2026-01-15 15:30+01')",
        ["shop.0042_index"],
    ),
    "knex": (
        "knex_migrations (id int, name text, batch int, migration_time timestamptz)",
        "(1, 'a.js', 1, '2026-01-15 14:27:01+00'), (2, 'b.js', 2, '2026-01-16 00:00+00')",
        ["a.js"],
    ),
    "prisma": (
        "_prisma_migrations (id text, checksum text, finished_at timestamptz, migration_name text, "
        "logs text, rolled_back_at timestamptz, started_at timestamptz, applied_steps_count int)",
        "('1', '', '2026-01-15 16:00+00', 'long', '', NULL, '2026-01-15 13:00+00', 1), "
        "('2', '', NULL, 'stuck', '', NULL, '2026-01-15 14:00+00', 0), "
        "('3', '', '2026-01-15 12:00+00', 'before', '', NULL, '2026-01-15 11:00+00', 1)",
        ["long", "stuck (not finished)"],
    ),
}


@pytest.mark.parametrize("tool", TIMED)
def test_a_migration_with_a_zone_is_a_change_of_the_window(
    server: Server, database: str, tool: str, tmp_path: Path
) -> None:
    table, values, names = TIMED[tool]
    run(server, f"CREATE TABLE {table}", INSERT.format(table.split()[0], values))
    parsed = fetched(server, tmp_path)
    changes = rows(parsed, "changes")
    assert sorted(row["name"] for row in changes) == names
    assert {row["kind"] for row in changes} == {"migration"}
    assert all(row["title"].startswith(f"{tool} migration") for row in changes)
    assert of_kind(parsed, "migration") == []


def test_a_change_has_the_instants_of_its_table(
    server: Server, database: str, tmp_path: Path
) -> None:
    table, values, _ = TIMED["prisma"]
    run(server, f"CREATE TABLE {table}", INSERT.format(table.split()[0], values))
    long = next(row for row in rows(fetched(server, tmp_path), "changes") if row["name"] == "long")
    assert long["at"] == datetime(2026, 1, 15, 13, tzinfo=UTC)
    assert long["until"] == datetime(2026, 1, 15, 16, tzinfo=UTC)


UNTIMED: dict[str, tuple[str, str, str]] = {
    "rails": ("schema_migrations (version text)", "('20260115142258')", "20260115142258"),
    "golang-migrate": (
        "schema_migrations (version bigint, dirty bool)",
        "(42, true)",
        "42 (failed: dirty)",
    ),
    "ecto": (
        "schema_migrations (version bigint, inserted_at timestamp(0))",
        "(20260115, '2026-01-15 14:27:01')",
        "20260115 (2026-01-15T14:27:01 in an unknown zone)",
    ),
    "flyway": (
        "flyway_schema_history (installed_rank int, version text, description text, type text, "
        "script text, checksum int, installed_by text, installed_on timestamp, "
        "execution_time int, success bool)",
        "(7, '7', 'add index', 'SQL', 'V7.sql', 1, 'app', '2026-01-15 14:27:01.5', 240000, true)",
        "V7 add index (2026-01-15T14:27:01 in an unknown zone)",
    ),
    "alembic": ("alembic_version (version_num text)", "('ae1027a6acf')", "ae1027a6acf"),
    "goose": (
        "goose_db_version (id int, version_id bigint, is_applied bool, tstamp timestamp)",
        "(3, 42, false, '2026-01-15 14:27:01')",
        "42 (rolled back) (2026-01-15T14:27:01 in an unknown zone)",
    ),
    "sequelize": (
        '"SequelizeMeta" (name text)',
        "('20260115-add-index.js')",
        "20260115-add-index.js",
    ),
    "liquibase": (
        "databasechangelog (id text, author text, filename text, dateexecuted timestamp, "
        "orderexecuted int, exectype text)",
        "('7', 'ada', 'db.xml', '2026-01-15 14:27:01', 7, 'EXECUTED')",
        "db.xml 7 (2026-01-15T14:27:01 in an unknown zone)",
    ),
    "entity-framework": (
        '"__EFMigrationsHistory" ("MigrationId" text, "ProductVersion" text)',
        "('20260115_AddIndex', '9.0')",
        "20260115_AddIndex",
    ),
}


@pytest.mark.parametrize("tool", UNTIMED)
def test_a_migration_without_a_zone_is_told_and_not_placed(
    server: Server, database: str, tool: str, tmp_path: Path
) -> None:
    table, values, name = UNTIMED[tool]
    run(
        server,
        'CREATE SCHEMA "Odd one"',
        f'CREATE TABLE "Odd one".{table}',
        INSERT.format(f'"Odd one".{table.partition(" (")[0]}', values),
    )
    parsed = fetched(server, tmp_path)
    (row,) = of_kind(parsed, "migration")
    assert row["name"] == f"{tool} {name}"
    assert row["at"] is None and row["relation"].startswith('"Odd one".')
    assert rows(parsed, "changes") == []


def test_a_locked_migration_table_is_not_waited_for(
    server: Server, database: str, tmp_path: Path
) -> None:
    table, values, _ = TIMED["django"]
    run(server, f"CREATE TABLE {table}", INSERT.format("django_migrations", values))
    run(server, "CREATE TABLE alembic_version (version_num text)")
    run(server, "INSERT INTO alembic_version VALUES ('ae10')")
    with server.connect(database) as holder, holder.transaction():
        holder.execute("LOCK TABLE django_migrations IN ACCESS EXCLUSIVE MODE")
        parsed = fetched(server, tmp_path)
    assert "public.django_migrations: locked, not read" in parsed.blind
    assert [row["name"] for row in of_kind(parsed, "migration")] == ["alembic ae10"]


def test_a_migration_table_of_somebody_else(server: Server, database: str, tmp_path: Path) -> None:
    run(server, "CREATE TABLE alembic_version (version_num text)", "CREATE ROLE nosy LOGIN")
    try:
        parsed = fetched(server, tmp_path, "nosy")
    finally:
        run(server, "DROP ROLE nosy")
    assert "public.alembic_version: this role may not read it" in parsed.blind


def test_tables_that_merely_share_a_name_are_none(
    server: Server, database: str, tmp_path: Path
) -> None:
    run(
        server,
        "CREATE TABLE django_migrations (a int)",
        "CREATE VIEW alembic_version AS SELECT 'x' AS version_num",
        "CREATE TABLE knex_migrations (id int, name text, migration_time bigint)",
        "INSERT INTO knex_migrations VALUES (1, 'x', 1768487221)",
    )
    parsed = fetched(server, tmp_path)
    assert [row["name"] for row in of_kind(parsed, "migration")] == ["knex x"]
    assert rows(parsed, "changes") == []


def test_a_long_history_is_told_in_part(server: Server, database: str, tmp_path: Path) -> None:
    run(
        server,
        "CREATE TABLE schema_migrations (version text)",
        "INSERT INTO schema_migrations SELECT to_char(n, 'FM0000') FROM generate_series(1, 900) n",
    )
    found: list[Any] = [row["name"] for row in of_kind(fetched(server, tmp_path), "migration")]
    assert found == [f"rails {version:04}" for version in range(900, 890, -1)]


@pytest.mark.parametrize("version", [16])
def test_an_older_server_answers_too(version: int, tmp_path: Path) -> None:
    with running_server(version) as old:
        with old.connect() as connection:
            connection.execute("CREATE DATABASE lab")
        run(old, "CREATE TABLE stock (sku text)", "INSERT INTO stock VALUES ('a'), ('a')")
        with pytest.raises(psycopg.errors.UniqueViolation), old.connect("lab") as connection:
            connection.execute("CREATE UNIQUE INDEX CONCURRENTLY stock_sku ON stock (sku)")
        (index,) = of_kind(fetched(old, tmp_path), "invalid_index")
    assert index["statement"] == "CREATE UNIQUE INDEX stock_sku ON public.stock USING btree (sku)"

"""The twins, the sizes and the lists of words of lint, on a real PostgreSQL 18 and 16."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime
from pathlib import Path

import psycopg
import pytest

from incident_rca.migrations.column_types import ColumnType
from incident_rca.migrations.functions import known
from incident_rca.migrations.grammar import column_type
from incident_rca.migrations.keywords import RESERVED
from incident_rca.migrations.operations import Relation
from incident_rca.migrations.sizes import of_document, to_document
from incident_rca.queries import load_query
from incident_rca.sources.table_sizes import fetch_sizes
from tests.cli.running import run
from tests.lab.servers import Server
from tests.lab.shops import SHOP, Shop, findings, open_shop, operations


def test_functions_are_as_volatile_as_the_catalog_says(server18: Server, server16: Server) -> None:
    volatile, fixed = known()
    for server in (server18, server16):
        with server.connect() as session:
            rows = session.execute(
                "SELECT proname, array_agg(DISTINCT provolatile::text) FROM pg_proc "
                "WHERE pronamespace = 'pg_catalog'::regnamespace GROUP BY 1"
            ).fetchall()
        catalog: dict[str, list[str]] = dict(rows)
        # These are syntax, not functions of that name.
        syntax = {"trim", "nullif", "coalesce", "greatest", "least"}
        for name in fixed - syntax:
            assert "v" not in catalog[name], name
        new_in_18 = {"uuidv4", "uuidv7"} if server.version < 18 else set()
        for name in volatile - new_in_18:
            assert "v" in catalog[name], name


def test_reserved_words_are_those_of_the_server(server18: Server, server16: Server) -> None:
    found = []
    for server in (server18, server16):
        with server.connect() as session:
            rows = session.execute(
                "SELECT word FROM pg_get_keywords() WHERE catcode IN ('R', 'T')"
            ).fetchall()
        found.append({word for (word,) in rows})
    assert found[0] == RESERVED
    assert found[1] <= RESERVED, "what 16 reserves is quoted as well"


def test_sizes_sum_partitions_and_tell_unknown_from_small(shop: Shop) -> None:
    shop.run("CREATE TABLE loaded (id int); INSERT INTO loaded SELECT generate_series(1, 700)")
    shop.run("CREATE TABLE grown (id int); ANALYZE grown")
    shop.run("INSERT INTO grown SELECT generate_series(1, 900)")
    shop.run("CREATE TABLE never (id int); INSERT INTO never SELECT 1")
    shop.run("CREATE TABLE empty (id int) PARTITION BY LIST (id)")
    shop.run("SELECT pg_stat_force_next_flush()")
    shop.run("SELECT pg_stat_reset_single_table_counters('never'::regclass)")
    sizes = fetch_sizes(
        shop.server.dsn, now=lambda: datetime.now(UTC), watch_seconds=0, sleep=time.sleep
    )

    def rows(table: str) -> int | None:
        size = sizes.of(Relation(table, shop.schema))
        assert size is not None
        return size.rows

    assert rows("orders") == 1000
    assert rows("events") == 1000
    assert rows("loaded") == 700, "not analyzed, but its writes were counted"
    assert rows("grown") == 900, "analyzed when it was empty"
    assert rows("never") is None, "neither analyzed nor counted"
    assert rows("empty") == 0
    events = sizes.of(Relation("events", shop.schema))
    assert events is not None
    assert [p.name for p in events.partitions] == ["events_2025", "events_2026"]
    table = sizes.table_of_index(Relation("orders_status_idx", shop.schema))
    assert table == Relation("orders", shop.schema)


def test_the_server_tells_types_proofs_and_partitions(shop: Shop) -> None:
    shop.run("CREATE TABLE p (id int, at date, k text) PARTITION BY RANGE (at, lower(k))")
    shop.run('CREATE TABLE "D x" PARTITION OF p DEFAULT')
    shop.run(
        "CREATE TABLE m (a varchar(20) CHECK (a IS NOT NULL), b numeric(10,2), c timestamptz(3), "
        "d text NOT NULL, e int CHECK (e IS NOT NULL AND e > 0), f text, g int, h int, z int)"
    )
    shop.run("ALTER TABLE m ADD CONSTRAINT late CHECK (b IS NOT NULL) NOT VALID, DROP COLUMN z")
    shop.run("CREATE INDEX ON m (lower(d), c); CREATE INDEX ON m (f) WHERE g > 5")
    if shop.server.version >= 18:
        shop.run("ALTER TABLE m ADD CONSTRAINT later NOT NULL h NOT VALID")
    sizes = fetch_sizes(
        shop.server.dsn, now=lambda: datetime.now(UTC), watch_seconds=0, sleep=time.sleep
    )
    m, p = (sizes.of(Relation(name, shop.schema)) for name in ("m", "p"))
    assert m is not None and p is not None
    assert {column: column_type(text) for column, text in m.columns.items()} == {
        "a": ColumnType("varchar", (20,)),
        "b": ColumnType("numeric", (10, 2)),
        "c": ColumnType("timestamptz", (3,)),
        "e": ColumnType("int4"),
        **dict.fromkeys("df", ColumnType("text")),
        **dict.fromkeys("gh", ColumnType("int4")),
    }
    assert m.not_null == (("a", "m_a_check"), ("d", ""))
    assert m.checks == ("m_a_check", "m_e_check")
    assert m.watched == tuple("acdefg")
    assert p.partition_key == ("at", "")
    assert p.default_partition == Relation("D x", shop.schema)
    assert of_document(json.loads(json.dumps(to_document(sizes))), "x") == sizes


def test_long_values_count_though_they_are_stored_beside_the_table(shop: Shop) -> None:
    shop.run("CREATE TABLE wide (body text STORAGE EXTERNAL)")
    shop.run("INSERT INTO wide SELECT repeat('x', 100000) FROM generate_series(1, 50)")
    shop.run("VACUUM ANALYZE wide")
    size = fetch_sizes(
        shop.server.dsn, now=lambda: datetime.now(UTC), watch_seconds=0, sleep=time.sleep
    ).of(Relation("wide", shop.schema))
    assert size is not None
    row = shop.session.execute("SELECT pg_table_size('wide'), pg_relation_size('wide')").fetchone()
    assert row is not None
    with_long_values, alone = row
    assert alone < 100_000 < 5_000_000 <= size.bytes <= with_long_values


def test_a_database_without_an_encoding_has_sizes_too(server18: Server, tmp_path: Path) -> None:
    with server18.connect() as session:
        session.execute("CREATE DATABASE ascii ENCODING 'SQL_ASCII' TEMPLATE template0")
    try:
        with server18.connect("ascii") as session:
            session.execute("CREATE TABLE a (id int PRIMARY KEY) PARTITION BY LIST (id)")
            session.execute("CREATE TABLE a_1 PARTITION OF a FOR VALUES IN (1)")
        written = run(tmp_path, "stats", "--dsn", server18.dsn_of("ascii"), "--watch-seconds", 0)
    finally:
        with server18.connect() as session:
            session.execute("DROP DATABASE ascii")
    assert written.code == 0, written.err
    first, second = json.loads(written.out)["tables"]
    assert (first["name"], first["partitions"]) == ("a", [["public", "a_1"]])
    assert (second["name"], second["indexes"]) == ("a_1", ["a_1_pkey"])


def test_writes_and_scans_are_those_while_it_watched(shop: Shop) -> None:
    def meanwhile(_: float) -> None:
        shop.run("INSERT INTO orders (id) SELECT generate_series(5000, 5049)")
        shop.run("SELECT count(*) FROM orders")
        shop.run("SELECT pg_stat_force_next_flush()")

    shop.run("SELECT pg_stat_force_next_flush()")
    clock = iter([datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 1, 1, 0, 0, 10, tzinfo=UTC)])
    sizes = fetch_sizes(shop.server.dsn, now=lambda: next(clock), watch_seconds=10, sleep=meanwhile)
    orders = sizes.of(Relation("orders", shop.schema))
    assert orders is not None
    assert (orders.writes_per_second, orders.scans_per_second) == (5.0, 0.1)


# --- the twins ----------------------------------------------------------------------------------

TWINS = sorted((SHOP.parent / "twins").glob("*.sql"))
REFUSED = ("concurrently-in-transaction", "partitioned-index")


@pytest.mark.parametrize("kind", ["bad", "good"])
def test_the_twins_are_migrations_that_run(server18: Server, kind: str) -> None:
    """Statement by statement, as psql does; only what lint says is refused is refused."""
    for path in TWINS:
        if f".{kind}." not in path.name:
            continue
        shops = open_shop(server18)
        shop = next(shops)
        refused = False
        try:
            for text, _ in operations(path.read_text(encoding="utf-8")):
                shop.run(text)
        except (psycopg.errors.ActiveSqlTransaction, psycopg.errors.FeatureNotSupported):
            refused = True
        except psycopg.errors.NotNullViolation:
            assert "not_null_without_default.bad" in path.name
        found = {f.rule for f in findings(shop, path.read_text(encoding="utf-8"))}
        assert refused == ("CONCURRENTLY" in path.read_text() and bool(found & set(REFUSED)))
        shop.session.rollback()
        shop.run("RESET lock_timeout; DROP SCHEMA IF EXISTS archive CASCADE")
        next(shops, None)


# --- as a user runs it --------------------------------------------------------------------------


def test_stats_and_lint_of_a_live_database_agree(shop: Shop, tmp_path: Path) -> None:
    sql = (
        f"SET search_path TO {shop.schema};\nSET lock_timeout = '5s';\n"
        "CREATE INDEX a ON orders (quantity);\nCREATE INDEX b ON events (kind);\n"
        "CREATE INDEX c ON regions (name);\n"
    )
    (tmp_path / "a.sql").write_text(sql, encoding="utf-8")
    config = "[analysis]\nlarge_table_rows = 500\n"
    (tmp_path / "incident-rca.toml").write_text(config, encoding="utf-8")
    written = run(tmp_path, "stats", "--dsn", shop.server.dsn, "--watch-seconds", 0)
    assert written.code == 0, written.err
    (tmp_path / "stats.json").write_text(written.out, encoding="utf-8")
    saved = run(tmp_path, "lint", "a.sql", "--stats", "stats.json", "--json")
    live = run(tmp_path, "lint", "a.sql", "--dsn", shop.server.dsn, "--json")
    assert (saved.code, live.code) == (1, 1)
    findings_of = [json.loads(ran.out)["findings"] for ran in (saved, live)]
    for found in findings_of:
        assert [(f["rule"], f["severity"], f["line"]) for f in found] == [
            ("index-without-concurrently", "high", 3),
            ("partitioned-index", "high", 4),
        ]
        assert "about 1,000 rows" in found[0]["reason"]
        assert f"127.0.0.1:{shop.server.port}/postgres" in found[0]["reason"]
        assert "in 2 partitions" in found[1]["reason"]
    assert findings_of[0][0]["estimate"]["queued_writes"] is None
    assert findings_of[1][0]["estimate"]["queued_writes"] == 0


def test_the_columns_of_the_query_are_those_of_its_header(server: Server) -> None:
    query = load_query("postgres/table_sizes.sql")
    with server.connect() as session:
        cursor = session.execute(query.text.encode())
        columns = [column.name for column in cursor.description or ()]
    assert columns == [name.strip() for name in query.headers["columns"].split(",")]

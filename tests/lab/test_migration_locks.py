"""What lint claims of locks, against PostgreSQL 18 and 16: pg_locks as a second session sees them.

A statement that may run in a transaction is run in one and looked at before that ends. One that may
not is made to wait behind EXCLUSIVE, which lets only reads pass, and what it then asks for is read.
"""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
import pytest

from incident_rca.lock_modes import MODES, mode_of_statement
from incident_rca.migrations import grammar
from incident_rca.migrations.functions import known
from incident_rca.migrations.keywords import RESERVED
from incident_rca.migrations.lint import LintFinding, Surroundings, lint_text
from incident_rca.migrations.locks import Work, blocks_writes, locks_of
from incident_rca.migrations.operations import Operation, Relation
from incident_rca.migrations.rule import Rule
from incident_rca.migrations.rules import BY_NAME, RULES
from incident_rca.migrations.runners import refuses_transaction
from incident_rca.migrations.weighing import Thresholds
from incident_rca.sources.table_sizes import fetch_sizes
from tests.lab.servers import Server

SHOP = Path(__file__).resolve().parents[1] / "migrations" / "shop.sql"
LOCKS = """
    SELECT c.relname, l.mode, l.granted FROM pg_locks l JOIN pg_class c ON c.oid = l.relation
    JOIN pg_namespace n ON n.oid = c.relnamespace WHERE l.pid = %s AND n.nspname = %s
"""
READ = "SELECT sum(seq_tup_read) FROM pg_stat_xact_user_tables WHERE schemaname = %s"
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

    def rows_read(self) -> int:
        row = self.session.execute(READ, [self.schema]).fetchone()
        return int(row[0] or 0) if row else 0


@pytest.fixture
def shop(server: Server) -> Iterator[Shop]:
    """A shop for one test."""
    yield from open_shop(server)


def open_shop(server: Server) -> Iterator[Shop]:
    schema = f"shop_{next(SHOPS)}"
    with server.connect() as session, server.connect() as observer:
        made = Shop(server, schema, session, observer)
        made.run(f"CREATE SCHEMA {schema}; SET search_path TO {schema}")
        made.run(SHOP.read_text(encoding="utf-8"))
        yield made
        session.rollback()
        made.run(f"DROP SCHEMA {schema} CASCADE")


@pytest.fixture(scope="module")
def standing18(server18: Server) -> Iterator[Shop]:
    yield from open_shop(server18)


@pytest.fixture(scope="module")
def standing16(server16: Server) -> Iterator[Shop]:
    yield from open_shop(server16)


@pytest.fixture(params=[18, 16], ids=["18", "16"])
def standing(request: pytest.FixtureRequest) -> Shop:
    """A shop for many tests, each of which rolls back what it did."""
    made = request.getfixturevalue(f"standing{request.param}")
    assert isinstance(made, Shop)
    return made


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
        files, rows_read = shop.files(), shop.rows_read()
        shop.run(sql)
        modes = shop.locks(granted=True)
        seen = Seen(modes, shop.rows_read() - rows_read, changed(files, shop.files()))
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


def claimed(operation: Operation) -> dict[str, str]:
    return {lock.relation.name: lock.mode for lock in locks_of(operation)}


# --- every kind of statement whose locks are known --------------------------------------------

STATEMENTS = (
    "CREATE INDEX a ON orders (quantity)",
    "CREATE INDEX CONCURRENTLY a ON orders (quantity)",
    "CREATE INDEX a ON ONLY events (kind)",
    "CREATE INDEX a ON events (kind)",
    "DROP INDEX orders_status_idx",
    "REINDEX INDEX orders_status_idx",
    "DROP TABLE customers",
    "DROP MATERIALIZED VIEW daily_orders",
    "REINDEX TABLE orders",
    "REINDEX TABLE CONCURRENTLY orders",
    "CREATE TABLE lines (id int, order_id bigint REFERENCES orders (id))",
    "CREATE TABLE events_2027 PARTITION OF events FOR VALUES FROM ('2027-01-01') TO ('2028-01-01')",
    "CREATE TABLE old_orders () INHERITS (orders)",
    "ALTER TABLE orders RENAME TO purchases",
    "ALTER TABLE orders RENAME COLUMN status TO state",
    "CREATE TRIGGER a BEFORE INSERT ON orders FOR EACH ROW EXECUTE FUNCTION touch()",
    "TRUNCATE orders",
    "CLUSTER orders USING orders_pkey",
    "VACUUM FULL orders",
    "REFRESH MATERIALIZED VIEW daily_orders",
    "REFRESH MATERIALIZED VIEW CONCURRENTLY daily_orders",
    "REFRESH MATERIALIZED VIEW daily_orders WITH NO DATA",
    "LOCK TABLE orders",
    "LOCK TABLE orders IN SHARE ROW EXCLUSIVE MODE",
    "ALTER TABLE orders ADD COLUMN a int",
    "ALTER TABLE orders ADD COLUMN a int DEFAULT 1 NOT NULL",
    "ALTER TABLE orders ADD COLUMN a uuid DEFAULT gen_random_uuid()",
    "ALTER TABLE orders ADD COLUMN a serial",
    "ALTER TABLE orders ADD COLUMN a int GENERATED ALWAYS AS (quantity * 2) STORED",
    "ALTER TABLE orders ADD COLUMN a bigint GENERATED ALWAYS AS IDENTITY",
    "ALTER TABLE orders ADD COLUMN a bigint REFERENCES customers (id)",
    "ALTER TABLE orders ADD COLUMN a bigint DEFAULT 1 REFERENCES customers (id)",
    "ALTER TABLE orders ADD COLUMN a int CHECK (a > 0)",
    "ALTER TABLE orders ADD COLUMN a int UNIQUE",
    "ALTER TABLE orders ADD COLUMN a timestamptz DEFAULT now()",
    "ALTER TABLE orders DROP COLUMN status",
    "ALTER TABLE orders ALTER COLUMN status SET DEFAULT 'x'",
    "ALTER TABLE orders ALTER COLUMN status SET STATISTICS 500",
    "ALTER TABLE orders ALTER COLUMN status SET STORAGE PLAIN",
    "ALTER TABLE orders ALTER COLUMN status SET (n_distinct = 5)",
    "ALTER TABLE orders SET (fillfactor = 70)",
    "ALTER TABLE orders DISABLE TRIGGER USER",
    "ALTER TABLE orders ADD CHECK (quantity > 0)",
    "ALTER TABLE orders ADD CHECK (quantity > 0) NOT VALID",
    "ALTER TABLE orders ADD FOREIGN KEY (customer_id) REFERENCES customers (id)",
    "ALTER TABLE orders ADD FOREIGN KEY (customer_id) REFERENCES customers (id) NOT VALID",
    "ALTER TABLE orders ADD UNIQUE (reference)",
    "ALTER TABLE orders ALTER COLUMN status SET NOT NULL",
    "ALTER TABLE orders ALTER COLUMN quantity TYPE bigint",
    "ALTER TABLE orders ALTER COLUMN quantity TYPE bigint, ADD COLUMN a int",
    "ALTER TABLE events DETACH PARTITION events_2025",
    "ALTER TABLE events DETACH PARTITION events_2025 CONCURRENTLY",
    "ALTER INDEX orders_status_idx RENAME TO b",
    "ALTER INDEX events_customer_idx ATTACH PARTITION events_2025_customer_idx",
    "INSERT INTO orders (id) VALUES (0)",
    "UPDATE orders SET quantity = 2 WHERE id = 1",
    "DELETE FROM orders WHERE id = 1",
)
# Statements of which lint knows the table only, not the indexes that they touch as well.
WAITING_FOR_ONE = frozenset({"DETACH PARTITION CONCURRENTLY"})


ALONE = [sql for sql in STATEMENTS if refuses_transaction(operations(sql)[0][1])]


@pytest.mark.parametrize("sql", [sql for sql in STATEMENTS if sql not in ALONE])
def test_the_lock_that_is_claimed_is_taken(standing: Shop, sql: str) -> None:
    check_claims(standing, sql)


@pytest.mark.parametrize("sql", ALONE)
def test_the_lock_that_is_claimed_is_asked_for(shop: Shop, sql: str) -> None:
    check_claims(shop, sql)


def check_claims(shop: Shop, sql: str) -> None:
    ((text, operation),) = operations(sql)
    claims = claimed(operation)
    seen = watch(shop, text, operation, keep=False)
    assert claims, "nothing is claimed"
    if refuses_transaction(operation) in WAITING_FOR_ONE:
        claims = {name: mode for name, mode in claims.items() if name in seen.modes}
    assert {name: seen.modes.get(name) for name in claims} == claims
    of_index = {"orders": TABLE_OF_INDEX[sql]} if sql in TABLE_OF_INDEX else {}
    assert {name: seen.modes.get(name) for name in of_index} == of_index
    claims |= of_index
    unsaid = {n: m for n, m in seen.modes.items() if n in TABLES and n not in claims}
    assert not [mode for mode in unsaid.values() if blocks_writes(mode)], unsaid


# An index that is named does not say its table; the rules tell what happens to that.
TABLE_OF_INDEX = {
    "DROP INDEX orders_status_idx": "AccessExclusiveLock",
    "REINDEX INDEX orders_status_idx": "ShareLock",
}
TABLES = ("customers", "orders", "events", "daily_orders")


@pytest.mark.parametrize("sql", STATEMENTS)
def test_a_log_line_is_read_as_the_same_lock(sql: str) -> None:
    """lock_modes reads statements of logs, which may be cut, by their words."""
    ((_, operation),) = operations(sql)
    by_words = mode_of_statement(sql)
    if by_words is not None:
        assert by_words in claimed(operation).values()


@pytest.mark.parametrize(
    "sql", [s for s in STATEMENTS if s.startswith(("ALTER TABLE orders", "REFRESH", "CLUSTER"))]
)
def test_the_work_that_is_claimed_is_done(standing: Shop, sql: str) -> None:
    """Instant: no row is read, no file written anew. Otherwise one of both."""
    ((text, operation),) = operations(sql)
    work = max((lock.work for lock in locks_of(operation)), key=list(Work).index)
    seen = watch(standing, text, operation, keep=False)
    match work:
        case Work.INSTANT:
            assert (seen.rows_read, seen.rewritten) == (0, "NO DATA" in sql), sql
        case Work.REWRITE:
            assert seen.rewritten, sql
        case _:
            assert seen.rows_read >= 1000, sql


# --- each rule: its bad example, and what it says to do instead -------------------------------

COMPLETE = (
    "index-without-concurrently",
    "partitioned-index",
    "drop-index-without-concurrently",
    "reindex-without-concurrently",
    "constraint-without-not-valid",
    "foreign-key-without-not-valid",
    "unique-without-index",
    "set-not-null",
    "detach-without-concurrently",
    "refresh-without-concurrently",
)
STATE = """
    SELECT 'constraint', conrelid::regclass::text, pg_get_constraintdef(oid)
    FROM pg_constraint WHERE connamespace = %(schema)s::regnamespace AND contype <> 'n'
    UNION ALL
    SELECT 'index', t.relname, regexp_replace(pg_get_indexdef(c.oid), '^.*USING', '')
        || i.indisvalid
    FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_class t ON t.oid = i.indrelid
    WHERE c.relnamespace = %(schema)s::regnamespace
    UNION ALL
    SELECT 'column', c.relname, a.attname || a.attnotnull
    FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
    WHERE c.relnamespace = %(schema)s::regnamespace AND a.attnum > 0 AND c.relkind IN ('r', 'p')
    UNION ALL
    SELECT 'partition', inhparent::regclass::text, inhrelid::regclass::text
    FROM pg_inherits JOIN pg_class c ON c.oid = inhrelid
    WHERE c.relnamespace = %(schema)s::regnamespace AND c.relkind = 'r'
    ORDER BY 1, 2, 3
"""


def findings(shop: Shop, text: str) -> tuple[LintFinding, ...]:
    """What lint says of a text, with sizes from this server and a thousand rows as large."""
    sizes = fetch_sizes(
        shop.server.dsn, now=lambda: datetime.now(UTC), watch_seconds=0, sleep=time.sleep
    )
    around = Surroundings(sizes=sizes, thresholds=Thresholds(large_table_rows=500))
    return lint_text(f"SET search_path TO {shop.schema};\n{text}", around).findings


def of_rule(shop: Shop, rule: Rule) -> LintFinding:
    (found,) = [f for f in findings(shop, rule.bad) if f.rule == rule.name]
    return found


def state(shop: Shop) -> list[tuple[Any, ...]]:
    return shop.session.execute(STATE, {"schema": shop.schema}).fetchall()


WITH_LOCK = [rule.name for rule in RULES if rule.name != "concurrently-in-transaction"]


@pytest.mark.parametrize("name", WITH_LOCK)
def test_the_bad_example_takes_the_lock_of_the_rule(shop: Shop, name: str) -> None:
    rule = BY_NAME[name]
    finding = of_rule(shop, rule)
    assert finding.relation.startswith(f"{shop.schema}.")
    table = finding.relation.partition(".")[2]
    worst = ""
    for text, operation in operations(rule.bad):
        if text in ("BEGIN", "COMMIT") or text.startswith("SET"):
            continue
        seen = watch(shop, text, operation).modes.get(table, MODES[0])
        worst = max(worst or seen, seen, key=MODES.index)
    assert worst == finding.lock_mode
    assert not rule.mode or rule.mode == finding.lock_mode


@pytest.mark.parametrize("name", COMPLETE)
def test_the_rewrite_runs_and_waits_for_nobody_long(shop: Shop, name: str) -> None:
    rule = BY_NAME[name]
    finding = of_rule(shop, rule)
    for text, operation in operations("\n".join(finding.rewrite)):
        claims = {lock.relation.name: lock for lock in locks_of(operation)}
        seen = watch(shop, text, operation)
        for table, mode in seen.modes.items():
            if table not in TABLES or not blocks_writes(mode):
                continue
            # A strong lock is allowed for an instant only, and only where lint says so.
            assert claims[table].mode == mode, text
            is_view = table == "daily_orders"
            assert is_view or (seen.rows_read, seen.rewritten) == (0, False), text
    rewritten = state(shop)
    shop.run(f"DROP SCHEMA {shop.schema} CASCADE; CREATE SCHEMA {shop.schema}")
    shop.run(SHOP.read_text(encoding="utf-8"))
    shop.run(rule.bad)
    # DETACH … CONCURRENTLY leaves the bounds behind, as the rule says.
    expected = [row for row in state(shop) if row[:2] != ("constraint", "events_2025")]
    came_to = [row for row in rewritten if row[:2] != ("constraint", "events_2025")]
    assert came_to == expected, "it does not come to the same"


@pytest.mark.parametrize("name", [rule.name for rule in RULES])
def test_the_rewrite_and_the_good_example_are_clean(shop: Shop, name: str) -> None:
    rule = BY_NAME[name]
    rewrite = "\n".join(of_rule(shop, rule).rewrite)
    said = {f.rule for f in findings(shop, rewrite)} - {"no-lock-timeout"}
    assert said == set(), rewrite
    assert findings(shop, rule.good) == ()


@pytest.mark.parametrize("name", [rule.name for rule in RULES])
def test_the_good_example_runs(shop: Shop, name: str) -> None:
    for text, _ in operations(BY_NAME[name].good):
        shop.run(text)


def test_what_refuses_a_transaction_is_refused(standing: Shop) -> None:
    shop = standing
    for sql in STATEMENTS:
        ((text, operation),) = operations(sql)
        shop.session.autocommit = False
        refused = ""
        try:
            shop.run(text)
        except psycopg.errors.ActiveSqlTransaction as error:
            refused = str(error)
        finally:
            shop.session.rollback()
            shop.session.autocommit = True
        assert bool(refused) == bool(refuses_transaction(operation)), sql


def test_several_statements_in_one_string_are_a_transaction(shop: Shop) -> None:
    with pytest.raises(psycopg.errors.ActiveSqlTransaction):
        shop.run("CREATE INDEX CONCURRENTLY a ON orders (status); SELECT 1")
    shop.run("CREATE INDEX CONCURRENTLY a ON orders (status)")


def test_concurrently_is_refused_in_do_and_for_a_partitioned_table(shop: Shop) -> None:
    with pytest.raises(psycopg.errors.ActiveSqlTransaction):
        shop.run("DO $$ BEGIN CREATE INDEX CONCURRENTLY a ON orders (status); END $$")
    with pytest.raises(psycopg.errors.FeatureNotSupported):
        shop.run("CREATE INDEX CONCURRENTLY a ON events (kind)")


def test_set_local_lasts_for_a_transaction_only(shop: Shop) -> None:
    shop.run("SET LOCAL lock_timeout = '5s'")
    assert shop.session.execute("SHOW lock_timeout").fetchone() == ("0",)


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
    assert rows("never") is None, "neither analyzed nor counted"
    assert rows("empty") == 0
    events = sizes.of(Relation("events", shop.schema))
    assert events is not None
    assert [p.name for p in events.partitions] == ["events_2025", "events_2026"]
    table = sizes.table_of_index(Relation("orders_status_idx", shop.schema))
    assert table == Relation("orders", shop.schema)


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
        shop.run("RESET lock_timeout")
        next(shops, None)

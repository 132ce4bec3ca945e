"""What lint claims of locks, against pg_locks of PostgreSQL 18 and 16."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest

from incident_rca.lock_modes import MODES, mode_of_statement
from incident_rca.migrations.lint import LintFinding
from incident_rca.migrations.locks import Work, blocks_writes, locks_of
from incident_rca.migrations.operations import Operation
from incident_rca.migrations.rule import Rule
from incident_rca.migrations.rules import BY_NAME, RULES
from incident_rca.migrations.runners import refuses_transaction
from tests.lab.shops import SHOP, Shop, findings, operations, watch


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
    "DROP TRIGGER touch ON customers",
    "CREATE POLICY a ON orders",
    "ALTER POLICY own ON customers USING (id > 0)",
    "DROP POLICY own ON customers",
    "CREATE RULE a AS ON DELETE TO orders DO ALSO NOTHING",
    "DROP RULE nothing ON customers",
    "ALTER TABLE orders SET SCHEMA public",
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
    "ALTER TABLE orders SET UNLOGGED",
    "ALTER TABLE orders ADD CHECK (quantity > 0)",
    "ALTER TABLE orders ADD CHECK (quantity > 0) NOT VALID",
    "ALTER TABLE orders ADD FOREIGN KEY (customer_id) REFERENCES customers (id)",
    "ALTER TABLE orders ADD FOREIGN KEY (customer_id) REFERENCES customers (id) NOT VALID",
    "ALTER TABLE orders ADD UNIQUE (reference)",
    "ALTER TABLE orders ALTER COLUMN status SET NOT NULL",
    "ALTER TABLE orders ALTER COLUMN quantity TYPE bigint",
    "ALTER TABLE orders ALTER COLUMN quantity TYPE bigint, ADD COLUMN a int",
    "ALTER TABLE events ATTACH PARTITION events_2024 FOR VALUES FROM ('2024-1-1') TO ('2025-1-1')",
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
TABLES = ("customers", "orders", "events", "events_2024", "daily_orders")


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
    "attach-partition-scan",
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


def test_a_foreign_key_of_a_partitioned_table_is_taken_over_from_its_partitions(
    shop: Shop,
) -> None:
    """The last step reads nothing, for the partitions have the key; only the others read."""
    sql = "ALTER TABLE events ADD CONSTRAINT k FOREIGN KEY (customer_id) REFERENCES customers (id);"
    (finding,) = findings(shop, f"SET lock_timeout = '5s';\n{sql}")
    steps = operations("\n".join(finding.rewrite))
    read = [watch(shop, text, operation).rows_read for text, operation in steps]
    validations = [n for n, (text, _) in enumerate(steps) if "VALIDATE" in text]
    assert [n for n, rows in enumerate(read) if rows] == validations
    assert len(validations) == 2
    assert findings(shop, "\n".join(finding.rewrite)) == ()


def test_using_index_is_refused_for_a_partitioned_table(shop: Shop) -> None:
    sql = "ALTER TABLE events ADD CONSTRAINT k UNIQUE (id, at);"
    (finding,) = findings(shop, f"SET lock_timeout = '5s';\n{sql}")
    assert "partitioned-index" in finding.rewrite[0]
    shop.run("CREATE UNIQUE INDEX k ON events (id, at)")
    with pytest.raises(psycopg.errors.FeatureNotSupported):
        shop.run("ALTER TABLE events ADD CONSTRAINT k UNIQUE USING INDEX k")


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


@pytest.mark.parametrize(
    ("domain", "column"),
    [
        ("CREATE DOMAIN d AS text CHECK (value <> '')", "d"),
        ("CREATE DOMAIN d AS text CHECK (value <> '')", "d DEFAULT 'x'"),
        ("CREATE DOMAIN d AS text CHECK (value <> '')", "d[]"),
        ("CREATE DOMAIN d AS text NOT NULL", "d DEFAULT 'x'"),
        ("CREATE DOMAIN d AS text", "d"),
        ("CREATE DOMAIN b AS text CHECK (value <> ''); CREATE DOMAIN d AS b", "d"),
        ("CREATE TYPE d AS ENUM ('x')", "d DEFAULT 'x' NOT NULL"),
    ],
)
def test_a_column_of_a_domain_is_written_where_lint_says_so(
    shop: Shop, domain: str, column: str
) -> None:
    """Of which domains have constraints the server tells."""
    shop.run(domain)
    sql = f"ALTER TABLE orders ADD COLUMN x {column}"
    told = {f.rule for f in findings(shop, f"SET lock_timeout = '5s';\n{sql}")}
    ((text, operation),) = operations(sql)
    seen = watch(shop, text, operation, keep=False)
    assert told == ({"column-default-rewrite"} if seen.rewritten else set())


def test_what_refuses_a_transaction_is_refused(standing: Shop) -> None:
    shop = standing
    for sql in (*STATEMENTS, "VACUUM orders", "ANALYZE orders"):
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
    with pytest.raises(psycopg.errors.ActiveSqlTransaction):
        shop.run("BEGIN; COMMIT; CREATE INDEX CONCURRENTLY a ON orders (status)")
    shop.run("CREATE INDEX CONCURRENTLY a ON orders (status)")


def test_concurrently_is_refused_in_do_and_for_a_partitioned_table(shop: Shop) -> None:
    with pytest.raises(psycopg.errors.ActiveSqlTransaction):
        shop.run("DO $$ BEGIN CREATE INDEX CONCURRENTLY a ON orders (status); END $$")
    with pytest.raises(psycopg.errors.FeatureNotSupported):
        shop.run("CREATE INDEX CONCURRENTLY a ON events (kind)")


def test_set_local_lasts_for_a_transaction_only(shop: Shop) -> None:
    shop.run("SET LOCAL lock_timeout = '5s'")
    assert shop.session.execute("SHOW lock_timeout").fetchone() == ("0",)

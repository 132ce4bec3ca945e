"""A foreign key added and validated at once: writes to both tables wait."""

from __future__ import annotations

from collections.abc import Iterator

from incident_rca.lock_modes import ACCESS_EXCLUSIVE, SHARE_ROW_EXCLUSIVE
from incident_rca.migrations.locks import TableLock, Work
from incident_rca.migrations.operations import (
    Constraint,
    Expression,
    Relation,
    quoted,
)
from incident_rca.migrations.rule import IMPATIENT, Context, Hit, Rule, constraints_of
from incident_rca.migrations.rules.constraint_without_not_valid import validated_later
from incident_rca.migrations.script import Statement

NAME = "foreign-key-without-not-valid"


def check(statement: Statement, context: Context) -> Iterator[Hit]:
    for table, constraint, column in constraints_of(statement, context):
        if constraint.references is None or constraint.not_valid:
            continue
        if column is None:
            lock = TableLock(table, SHARE_ROW_EXCLUSIVE, Work.SCAN)
            yield _hit(lock, constraint, _rewrite(table, constraint, context))
        elif column.default is not Expression.NONE:
            # Without a default all its values are null, and nothing is read.
            lock = TableLock(table, ACCESS_EXCLUSIVE, Work.SCAN)
            added = f"ALTER TABLE {table} ADD COLUMN {column.bare};"
            steps = (IMPATIENT, added, *validated_later(table, constraint))
            yield _hit(lock, constraint, steps)


def _hit(lock: TableLock, constraint: Constraint, rewrite: tuple[str, ...]) -> Hit:
    return Hit(
        lock=lock,
        what=(
            f"looks up every row of {lock.relation} in {constraint.references} while nobody can "
            "write to either"
        ),
        rewrite=rewrite,
    )


def _rewrite(table: Relation, constraint: Constraint, context: Context) -> tuple[str, ...]:
    size = context.size_of(table)
    if size is None or not size.is_partitioned:
        return (IMPATIENT, *validated_later(table, constraint))
    # Up to PostgreSQL 17 a partitioned table takes no NOT VALID; the parent takes over what its
    # partitions have.
    name = quoted(constraint.name or f"{table.name}_fkey")
    steps = [step for p in size.partitions for step in validated_later(p, constraint)]
    return (
        IMPATIENT,
        *steps,
        f"-- incident-rca: ignore {NAME} because its partitions have it already",
        f"ALTER TABLE {table} ADD CONSTRAINT {name} {constraint.definition};",
    )


RULE = Rule(
    name=NAME,
    title="Foreign key added without NOT VALID",
    mode=SHARE_ROW_EXCLUSIVE,
    why=(
        "Every row is looked up in the other table, under SHARE ROW EXCLUSIVE on both: no writes "
        "to either, and the other one is often the busiest table of all."
    ),
    instead=(
        "Add it NOT VALID, then VALIDATE it in a second transaction, which lets reads and writes "
        "go on. On a partitioned table do so for each partition, then add it to the parent."
    ),
    bad=(
        "ALTER TABLE orders ADD CONSTRAINT orders_customer_fkey "
        "FOREIGN KEY (customer_id) REFERENCES customers (id);"
    ),
    good=(
        "SET lock_timeout = '5s';\n"
        "ALTER TABLE orders ADD CONSTRAINT orders_customer_fkey "
        "FOREIGN KEY (customer_id) REFERENCES customers (id) NOT VALID;\n"
        "ALTER TABLE orders VALIDATE CONSTRAINT orders_customer_fkey;"
    ),
    check=check,
)

"""SET NOT NULL without a constraint that proves it: the table is read under the lock."""

from __future__ import annotations

from collections.abc import Iterator

from incident_rca.lock_modes import ACCESS_EXCLUSIVE
from incident_rca.migrations.locks import TableLock, Work
from incident_rca.migrations.operations import (
    AddColumn,
    AddConstraint,
    Expression,
    Form,
    Relation,
    SetNotNull,
    quoted,
)
from incident_rca.migrations.rule import IMPATIENT, Context, Hit, Rule, actions_of
from incident_rca.migrations.script import Statement
from incident_rca.model import Severity


def check(statement: Statement, context: Context) -> Iterator[Hit]:
    for table, action in actions_of(statement, context):
        match action:
            case SetNotNull(column=column):
                if not context.is_not_null(table, column):
                    yield _scan(table, column)
            case AddConstraint(constraint=constraint):
                if constraint.form is Form.NOT_NULL and not constraint.not_valid:
                    yield _scan(table, constraint.not_null_column)
            case AddColumn(not_null=True, default=Expression.NONE, column=column):
                if not action.is_generated and not action.is_numbered:
                    yield _no_value(table, action)


def _scan(table: Relation, column: str) -> Hit:
    name, proof = quoted(column), quoted(f"{table.name}_{column}_not_null")
    return Hit(
        lock=TableLock(table, ACCESS_EXCLUSIVE, Work.SCAN),
        what=f"looks for nulls in every row of {table} while nobody can read or write it",
        rewrite=(
            IMPATIENT,
            f"ALTER TABLE {table} ADD CONSTRAINT {proof} CHECK ({name} IS NOT NULL) NOT VALID;",
            f"ALTER TABLE {table} VALIDATE CONSTRAINT {proof};",
            f"ALTER TABLE {table} ALTER COLUMN {name} SET NOT NULL;",
            f"ALTER TABLE {table} DROP CONSTRAINT {proof};",
        ),
    )


def _no_value(table: Relation, column: AddColumn) -> Hit:
    return Hit(
        lock=TableLock(table, ACCESS_EXCLUSIVE),
        what=f"adds a column that must have a value and gives none: it fails if {table} has rows",
        rewrite=(
            IMPATIENT,
            f"ALTER TABLE {table} ADD COLUMN {quoted(column.column)} {column.type};",
            "-- fill it in batches, then make it NOT NULL as set-not-null says",
        ),
        severity=Severity.HIGH,
    )


RULE = Rule(
    name="set-not-null",
    title="Column made NOT NULL by reading the table under the lock",
    mode=ACCESS_EXCLUSIVE,
    why="All rows are read under ACCESS EXCLUSIVE: neither reads nor writes until that is done.",
    instead=(
        "Add CHECK (column IS NOT NULL) NOT VALID, VALIDATE it, then SET NOT NULL: PostgreSQL "
        "finds the proof and reads nothing. PostgreSQL 18 also takes NOT NULL … NOT VALID itself."
    ),
    bad="ALTER TABLE orders ALTER COLUMN status SET NOT NULL;",
    good=(
        "SET lock_timeout = '5s';\n"
        "ALTER TABLE orders ADD CONSTRAINT orders_status_not_null "
        "CHECK (status IS NOT NULL) NOT VALID;\n"
        "ALTER TABLE orders VALIDATE CONSTRAINT orders_status_not_null;\n"
        "ALTER TABLE orders ALTER COLUMN status SET NOT NULL;\n"
        "ALTER TABLE orders DROP CONSTRAINT orders_status_not_null;"
    ),
    check=check,
)

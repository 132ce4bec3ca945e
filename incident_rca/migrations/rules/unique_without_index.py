"""UNIQUE, PRIMARY KEY or EXCLUDE that builds its own index under ACCESS EXCLUSIVE."""

from __future__ import annotations

import re
from collections.abc import Iterator

from incident_rca.lock_modes import ACCESS_EXCLUSIVE
from incident_rca.migrations.locks import TableLock, Work
from incident_rca.migrations.operations import (
    Constraint,
    Form,
    Relation,
    quoted,
)
from incident_rca.migrations.rule import IMPATIENT, Context, Hit, Rule, constraints_of
from incident_rca.migrations.script import Statement

_FORMS = (Form.UNIQUE, Form.PRIMARY_KEY, Form.EXCLUDE)


def check(statement: Statement, context: Context) -> Iterator[Hit]:
    for table, constraint, column in constraints_of(statement, context):
        if constraint.form not in _FORMS or constraint.using_index:
            continue
        if context.is_partitioned(table):
            yield _hit(table, constraint, _ON_PARTITIONED)
        elif column is None:
            yield _hit(table, constraint, _rewrite(table, constraint, ()))
        else:
            before = f"ALTER TABLE {table} ADD COLUMN {quoted(column.column)} {column.type};"
            yield _hit(table, constraint, _rewrite(table, constraint, (before,)))


# USING INDEX is refused for a partitioned table.
_ON_PARTITIONED = (
    "-- build a unique index as partitioned-index says: it keeps rows unique, and foreign keys",
    "-- may refer to it",
)


def _hit(table: Relation, constraint: Constraint, rewrite: tuple[str, ...]) -> Hit:
    return Hit(
        lock=TableLock(table, ACCESS_EXCLUSIVE, Work.BUILD),
        what=f"builds the index of {constraint.form} while nobody can read or write {table}",
        rewrite=rewrite,
    )


def _rewrite(table: Relation, constraint: Constraint, before: tuple[str, ...]) -> tuple[str, ...]:
    if constraint.form is Form.EXCLUDE:
        return ("-- PostgreSQL builds EXCLUDE under this lock only: do it in a maintenance window",)
    is_key = constraint.form is Form.PRIMARY_KEY
    ending = ["pkey"] if is_key else [*constraint.columns, "key"]
    name = quoted(constraint.name or "_".join([table.name, *ending]))
    listed = ", ".join(quoted(column) for column in constraint.columns)
    include = re.search(r"INCLUDE \([^)]*\)", constraint.definition)
    nulls = " NULLS NOT DISTINCT" if "NULLS NOT DISTINCT" in constraint.definition else ""
    deferred = " DEFERRABLE" if constraint.is_deferrable else ""
    hint = (
        ("-- first make its columns NOT NULL (see set-not-null), or this scans the table",)
        if is_key
        else ()
    )
    return (
        *((IMPATIENT, *before) if before else ()),
        f"CREATE UNIQUE INDEX CONCURRENTLY {name} ON {table} ({listed})"
        f"{' ' + include.group() if include else ''}{nulls};",
        *hint,
        *(() if before else (IMPATIENT,)),
        f"ALTER TABLE {table} ADD CONSTRAINT {name} {constraint.form} "
        f"USING INDEX {name}{deferred};",
    )


RULE = Rule(
    name="unique-without-index",
    title="UNIQUE or PRIMARY KEY that builds its own index",
    mode=ACCESS_EXCLUSIVE,
    why="The index is built under ACCESS EXCLUSIVE: neither reads nor writes until it is done.",
    instead=(
        "Build a unique index CONCURRENTLY, outside a transaction, then make the constraint of it "
        "with USING INDEX, which takes an instant. A primary key needs columns that are NOT NULL "
        "already. EXCLUDE has no such way."
    ),
    bad="ALTER TABLE orders ADD CONSTRAINT orders_reference_key UNIQUE (reference);",
    good=(
        "CREATE UNIQUE INDEX CONCURRENTLY orders_reference_key ON orders (reference);\n"
        "SET lock_timeout = '5s';\n"
        "ALTER TABLE orders ADD CONSTRAINT orders_reference_key "
        "UNIQUE USING INDEX orders_reference_key;"
    ),
    check=check,
)

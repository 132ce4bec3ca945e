"""UNIQUE, PRIMARY KEY or EXCLUDE that builds its own index under ACCESS EXCLUSIVE."""

from __future__ import annotations

import re
from collections.abc import Iterator

from incident_rca.lock_modes import ACCESS_EXCLUSIVE
from incident_rca.migrations.locks import TableLock, Work
from incident_rca.migrations.operations import (
    AddColumn,
    AddConstraint,
    AlterTable,
    Constraint,
    Form,
    Relation,
    quoted,
)
from incident_rca.migrations.rule import IMPATIENT, Context, Hit, Rule
from incident_rca.migrations.script import Statement

_FORMS = (Form.UNIQUE, Form.PRIMARY_KEY, Form.EXCLUDE)


def check(statement: Statement, context: Context) -> Iterator[Hit]:
    of = statement.operation
    if not isinstance(of, AlterTable) or of.kind != "table" or context.session.is_new(of.table):
        return
    for action in of.actions:
        match action:
            case AddConstraint(constraint=constraint):
                if constraint.form in _FORMS and not constraint.using_index:
                    yield _hit(of.table, constraint, (), constraint.columns)
            case AddColumn(constraints=constraints):
                for constraint in constraints:
                    if constraint.form in _FORMS:
                        column = f"{quoted(action.column)} {action.type}"
                        before = f"ALTER TABLE {of.table} ADD COLUMN {column};"
                        yield _hit(of.table, constraint, (before,), (action.column,))


def _hit(
    table: Relation, constraint: Constraint, before: tuple[str, ...], columns: tuple[str, ...]
) -> Hit:
    return Hit(
        lock=TableLock(table, ACCESS_EXCLUSIVE, Work.BUILD),
        what=f"builds the index of {constraint.form} while nobody can read or write {table}",
        rewrite=_rewrite(table, constraint, before, columns),
    )


def _rewrite(
    table: Relation, constraint: Constraint, before: tuple[str, ...], columns: tuple[str, ...]
) -> tuple[str, ...]:
    if constraint.form is Form.EXCLUDE:
        return ("-- PostgreSQL builds EXCLUDE under this lock only: do it in a maintenance window",)
    is_key = constraint.form is Form.PRIMARY_KEY
    ending = ["pkey"] if is_key else [*columns, "key"]
    name = quoted(constraint.name or "_".join([table.name, *ending]))
    listed = ", ".join(quoted(column) for column in columns)
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

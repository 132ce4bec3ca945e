"""A CHECK added and validated at once: the table is read from end to end under the lock."""

from __future__ import annotations

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


def check(statement: Statement, context: Context) -> Iterator[Hit]:
    for table, constraint, column in constraints_of(statement, context):
        if constraint.form is not Form.CHECK or constraint.not_valid:
            continue
        before: tuple[str, ...] = ()
        if column is not None:
            before = (f"ALTER TABLE {table} ADD COLUMN {column.bare};",)
        yield _hit(table, constraint, before)


def _hit(table: Relation, constraint: Constraint, before: tuple[str, ...]) -> Hit:
    return Hit(
        lock=TableLock(table, ACCESS_EXCLUSIVE, Work.SCAN),
        what=f"checks every row of {table} while nobody can read or write it",
        rewrite=(IMPATIENT, *before, *validated_later(table, constraint)),
    )


def validated_later(table: Relation, constraint: Constraint) -> tuple[str, ...]:
    """The constraint in two steps, the second of which lets reads and writes go on."""
    ending = "fkey" if constraint.references is not None else "check"
    name = quoted(constraint.name or "_".join([table.name, *constraint.columns, ending]))
    return (
        f"ALTER TABLE {table} ADD CONSTRAINT {name} {constraint.definition} NOT VALID;",
        f"ALTER TABLE {table} VALIDATE CONSTRAINT {name};",
    )


RULE = Rule(
    name="constraint-without-not-valid",
    title="CHECK constraint added without NOT VALID",
    mode=ACCESS_EXCLUSIVE,
    why="All rows are checked under ACCESS EXCLUSIVE: neither reads nor writes until that is done.",
    instead=(
        "Add it NOT VALID, which reads no row and holds for new ones, and VALIDATE it in a second "
        "transaction, which takes SHARE UPDATE EXCLUSIVE: reads and writes go on."
    ),
    bad="ALTER TABLE orders ADD CONSTRAINT orders_quantity_check CHECK (quantity > 0);",
    good=(
        "SET lock_timeout = '5s';\n"
        "ALTER TABLE orders ADD CONSTRAINT orders_quantity_check CHECK (quantity > 0) NOT VALID;\n"
        "ALTER TABLE orders VALIDATE CONSTRAINT orders_quantity_check;"
    ),
    check=check,
)

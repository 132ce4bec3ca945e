"""A new column whose value differs from row to row: the table is written anew."""

from __future__ import annotations

from collections.abc import Iterator

from incident_rca.lock_modes import ACCESS_EXCLUSIVE
from incident_rca.migrations.locks import TableLock, Work, work_of_column
from incident_rca.migrations.operations import AddColumn, Expression, Relation, quoted
from incident_rca.migrations.rule import IMPATIENT, Context, Hit, Rule, actions_of
from incident_rca.migrations.script import Statement


def check(statement: Statement, context: Context) -> Iterator[Hit]:
    for table, action in actions_of(statement, context):
        if not isinstance(action, AddColumn):
            continue
        is_constrained = context.is_constrained(action.kind)
        if work_of_column(action) is not Work.REWRITE and not is_constrained:
            continue
        reason = (
            f"a constraint of the domain {action.type} is checked for each row"
            if is_constrained
            else _reason(action)
        )
        yield Hit(
            lock=TableLock(table, ACCESS_EXCLUSIVE, Work.REWRITE),
            what=f"writes {table} anew while nobody can read or write it: {reason}",
            rewrite=_of_plain_type(table, action) if is_constrained else _rewrite(table, action),
            is_certain=is_constrained or action.default is not Expression.UNKNOWN,
        )


def _of_plain_type(table: Relation, column: AddColumn) -> tuple[str, ...]:
    name = quoted(column.column)
    return (
        f"-- add {name} with the type that {column.type} is made of, and the constraint of the",
        f"-- domain as a CHECK of {table}, NOT VALID and then validated",
    )


def _reason(column: AddColumn) -> str:
    if column.is_generated:
        return "a stored generated column is computed for each row"
    if column.is_numbered:
        return "each row gets its number"
    if column.default is Expression.UNKNOWN:
        return f"{column.why}() may give each row its own value, which is not known here"
    return f"{column.why}() gives each row its own value"


def _rewrite(table: Relation, column: AddColumn) -> tuple[str, ...]:
    name = quoted(column.column)
    if column.is_generated:
        return ("-- add a plain column, keep it by a trigger and fill it in batches",)
    if column.is_numbered:
        return (
            IMPATIENT,
            f"ALTER TABLE {table} ADD COLUMN {name} bigint;",
            "-- then a sequence as its default, and fill it in batches",
        )
    return (
        IMPATIENT,
        f"ALTER TABLE {table} ADD COLUMN {name} {column.type};",
        f"ALTER TABLE {table} ALTER COLUMN {name} SET DEFAULT {column.default_text};",
        "-- then fill the old rows in batches",
    )


RULE = Rule(
    name="column-default-rewrite",
    title="New column with a value of its own for each row",
    mode=ACCESS_EXCLUSIVE,
    why=(
        "A default that is the same for all rows is kept in the catalog and takes an instant. A "
        "volatile one, a stored generated column, serial, identity, and a domain with a constraint "
        "write the whole table anew under ACCESS EXCLUSIVE."
    ),
    instead=(
        "Add the column without a default, set the default for new rows, and fill the old ones in "
        "batches."
    ),
    bad="ALTER TABLE orders ADD COLUMN token uuid DEFAULT gen_random_uuid();",
    good=(
        "SET lock_timeout = '5s';\n"
        "ALTER TABLE orders ADD COLUMN token uuid;\n"
        "ALTER TABLE orders ALTER COLUMN token SET DEFAULT gen_random_uuid();"
    ),
    check=check,
)

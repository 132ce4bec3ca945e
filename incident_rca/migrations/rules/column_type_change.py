"""A column's type changed in place: the table and its indexes are written anew."""

from __future__ import annotations

import re
from collections.abc import Iterator

from incident_rca.lock_modes import ACCESS_EXCLUSIVE
from incident_rca.migrations.column_types import Effect, effect_of
from incident_rca.migrations.locks import TableLock, Work
from incident_rca.migrations.operations import ChangeType, Relation, quoted
from incident_rca.migrations.rule import IMPATIENT, Context, Hit, Rule, actions_of
from incident_rca.migrations.script import Statement

# From varchar(n) to these nothing is written anew, if the length does not shrink.
_TEXTS = re.compile(r"text|varchar(\(\d+\))?|character varying(\(\d+\))?")


def check(statement: Statement, context: Context) -> Iterator[Hit]:
    for table, action in actions_of(statement, context):
        if not isinstance(action, ChangeType):
            continue
        old = context.type_of(table, action.column)
        effect = effect_of(old, action.kind) if old and action.kind else Effect.UNKNOWN
        if effect is not Effect.NONE:
            yield _written_anew(table, action, effect)
        elif old != action.kind and context.is_watched(table, action.column):
            yield Hit(
                lock=TableLock(table, ACCESS_EXCLUSIVE, Work.SCAN),
                what=(
                    f"writes no row of {table} anew, but reads them all while nobody can read or "
                    f"write it: a CHECK, or an index with an expression or a condition, mentions "
                    f"{action.column}"
                ),
                rewrite=_rewrite(table, action),
            )


def _written_anew(table: Relation, change: ChangeType, effect: Effect) -> Hit:
    unless = ""
    if effect is Effect.BY_TIME_ZONE:
        unless = ", unless the session's time zone is UTC"
    elif effect is Effect.UNKNOWN and _TEXTS.fullmatch(change.type) and not change.using:
        unless = ", unless the old type is a shorter varchar"
    return Hit(
        lock=TableLock(table, ACCESS_EXCLUSIVE, Work.REWRITE),
        what=f"writes {table} and its indexes anew while nobody can read or write it{unless}",
        rewrite=_rewrite(table, change),
        is_certain=not unless,
    )


def _rewrite(table: Relation, change: ChangeType) -> tuple[str, ...]:
    new = quoted(f"{change.column}_new")
    return (
        IMPATIENT,
        f"ALTER TABLE {table} ADD COLUMN {new} {change.type};",
        f"-- keep {new} up to date by a trigger, fill it in batches, index it CONCURRENTLY",
        "-- then rename both columns in one short transaction, and drop the old one later",
    )


RULE = Rule(
    name="column-type-change",
    title="Column type changed in place",
    mode=ACCESS_EXCLUSIVE,
    why=(
        "Most changes of type write the whole table and its indexes anew under ACCESS EXCLUSIVE. "
        "varchar(n) to a longer varchar or to text is an exception, and so are a numeric of more "
        "digits and a time of finer seconds. Files, --dsn or --stats tell the old type."
    ),
    instead=(
        "Add a column of the new type, keep it up to date by a trigger, fill it in batches, and "
        "swap the names in one short transaction."
    ),
    bad="ALTER TABLE orders ALTER COLUMN quantity TYPE bigint;",
    good="SET lock_timeout = '5s';\nALTER TABLE orders ADD COLUMN quantity_new bigint;",
    check=check,
)

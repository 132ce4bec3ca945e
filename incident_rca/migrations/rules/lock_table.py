"""LOCK TABLE in a mode that others wait for."""

from __future__ import annotations

from collections.abc import Iterator

from incident_rca.lock_modes import ACCESS_EXCLUSIVE, in_words
from incident_rca.migrations.locks import TableLock, Work, blocks_writes
from incident_rca.migrations.operations import LockTables
from incident_rca.migrations.rule import Context, Hit, Rule
from incident_rca.migrations.script import Statement


def check(statement: Statement, context: Context) -> Iterator[Hit]:
    of = statement.operation
    if not isinstance(of, LockTables) or not blocks_writes(of.mode):
        return
    for table in of.tables:
        if not context.session.is_new(table):
            yield Hit(
                lock=TableLock(table, of.mode, Work.FOREVER),
                what=f"holds {in_words(of.mode)} on {table} until the transaction ends",
                rewrite=(
                    f"LOCK TABLE {table} IN SHARE UPDATE EXCLUSIVE MODE;"
                    "  -- keeps other migrations out, not the application",
                ),
            )


RULE = Rule(
    name="lock-table",
    title="LOCK TABLE against writes",
    mode=ACCESS_EXCLUSIVE,
    why=(
        "Without a mode LOCK TABLE takes ACCESS EXCLUSIVE. It is held until the transaction ends, "
        "whatever else that does."
    ),
    instead=(
        "Statements take the locks that they need. To keep a second migration out take SHARE "
        "UPDATE EXCLUSIVE, or an advisory lock."
    ),
    bad="BEGIN;\nLOCK TABLE orders;\nCOMMIT;",
    good="BEGIN;\nLOCK TABLE orders IN SHARE UPDATE EXCLUSIVE MODE;\nCOMMIT;",
    check=check,
)

"""DETACH PARTITION without CONCURRENTLY: reads and writes of the whole partitioned table wait."""

from __future__ import annotations

from collections.abc import Iterator

from incident_rca.lock_modes import ACCESS_EXCLUSIVE
from incident_rca.migrations.locks import TableLock
from incident_rca.migrations.operations import Partition
from incident_rca.migrations.rule import Context, Hit, Rule, actions_of
from incident_rca.migrations.script import Statement


def check(statement: Statement, context: Context) -> Iterator[Hit]:
    for table, action in actions_of(statement, context):
        if isinstance(action, Partition) and not action.attach and not action.concurrently:
            yield Hit(
                lock=TableLock(table, ACCESS_EXCLUSIVE),
                what=f"locks all of {table} against reads and writes to detach one partition",
                rewrite=(f"ALTER TABLE {table} DETACH PARTITION {action.partition} CONCURRENTLY;",),
            )


RULE = Rule(
    name="detach-without-concurrently",
    title="Partition detached without CONCURRENTLY",
    mode=ACCESS_EXCLUSIVE,
    why=(
        "The parent is locked, and with it every query on any of its partitions. The statement is "
        "short, but it waits for all transactions that use the table, and others wait behind it."
    ),
    instead=(
        "DETACH … CONCURRENTLY, outside a transaction; not possible while there is a default "
        "partition. One that was interrupted is ended by DETACH … FINALIZE. The table that was a "
        "partition keeps its bounds as a CHECK constraint."
    ),
    bad="ALTER TABLE events DETACH PARTITION events_2025;",
    good="ALTER TABLE events DETACH PARTITION events_2025 CONCURRENTLY;",
    check=check,
)

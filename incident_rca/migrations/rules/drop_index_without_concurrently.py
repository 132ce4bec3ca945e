"""DROP INDEX without CONCURRENTLY: its table is locked until the transaction ends."""

from __future__ import annotations

from collections.abc import Iterator

from incident_rca.lock_modes import ACCESS_EXCLUSIVE
from incident_rca.migrations.locks import TableLock
from incident_rca.migrations.operations import Drop
from incident_rca.migrations.rule import Context, Hit, Rule
from incident_rca.migrations.script import Statement


def check(statement: Statement, context: Context) -> Iterator[Hit]:
    of = statement.operation
    if not isinstance(of, Drop) or of.kind != "index" or of.concurrently:
        return
    for name in of.names:
        table = context.table_of_index(name)
        if table is not None and (context.session.is_new(table) or context.is_partitioned(table)):
            continue  # nobody waits for it, or PostgreSQL knows no other way
        yield Hit(
            lock=TableLock(name, ACCESS_EXCLUSIVE),
            what=f"locks the table of {name} against reads and writes to drop the index",
            rewrite=(f"DROP INDEX CONCURRENTLY {name};",),
            index=name,
        )


RULE = Rule(
    name="drop-index-without-concurrently",
    title="Index dropped without CONCURRENTLY",
    mode=ACCESS_EXCLUSIVE,
    why=(
        "The table is locked, not only its index. The drop itself is short, but it waits for every "
        "transaction that has read the table, and all that come later wait behind it."
    ),
    instead=(
        "Drop it CONCURRENTLY, one index a statement, outside a transaction. Of a partitioned "
        "table PostgreSQL has no other way: set lock_timeout and try again."
    ),
    bad="DROP INDEX orders_status_idx;",
    good="DROP INDEX CONCURRENTLY orders_status_idx;",
    check=check,
)

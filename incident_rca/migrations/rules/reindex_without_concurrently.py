"""REINDEX without CONCURRENTLY: the index cannot even be planned with until it is built anew."""

from __future__ import annotations

from collections.abc import Iterator

from incident_rca.lock_modes import ACCESS_EXCLUSIVE, SHARE
from incident_rca.migrations.locks import TableLock, Work
from incident_rca.migrations.operations import Reindex
from incident_rca.migrations.rule import Context, Hit, Rule
from incident_rca.migrations.script import Statement
from incident_rca.model import Severity


def check(statement: Statement, context: Context) -> Iterator[Hit]:
    of = statement.operation
    if not isinstance(of, Reindex) or of.concurrently:
        return
    if of.kind not in ("index", "table"):
        yield Hit(
            lock=None,
            what=f"rebuilds the indexes of the whole {of.kind}, one table after the other",
            severity=Severity.HIGH,
        )
        return
    table = context.table_of_index(of.name) if of.kind == "index" else of.name
    if table is not None and context.session.is_new(table):
        return
    mode = ACCESS_EXCLUSIVE if of.kind == "index" else SHARE
    yield Hit(
        lock=TableLock(of.name, mode, Work.BUILD),
        what=f"rebuilds {of.kind} {of.name}: every query that plans with its indexes waits",
        rewrite=(f"REINDEX {of.kind.upper()} CONCURRENTLY {of.name};",),
        index=of.name if of.kind == "index" else None,
    )


RULE = Rule(
    name="reindex-without-concurrently",
    title="Index rebuilt without CONCURRENTLY",
    mode=ACCESS_EXCLUSIVE,
    why=(
        "REINDEX takes SHARE on the table and ACCESS EXCLUSIVE on each index. The planner opens "
        "all indexes of a table, so its reads wait as well."
    ),
    instead=(
        "REINDEX … CONCURRENTLY, outside a transaction. If it fails it leaves an index whose name "
        "ends with _ccnew: drop that and try again."
    ),
    bad="REINDEX INDEX orders_status_idx;",
    good="REINDEX INDEX CONCURRENTLY orders_status_idx;",
    check=check,
)

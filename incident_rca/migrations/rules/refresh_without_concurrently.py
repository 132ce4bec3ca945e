"""REFRESH MATERIALIZED VIEW without CONCURRENTLY: nobody reads the view until it is filled."""

from __future__ import annotations

from collections.abc import Iterator

from incident_rca.lock_modes import ACCESS_EXCLUSIVE
from incident_rca.migrations.locks import TableLock, Work
from incident_rca.migrations.operations import Refresh
from incident_rca.migrations.rule import Context, Hit, Rule
from incident_rca.migrations.script import Statement


def check(statement: Statement, context: Context) -> Iterator[Hit]:
    of = statement.operation
    if not isinstance(of, Refresh) or of.concurrently or context.session.is_new(of.view):
        return
    if of.with_data:
        yield Hit(
            lock=TableLock(of.view, ACCESS_EXCLUSIVE, Work.REWRITE),
            what=f"fills {of.view} anew while nobody can read it",
            rewrite=(f"REFRESH MATERIALIZED VIEW CONCURRENTLY {of.view};",),
        )


RULE = Rule(
    name="refresh-without-concurrently",
    title="Materialized view refreshed without CONCURRENTLY",
    mode=ACCESS_EXCLUSIVE,
    why="The query of the view runs to its end while every reader of the view waits.",
    instead=(
        "REFRESH … CONCURRENTLY takes EXCLUSIVE, which lets readers go on. The view needs a unique "
        "index on plain columns, and must have been filled once."
    ),
    bad="REFRESH MATERIALIZED VIEW daily_orders;",
    good="REFRESH MATERIALIZED VIEW CONCURRENTLY daily_orders;",
    check=check,
)

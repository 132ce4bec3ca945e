"""CREATE INDEX without CONCURRENTLY: writes wait for as long as the build takes."""

from __future__ import annotations

from collections.abc import Iterator

from incident_rca.lock_modes import SHARE
from incident_rca.migrations.locks import TableLock, Work
from incident_rca.migrations.operations import CreateIndex
from incident_rca.migrations.rule import Context, Hit, Rule
from incident_rca.migrations.script import Statement


def check(statement: Statement, context: Context) -> Iterator[Hit]:
    of = statement.operation
    if not isinstance(of, CreateIndex) or of.concurrently or context.session.is_new(of.table):
        return
    size = context.size_of(of.table)
    if size.is_partitioned if size else of.only:
        return  # partitioned-index says what to do; ONLY is for partitioned tables
    yield Hit(
        lock=TableLock(of.table, SHARE, Work.BUILD),
        what=f"builds an index on {of.table} while nobody can write to it",
        rewrite=(of.concurrent_text + ";",),
    )


RULE = Rule(
    name="index-without-concurrently",
    title="Index built without CONCURRENTLY",
    mode=SHARE,
    why=(
        "The lock is held until the index is built and the transaction ends. Every INSERT, UPDATE "
        "and DELETE waits, each with a connection of its pool; reads go on until the pool is empty."
    ),
    instead=(
        "Build it CONCURRENTLY, in a migration of its own that runs outside a transaction. A build "
        "that fails leaves an invalid index behind: look for it (pg_index.indisvalid), drop it "
        "CONCURRENTLY and try again; IF NOT EXISTS would take the invalid one for the real one."
    ),
    bad="CREATE INDEX orders_created_idx ON orders (created_at);",
    good="CREATE INDEX CONCURRENTLY orders_created_idx ON orders (created_at);",
    check=check,
)

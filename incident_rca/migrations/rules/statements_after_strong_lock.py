"""More work in a transaction that already holds a strong lock."""

from __future__ import annotations

from collections.abc import Iterator

from incident_rca.lock_modes import in_words
from incident_rca.migrations.locks import TableLock, Work, blocks_writes, locks_of
from incident_rca.migrations.operations import Calls, Operation
from incident_rca.migrations.rule import Context, Hit, Rule
from incident_rca.migrations.runners import refuses_transaction
from incident_rca.migrations.script import Statement


def check(statement: Statement, context: Context) -> Iterator[Hit]:
    first = context.session.strongest
    # What PostgreSQL refuses here never runs: concurrently-in-transaction says so.
    refused = refuses_transaction(statement.operation)
    if first is None or refused or not _takes_time(statement.operation, context):
        return
    yield Hit(
        lock=TableLock(first.relation, first.mode),
        what=(
            f"runs while {in_words(first.mode)} on {first.relation} is held, which line "
            f"{first.line} took"
        ),
        rewrite=("-- COMMIT before it, or move it to a migration of its own",),
    )


def _takes_time(operation: Operation, context: Context) -> bool:
    """Work that grows with a table, or a strong lock on one more table, which may have to wait."""
    if isinstance(operation, Calls):
        return operation.reads_tables
    for lock in locks_of(operation):
        if context.session.is_new(lock.relation):
            continue
        is_other = context.session.resolve(lock.relation) not in context.session.held
        if lock.work is not Work.INSTANT or (blocks_writes(lock.mode) and is_other):
            return True
    return False


RULE = Rule(
    name="statements-after-strong-lock",
    title="More work while a strong lock is held",
    mode="",
    why=(
        "Locks are kept until the transaction ends. What comes after a short ALTER TABLE makes it "
        "long: an UPDATE, a validation, the wait for a lock on a second table."
    ),
    instead=(
        "One strong lock a transaction, as its last statement. Fill and validate in migrations of "
        "their own."
    ),
    bad=(
        "BEGIN;\nSET LOCAL lock_timeout = '5s';\nALTER TABLE orders ADD COLUMN note text;\n"
        "UPDATE orders SET note = '';\nCOMMIT;"
    ),
    good=(
        "BEGIN;\nSET LOCAL lock_timeout = '5s';\nALTER TABLE orders ADD COLUMN note text;\n"
        "COMMIT;\nUPDATE orders SET note = '' WHERE id <= 10000;"
    ),
    check=check,
    once=True,
)

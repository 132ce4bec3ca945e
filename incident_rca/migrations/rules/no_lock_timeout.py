"""A strong lock asked for without lock_timeout: while it waits, everybody waits behind it."""

from __future__ import annotations

from collections.abc import Iterator

from incident_rca.lock_modes import in_words, meaning
from incident_rca.migrations.locks import TableLock, blocks_writes, locks_of
from incident_rca.migrations.operations import AlterTable, LockTables, Operation, Partition, Refresh
from incident_rca.migrations.rule import IMPATIENT, Context, Hit, Rule
from incident_rca.migrations.script import Statement


def check(statement: Statement, context: Context) -> Iterator[Hit]:
    of = statement.operation
    if not context.session.waits_forever or _is_patient(of):
        return
    strong = [
        lock
        for lock in locks_of(of)
        if blocks_writes(lock.mode) and not context.session.is_new(lock.relation)
    ]
    if strong:
        lock = strong[0]
        yield Hit(
            # How long it is held is another rule's matter; here it is about waiting for it.
            lock=TableLock(lock.relation, lock.mode),
            what=(
                f"waits for {in_words(lock.mode)} on {lock.relation} without end; whatever that "
                f"mode stops ({meaning(lock.mode)}) queues behind it"
            ),
            rewrite=(IMPATIENT,),
        )


def _is_patient(operation: Operation) -> bool:
    """Statements that no application waits behind: lock_timeout would only leave them half done.

    DETACH … CONCURRENTLY locks the partition when no query reaches it any more; nobody writes to a
    materialized view.
    """
    match operation:
        case LockTables(nowait=True) | Refresh(concurrently=True):
            return True
        case AlterTable(actions=(Partition(concurrently=True),)):
            return True
    return False


RULE = Rule(
    name="no-lock-timeout",
    title="Strong lock without lock_timeout",
    mode="",
    why=(
        "A statement that waits for a strong lock, be it behind one long report, stops everyone "
        "who comes later and conflicts with it. It needs no large table for that."
    ),
    instead=(
        "SET lock_timeout before it, a few seconds, and try again when it gives up. SET LOCAL "
        "holds in a transaction only. If role, database or runner set it, say so: [lint] "
        "lock_timeout_elsewhere = true."
    ),
    bad="ALTER TABLE orders ADD COLUMN note text;",
    good="SET lock_timeout = '5s';\nALTER TABLE orders ADD COLUMN note text;",
    check=check,
    once=True,
)

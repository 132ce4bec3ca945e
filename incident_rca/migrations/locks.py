"""Which table locks a statement takes, and what the server does while it holds them.

The modes are those of PostgreSQL's documentation ("Explicit Locking", ALTER TABLE) and are compared
with pg_locks of PostgreSQL 16 and 18 by tests/lab/test_migration_locks.py.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from incident_rca.lock_modes import (
    ACCESS_EXCLUSIVE,
    EXCLUSIVE,
    MODES,
    ROW_EXCLUSIVE,
    SHARE,
    SHARE_ROW_EXCLUSIVE,
    SHARE_UPDATE_EXCLUSIVE,
    conflicts,
)
from incident_rca.migrations import operations as ops


class Work(StrEnum):
    """What is done under the lock; all but `instant` take longer the larger the table is."""

    INSTANT = "instant"
    SCAN = "scan"
    BUILD = "build"
    REWRITE = "rewrite"
    FOREVER = "forever"  # until the transaction ends


@dataclass(frozen=True, slots=True)
class TableLock:
    """A lock on a relation, its mode as in pg_locks."""

    relation: ops.Relation
    mode: str
    work: Work = Work.INSTANT


# AlterTableGetLockLevel() in tablecmds.c: actions that are content with less than ACCESS EXCLUSIVE.
_WEAKER_ACTIONS = {
    "AT_SetStatistics": SHARE_UPDATE_EXCLUSIVE,
    "AT_SetOptions": SHARE_UPDATE_EXCLUSIVE,
    "AT_ResetOptions": SHARE_UPDATE_EXCLUSIVE,
    "AT_ClusterOn": SHARE_UPDATE_EXCLUSIVE,
    "AT_DropCluster": SHARE_UPDATE_EXCLUSIVE,
    "AT_SetRelOptions": SHARE_UPDATE_EXCLUSIVE,
    "AT_ResetRelOptions": SHARE_UPDATE_EXCLUSIVE,
    "AT_EnableTrig": SHARE_ROW_EXCLUSIVE,
    "AT_EnableTrigUser": SHARE_ROW_EXCLUSIVE,
    "AT_EnableTrigAll": SHARE_ROW_EXCLUSIVE,
    "AT_EnableAlwaysTrig": SHARE_ROW_EXCLUSIVE,
    "AT_EnableReplicaTrig": SHARE_ROW_EXCLUSIVE,
    "AT_DisableTrig": SHARE_ROW_EXCLUSIVE,
    "AT_DisableTrigUser": SHARE_ROW_EXCLUSIVE,
    "AT_DisableTrigAll": SHARE_ROW_EXCLUSIVE,
}

# What each is about; all write the whole table to a new file.
REWRITING_ACTIONS = {
    "AT_SetLogged": "SET LOGGED",
    "AT_SetUnLogged": "SET UNLOGGED",
    "AT_SetAccessMethod": "SET ACCESS METHOD",
    "AT_SetTableSpace": "SET TABLESPACE",
    "AT_SetExpression": "SET EXPRESSION",
}


def blocks_writes(mode: str) -> bool:
    """Whether INSERT, UPDATE and DELETE wait behind a mode.

    >>> blocks_writes("ShareLock"), blocks_writes("ShareUpdateExclusiveLock")
    (True, False)
    """
    return conflicts(mode, ROW_EXCLUSIVE)


def locks_of(operation: ops.Operation) -> tuple[TableLock, ...]:
    """The locks on tables and views, the strongest of each; of an index only where it has no table.

    An index that is dropped or rebuilt by its name does not say its table: the lock is given on the
    index, and the table has the mode of the rule that flags it.
    """
    strongest: dict[ops.Relation, TableLock] = {}
    for lock in _locks(operation):
        known = strongest.get(lock.relation)
        if known is None:
            strongest[lock.relation] = lock
            continue
        mode = max(known.mode, lock.mode, key=MODES.index)
        work = max(known.work, lock.work, key=list(Work).index)
        strongest[lock.relation] = TableLock(lock.relation, mode, work)
    return tuple(strongest.values())


def _locks(operation: ops.Operation) -> Iterator[TableLock]:
    match operation:
        case ops.CreateIndex(table=table, concurrently=concurrently):
            mode = SHARE_UPDATE_EXCLUSIVE if concurrently else SHARE
            yield TableLock(table, mode, Work.INSTANT if operation.only else Work.BUILD)
        case ops.Drop(kind="index" | "table" | "view" | "materialized view", names=names):
            mode = SHARE_UPDATE_EXCLUSIVE if operation.concurrently else ACCESS_EXCLUSIVE
            yield from (TableLock(name, mode) for name in names)
        case ops.Reindex(kind="index" | "table", name=name):
            strong = ACCESS_EXCLUSIVE if operation.kind == "index" else SHARE
            mode = SHARE_UPDATE_EXCLUSIVE if operation.concurrently else strong
            yield TableLock(name, mode, Work.BUILD)
        case ops.CreateTable():
            yield from (TableLock(table, SHARE_ROW_EXCLUSIVE) for table in operation.references)
            yield from (TableLock(t, SHARE_UPDATE_EXCLUSIVE) for t in operation.inherits)
            if operation.partition_of is not None:
                yield TableLock(operation.partition_of, ACCESS_EXCLUSIVE)
        case ops.Rename(kind="index", relation=relation):
            yield TableLock(relation, SHARE_UPDATE_EXCLUSIVE)
        case ops.Rename(relation=relation):
            yield TableLock(relation, ACCESS_EXCLUSIVE)
        case ops.CreateTrigger(table=table):
            yield TableLock(table, SHARE_ROW_EXCLUSIVE)
        case ops.Rewrite(command=command, tables=tables):
            work = Work.INSTANT if command == "TRUNCATE" else Work.REWRITE
            yield from (TableLock(table, ACCESS_EXCLUSIVE, work) for table in tables)
        case ops.Refresh(view=view, concurrently=concurrently):
            mode = EXCLUSIVE if concurrently else ACCESS_EXCLUSIVE
            filled = Work.SCAN if concurrently else Work.REWRITE
            work = filled if operation.with_data else Work.INSTANT
            yield TableLock(view, mode, work)
        case ops.LockTables(tables=tables, mode=mode):
            yield from (TableLock(table, mode, Work.FOREVER) for table in tables)
        case ops.AlterTable(table=table, actions=actions, kind="table" | "materialized view"):
            for action in actions:
                yield from _locks_of_action(table, action)
        case ops.AlterTable(kind="index", table=table, actions=actions):
            yield TableLock(table, SHARE_UPDATE_EXCLUSIVE)
            for action in actions:
                if isinstance(action, ops.Partition):
                    yield TableLock(action.partition, ACCESS_EXCLUSIVE)
        case ops.Other(tables=tables):
            yield from (TableLock(table, ROW_EXCLUSIVE, Work.FOREVER) for table in tables)


def _locks_of_action(table: ops.Relation, action: ops.Action) -> Iterator[TableLock]:
    match action:
        case ops.AddColumn():
            yield TableLock(table, ACCESS_EXCLUSIVE, work_of_column(action))
            for constraint in action.constraints:
                if constraint.references is not None:
                    yield TableLock(constraint.references, SHARE_ROW_EXCLUSIVE)
        case ops.AddConstraint(constraint=constraint):
            yield from _locks_of_constraint(table, constraint)
        case ops.SetNotNull():
            yield TableLock(table, ACCESS_EXCLUSIVE, Work.SCAN)
        case ops.ChangeType():
            yield TableLock(table, ACCESS_EXCLUSIVE, Work.REWRITE)
        case ops.Partition(attach=True, partition=partition):
            yield TableLock(table, SHARE_UPDATE_EXCLUSIVE)
            yield TableLock(partition, ACCESS_EXCLUSIVE, Work.SCAN)
        case ops.Partition(partition=partition, concurrently=concurrently):
            yield TableLock(table, SHARE_UPDATE_EXCLUSIVE if concurrently else ACCESS_EXCLUSIVE)
            yield TableLock(partition, ACCESS_EXCLUSIVE)
        case ops.Validate():
            yield TableLock(table, SHARE_UPDATE_EXCLUSIVE, Work.SCAN)
        case ops.OtherAction(kind=kind):
            work = Work.REWRITE if kind in REWRITING_ACTIONS else Work.INSTANT
            yield TableLock(table, _WEAKER_ACTIONS.get(kind, ACCESS_EXCLUSIVE), work)


def _locks_of_constraint(table: ops.Relation, constraint: ops.Constraint) -> Iterator[TableLock]:
    scan = Work.INSTANT if constraint.not_valid else Work.SCAN
    if constraint.references is not None:
        yield TableLock(table, SHARE_ROW_EXCLUSIVE, scan)
        yield TableLock(constraint.references, SHARE_ROW_EXCLUSIVE)
    elif constraint.form in (ops.Form.UNIQUE, ops.Form.PRIMARY_KEY, ops.Form.EXCLUDE):
        work = Work.INSTANT if constraint.using_index else Work.BUILD
        yield TableLock(table, ACCESS_EXCLUSIVE, work)
    else:
        yield TableLock(table, ACCESS_EXCLUSIVE, scan)


def work_of_column(column: ops.AddColumn) -> Work:
    """What adding a column does to existing rows, by default, generation and inline constraints.

    A foreign key on a column without a default reads nothing: its values are all null.
    """
    volatile = (ops.Expression.VOLATILE, ops.Expression.UNKNOWN)
    if column.is_generated or column.is_numbered or column.default in volatile:
        return Work.REWRITE
    forms = {c.form for c in column.constraints if not c.not_valid}
    if forms & {ops.Form.UNIQUE, ops.Form.PRIMARY_KEY}:
        return Work.BUILD
    if ops.Form.CHECK in forms:
        return Work.SCAN
    if ops.Form.FOREIGN_KEY in forms and column.default is not ops.Expression.NONE:
        return Work.SCAN
    return Work.INSTANT

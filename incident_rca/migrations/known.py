"""What the files said of a table: the types of its columns, what its rows keep, its partitions."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType

from incident_rca.migrations import operations as ops
from incident_rca.migrations.column_types import ColumnType


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """A CHECK or a NOT NULL; `not_null` is its column, of a CHECK only if it says nothing else."""

    name: str = ""
    not_null: str = ""
    is_valid: bool = True
    is_of_column: bool = False  # NOT NULL, which DROP NOT NULL ends


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownTable:
    """One table; with `is_gone` the server's table of this name is another one.

    The type of a column that is gone or not known is None. `dropped` are constraints, `nullable`
    columns that may be null again, `watched` those that a CHECK mentions, or an index that has
    expressions or a condition.
    """

    is_gone: bool = False
    types: Mapping[str, ColumnType | None] = field(default_factory=lambda: MappingProxyType({}))
    checks: tuple[Check, ...] = ()
    dropped: frozenset[str] = frozenset()
    nullable: frozenset[str] = frozenset()
    watched: frozenset[str] = frozenset()
    partition_key: tuple[str, ...] = ()
    default_partition: ops.Relation | None = None
    detached: frozenset[ops.Relation] = frozenset()


Known = Mapping[ops.Relation, KnownTable]
Resolve = Callable[[ops.Relation], ops.Relation]
_NOTHING = KnownTable()
_GONE = KnownTable(is_gone=True)


def known_after(known: Known, operation: ops.Operation, resolve: Resolve) -> Known:
    """What is known behind a statement; `resolve` gives a relation its schema."""
    match operation:
        case ops.CreateTable(if_not_exists=False, temporary=False):
            name = resolve(operation.table)
            created = {name: _created(operation, known.get(name, _NOTHING))}
            if operation.partition_of is not None:
                created |= _with_partition(
                    known,
                    resolve(operation.partition_of),
                    resolve(operation.table),
                    operation.bound,
                )
            return {**known, **created}
        case ops.AlterTable(table=table, actions=actions, kind="table"):
            name = resolve(table)
            changed = known.get(name, _NOTHING)
            for action in actions:
                changed = _after(changed, action, resolve)
            return known if changed == known.get(name, _NOTHING) else {**known, name: changed}
        case ops.CreateIndex(table=table, mentions=mentions) if mentions:
            name = resolve(table)
            changed = known.get(name, _NOTHING)
            return {**known, name: replace(changed, watched=changed.watched | {*mentions})}
        case ops.Drop(kind="table", names=names):
            return {**known, **dict.fromkeys(map(resolve, names), _GONE)}
        case ops.Rename(relation=relation, kind="table"):
            return _renamed(known, resolve(relation), operation)
    return known


def _created(table: ops.CreateTable, before: KnownTable) -> KnownTable:
    made = KnownTable(
        is_gone=before.is_gone,
        types={column.name: column.kind for column in table.columns},
        checks=tuple(
            Check(not_null=column.name, is_of_column=True)
            for column in table.columns
            if column.not_null
        ),
        partition_key=table.partition_key,
    )
    for constraint in table.constraints:
        made = _with_constraint(made, constraint)
    return made


def _with_partition(
    known: Known, parent: ops.Relation, partition: ops.Relation, bound: ops.Bound | None
) -> Known:
    table = known.get(parent, _NOTHING)
    if bound is None or bound.kind != "default":
        return {}
    return {parent: replace(table, default_partition=partition)}


def _after(table: KnownTable, action: ops.Action, resolve: Resolve) -> KnownTable:
    match action:
        case ops.AddColumn():
            return _with_column(table, action)
        case ops.AddConstraint(constraint=constraint):
            return _with_constraint(table, constraint)
        case ops.ChangeType(column=column, kind=kind):
            return replace(table, types={**table.types, column: kind})
        case ops.SetNotNull(column=column):
            return _with_not_null(table, column)
        case ops.Validate(constraint=name):
            valid = [replace(c, is_valid=True) if c.name == name else c for c in table.checks]
            return replace(table, checks=tuple(valid))
        case ops.Partition(partition=partition, attach=attach, bound=bound):
            found = resolve(partition)
            if not attach:
                return replace(table, detached=table.detached | {found})
            if bound is not None and bound.kind == "default":
                return replace(table, default_partition=found)
        case ops.OtherAction(kind="AT_DropConstraint", name=name):
            kept = [c for c in table.checks if c.name != name]
            return replace(table, checks=tuple(kept), dropped=table.dropped | {name})
        case ops.OtherAction(kind="AT_DropNotNull", name=column):
            kept = [c for c in table.checks if not c.is_of_column or c.not_null != column]
            return replace(table, checks=tuple(kept), nullable=table.nullable | {column})
        case ops.OtherAction(kind="AT_DropColumn", name=column):
            kept = [c for c in table.checks if c.not_null != column]
            return replace(
                table,
                checks=tuple(kept),
                types={**table.types, column: None},
                nullable=table.nullable | {column},
            )
    return table


def _with_column(table: KnownTable, column: ops.AddColumn) -> KnownTable:
    if column.if_not_exists:
        # It may have been there, with another type.
        return replace(table, types={**table.types, column.column: None})
    table = replace(table, types={**table.types, column.column: column.kind})
    if column.not_null or column.is_numbered:
        table = _with_not_null(table, column.column)
    for constraint in column.constraints:
        table = _with_constraint(table, constraint)
    return table


def _with_not_null(table: KnownTable, column: str) -> KnownTable:
    return replace(
        table,
        checks=(*table.checks, Check(not_null=column, is_of_column=True)),
        nullable=table.nullable - {column},
    )


def _with_constraint(table: KnownTable, constraint: ops.Constraint) -> KnownTable:
    if constraint.form is ops.Form.PRIMARY_KEY:
        for column in constraint.columns:
            table = _with_not_null(table, column)
    if constraint.form not in (ops.Form.CHECK, ops.Form.NOT_NULL):
        return table
    check = Check(
        name=constraint.name,
        not_null=constraint.not_null_column,
        is_valid=not constraint.not_valid,
        is_of_column=constraint.form is ops.Form.NOT_NULL,
    )
    return replace(
        table,
        checks=(*table.checks, check),
        dropped=table.dropped - {constraint.name},
        watched=table.watched | {*constraint.mentions},
    )


def _renamed(known: Known, old: ops.Relation, rename: ops.Rename) -> Known:
    """A table, or one of its columns or constraints, under its new name."""
    table = known.get(old, _NOTHING)
    if not rename.part:
        return {**known, old: _GONE, ops.Relation(rename.new_name, old.schema): table}

    def now(name: str) -> str:
        return rename.new_name if name == rename.part else name

    moved = replace(
        table,
        types={now(column): kind for column, kind in table.types.items()},
        checks=tuple(
            replace(check, name=now(check.name), not_null=now(check.not_null))
            for check in table.checks
        ),
        watched=frozenset(map(now, table.watched)),
        partition_key=tuple(map(now, table.partition_key)),
    )
    return {**known, old: moved}

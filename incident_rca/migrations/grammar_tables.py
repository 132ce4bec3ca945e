"""ALTER TABLE and CREATE TABLE of the grammar, in our words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import postgast
from postgast import pg_query_pb2 as pb

from incident_rca.migrations import operations as ops
from incident_rca.migrations.column_types import ColumnType
from incident_rca.migrations.functions import is_fixed, is_volatile
from incident_rca.migrations.spelling import (
    column_type_of,
    columns_in,
    is_numbered,
    relation_of,
    spelled_action,
    spelled_constraint,
    spelled_type,
    spelled_value,
)

_KINDS = {
    pb.OBJECT_TABLE: "table",
    pb.OBJECT_INDEX: "index",
    pb.OBJECT_VIEW: "view",
    pb.OBJECT_MATVIEW: "materialized view",
    pb.OBJECT_SEQUENCE: "sequence",
    pb.OBJECT_FOREIGN_TABLE: "foreign table",
}
_FORMS: Mapping[int, ops.Form] = {
    pb.CONSTR_CHECK: ops.Form.CHECK,
    pb.CONSTR_FOREIGN: ops.Form.FOREIGN_KEY,
    pb.CONSTR_UNIQUE: ops.Form.UNIQUE,
    pb.CONSTR_PRIMARY: ops.Form.PRIMARY_KEY,
    pb.CONSTR_EXCLUSION: ops.Form.EXCLUDE,
    pb.CONSTR_NOTNULL: ops.Form.NOT_NULL,
}
_BOUNDS = {"r": "range", "l": "list", "h": "hash"}


def alter_table(stmt: Any) -> ops.Operation:
    """An ALTER TABLE, or of what else shares its grammar (ALTER INDEX, ALTER VIEW, …)."""
    return ops.AlterTable(
        table=relation_of(stmt.relation),
        actions=tuple(_action(c.alter_table_cmd) for c in stmt.cmds),
        kind=_KINDS.get(stmt.objtype, "other"),
    )


def create_table(stmt: Any) -> ops.Operation:
    of_table = [e.constraint for e in stmt.table_elts if e.HasField("constraint")]
    of_table += [c.constraint for c in stmt.constraints]
    columns = [e.column_def for e in stmt.table_elts if e.HasField("column_def")]
    constraints = [_constraint(c) for c in of_table if c.contype in _FORMS]
    constraints += [
        _constraint_of_column(item.constraint, column.colname)
        for column in columns
        for item in column.constraints
        if item.constraint.contype in _FORMS and item.constraint.contype != pb.CONSTR_NOTNULL
    ]
    parents = tuple(relation_of(r.range_var) for r in stmt.inh_relations)
    is_partition = stmt.HasField("partbound")
    return ops.CreateTable(
        table=relation_of(stmt.relation),
        columns=tuple(_column_of_new_table(c) for c in columns),
        constraints=tuple(constraints),
        partition_key=tuple(p.partition_elem.name for p in stmt.partspec.part_params),
        if_not_exists=stmt.if_not_exists,
        temporary=stmt.relation.relpersistence == "t",
        partition_of=parents[0] if is_partition and parents else None,
        bound=_bound(stmt.partbound) if is_partition else None,
        inherits=() if is_partition else parents,
    )


def _column_of_new_table(column: Any) -> ops.Column:
    kinds = {item.constraint.contype for item in column.constraints}
    is_filled = bool(kinds & {pb.CONSTR_NOTNULL, pb.CONSTR_IDENTITY})
    kind = column_type_of(column.type_name)
    return ops.Column(column.colname, kind, is_filled or is_numbered(column.type_name))


def rename(stmt: Any) -> ops.Operation:
    of = stmt.relation
    if not of.relname:
        return ops.Other(kind="rename_stmt")
    whole = stmt.rename_type in _KINDS
    kind = _KINDS.get(stmt.rename_type if whole else stmt.relation_type, "table")
    part = "" if whole else stmt.subname
    return ops.Rename(relation=relation_of(of), kind=kind, new_name=stmt.newname, part=part)


def _action(cmd: Any) -> ops.Action:
    of = getattr(cmd, "def")
    match cmd.subtype:
        case pb.AT_AddColumn:
            return replace(_column(of.column_def), if_not_exists=cmd.missing_ok)
        case pb.AT_AddConstraint:
            return ops.AddConstraint(constraint=_constraint(of.constraint))
        case pb.AT_SetNotNull:
            return ops.SetNotNull(column=cmd.name)
        case pb.AT_AlterColumnType:
            column = of.column_def
            using = spelled_value(column.raw_default) if column.HasField("raw_default") else ""
            return ops.ChangeType(
                column=cmd.name, type=spelled_type(column.type_name), kind=_kind(cmd), using=using
            )
        case pb.AT_AttachPartition | pb.AT_DetachPartition:
            return ops.Partition(
                partition=relation_of(of.partition_cmd.name),
                attach=cmd.subtype == pb.AT_AttachPartition,
                text=spelled_action(cmd),
                bound=_bound(of.partition_cmd.bound),
                concurrently=of.partition_cmd.concurrent,
            )
        case pb.AT_ValidateConstraint:
            return ops.Validate(constraint=cmd.name)
    return ops.OtherAction(kind=pb.AlterTableType.Name(cmd.subtype), name=cmd.name)


def _kind(cmd: Any) -> ColumnType | None:
    """The new type of a column, where nothing but the type decides what is done to the rows."""
    column = getattr(cmd, "def").column_def
    if column.HasField("coll_clause"):
        return None
    kind = column_type_of(column.type_name)
    cast = column.raw_default.type_cast
    fields = [f.string.sval for f in cast.arg.column_ref.fields]
    is_own_cast = fields == [cmd.name] and column_type_of(cast.type_name) == kind
    return kind if is_own_cast or not column.HasField("raw_default") else None


def _bound(spec: Any) -> ops.Bound | None:
    if not spec.strategy and not spec.is_default:
        return None
    return ops.Bound(
        kind="default" if spec.is_default else _BOUNDS[spec.strategy],
        lower=tuple(map(spelled_value, spec.lowerdatums)),
        upper=tuple(map(spelled_value, spec.upperdatums)),
        values=tuple(map(spelled_value, spec.listdatums)),
    )


def _constraint(constraint: Any) -> ops.Constraint:
    form = _FORMS.get(constraint.contype, ops.Form.CHECK)
    not_null = _is_not_null(constraint.raw_expr) if form is ops.Form.CHECK else ""
    if form is ops.Form.NOT_NULL:
        not_null = "".join(k.string.sval for k in constraint.keys)
    names = constraint.fk_attrs if form is ops.Form.FOREIGN_KEY else constraint.keys
    return ops.Constraint(
        form=form,
        name=constraint.conname,
        definition=spelled_constraint(constraint),
        columns=tuple(n.string.sval for n in names),
        not_valid=constraint.skip_validation or not _is_enforced(form, constraint),
        using_index=constraint.indexname,
        references=relation_of(constraint.pktable) if form is ops.Form.FOREIGN_KEY else None,
        not_null_column=not_null,
        mentions=columns_in(constraint.raw_expr) if form is ops.Form.CHECK else (),
        is_deferrable=constraint.deferrable,
    )


def _is_enforced(form: ops.Form, constraint: Any) -> bool:
    """NOT ENFORCED (PostgreSQL 18) is for checks and foreign keys; nothing is read for it."""
    return form not in (ops.Form.CHECK, ops.Form.FOREIGN_KEY) or constraint.is_enforced


def _is_not_null(expression: Any) -> str:
    """The column of `column IS NOT NULL`, else ""."""
    test = expression.null_test
    fields = test.arg.column_ref.fields
    if test.nulltesttype == pb.IS_NOT_NULL and len(fields) == 1:
        return str(fields[0].string.sval)
    return ""


def _column(column: Any) -> ops.AddColumn:
    default, why, text = ops.Expression.NONE, "", ""
    not_null = generated = False
    type_text = spelled_type(column.type_name)
    numbered = is_numbered(column.type_name)
    found: list[ops.Constraint] = []
    for item in column.constraints:
        constraint = item.constraint
        match constraint.contype:
            case pb.CONSTR_DEFAULT:
                default, why = _default(constraint.raw_expr)
                text = spelled_value(constraint.raw_expr)
            case pb.CONSTR_NOTNULL:
                not_null = True
            case pb.CONSTR_GENERATED:
                generated = constraint.generated_kind != "v"
            case pb.CONSTR_IDENTITY:
                numbered = True
            case kind if kind in _FORMS:
                found.append(_constraint_of_column(constraint, column.colname))
    return ops.AddColumn(
        column=column.colname,
        type=type_text,
        kind=column_type_of(column.type_name),
        default=default,
        default_text=text,
        why=why,
        not_null=not_null,
        is_generated=generated,
        is_numbered=numbered,
        constraints=tuple(found),
    )


def _constraint_of_column(constraint: Any, column: str) -> ops.Constraint:
    """A column's constraint with the name of the column, as a table's constraint has it."""
    copy = pb.Constraint()
    copy.CopyFrom(constraint)
    if constraint.contype == pb.CONSTR_FOREIGN:
        copy.fk_attrs.append(pb.Node(string=pb.String(sval=column)))
    return replace(_constraint(copy), columns=(column,))


def _default(expression: Any) -> tuple[ops.Expression, str]:
    """Whether one value serves all rows, and which function decides it."""
    if expression.a_const.isnull:
        return ops.Expression.NONE, ""
    doubtful = ""
    for _, node in postgast.walk(expression):
        if isinstance(node, pb.FuncCall):
            names = [n.string.sval for n in node.funcname]
            name = ".".join(n for n in names if n != "pg_catalog")
            if is_volatile(name):
                return ops.Expression.VOLATILE, name
            if not is_fixed(name):
                doubtful = doubtful or name
    return (ops.Expression.UNKNOWN, doubtful) if doubtful else (ops.Expression.FIXED, "")

"""Nodes of the grammar spelled as SQL again, and the names in them."""

from __future__ import annotations

from typing import Any

import postgast
from postgast import pg_query_pb2 as pb

from incident_rca.migrations.column_types import ColumnType
from incident_rca.migrations.operations import Relation

_SERIALS = {
    "serial": "int4",
    "serial4": "int4",
    "bigserial": "int8",
    "serial8": "int8",
    "smallserial": "int2",
    "serial2": "int2",
}


def relation_of(range_var: Any) -> Relation:
    return Relation(range_var.relname, range_var.schemaname)


def relation_of_names(names: list[str]) -> Relation:
    """A dotted name; a database in front of the schema is left out."""
    return Relation(names[-1], names[-2] if len(names) > 1 else "")


def column_type_of(type_name: Any) -> ColumnType | None:
    """A type as pg_type names it; None where its modifiers are no numbers, or it is of a column."""
    *schema, name = [part.string.sval for part in type_name.names] or [""]
    modifiers = [node.a_const.ival.ival for node in type_name.typmods if node.HasField("a_const")]
    if len(modifiers) < len(type_name.typmods) or type_name.pct_type or type_name.setof:
        return None
    own = [part for part in schema if part != "pg_catalog"]
    is_serial = not schema and name in _SERIALS
    return ColumnType(
        name=_SERIALS[name] if is_serial else ".".join([*own, name]),
        modifiers=tuple(modifiers),
        is_array=bool(type_name.array_bounds),
    )


def columns_in(node: Any) -> tuple[str, ...]:
    """The columns that an expression names."""
    found = postgast.find_nodes(node, pb.ColumnRef)
    names = [reference.fields[-1].string.sval for reference in found]
    return tuple(dict.fromkeys(name for name in names if name))


def is_numbered(type_name: Any) -> bool:
    """Whether a type is one of the serials, which are no types."""
    return [part.string.sval in _SERIALS for part in type_name.names] == [True]


def is_on(options: Any, name: str) -> bool:
    """Whether a parenthesised option is on: `(FULL)`, `(FULL true)`, not `(FULL off)`."""
    for option in options:
        if option.def_elem.defname == name:
            arg = option.def_elem.arg
            kind = arg.WhichOneof("node")
            if kind is None:
                return True
            value = arg.string.sval if kind == "string" else str(arg.integer.ival)
            return value.lower() in ("true", "on", "1", "yes")
    return False


def spelled(**node: Any) -> str:
    """The SQL of one statement: `spelled(index_stmt=…)`."""
    statement = pb.RawStmt(stmt=pb.Node(**node))
    return str(postgast.deparse(pb.ParseResult(version=180004, stmts=[statement])))


def spelled_action(action: Any) -> str:
    """The SQL of one action of ALTER TABLE, without the words before it."""
    table = pb.RangeVar(relname="t", inh=True, relpersistence="p")
    statement = pb.AlterTableStmt(
        relation=table, cmds=[pb.Node(alter_table_cmd=action)], objtype=pb.OBJECT_TABLE
    )
    return spelled(alter_table_stmt=statement).removeprefix("ALTER TABLE t ")


def spelled_constraint(constraint: Any) -> str:
    """A constraint's definition, without its name and without NOT VALID."""
    copy = pb.Constraint()
    copy.CopyFrom(constraint)
    copy.conname, copy.skip_validation = "", False
    action = pb.AlterTableCmd(
        subtype=pb.AT_AddConstraint, **{"def": pb.Node(constraint=copy)}, behavior=pb.DROP_RESTRICT
    )
    return spelled_action(action).removeprefix("ADD ")


def spelled_type(type_name: Any) -> str:
    """A type as SQL writes it."""
    action = pb.AlterTableCmd(
        subtype=pb.AT_AlterColumnType,
        name="c",
        **{"def": pb.Node(column_def=pb.ColumnDef(type_name=type_name))},
        behavior=pb.DROP_RESTRICT,
    )
    return spelled_action(action).partition(" TYPE ")[2]


def spelled_value(expression: Any) -> str:
    """An expression as SQL writes it."""
    action = pb.AlterTableCmd(
        subtype=pb.AT_ColumnDefault, name="c", **{"def": expression}, behavior=pb.DROP_RESTRICT
    )
    return spelled_action(action).partition(" SET DEFAULT ")[2]

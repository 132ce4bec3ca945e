"""PostgreSQL's own grammar: this, the other grammar_*, spelling and plpgsql know the parser."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import postgast
from google.protobuf.message import DecodeError
from postgast import pg_query_pb2 as pb

from incident_rca.lock_modes import MODES
from incident_rca.migrations import grammar_indexes as indexes
from incident_rca.migrations import grammar_tables as tables
from incident_rca.migrations import operations as ops
from incident_rca.migrations.column_types import ColumnType
from incident_rca.migrations.nesting import is_too_deep
from incident_rca.migrations.spelling import (
    column_type_of,
    is_on,
    relation_of,
    relation_of_names,
)


@dataclass(frozen=True, slots=True)
class Parsed:
    """A statement and where it stands: byte offsets into what was parsed."""

    start: int
    end: int
    operation: ops.Operation


@dataclass(frozen=True, slots=True)
class Unreadable:
    """Why the grammar refused a text, and at which byte of it."""

    message: str
    at: int


@dataclass(frozen=True, slots=True)
class Token:
    """A token by its bytes; `kind` is the grammar's name, such as `ASCII_59` for a semicolon."""

    start: int
    end: int
    kind: str


# protobuf follows a tree for a hundred levels, and an operator is two of them.
TOO_DEEP = "it is nested too deeply to be read"


def parse(text: str) -> tuple[Parsed, ...] | Unreadable:
    """The statements of a text, or why the whole of it cannot be read."""
    try:
        if is_too_deep(text):
            return Unreadable(TOO_DEEP, 0)
        tree = postgast.parse(text)
    except postgast.PgQueryError as error:
        return Unreadable(error.message, max(error.cursorpos - 1, 0))
    except DecodeError:
        return Unreadable(TOO_DEEP, 0)
    size = len(text.encode())
    return tuple(
        Parsed(
            raw.stmt_location,
            raw.stmt_location + raw.stmt_len if raw.stmt_len else size,
            operation_of(raw.stmt),
        )
        for raw in tree.stmts
    )


# Single signs that begin nothing in SQL, such as {, have no name.
_TOKENS: Mapping[int, str] = {number: name for name, number in pb.Token.items()}


def tokens(text: str) -> tuple[Token, ...] | Unreadable:
    """The tokens of a text, comments among them."""
    try:
        scanned = postgast.scan(text).tokens
    except postgast.PgQueryError as error:
        return Unreadable(error.message, max(error.cursorpos - 1, 0))
    return tuple(Token(t.start, t.end, _TOKENS.get(t.token, "")) for t in scanned)


@cache
def column_type(text: str) -> ColumnType | None:
    """The type that a text such as `character varying(20)` names, None where it names none."""
    try:
        tree = postgast.parse(f"SELECT NULL::{text}")
        (target,) = tree.stmts[0].stmt.select_stmt.target_list
    except (postgast.PgQueryError, DecodeError, ValueError):
        return None
    return column_type_of(target.res_target.val.type_cast.type_name)


def operation_of(node: Any) -> ops.Operation:
    """What the statement of a node does."""
    kind = str(node.WhichOneof("node") or "")
    reader = _READERS.get(kind)
    if reader is None:
        return ops.Other(kind=kind, tables=_written(kind, getattr(node, kind, None)))
    return reader(getattr(node, kind))


def _written(kind: str, statement: Any) -> tuple[ops.Relation, ...]:
    if kind in ("insert_stmt", "update_stmt", "delete_stmt", "merge_stmt"):
        return (relation_of(statement.relation),)
    if kind == "copy_stmt" and statement.is_from:
        return (relation_of(statement.relation),)
    return ()


_DROPPED = {
    pb.OBJECT_INDEX: "index",
    pb.OBJECT_TABLE: "table",
    pb.OBJECT_VIEW: "view",
    pb.OBJECT_MATVIEW: "materialized view",
}
# Belong to a table, which is locked when they are dropped.
_OF_TABLES = frozenset({pb.OBJECT_TRIGGER, pb.OBJECT_POLICY, pb.OBJECT_RULE})


def _drop(stmt: Any) -> ops.Operation:
    dotted = [[i.string.sval for i in item.list.items] for item in stmt.objects]
    if stmt.remove_type in _OF_TABLES:
        # One a statement; its own name comes last.
        return _change(relation_of_names(dotted[0][:-1]), "drop")
    kind = _DROPPED.get(stmt.remove_type)
    if kind is None:
        return ops.Drop(kind=pb.ObjectType.Name(stmt.remove_type), names=())
    names = tuple(relation_of_names(parts) for parts in dotted)
    return ops.Drop(kind=kind, names=names, concurrently=stmt.concurrent)


def _change(table: ops.Relation, kind: str) -> ops.Operation:
    """What locks a table as any action of ALTER TABLE does, though it is written in another way."""
    return ops.AlterTable(table=table, actions=(ops.OtherAction(kind=kind),))


def _policy(stmt: Any) -> ops.Operation:
    return _change(relation_of(stmt.table), "policy")


def _rule(stmt: Any) -> ops.Operation:
    return _change(relation_of(stmt.relation), "rule")


def _set_schema(stmt: Any) -> ops.Operation:
    if stmt.object_type != pb.OBJECT_TABLE:
        return ops.Other(kind="alter_object_schema_stmt")
    return _change(relation_of(stmt.relation), "set schema")


def _vacuum(stmt: Any) -> ops.Operation:
    if not stmt.is_vacuumcmd:
        return ops.Other(kind="analyze")
    if not is_on(stmt.options, "full"):
        return ops.Other(kind="vacuum")
    return ops.Rewrite(
        command="VACUUM FULL",
        tables=tuple(relation_of(r.vacuum_relation.relation) for r in stmt.rels),
    )


def _cluster(stmt: Any) -> ops.Operation:
    named = (relation_of(stmt.relation),) if stmt.relation.relname else ()
    return ops.Rewrite(command="CLUSTER", tables=named)


def _truncate(stmt: Any) -> ops.Operation:
    return ops.Rewrite(
        command="TRUNCATE", tables=tuple(relation_of(r.range_var) for r in stmt.relations)
    )


def _lock(stmt: Any) -> ops.Operation:
    # The grammar numbers the modes as the server does, from 1.
    return ops.LockTables(
        tables=tuple(relation_of(r.range_var) for r in stmt.relations),
        mode=MODES[stmt.mode - 1],
        nowait=stmt.nowait,
    )


_TRANSACTION = {
    pb.TRANS_STMT_BEGIN: "begin",
    pb.TRANS_STMT_START: "begin",
    pb.TRANS_STMT_COMMIT: "commit",
    pb.TRANS_STMT_ROLLBACK: "rollback",
    pb.TRANS_STMT_PREPARE: "prepare",
    pb.TRANS_STMT_SAVEPOINT: "savepoint",
    pb.TRANS_STMT_ROLLBACK_TO: "rollback to",
}


def _transaction(stmt: Any) -> ops.Operation:
    kind = _TRANSACTION.get(stmt.kind, "other")
    return ops.Transaction(kind=kind, savepoint=stmt.savepoint_name, chain=stmt.chain)


def _set(stmt: Any) -> ops.Operation:
    if stmt.kind == pb.VAR_RESET_ALL:
        return ops.ResetSession()
    is_set = stmt.kind == pb.VAR_SET_VALUE
    value = ", ".join(_value(arg) for arg in stmt.args) if is_set else None
    return ops.SetVariable(name=stmt.name.lower(), value=value, local=stmt.is_local)


def _value(node: Any) -> str:
    constant = node.a_const
    match constant.WhichOneof("val"):
        case "ival":
            return str(constant.ival.ival)
        case "fval":
            return str(constant.fval.fval)
        case "sval":
            return str(constant.sval.sval)
        case "boolval":
            return "true" if constant.boolval.boolval else "false"
    return ""


def _discard(stmt: Any) -> ops.Operation:
    if stmt.target == pb.DISCARD_ALL:
        return ops.ResetSession()
    return ops.Other(kind="discard_stmt")


def _select(stmt: Any) -> ops.Operation:
    """Functions of the select list; set_config() is what SET is."""
    if stmt.HasField("into_clause"):
        return _created(stmt.into_clause)
    calls = [
        target.res_target.val.func_call
        for target in stmt.target_list
        if target.res_target.val.HasField("func_call")
    ]
    calls += [
        item.list.items[0].func_call
        for source in stmt.from_clause
        for item in source.range_function.functions
        if item.list.items[0].HasField("func_call")
    ]
    for call in calls:
        name = call.funcname[-1].string.sval
        if name == "set_config" and len(call.args) == 3:
            variable, value, local = (_value(arg) for arg in call.args)
            return ops.SetVariable(name=variable.lower(), value=value, local=local == "true")
    return ops.Calls(
        functions=tuple(relation_of_names([n.string.sval for n in c.funcname]) for c in calls),
        reads_tables=any(not s.HasField("range_function") for s in stmt.from_clause),
    )


def _call(stmt: Any) -> ops.Operation:
    names = [n.string.sval for n in stmt.funccall.funcname]
    return ops.Calls(functions=(relation_of_names(names),))


def _do(stmt: Any) -> ops.Operation:
    given = {a.def_elem.defname: a.def_elem.arg.string.sval for a in stmt.args}
    return ops.Block(language=given.get("language", "plpgsql").lower(), body=given.get("as", ""))


def _function(stmt: Any) -> ops.Operation:
    language, body = "sql", ""
    for option in stmt.options:
        element = option.def_elem
        if element.defname == "language":
            language = element.arg.string.sval.lower()
        elif element.defname == "as" and element.arg.list.items:
            body = element.arg.list.items[0].string.sval
    name = relation_of_names([n.string.sval for n in stmt.funcname])
    returned = [n.string.sval for n in stmt.return_type.names]
    if returned and returned[-1] in ("trigger", "event_trigger"):
        body = ""
    return ops.CreateFunction(name=name, language=language, body=body)


def _refresh(stmt: Any) -> ops.Operation:
    return ops.Refresh(
        view=relation_of(stmt.relation),
        concurrently=stmt.concurrent,
        with_data=not stmt.skip_data,
    )


def _create_as(stmt: Any) -> ops.Operation:
    return _created(stmt.into, if_not_exists=stmt.if_not_exists)


def _created(into: Any, *, if_not_exists: bool = False) -> ops.Operation:
    return ops.CreateTable(
        table=relation_of(into.rel),
        if_not_exists=if_not_exists,
        temporary=into.rel.relpersistence == "t",
    )


def _create_domain(stmt: Any) -> ops.Operation:
    kinds = {item.constraint.contype for item in stmt.constraints}
    if not kinds & {pb.CONSTR_CHECK, pb.CONSTR_NOTNULL}:
        return ops.Other(kind="create_domain_stmt")
    return ops.ConstrainDomain(relation_of_names([n.string.sval for n in stmt.domainname]))


def _alter_domain(stmt: Any) -> ops.Operation:
    # C adds a constraint, O is SET NOT NULL (AlterDomainStmt in parsenodes.h).
    if stmt.subtype not in ("C", "O"):
        return ops.Other(kind="alter_domain_stmt")
    return ops.ConstrainDomain(relation_of_names([n.string.sval for n in stmt.type_name]))


def _trigger(stmt: Any) -> ops.Operation:
    return ops.CreateTrigger(table=relation_of(stmt.relation))


_READERS: Mapping[str, Callable[[Any], ops.Operation]] = {
    "alter_table_stmt": tables.alter_table,
    "create_stmt": tables.create_table,
    "rename_stmt": tables.rename,
    "index_stmt": indexes.create_index,
    "drop_stmt": _drop,
    "reindex_stmt": indexes.reindex,
    "vacuum_stmt": _vacuum,
    "cluster_stmt": _cluster,
    "truncate_stmt": _truncate,
    "lock_stmt": _lock,
    "transaction_stmt": _transaction,
    "variable_set_stmt": _set,
    "discard_stmt": _discard,
    "select_stmt": _select,
    "call_stmt": _call,
    "do_stmt": _do,
    "create_function_stmt": _function,
    "refresh_mat_view_stmt": _refresh,
    "create_table_as_stmt": _create_as,
    "create_trig_stmt": _trigger,
    "create_domain_stmt": _create_domain,
    "alter_domain_stmt": _alter_domain,
    "create_policy_stmt": _policy,
    "alter_policy_stmt": _policy,
    "rule_stmt": _rule,
    "alter_object_schema_stmt": _set_schema,
}

"""The SQL inside DO blocks and PL/pgSQL functions, as the grammar of PL/pgSQL finds it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from json import JSONDecodeError
from typing import Any

import postgast
from google.protobuf.message import DecodeError

from incident_rca.migrations.grammar import TOO_DEEP, Unreadable
from incident_rca.migrations.nesting import is_too_deep


@dataclass(frozen=True, slots=True)
class Inner:
    """SQL inside a function's body: its text, the line of the body (from 1), None if built up."""

    text: str | None
    line: int


def body_statements(text: str) -> tuple[Inner, ...] | Unreadable:
    """The SQL statements inside a DO block or a PL/pgSQL function, given as a whole statement."""
    try:
        tree = postgast.parse_plpgsql(text)
    except postgast.PgQueryError as error:
        return Unreadable(error.message, max(error.cursorpos - 1, 0))
    except RecursionError:
        return Unreadable(TOO_DEEP, 0)
    except JSONDecodeError:
        # As of triggers' functions (libpg_query issue 337), which are not asked for.
        return Unreadable("the grammar gives its code in no form that can be read", 0)
    return tuple(_inner(tree, 1))


def _inner(node: Any, line: int) -> Iterator[Inner]:
    """Walks the JSON of a body in its order; `line` is that of the nearest statement around."""
    if isinstance(node, list):
        for item in node:
            yield from _inner(item, line)
    if not isinstance(node, Mapping):
        return
    for kind, value in node.items():
        if not isinstance(value, Mapping):
            yield from _inner(value, line)
            continue
        here = int(value.get("lineno", line))
        if kind == "PLpgSQL_stmt_execsql":
            yield Inner(value["sqlstmt"]["PLpgSQL_expr"]["query"], here)
        elif kind in ("PLpgSQL_stmt_perform", "PLpgSQL_stmt_call"):
            yield Inner(value["expr"]["PLpgSQL_expr"]["query"], here)
        elif kind in ("PLpgSQL_stmt_dynexecute", "PLpgSQL_stmt_dynfors"):
            yield Inner(_constant(value["query"]["PLpgSQL_expr"]["query"]), here)
            yield from _inner(value.get("body"), here)
        else:
            yield from _inner(value, here)


def _constant(expression: str) -> str | None:
    """The text of an expression that is one literal, or format() of one; None for any other.

    What format() fills in stands as a name such as "%I", of which nothing is known.
    """
    value = _only_value(expression)
    if value is None:
        return None
    if value.HasField("func_call"):
        call = value.func_call
        if call.funcname[-1].string.sval != "format" or not call.args:
            return None
        text = _literal(call.args[0])
        return None if text is None else _filled_in(text)
    return _literal(value)


def _literal(node: Any) -> str | None:
    return node.a_const.sval.sval if node.a_const.HasField("sval") else None


_PLACE = re.compile(r"%(?:(?P<percent>%)|(?:\d+\$)?-?(?:\d+|\*)?(?P<kind>[IsL]))")


def _filled_in(text: str) -> str:
    """A text of format() with a quoted name for each %I and %s, and a literal for each %L.

    >>> print(_filled_in("CREATE INDEX %I ON %2$s (a) WHERE b = %L"))
    CREATE INDEX "%I" ON "%s" (a) WHERE b = '%L'
    """
    signs = {"I": '"%I"', "s": '"%s"', "L": "'%L'"}
    return _PLACE.sub(lambda m: "%" if m["percent"] else signs[m["kind"]], text)


def _only_value(expression: str) -> Any:
    """The node of an expression, or None where it cannot be read."""
    values = f"VALUES ({expression})"
    try:
        if is_too_deep(values):
            return None
        tree = postgast.parse(values)
        (row,) = tree.stmts[0].stmt.select_stmt.values_lists
        (value,) = row.list.items
    except (postgast.PgQueryError, DecodeError, ValueError):
        return None
    return value

"""Rows of a query file by column name, and names of the server as SQL that a person can paste."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from incident_rca.queries import load_query
from incident_rca.redact import plain

if TYPE_CHECKING:
    import psycopg

Row = dict[str, Any]


def read_rows(connection: psycopg.Connection[tuple[Any, ...]], name: str) -> list[Row]:
    """The rows of `queries/postgres/NAME.sql`.

    Raises psycopg.Error where the server refuses, and UnicodeError where names in the catalogs that
    all databases share are in the encoding of another one.
    """
    cursor = connection.execute(load_query(f"postgres/{name}.sql").text.encode())
    columns = [column.name for column in cursor.description or ()]
    return [dict(zip(columns, map(_text, row), strict=True)) for row in cursor.fetchall()]


def _text(value: Any) -> Any:
    # A database of encoding SQL_ASCII does not know its encoding, and gives bytes.
    if isinstance(value, list):
        return [_text(item) for item in value]
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value


def read_row(connection: psycopg.Connection[tuple[Any, ...]], name: str) -> Row:
    """The one row of a query that always gives one."""
    (row,) = read_rows(connection, name)
    return row


def pasteable(quoted: str, raw: str) -> str:
    """`quoted` (by the server's quote_ident or quote_literal) where all of it can be seen.

    Else the same name or text in PostgreSQL's Unicode form, which is ASCII (its documentation,
    4.1.2.3): a terminal escape in a role's name must neither act nor be lost from the cure.

    >>> print(pasteable('"Ops Team"', "Ops Team"), pasteable('"a\\x1b[0m"', "a\\x1b[0m"))
    "Ops Team" U&"a\\001b[0m"
    """
    if plain(quoted, len(quoted) + 1) == quoted:
        return quoted
    mark = "'" if quoted.lstrip(" E").startswith("'") else '"'
    escaped = "".join(_unicode_escape(c, mark) for c in raw)
    return f"U&{mark}{escaped}{mark}"


def _unicode_escape(character: str, mark: str) -> str:
    if character in (mark, "\\"):
        return character * 2
    code = ord(character)
    if 0x20 <= code < 0x7F:
        return character
    return f"\\{code:04x}" if code <= 0xFFFF else f"\\+{code:06x}"

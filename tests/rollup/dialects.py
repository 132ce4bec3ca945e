"""What other engines' statements are in DuckDB's words, by sqlglot and where it is wrong."""

from __future__ import annotations

import sqlglot
from sqlglot import exp


def in_duckdb(statement: exp.Expr) -> str:
    """The statement for DuckDB: its regexp_replace needs a word to replace all that matches."""
    for replaced in statement.find_all(exp.RegexpReplace):
        replaced.set("modifiers", exp.Literal.string("g"))
    return statement.sql("duckdb")


def translated_back(text: str, dialect: str) -> str:
    """A text in one of the rollups' dialects for DuckDB."""
    return in_duckdb(sqlglot.parse_one(text, read=dialect))

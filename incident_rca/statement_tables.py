"""Which tables a statement names: read word by word, since a cut statement has no parse tree."""

from __future__ import annotations

import re
from collections.abc import Sequence

_SKIPPED = re.compile(r"--[^\n]*|/\*.*?(?:\*/|\Z)|'(?:[^']|'')*(?:'|\Z)", re.S)
_WORD = re.compile(r'"(?:[^"]|"")+"|[^\W\d][\w$]*|\d[\w.]*|\$\d+|\S')
_NAME = re.compile(r'"(?:[^"]|"")+"|[^\W\d][\w$]*')
# Behind these stands a table, as the documentation of each SQL command has it.
_BEFORE_TABLE = frozenset({"from", "join", "into", "update", "using", "table", "truncate", "lock"})
# These begin a statement that names a table at once: COPY t FROM .., VACUUM t.
_FIRST_WORDS = frozenset({"copy", "vacuum", "analyze", "cluster"})
_BETWEEN = frozenset({"only", "if", "not", "exists", "concurrently", "table", "full", "verbose"})
_NO_TABLE = frozenset({"select", "lateral", "values", "set", "of", "nowait", "skip", "stdin", "on"})
_LISTS = frozenset({"from", "using", "table", "truncate", "lock"})
# EXTRACT(year FROM t) and its like have a FROM that names no table.
_WITH_FROM_INSIDE = frozenset({"extract", "substring", "trim", "overlay", "position"})


def tables_of(statement: str) -> list[str]:
    """The tables named in a statement, without quotes, each once and in their order.

    Names that a WITH clause defines are none, nor are functions.

    >>> tables_of("INSERT INTO shop.stock (sku) SELECT sku FROM orders o JOIN items USING (id)")
    ['shop.stock', 'orders', 'items']
    >>> tables_of("CREATE INDEX CONCURRENTLY i ON stock USING btree (sku)")
    ['stock']
    """
    words = _WORD.findall(_SKIPPED.sub(" ' ", statement))
    low = [word.lower() for word in words]
    by_with = {
        words[at - 1].lower()
        for at in range(1, len(words) - 1)
        if low[at] == "as" and low[at + 1] in ("(", "materialized", "not")
    }
    found: dict[str, None] = {}
    for at in range(len(words)):
        if _opens_a_name(low, at):
            _read_names(words, low, at, by_with, found)
    return list(found)


def only_table_of(statement: str | None) -> str | None:
    """The table of a statement that names just one, else None."""
    tables = tables_of(statement or "")
    return tables[0] if len(tables) == 1 else None


def _opens_a_name(low: Sequence[str], at: int) -> bool:
    word, before = low[at], low[at - 1] if at else ""
    if at == 0 and word in _FIRST_WORDS:
        return True
    if word == "on":
        return low[0] == "create" and ("index" in low[1:3] or "trigger" in low[:at])
    if word not in _BEFORE_TABLE:
        return False
    if word == "update":
        return before not in ("for", "key", "do", "on", "or", "before", "after")
    if word == "from":
        return before != "distinct" and _enclosing(low, at) not in _WITH_FROM_INSIDE
    if word == "using":
        return low[0] in ("delete", "merge")
    return word != "lock" or at == 0


def _enclosing(low: Sequence[str], at: int) -> str:
    """The word before the innermost parenthesis that is open at a place."""
    depth = 0
    for place in range(at - 1, 0, -1):
        depth += (low[place] == ")") - (low[place] == "(")
        if depth < 0:
            return low[place - 1]
    return ""


def _read_names(
    words: Sequence[str], low: Sequence[str], at: int, by_with: set[str], found: dict[str, None]
) -> None:
    """Adds the name behind the word at `at`, and those that follow it behind commas."""
    place = at + 1
    while place < len(words):
        while place < len(words) and low[place] in _BETWEEN:
            place += 1
        name, place = _name_at(words, place)
        is_function = (
            low[at] in ("from", "join", "using") and place < len(words) and words[place] == "("
        )
        if not name or name.lower() in _NO_TABLE:
            return
        if not is_function and name.lower() not in by_with:
            found.setdefault(name)
        if low[at] not in _LISTS:
            return
        if place < len(words) and low[place] == "as":
            place += 1
        if place < len(words) and words[place] != "," and _NAME.fullmatch(words[place]):
            place += 1
        if place >= len(words) or words[place] != ",":
            return
        place += 1


def _name_at(words: Sequence[str], place: int) -> tuple[str, int]:
    """The dotted name that begins at a place ("" if none does), and the place behind it."""
    parts: list[str] = []
    while place < len(words) and _NAME.fullmatch(words[place]):
        parts.append(words[place].strip('"').replace('""', '"'))
        if place + 1 >= len(words) or words[place + 1] != ".":
            return ".".join(parts), place + 1
        place += 2
    return ".".join(parts), place

"""The tables that a message's CONTEXT names."""

from __future__ import annotations

import re

_ROW = re.compile(
    r"while (?P<doing>updating|deleting|locking|rechecking updated|checking uniqueness of"
    r"|checking exclusion constraint on|inserting index|locking updated version) "
    r'(?:tuple )?\((?P<row>\d+,\d+)\)(?: of tuple)? in relation "(?P<name>[^"]+)"'
)
_AUTOVACUUM = re.compile(r'automatic (?P<task>vacuum|analyze) of table "(?P<name>[^"]+)"')


def bare(name: str) -> str:
    """A table's name without its schema."""
    return name.rpartition(".")[2]


def row_of(context: str) -> tuple[str, str] | None:
    """The row, as `block,offset`, and the table that a wait for a transaction is about.

    The texts are those of lmgr.c, XactLockTableWaitErrorCb: the table without its schema. Of
    "inserting index tuple" the relation is the index (nbtinsert.c), so it names no table.

    >>> row_of('while updating tuple (0,1) in relation "stock"')
    ('0,1', 'stock')
    """
    found = _ROW.search(context)
    if found is None or found["doing"] == "inserting index":
        return None
    return found["row"], found["name"]


def autovacuum_of(context: str) -> tuple[str, str] | None:
    """What an autovacuum worker did (`vacuum` or `analyze`) and to which `schema.table`.

    >>> autovacuum_of('automatic vacuum of table "shop.public.stock"')
    ('vacuum', 'public.stock')
    """
    found = _AUTOVACUUM.search(context)
    return (found["task"], found["name"].partition(".")[2]) if found else None

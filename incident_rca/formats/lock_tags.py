"""What a lock is on: the columns of pg_locks that name it, and its name as the log writes it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from operator import itemgetter
from typing import Any

# PostgreSQL documentation, "pg_locks": two rows are about one lock where all of these agree.
TAG = (
    "locktype",
    "database",
    "relation",
    "page",
    "tuple",
    "virtualxid",
    "transactionid",
    "classid",
    "objid",
    "objsubid",
)
ROW_LOCKS = frozenset({"transactionid", "tuple", "spectoken"})
# pg_locks writes some types otherwise than one would say them.
_TYPES = {"spectoken": "speculative token"}

Tag = tuple[Any, ...]

tag_of: Callable[[Mapping[str, Any]], Tag] = itemgetter(*TAG)
"""The values of TAG in a row of pg_locks."""


def described(lock: Mapping[str, Any]) -> str:
    """The lock without a relation's name, in the words of `DescribeLockTag` (lmgr.c).

    So one lock has one name, whether a recording or the server's log tells of it. A relation is
    named by its OID alone: the database stands in a column of its own.

    >>> described({"locktype": "advisory", "database": 5, "classid": 0, "objid": 7, "objsubid": 1})
    'advisory lock [5,0,7,1]'
    >>> described({"locktype": "transactionid", "transactionid": "765"})
    'transaction 765'
    """
    kind = lock["locktype"]
    if kind == "transactionid":
        return f"transaction {lock['transactionid']}"
    if kind == "virtualxid":
        return f"virtual transaction {lock['virtualxid']}"
    if kind == "advisory":
        parts = ("database", "classid", "objid", "objsubid")
        return f"advisory lock [{','.join(str(lock[part]) for part in parts)}]"
    if kind == "object":
        return f"object {lock['objid']} of class {lock['classid']} of database {lock['database']}"
    if lock.get("relation") is not None:
        return f"relation {lock['relation']}"
    return _TYPES.get(kind, str(kind))

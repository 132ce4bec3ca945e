"""Whether two names may mean one service: the words that they share."""

from __future__ import annotations

import re

_COMMON = frozenset({"service", "svc", "api", "app", "db", "pool", "server", "client", "grpc"})


def words(name: str) -> frozenset[str]:
    """The telling words of a name.

    >>> sorted(words("billing-service.db"))
    ['billing']
    """
    parts = re.split(r"[^a-z0-9]+", name.casefold())
    return frozenset(part for part in parts if len(part) > 2) - _COMMON


def may_be_one(a: str, b: str) -> bool:
    """Whether two names share a telling word."""
    return bool(words(a) & words(b))

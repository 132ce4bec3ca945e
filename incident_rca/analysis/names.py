"""Names and numbers in words: whether two names may mean one service, and how many of what."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from incident_rca.model import LatencyShift

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


def named_shifts(shifts: Sequence[LatencyShift]) -> Iterator[tuple[LatencyShift, str]]:
    """Each shift with the name of its method, and of its metric where several measured the method:
    client and server both time the same calls.
    """
    metrics: dict[str, set[str]] = {}
    for shift in shifts:
        metrics.setdefault(f"{shift.service}.{shift.method}", set()).add(shift.metric)
    for shift in shifts:
        name = f"{shift.service}.{shift.method}"
        yield shift, f"{name} by {shift.metric}" if len(metrics[name]) > 1 else name


def counted(number: int, noun: str) -> str:
    """A number with its noun, in the singular where there is one.

    >>> counted(1, "session"), counted(1200, "session")
    ('1 session', '1,200 sessions')
    """
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"

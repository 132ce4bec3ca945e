"""What acts on a system: each cause with the seconds of the window in which it does."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldTable:
    """A session takes a table in a mode and keeps it; `last` is what an idle one ran after that."""

    table: str
    mode: str
    statement: str
    application: str
    start: float
    end: float
    last: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class BehindReader:
    """A reader forgets its transaction; an ALTER TABLE waits for it, and everybody for that one."""

    table: str
    start: float
    alter_at: float
    end: float


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldRow:
    """A transaction changes the row that others want as well, and stays open."""

    table: str
    application: str
    start: float
    end: float


@dataclass(frozen=True, slots=True, kw_only=True)
class CrossedRows:
    """Transactions of a table change two of `rows` rows, in either order, `pause` seconds apart."""

    table: str
    rows: int
    pause: float
    start: float
    end: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Slow:
    """A service works `factor` times as long; over `ramp` seconds it becomes so."""

    service: str
    factor: float
    start: float
    end: float
    ramp: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Failing:
    """A service ends this share of its calls at once with a code."""

    service: str
    share: float
    code: Literal["UNAVAILABLE", "INTERNAL"]
    seconds: float
    start: float
    end: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Misrouted:
    """The gateway sends a route's requests where nobody listens."""

    route: str
    start: float
    end: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Surge:
    """`factor` times as many requests come on these routes; over `ramp` seconds it becomes so."""

    routes: tuple[str, ...]
    factor: float
    start: float
    end: float
    ramp: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Restart:
    """A service is started again: its calls end, and its connections come back."""

    service: str
    start: float

    @property
    def end(self) -> float:
        return self.start


Lock: TypeAlias = HeldTable | BehindReader | HeldRow
Cause: TypeAlias = Lock | CrossedRows | Slow | Failing | Misrouted | Surge | Restart


def level(cause: Slow | Surge, at: float) -> float:
    """How many times the usual it is at an instant: 1 outside, in between on the ramp.

    >>> level(Slow(service="a", factor=5.0, start=10.0, end=30.0, ramp=10.0), 15.0)
    3.0
    """
    if not cause.start <= at < cause.end:
        return 1.0
    if cause.ramp <= 0.0:
        return cause.factor
    return 1.0 + (cause.factor - 1.0) * min(1.0, (at - cause.start) / cause.ramp)

"""What acts on a system: each cause with the seconds of the window in which it does."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias


@dataclass(frozen=True, slots=True, kw_only=True)
class Acting:
    """What acts from `start` to `end`."""

    start: float
    end: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Rising(Acting):
    """What becomes `factor` times the usual, over `ramp` seconds."""

    factor: float
    ramp: float = 0.0

    def level(self, at: float) -> float:
        """How many times the usual it is at an instant: 1 outside, in between on the ramp.

        >>> Slow(service="a", factor=5.0, start=10.0, end=30.0, ramp=10.0).level(15.0)
        3.0
        """
        if not self.start <= at < self.end:
            return 1.0
        if self.ramp <= 0.0:
            return self.factor
        return 1.0 + (self.factor - 1.0) * min(1.0, (at - self.start) / self.ramp)


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldTable(Acting):
    """A session takes a table in a mode and keeps it; `last` is what an idle one ran after that."""

    table: str
    mode: str
    statement: str
    application: str
    last: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class BehindReader(Acting):
    """A reader forgets its transaction; an ALTER TABLE waits for it, and everybody for that one."""

    table: str
    alter_at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldRow(Acting):
    """A transaction changes the row that others want as well, and stays open."""

    table: str
    application: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CrossedRows(Acting):
    """Transactions of a table change two of `rows` rows, in either order, `pause` seconds apart."""

    table: str
    rows: int
    pause: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Slow(Rising):
    """A service works `factor` times as long."""

    service: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Failing(Acting):
    """A service ends this share of its calls at once with a code."""

    service: str
    share: float
    code: Literal["UNAVAILABLE", "INTERNAL"]
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Misrouted(Acting):
    """The gateway sends a route's requests where nobody listens."""

    route: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Surge(Rising):
    """`factor` times as many requests come on these routes."""

    routes: tuple[str, ...]


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

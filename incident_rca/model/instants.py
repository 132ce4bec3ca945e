"""Time: windows of aware UTC instants, and spans that an instant is known to lie in."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta


def require_utc(name: str, instant: datetime) -> None:
    if instant.utcoffset() != timedelta(0):
        raise ValueError(f"{name} must be an aware UTC instant, got {instant!r}")


@dataclass(frozen=True, slots=True)
class TimeWindow:
    """The half-open interval `[start, end)` of aware UTC instants.

    >>> from datetime import UTC
    >>> w = TimeWindow(datetime(2026, 1, 15, tzinfo=UTC), datetime(2026, 1, 16, tzinfo=UTC))
    >>> w.seconds
    86400.0
    """

    start: datetime
    end: datetime

    def __post_init__(self) -> None:
        require_utc("start", self.start)
        require_utc("end", self.end)
        if self.start >= self.end:
            raise ValueError(f"a window must start before it ends: {self.start} .. {self.end}")

    @property
    def seconds(self) -> float:
        return (self.end - self.start).total_seconds()


@dataclass(frozen=True, slots=True)
class Span:
    """An instant known to lie in `[lo, hi]` on its source's own clock; `None` is an open end.

    `reason` says what makes it that wide (sampling interval, bucket, completion lag).
    Clock offsets are not in it: they are added when two systems are compared.
    """

    lo: datetime | None
    hi: datetime | None
    reason: str = ""

    def __post_init__(self) -> None:
        for name, instant in (("lo", self.lo), ("hi", self.hi)):
            if instant is not None:
                require_utc(name, instant)
        if self.lo is not None and self.hi is not None and self.lo > self.hi:
            raise ValueError(f"a span must not end before it starts: {self.lo} .. {self.hi}")

    @classmethod
    def at(cls, instant: datetime, reason: str = "") -> Span:
        return cls(instant, instant, reason)

    @property
    def first(self) -> datetime:
        """The earliest bound that is known; for sorting and for printing."""
        known = self.lo if self.lo is not None else self.hi
        if known is None:
            raise ValueError("a span with two open ends has no instant")
        return known

    @property
    def middle(self) -> datetime:
        """The middle of a closed span, else the bound that is known: its estimate."""
        if self.lo is None or self.hi is None:
            return self.first
        return self.lo + (self.hi - self.lo) / 2

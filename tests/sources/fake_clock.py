"""A clock whose pauses take no time, and which keeps what was asked of it."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

NOW = datetime(2026, 1, 15, 15, 5, tzinfo=UTC)


@dataclass
class FakeClock:
    """`slept` are the pauses so far; without `is_real` it stands still but for them."""

    is_real: bool = False
    slept: list[float] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def now(self) -> datetime:
        return datetime.now(UTC) if self.is_real else NOW + timedelta(seconds=sum(self.slept))

    def monotonic(self) -> float:
        return (time.monotonic() if self.is_real else 1000.0) + sum(self.slept)

    def sleep(self, seconds: float) -> None:
        with self._lock:
            self.slept.append(seconds)

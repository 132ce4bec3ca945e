"""The clock of the machine that the program runs on."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime


@dataclass(frozen=True, slots=True)
class SystemClock:
    """This machine's clock; its sleep ends early once `stop` is set."""

    stop: threading.Event = field(default_factory=threading.Event)

    def now(self) -> datetime:
        """The instant now, in UTC."""
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """Seconds that only go forward."""
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        """Waits up to so many seconds."""
        self.stop.wait(seconds)

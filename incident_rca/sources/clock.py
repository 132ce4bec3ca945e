"""The clock that a source waits by: an argument, so that a test need not wait."""

from __future__ import annotations

from datetime import datetime
from typing import Protocol


class Clock(Protocol):
    """This host's clock."""

    def now(self) -> datetime:
        """The aware instant now."""

    def monotonic(self) -> float:
        """Seconds that only go forward."""

    def sleep(self, seconds: float) -> None:
        """Waits; returns early once the program is asked to end."""

"""How far a service's clock is from ours, as far as the Date of its answers shows."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime
from threading import Lock


@dataclass(slots=True)
class ClockOffset:
    """Bounds of the service's clock minus ours in seconds, narrowed by each answer's Date."""

    bounds: tuple[float, float] | None = None
    _lock: Lock = field(default_factory=Lock)

    def add(self, date: str, sent: datetime, received: datetime) -> None:
        """Takes a Date header, which has whole seconds (RFC 9110); no date says nothing."""
        try:
            at = parsedate_to_datetime(date)
            low = (at - received).total_seconds()
            high = (at + timedelta(seconds=1) - sent).total_seconds()
        except (TypeError, ValueError):
            return
        with self._lock:
            before = self.bounds or (low, high)
            narrow = max(low, before[0]), min(high, before[1])
            wide = min(low, before[0]), max(high, before[1])
            # Dates that contradict each other come from several clocks: any of them may be meant.
            self.bounds = narrow if narrow[0] <= narrow[1] else wide

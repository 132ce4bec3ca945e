"""How often an action of a service may be called: one pace for the whole process, which adapts.

CloudWatch Logs gives each account 5 calls a second of FilterLogEvents, StartQuery and
GetQueryResults in a region (Amazon CloudWatch Logs User Guide, "CloudWatch Logs quotas"); newer
accounts have more. So the pace starts there, rises while nobody objects (additive increase) and
falls at once where the service asks to slow down (multiplicative decrease).
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, field
from threading import Lock

from incident_rca.sources.tally import Tally

USUAL_CALLS_PER_SECOND = 5.0
SLOWEST_CALLS_PER_SECOND = 0.5
# As many as the newer quota of FilterLogEvents and GetLogEvents has.
FASTEST_CALLS_PER_SECOND = 25.0
DECREASE = 0.7
# Turns that nobody was there to take may be taken later, up to so many: AWS counts by the second.
MOST_CAUGHT_UP = 2
INCREASE_PER_SECOND = 0.1
# A pace above the usual one is tried only after so long without an objection. One that met with an
# objection is not tried again for as long as a fetch may take.
QUIET_SECONDS = 30.0
REMEMBERED_SECONDS = 300.0


@dataclass(slots=True, eq=False)
class Pace:
    """A token bucket that holds few tokens: calls are spaced evenly, whoever makes them."""

    calls_per_second: float = USUAL_CALLS_PER_SECOND
    ceiling: float = FASTEST_CALLS_PER_SECOND
    _next_at: float | None = None
    _changed_at: float = 0.0
    _objected_at: float = float("-inf")
    _lock: Lock = field(default_factory=Lock)

    def wait(self, tally: Tally) -> float:
        """Waits for this caller's turn; the instant of the tally's clock at which it has come.

        Raises Unreachable where the tally's time is over before.
        """
        tally.check()
        with self._lock:
            now = tally.clock.monotonic()
            if self._next_at is None:
                self._changed_at = self._objected_at = now
                self._next_at = now
            self._rise(now)
            turn = max(self._next_at, now - MOST_CAUGHT_UP / self.calls_per_second)
            self._next_at = turn + 1 / self.calls_per_second
        if turn > now:
            tally.pause(turn - now)
        return max(turn, now)

    def objected(self, called_at: float, now: float) -> None:
        """Slows down; calls that were under way when it last did so are no new objection."""
        with self._lock:
            if called_at < self._objected_at:
                return
            self._objected_at = self._changed_at = now
            self.ceiling = max(USUAL_CALLS_PER_SECOND, self.calls_per_second * DECREASE)
            self.calls_per_second = max(SLOWEST_CALLS_PER_SECOND, self.calls_per_second * DECREASE)
            self._next_at = now + 1 / self.calls_per_second

    def _rise(self, now: float) -> None:
        """Adds what the quiet time since the last change has earned."""
        quiet = now - self._objected_at
        if quiet >= REMEMBERED_SECONDS:
            self.ceiling = FASTEST_CALLS_PER_SECOND
        limit = self.ceiling if quiet >= QUIET_SECONDS else USUAL_CALLS_PER_SECOND
        earned = INCREASE_PER_SECOND * (now - self._changed_at)
        if self.calls_per_second < limit:
            self.calls_per_second = min(limit, self.calls_per_second + earned)
        self._changed_at = now


@dataclass(slots=True, eq=False)
class Paces:
    """One pace for each account, region and action; each begins with so many calls a second."""

    calls_per_second: float = USUAL_CALLS_PER_SECOND
    _paces: dict[Hashable, Pace] = field(default_factory=dict)
    _lock: Lock = field(default_factory=Lock)

    def of(self, key: Hashable) -> Pace:
        """The pace of what `key` names, the same one each time."""
        with self._lock:
            return self._paces.setdefault(key, Pace(self.calls_per_second))


# A quota counts what the account calls, whichever of our sources it is for.
OF_THIS_PROCESS = Paces()

"""The circuit breaker of opossum 10 (Node.js), as the library itself behaves.

`make oracle` compares it with the library, event by event.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace

from incident_rca.whatif.breakers import FULL, TIMEOUT
from incident_rca.whatif.virtual_time import Timer, VirtualTime, cancel

CLOSED, OPEN, HALF_OPEN = "closed", "open", "halfOpen"
COUNTED = ("fires", "failures", "successes", "timeouts", "rejects", "semaphoreRejections")
_FIRES, _FAILURES, _SUCCESSES, _TIMEOUTS, _REJECTS, _SEMAPHORE_REJECTIONS = range(len(COUNTED))


@dataclass(frozen=True, slots=True, kw_only=True)
class OpossumOptions:
    """The options of the library that decide who is refused, with its defaults; times in ms."""

    error_threshold_percentage: float = 50
    rolling_count_timeout_ms: int = 10_000
    rolling_count_buckets: int = 10
    volume_threshold: int = 0
    reset_timeout_ms: int = 30_000
    allow_warm_up: bool = False


def kin_of(options: OpossumOptions) -> OpossumOptions:
    """What options share with those that differ in the volume and the threshold alone."""
    return replace(options, volume_threshold=0, error_threshold_percentage=0)


class Opossum:
    """One opossum breaker: `heard` is told the name of each event, as its listeners are.

    Not obvious, and the library's own: every fire counts in the rate, refused ones and those still
    under way too; the rate must be above the threshold, not at it; only a failure opens, and a
    failure in the half-open state opens whatever the volume; a call begun before it opened may
    close it; closing forgets nothing.
    """

    __slots__ = (
        "_below_threshold",
        "_clock",
        "_heard",
        "_interval_ms",
        "_is_warming_up",
        "_least_threshold",
        "_least_volume",
        "_most_volume",
        "_options",
        "_probe_is_due",
        "_reset",
        "_totals",
        "_window",
        "state",
    )

    def __init__(
        self,
        clock: VirtualTime,
        options: OpossumOptions,
        heard: Callable[[str], None] | None = None,
    ) -> None:
        self.state = CLOSED
        self._clock = clock
        self._options = options
        self._heard = heard
        self._probe_is_due = False
        self._least_volume: float = 0
        self._least_threshold: float = 0
        self._most_volume = self._below_threshold = math.inf
        self._reset: Timer | None = None
        self._totals = [0] * len(COUNTED)
        self._window = deque([0] * len(COUNTED) for _ in range(options.rolling_count_buckets))
        self._is_warming_up = options.allow_warm_up
        self._interval_ms = options.rolling_count_timeout_ms // options.rolling_count_buckets
        clock.at(clock.now + self._interval_ms, self._rotate)
        if self._is_warming_up:
            clock.at(clock.now + options.rolling_count_timeout_ms, self._warm)

    @property
    def counts(self) -> dict[str, int]:
        """What stands in the rolling window, by the library's names."""
        return dict(zip(COUNTED, self._totals, strict=True))

    def admit(self) -> object | None:
        self._count(_FIRES, "fire")
        if self.state != CLOSED and not self._probe_is_due:
            self._count(_REJECTS, "reject")
            return None
        self._probe_is_due = False
        return self

    def succeeded(self, ticket: object) -> None:
        # The breaker listens to its own `success` before anybody else can.
        self._totals[_SUCCESSES] += 1
        self._window[0][_SUCCESSES] += 1
        if self.state == HALF_OPEN:
            cancel(self._reset)
            self.state = CLOSED
            self._probe_is_due = False
            self._tell("close")
        self._tell("success")

    def failed(self, ticket: object, outcome: str) -> None:
        if outcome == TIMEOUT:
            self._count(_TIMEOUTS, "timeout")
        elif outcome == FULL:
            self._count(_SEMAPHORE_REJECTIONS, "semaphoreLocked")
        self._count(_FAILURES, "failure")
        if self._is_warming_up or self.state == OPEN:
            return
        fires, failures = self._totals[_FIRES], self._totals[_FAILURES]
        if self.state != HALF_OPEN:
            if fires < self._options.volume_threshold:
                self._least_volume = max(self._least_volume, fires + 1)
                return
            self._most_volume = min(self._most_volume, fires)
            # The fires may have left the window before their failures came.
            rate = failures / fires * 100 if fires else math.inf
            if rate <= self._options.error_threshold_percentage:
                self._least_threshold = max(self._least_threshold, rate)
                return
            self._below_threshold = min(self._below_threshold, rate)
        self._open()

    def decides_alike(self, options: object) -> bool:
        """Whether other options would have decided everything so far in the same way.

        Those that differ in the volume and the threshold alone would, where each comparison that
        was made comes out the same with theirs.
        """
        own = self._options
        return (
            isinstance(options, OpossumOptions)
            and kin_of(options) == kin_of(own)
            and self._least_volume <= options.volume_threshold <= self._most_volume
            and self._least_threshold <= options.error_threshold_percentage < self._below_threshold
        )

    def _open(self) -> None:
        self.state = OPEN
        self._probe_is_due = False
        due = self._clock.now + self._options.reset_timeout_ms
        self._reset = self._clock.timer(due, self._half_open)
        self._tell("open")

    def _half_open(self) -> None:
        self.state = HALF_OPEN
        self._probe_is_due = True
        self._tell("halfOpen")

    def _count(self, index: int, event: str) -> None:
        self._totals[index] += 1
        self._window[0][index] += 1
        if self._heard is not None:
            self._heard(event)

    def _tell(self, event: str) -> None:
        if self._heard is not None:
            self._heard(event)

    def _rotate(self) -> None:
        last = self._window.pop()
        if last[_FIRES] or any(last):
            for index, gone in enumerate(last):
                self._totals[index] -= gone
                last[index] = 0
        self._window.appendleft(last)
        self._clock.at(self._clock.now + self._interval_ms, self._rotate)

    def _warm(self) -> None:
        self._is_warming_up = False

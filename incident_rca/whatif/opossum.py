"""The circuit breaker of opossum 10 (Node.js), as the library itself behaves.

`make oracle` compares it with the library, event by event.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

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


class Opossum:
    """One opossum breaker: `heard` is told the name of each event, as its listeners are.

    Not obvious, and the library's own: every fire counts in the rate, refused ones and those still
    under way too; the rate must be above the threshold, not at it; only a failure opens, and a
    failure in the half-open state opens whatever the volume; a call begun before it opened may
    close it; closing forgets nothing.
    """

    __slots__ = (
        "_clock",
        "_heard",
        "_interval_ms",
        "_is_warming_up",
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
        if self._is_warming_up:
            return
        fires, failures = self._totals[_FIRES], self._totals[_FAILURES]
        if self.state != HALF_OPEN:
            if fires < self._options.volume_threshold:
                return
            # The fires may have left the window before their failures came.
            rate = failures / fires * 100 if fires else float("inf")
            if rate <= self._options.error_threshold_percentage:
                return
        self._open()

    def _open(self) -> None:
        if self.state == OPEN:
            return
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

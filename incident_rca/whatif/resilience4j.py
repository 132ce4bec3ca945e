"""The circuit breaker of Resilience4j 2 by the rules of its documentation; not compared with it."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Literal, Protocol, TypeAlias

from incident_rca.whatif.virtual_time import VirtualTime

WindowType: TypeAlias = Literal["COUNT_BASED", "TIME_BASED"]

CLOSED, OPEN, HALF_OPEN = "closed", "open", "half_open"


@dataclass(frozen=True, slots=True, kw_only=True)
class Resilience4jOptions:
    """The properties of an instance that decide who is refused, with the library's defaults.

    `sliding_window_size` counts calls or seconds, by the window's type.
    """

    failure_rate_threshold: float = 50
    slow_call_rate_threshold: float = 100
    slow_call_duration_threshold_ms: int = 60_000
    sliding_window_type: WindowType = "COUNT_BASED"
    sliding_window_size: int = 100
    minimum_number_of_calls: int = 100
    wait_duration_in_open_state_ms: int = 60_000
    permitted_number_of_calls_in_half_open_state: int = 10


class _Window(Protocol):
    def record(self, *, failed: bool, slow: bool) -> tuple[int, int, int]:
        """How many calls the window holds with this one, how many of them failed, were slow."""
        ...


class _Calls:
    """The last `size` calls."""

    __slots__ = ("_failed", "_kept", "_slow")

    def __init__(self, size: int) -> None:
        self._kept: deque[tuple[bool, bool]] = deque(maxlen=size)
        self._failed = self._slow = 0

    def record(self, *, failed: bool, slow: bool) -> tuple[int, int, int]:
        kept = self._kept
        if len(kept) == kept.maxlen:
            gone_failed, gone_slow = kept[0]
            self._failed -= gone_failed
            self._slow -= gone_slow
        kept.append((failed, slow))
        self._failed += failed
        self._slow += slow
        return len(kept), self._failed, self._slow


class _Seconds:
    """The calls that ended in the last `size` seconds, the current one among them."""

    __slots__ = ("_clock", "_kept", "_size", "_totals")

    def __init__(self, clock: VirtualTime, size: int) -> None:
        self._clock = clock
        self._size = size
        self._kept: deque[tuple[int, bool, bool]] = deque()
        self._totals = [0, 0]

    def record(self, *, failed: bool, slow: bool) -> tuple[int, int, int]:
        second, kept, totals = self._clock.now // 1000, self._kept, self._totals
        while kept and kept[0][0] <= second - self._size:
            _, gone_failed, gone_slow = kept.popleft()
            totals[0] -= gone_failed
            totals[1] -= gone_slow
        kept.append((second, failed, slow))
        totals[0] += failed
        totals[1] += slow
        return len(kept), totals[0], totals[1]


class Resilience4j:
    """One Resilience4j breaker.

    Only calls that ended are in its rates, which open it at their threshold, not only above it. It
    waits to be asked before it is half open; then it lets some calls through and decides when all
    of them have ended. Closing begins an empty window.
    """

    __slots__ = ("_clock", "_minimum", "_options", "_permits", "_reopens_at", "_window", "state")

    def __init__(self, clock: VirtualTime, options: Resilience4jOptions) -> None:
        self._clock = clock
        self._options = options
        self._reopens_at = self._permits = 0
        self._window: _Window
        self.state: str
        self._minimum: int
        self._close()

    def admit(self) -> object | None:
        if self.state == OPEN:
            if self._clock.now < self._reopens_at:
                return None
            self.state = HALF_OPEN
            self._permits = self._options.permitted_number_of_calls_in_half_open_state
            self._minimum = self._permits
            self._window = _Calls(self._permits)
        if self.state == HALF_OPEN:
            if not self._permits:
                return None
            self._permits -= 1
        return self._clock.now

    def succeeded(self, ticket: object) -> None:
        self._record(ticket, failed=False)

    def decides_alike(self, options: object) -> bool:
        return options == self._options

    def failed(self, ticket: object, outcome: str) -> None:
        self._record(ticket, failed=True)

    def _record(self, ticket: object, *, failed: bool) -> None:
        options = self._options
        assert isinstance(ticket, int)
        slow = self._clock.now - ticket > options.slow_call_duration_threshold_ms
        calls, failures, slow_calls = self._window.record(failed=failed, slow=slow)
        if self.state == OPEN or calls < self._minimum:
            return
        is_bad = (
            100 * failures >= options.failure_rate_threshold * calls
            or 100 * slow_calls >= options.slow_call_rate_threshold * calls
        )
        if is_bad:
            self.state = OPEN
            self._reopens_at = self._clock.now + options.wait_duration_in_open_state_ms
        elif self.state == HALF_OPEN:
            self._close()

    def _close(self) -> None:
        options, size = self._options, self._options.sliding_window_size
        self.state = CLOSED
        if options.sliding_window_type == "COUNT_BASED":
            self._window = _Calls(size)
            # A window of calls that is full is enough, however many are asked for.
            self._minimum = min(options.minimum_number_of_calls, size)
        else:
            self._window = _Seconds(self._clock, size)
            self._minimum = options.minimum_number_of_calls

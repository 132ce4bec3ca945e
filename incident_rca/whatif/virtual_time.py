"""Timers in virtual time, in whole milliseconds, run in the order of their times."""

from __future__ import annotations

from collections.abc import Callable
from heapq import heappop, heappush


class Timer:
    """What waits for its instant; `callback` is None once it ran or was cancelled."""

    __slots__ = ("arguments", "callback")

    def __init__(self, callback: Callable[..., object], arguments: tuple[object, ...]) -> None:
        self.callback: Callable[..., object] | None = callback
        self.arguments = arguments


def cancel(timer: Timer | None) -> None:
    """Keeps a timer from running; one that ran, or None, is left alone."""
    if timer is not None:
        timer.callback = None


class VirtualTime:
    """A clock whose timers run when `run_until` reaches them; those of one instant as armed."""

    __slots__ = ("_armed", "_heap", "now")

    def __init__(self) -> None:
        self.now = 0
        self._armed = 0
        self._heap: list[tuple[int, int, Timer]] = []

    def at(self, instant: int, callback: Callable[..., object], *arguments: object) -> Timer:
        """Arms a timer for an instant in ms."""
        timer = Timer(callback, arguments)
        self._armed += 1
        heappush(self._heap, (instant, self._armed, timer))
        return timer

    def run_until(self, instant: int) -> None:
        """Runs every timer up to and at `instant`, and stands there."""
        heap = self._heap
        while heap and heap[0][0] <= instant:
            self.now, _, timer = heappop(heap)
            callback, timer.callback = timer.callback, None
            if callback is not None:
                callback(*timer.arguments)
        self.now = instant

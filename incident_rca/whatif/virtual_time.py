"""Timers in virtual time, in whole milliseconds, run in the order of their times."""

from __future__ import annotations

from collections.abc import Callable
from heapq import heappop, heappush
from typing import TypeAlias


class Timer:
    """What waits for its instant and can be cancelled until then."""

    __slots__ = ("is_cancelled",)

    def __init__(self) -> None:
        self.is_cancelled = False


def cancel(timer: Timer | None) -> None:
    """Keeps a timer from running; one that ran, or None, is left alone."""
    if timer is not None:
        timer.is_cancelled = True


# An instant, a number in the order of arming, what runs then with its arguments, and its timer.
_Due: TypeAlias = "tuple[int, int, Callable[..., object], tuple[object, ...], Timer | None]"


class VirtualTime:
    """A clock that runs what is due when `run_until` reaches it; what is due at once as armed."""

    __slots__ = ("_armed", "_heap", "now")

    def __init__(self) -> None:
        self.now = 0
        self._armed = 0
        self._heap: list[_Due] = []

    def at(self, instant: int, callback: Callable[..., object], *arguments: object) -> None:
        """Runs the callback at an instant in ms."""
        self._armed += 1
        heappush(self._heap, (instant, self._armed, callback, arguments, None))

    def timer(self, instant: int, callback: Callable[..., object], *arguments: object) -> Timer:
        """As `at`, with what `cancel` takes."""
        self._armed += 1
        timer = Timer()
        heappush(self._heap, (instant, self._armed, callback, arguments, timer))
        return timer

    def run_until(self, instant: int) -> None:
        """Runs all that is due up to and at `instant`, and stands there."""
        heap = self._heap
        while heap and heap[0][0] <= instant:
            self.now, _, callback, arguments, timer = heappop(heap)
            if timer is None or not timer.is_cancelled:
                callback(*arguments)
        self.now = instant

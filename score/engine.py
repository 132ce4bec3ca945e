"""A discrete-event engine: processes as generators, and the signals that they wait for."""

from __future__ import annotations

import heapq
from collections.abc import Generator
from dataclasses import dataclass, field
from typing import TypeAlias, TypeVar

Result = TypeVar("Result", covariant=True)


class Signal:
    """Something that happens once; who waits for it goes on at that instant."""

    __slots__ = ("fired", "waiting")

    def __init__(self) -> None:
        self.fired = False
        self.waiting: list[tuple[_Running, int]] = []


# A pause in seconds, or a signal and how long to wait for it at most (None: for ever).
Step: TypeAlias = "float | tuple[Signal, float | None]"
# What `yield` gives back: whether the signal fired; False behind a pause and a time-out.
Process: TypeAlias = Generator[Step, bool, Result]


@dataclass(slots=True, eq=False)
class _Running:
    process: Process[object]
    # Counts its steps, so that what it no longer waits for does not wake it.
    step: int = 0


@dataclass(slots=True)
class Engine:
    """The clock, in seconds from the start of the window, and what is due."""

    now: float = 0.0
    _due: list[tuple[float, int, _Running, int, bool]] = field(default_factory=list)
    _number: int = 0

    def start(self, process: Process[object], at: float | None = None) -> None:
        """Runs a process from `at` on, or from now."""
        self._push(self.now if at is None else at, _Running(process), 0, False)

    def fire(self, signal: Signal) -> None:
        """Lets the signal happen now; a second time does nothing."""
        if signal.fired:
            return
        signal.fired = True
        for running, step in signal.waiting:
            if running.step == step:
                self._push(self.now, running, step, True)
        signal.waiting.clear()

    def run(self, until: float) -> None:
        """Everything that is due before `until`, in order of time, then of its being planned."""
        while self._due and self._due[0][0] < until:
            at, _, running, step, fired = heapq.heappop(self._due)
            if running.step == step:
                self.now = at
                self._go_on(running, fired)
        self.now = until

    def _push(self, at: float, running: _Running, step: int, fired: bool) -> None:
        self._number += 1
        heapq.heappush(self._due, (at, self._number, running, step, fired))

    def _go_on(self, running: _Running, fired: bool) -> None:
        running.step += 1
        try:
            wanted = running.process.send(fired) if running.step > 1 else next(running.process)
        except StopIteration:
            return
        if not isinstance(wanted, tuple):
            self._push(self.now + wanted, running, running.step, False)
            return
        signal, limit = wanted
        if signal.fired:
            self._push(self.now, running, running.step, True)
            return
        signal.waiting.append((running, running.step))
        if limit is not None:
            self._push(self.now + limit, running, running.step, False)

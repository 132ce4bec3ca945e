"""A bounded pool of connections: first come, first served."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from score.engine import Engine, Signal
from score.lock_table import Session


@dataclass(slots=True, eq=False)
class Turn:
    """A place in the queue for a connection; `session` is there once it has one."""

    ready: Signal = field(default_factory=Signal)
    session: Session | None = None


@dataclass(slots=True)
class Pool:
    """The connections of a service; `changes` are (at, used, pending)."""

    engine: Engine
    size: int
    free: list[Session]
    changes: list[tuple[float, int, int]]
    queue: deque[Turn] = field(default_factory=deque)

    def ask(self) -> Turn:
        """A turn: it has its connection at once where one is free."""
        turn = Turn()
        if self.free:
            turn.session = self.free.pop()
        else:
            self.queue.append(turn)
        self._note()
        return turn

    def leave(self, turn: Turn) -> None:
        """Who waits for a connection goes away."""
        if turn.session is None and turn in self.queue:
            self.queue.remove(turn)
            self._note()

    def give_back(self, session: Session) -> None:
        """A connection is free for who has waited longest."""
        if self.queue:
            turn = self.queue.popleft()
            turn.session = session
            self.engine.fire(turn.ready)
        else:
            self.free.append(session)
        self._note()

    @property
    def used(self) -> int:
        return self.size - len(self.free)

    def _note(self) -> None:
        self.changes.append((self.engine.now, self.used, len(self.queue)))

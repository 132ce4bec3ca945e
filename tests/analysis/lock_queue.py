"""One lock of PostgreSQL played through: who is given it, who waits, and in which order."""

from __future__ import annotations

from dataclasses import dataclass, field

# PostgreSQL documentation, "Explicit Locking", table 13.2, in the order of the table.
MODES = (
    *("AccessShareLock", "RowShareLock", "RowExclusiveLock", "ShareUpdateExclusiveLock"),
    *("ShareLock", "ShareRowExclusiveLock", "ExclusiveLock", "AccessExclusiveLock"),
)
MATRIX = (
    *(".......X", "......XX", "....XXXX", "...XXXXX"),
    *("..XX.XXX", "..XXXXXX", ".XXXXXXX", "XXXXXXXX"),
)


def conflict(one: str, other: str) -> bool:
    return MATRIX[MODES.index(one)][MODES.index(other)] == "X"


@dataclass
class Lock:
    """One lock of PostgreSQL, as LockAcquire, ProcSleep and ProcLockWakeup treat it."""

    holders: dict[str, list[str]] = field(default_factory=dict)
    queue: list[tuple[str, str]] = field(default_factory=list)
    since: dict[str, int] = field(default_factory=dict)

    def refused(self, who: str, mode: str) -> bool:
        return any(
            conflict(mode, held)
            for other, modes in self.holders.items()
            if other != who
            for held in modes
        )

    def ask(self, who: str, mode: str, clock: int) -> bool:
        """Whether the lock is given; otherwise `who` stands in the queue, or has seen a deadlock.

        LockAcquireExtended: who conflicts with somebody that waits has to wait, too, but for those
        who hold the lock already (JoinWaitQueue): they go in before the first that waits for them.
        """
        own = self.holders.get(who, [])
        place = len(self.queue)
        ahead: list[str] = []
        for number, (other, asked) in enumerate(self.queue):
            if any(conflict(asked, held) for held in own):
                if any(conflict(mode, held) for held in self.holders.get(other, ())):
                    return False  # an early deadlock: `who` is ended
                if not any(conflict(mode, a) for a in ahead) and not self.refused(who, mode):
                    self.holders.setdefault(who, []).append(mode)
                    return True
                place = number
                break
            ahead.append(asked)
        blocked_by_queue = not own and any(conflict(mode, asked) for _, asked in self.queue)
        if not blocked_by_queue and place == len(self.queue) and not self.refused(who, mode):
            self.holders.setdefault(who, []).append(mode)
            return True
        self.queue.insert(place, (who, mode))
        self.since[who] = clock
        return True

    def end(self, who: str) -> list[str]:
        """Takes away what `who` holds and asks for; who is woken then (ProcLockWakeup)."""
        self.holders.pop(who, None)
        self.queue = [(other, mode) for other, mode in self.queue if other != who]
        woken: list[str] = []
        ahead: list[str] = []
        for other, mode in self.queue:
            if any(conflict(mode, asked) for asked in ahead) or self.refused(other, mode):
                ahead.append(mode)
            else:
                self.holders.setdefault(other, []).append(mode)
                woken.append(other)
        return woken

    def blocking(self, who: str) -> set[str]:
        """Who blocks one that waits, as pg_blocking_pids says: holders, and those ahead."""
        found: set[str] = set()
        for other, asked in self.queue:
            if other == who:
                return (
                    found
                    | self.against(who, asked)
                    | {one for one, mode in self.queue[: self.place(who)] if conflict(asked, mode)}
                )
        return found

    def against(self, who: str, mode: str) -> set[str]:
        """Who else holds it in a mode that conflicts."""
        return {
            other
            for other, modes in self.holders.items()
            if other != who and any(conflict(mode, held) for held in modes)
        }

    def place(self, who: str) -> int:
        return [one for one, _ in self.queue].index(who)

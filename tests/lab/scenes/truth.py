"""What a scene did, as it says itself: who held which lock, who waited for it, who is innocent.

All times are the server's own clock. Each instant is a pair `_after`/`_before`: clock_timestamp()
read right before and right after, so the instant lies between the two.
"""

from __future__ import annotations

import time
from collections.abc import Generator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Literal

from tests.lab.servers import Server

# hard: the root holder has, on the very lock waited for, a granted mode that conflicts.
# soft: it has that lock in a mode that does not conflict; the wait comes from the queue before it.
# indirect: it has another lock; the wait leads to it through sessions that wait themselves.
Edge = Literal["hard", "soft", "indirect"]
# `cancelled` is SQLSTATE 57014 (pg_cancel_backend or statement_timeout), `lock_timeout` 55P03,
# `deadlock` 40P01; `terminated` is a session that ended, also by a crash or a client that hung up.
Outcome = Literal["waiting", "granted", "cancelled", "lock_timeout", "deadlock", "terminated"]
State = Literal["active", "idle", "idle in transaction", "prepared"]

DEADLOCK_TIMEOUT_SECONDS = 0.2  # of the lab's servers

# An end that has not come yet.
NOT_YET = datetime.max.replace(tzinfo=UTC)


@dataclass(frozen=True)
class Wait:
    """One statement that waited for a lock, as seen from one of its root holders."""

    pid: int
    backend_start: datetime
    application: str
    statement: str
    lock_type: str  # of the lock waited for, as pg_locks.locktype
    mode: str  # the mode asked for
    relation: str | None  # "schema.table" of the lock waited for; None for a lock on no relation
    edge: Edge
    # The pids that directly block it when it begins; some may go on while it still waits.
    hard_behind: frozenset[int]  # they hold a conflicting lock; 0 for a prepared transaction
    soft_behind: frozenset[int]  # they stand before it in the queue, and ask for a conflicting mode
    began_after: datetime
    began_before: datetime
    ended_after: datetime = NOT_YET
    ended_before: datetime = NOT_YET
    outcome: Outcome = "waiting"


@dataclass(frozen=True)
class Hold:
    """One lock of a root holder: a session that waits for nobody (but in a deadlock's circle)."""

    pid: int  # 0 for a prepared transaction
    backend_start: datetime | None  # None for a prepared transaction
    application: str  # "" for a prepared transaction and for autovacuum
    relation: str | None  # "schema.table" locked, or whose row is; None if no table is concerned
    lock_type: str  # as pg_locks.locktype; `transactionid` for a row
    mode: str  # the mode held, as pg_locks.mode
    statement: str  # the one that took the lock
    last_statement: str  # what pg_stat_activity shows while others wait; "" for a prepared one
    state: State  # while others wait
    taken_after: datetime
    taken_before: datetime
    released_after: datetime = NOT_YET
    released_before: datetime = NOT_YET
    waiters: tuple[Wait, ...] = ()  # in the order in which they began to wait

    @property
    def amplifiers(self) -> frozenset[int]:
        """The pids that wait because of this hold, and directly block others that do."""
        blocking = {pid for wait in self.waiters for pid in wait.hard_behind | wait.soft_behind}
        return frozenset(blocking & {wait.pid for wait in self.waiters})


@dataclass
class Truth:
    """What a scene has done so far; brought up to date by `advance` and `release`.

    While the body runs, every wait whose outcome is `waiting` does wait.
    """

    server: Server  # the scene's own where Scene.own_server says so, else the one it was given
    database: str
    dsn: str  # where an observer of this scene connects, and as whom
    script: Generator[None] = field(repr=False)
    holds: tuple[Hold, ...] = ()  # in the order of taking; one per lock, so a pid may recur
    bystanders: frozenset[int] = frozenset()  # hold a lock there, and block nobody
    innocents: frozenset[int] = frozenset()  # all pids of the scene that were never a root holder
    workers: frozenset[int] = frozenset()  # parallel workers of a holder, no holders themselves
    deadlocked: frozenset[int] = frozenset()  # pids that wait in a circle, while they do
    prepared: tuple[str, ...] = ()  # gids of the prepared transactions among the holders
    wrong_names: frozenset[str] = frozenset()  # relations that an observer must never name

    @property
    def amplifiers(self) -> frozenset[int]:
        """The amplifiers of all holds; one may be a root holder in another act."""
        return frozenset().union(*(hold.amplifiers for hold in self.holds))

    @property
    def waiting(self) -> tuple[Wait, ...]:
        """The waits that last right now, one per pid."""
        lasting = (w for h in self.holds for w in h.waiters if w.outcome == "waiting")
        return tuple({wait.pid: wait for wait in lasting}.values())

    def advance(self) -> bool:
        """Plays the next act until all its waiters wait; False once there is none: all is over."""
        return next(self.script, True) is None

    def release(self) -> None:
        """Plays to the end: all locks released, all waits over, the truth complete."""
        while self.advance():
            pass

    def until_logged(self) -> None:
        """Returns when each wait has lasted longer than deadlock_timeout, so it is in the log.

        Sessions that shall be seen in a circle, or before an autovacuum, have a longer timeout.
        """
        time.sleep(2 * DEADLOCK_TIMEOUT_SECONDS)

"""PostgreSQL's heavyweight locks as a model: who has which, who waits, and in which order.

By the server's README (src/backend/storage/lmgr): a request is granted where it conflicts with no
lock of another session and with no request ahead of it in the queue; at a release the queue is gone
through from its head. Written from the documentation's table, not from the program's own modules.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TypeAlias

from score.engine import Engine, Signal

ACCESS_SHARE = "AccessShareLock"
ROW_EXCLUSIVE = "RowExclusiveLock"
SHARE_UPDATE_EXCLUSIVE = "ShareUpdateExclusiveLock"
SHARE = "ShareLock"
ACCESS_EXCLUSIVE = "AccessExclusiveLock"
# The mode in which a transaction has a row that it changed (its own transaction id).
ROW = "ExclusiveLock"

# PostgreSQL documentation, 13.3 "Explicit Locking", the modes that happen here.
_CONFLICTS: frozenset[frozenset[str]] = frozenset(
    frozenset(pair)
    for pair in (
        (ACCESS_SHARE, ACCESS_EXCLUSIVE),
        (ROW_EXCLUSIVE, SHARE),
        (ROW_EXCLUSIVE, ACCESS_EXCLUSIVE),
        (SHARE_UPDATE_EXCLUSIVE, SHARE_UPDATE_EXCLUSIVE),
        (SHARE_UPDATE_EXCLUSIVE, SHARE),
        (SHARE_UPDATE_EXCLUSIVE, ACCESS_EXCLUSIVE),
        (SHARE, ACCESS_EXCLUSIVE),
        (ACCESS_EXCLUSIVE, ACCESS_EXCLUSIVE),
        (ROW, ROW),
    )
)

# A table, or a row of it by its number.
Tag: TypeAlias = tuple[str, int | None]


def conflict(one: str, other: str) -> bool:
    return frozenset((one, other)) in _CONFLICTS


@dataclass(slots=True, eq=False, kw_only=True)
class Session:
    """A backend; `since` is the start of its transaction, `query_since` that of its statement."""

    pid: int
    database: str
    application: str
    backend_start: float
    state: str = "idle"
    query: str = ""
    since: float | None = None
    query_since: float | None = None
    state_since: float = 0.0
    held: dict[Tag, str] = field(default_factory=dict)

    def run(self, query: str, at: float) -> None:
        """A statement begins, and a transaction with the first of it."""
        self.state, self.query = "active", query
        self.query_since = self.state_since = at
        if self.since is None:
            self.since = at

    def pause(self, at: float) -> None:
        """It waits for its client, its transaction open."""
        self.state, self.state_since = "idle in transaction", at


@dataclass(slots=True, eq=False, kw_only=True)
class Request:
    """A wait in the queue of one lock; `over` fires when it is over, however it ended.

    `turn` fires when it is the first of its queue, or over: for a row, who is first then waits for
    the transaction that has it, and no longer for the row's own lock.
    """

    session: Session
    tag: Tag
    mode: str
    began: float
    over: Signal = field(default_factory=Signal)
    ended: float | None = None
    outcome: str = ""
    turn: Signal = field(default_factory=Signal)
    first_since: float | None = None


@dataclass(slots=True)
class Lock:
    """One lock: who has it in which mode, and the queue of those who want it."""

    granted: list[tuple[Session, str]] = field(default_factory=list)
    queue: list[Request] = field(default_factory=list)


@dataclass(slots=True)
class LockTable:
    """All locks of a server. `locks` has only those that somebody has or waits for."""

    engine: Engine
    locks: dict[Tag, Lock] = field(default_factory=dict)

    def acquire(self, session: Session, tag: Tag, mode: str) -> Request | None:
        """None where the lock is had at once, else the wait that has begun."""
        if tag in session.held:
            return None
        lock = self.locks.setdefault(tag, Lock())
        ahead = any(conflict(r.mode, mode) for r in lock.queue)
        if not ahead and not any(conflict(held, mode) for _, held in lock.granted):
            lock.granted.append((session, mode))
            session.held[tag] = mode
            return None
        request = Request(session=session, tag=tag, mode=mode, began=self.engine.now)
        lock.queue.append(request)
        self._note_first(lock)
        return request

    def release(self, session: Session) -> None:
        """All locks of a session go, and who can goes on."""
        for tag in list(session.held):
            del session.held[tag]
            lock = self.locks[tag]
            lock.granted = [(s, m) for s, m in lock.granted if s is not session]
            self._wake(tag)

    def finish(self, session: Session) -> None:
        """The end of a session's transaction, after which it is idle."""
        self.release(session)
        session.since = session.query_since = None
        session.state, session.state_since = "idle", self.engine.now

    def withdraw(self, request: Request, outcome: str) -> None:
        """A wait that ends without the lock: `cancelled` or `deadlock`."""
        lock = self.locks.get(request.tag)
        if request.outcome or lock is None:
            return
        lock.queue.remove(request)
        self._end(request, outcome)
        self._wake(request.tag)

    def blockers(self, request: Request) -> tuple[list[Session], list[Session]]:
        """Whom a wait is for: those that have a conflicting lock, and those ahead that want one."""
        lock = self.locks[request.tag]
        hard = [s for s, mode in lock.granted if conflict(mode, request.mode)]
        ahead = lock.queue[: lock.queue.index(request)]
        return hard, [r.session for r in ahead if conflict(r.mode, request.mode)]

    def waits(self) -> list[Request]:
        """Everybody who waits now."""
        return [r for lock in self.locks.values() for r in lock.queue]

    def circle(self, request: Request) -> bool:
        """Whether who waits waits for itself in the end: a deadlock."""
        by_session = {r.session.pid: r for r in self.waits()}
        reached: set[int] = set()
        front = [request]
        while front:
            hard, soft = self.blockers(front.pop())
            for session in (*hard, *soft):
                if session is request.session:
                    return True
                if session.pid in by_session and session.pid not in reached:
                    reached.add(session.pid)
                    front.append(by_session[session.pid])
        return False

    def _wake(self, tag: Tag) -> None:
        lock = self.locks[tag]
        left: list[Request] = []
        for request in lock.queue:
            blocked = any(conflict(held, request.mode) for _, held in lock.granted)
            if blocked or any(conflict(r.mode, request.mode) for r in left):
                left.append(request)
                continue
            lock.granted.append((request.session, request.mode))
            request.session.held[tag] = request.mode
            self._end(request, "granted")
        lock.queue = left
        self._note_first(lock)
        if not lock.granted and not left:
            del self.locks[tag]

    def _note_first(self, lock: Lock) -> None:
        if lock.queue and lock.queue[0].first_since is None:
            lock.queue[0].first_since = self.engine.now
            self.engine.fire(lock.queue[0].turn)

    def _end(self, request: Request, outcome: str) -> None:
        request.outcome, request.ended = outcome, self.engine.now
        self.engine.fire(request.turn)
        self.engine.fire(request.over)

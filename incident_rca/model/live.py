"""Who blocks whom right now: the tree below each session that nobody else blocks, and its end."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from incident_rca.model.episodes import LockEpisode, Session


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """Sessions that wait alike below the same blocker: one of them, or `count` with `since`.

    `session.mode` is what they ask for, `since` when the first of them began to wait. `is_soft`:
    the one above only stands ahead in the queue.
    """

    session: Session
    relation: str
    lock_types: tuple[str, ...]
    since: datetime | None
    is_soft: bool
    count: int = 1
    behind: tuple[Waiting, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class WayOut:
    """What a person could run to end a blocker, and what comes of it. It is never run for them.

    `then` says what goes on at once, `still` what goes on waiting and behind whom.
    """

    commands: tuple[str, ...]
    undoes: str
    then: str
    still: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Blocker:
    """A session that blocks others and waits for nobody; `transaction_start` by the server."""

    session: Session
    database: str
    held: tuple[str, ...]
    transaction_start: datetime | None
    state_since: datetime | None
    deadlocked: bool
    waiting: tuple[Waiting, ...]
    way_out: WayOut


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveLocks:
    """The locks of one server at one instant of its clock.

    `blind` says what it hides from us, and `cure` is the statement that ends that. How many
    `sessions` there are is None where it hides them.
    """

    server: str
    at: datetime
    sessions: int | None
    waiting: int
    blockers: tuple[Blocker, ...]
    episodes: tuple[LockEpisode, ...]
    blind: str = ""
    cure: str = ""

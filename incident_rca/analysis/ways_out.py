"""What would end a blocker, what that undoes, and who would go on: said, never run."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from incident_rca.analysis.names import counted
from incident_rca.lock_modes import conflicts
from incident_rca.model import Session
from incident_rca.model.live import WayOut
from incident_rca.secret_shapes import PLACEHOLDER
from incident_rca.window import format_duration

Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Claimed:
    """One wait: who asks for which mode of which lock since when, and who holds it then.

    `lock` is the database, the relation and the type of the lock.
    """

    waiter: str
    lock: tuple[str, str, str]
    mode: str
    since: datetime | None
    held_by: frozenset[str]


def way_out(
    root: Session, facts: Row, waits: Collection[Claimed], below: Collection[str], at: datetime
) -> WayOut:
    """How to end `root`, whose row of pg_stat_activity is `facts`, and what comes of it.

    `waits` are all waits of the server, `below` those sessions that wait for `root` in the end.
    """
    freed = set(released(root.session, waits))
    others = counted(len(set(below) - freed), "session")
    commands = _commands(
        root, facts, {wait.lock[2] for wait in waits if root.session in wait.held_by}
    )
    then = f"{counted(len(freed), 'session') if freed else 'nobody'} would go on at once"
    if freed and len(commands) > 1 and _may_have_savepoints(facts):
        then += " (after a cancel only if no savepoint came after its lock)"
    return WayOut(
        commands=commands,
        undoes=_undoes(root, facts, at),
        then=then,
        still=f"{others} would wait on, for those or for other holders"
        if set(below) - freed
        else "",
    )


def _commands(root: Session, facts: Row, lock_types: Collection[str]) -> tuple[str, ...]:
    """What ends `root`; nothing where that cannot be said for sure.

    PostgreSQL documentation, "Server Signaling Functions": cancelling ends a statement only. An
    advisory lock may be its session's and not its transaction's ("Advisory Locks"): it stays then.
    """
    if root.pid is None:
        return ()
    if root.pid == 0:
        name = root.session.removeprefix("prepared ")
        # Its name was not to be read, not in an encoding that we know, or a part of it is hidden.
        if name.startswith("with virtual id ") or "\ufffd" in name or PLACEHOLDER.search(name):
            return ()
        return (f"ROLLBACK PREPARED {_literal(name)};", f"COMMIT PREPARED {_literal(name)};")
    terminate = f"SELECT pg_terminate_backend({root.pid});"
    is_running = facts.get("state") == "active" and "advisory" not in lock_types
    if is_running or facts.get("backend_type") == "autovacuum worker":
        return (f"SELECT pg_cancel_backend({root.pid});", terminate)
    return (terminate,)


def _may_have_savepoints(facts: Row) -> bool:
    """Whether a cancel may undo only a part; a transaction's first statement has none before it."""
    begun, query = facts.get("xact_start"), facts.get("query_start")
    is_client = facts.get("backend_type") == "client backend"
    return is_client and begun is not None and query is not None and begun < query


def _literal(text: str) -> str:
    """A string constant that stays what it is when it is shown, copied and pasted.

    PostgreSQL documentation, "String Constants with C-Style Escapes".

    >>> print(_literal("it's"), _literal("two  blanks"), _literal("n\u0303"))
    'it''s' E'two\\u0020\\u0020blanks' E'n\\u0303'
    """
    escaped = re.sub(
        r"[^!-~ ]|\A | \Z| (?= )|(?<= ) ",
        lambda c: f"\\u{ord(c[0]):04x}" if ord(c[0]) < 0x10000 else f"\\U{ord(c[0]):08x}",
        text.replace("\\", "\\\\").replace("'", "''"),
    )
    return f"E'{escaped}'" if "\\" in escaped else f"'{escaped}'"


def _undoes(root: Session, facts: Row, at: datetime) -> str:
    """What is lost; a transaction has an id from the first thing on that it writes."""
    if root.pid == 0:
        return (
            "a rollback loses what the transaction manager believes to be safe: ask it whether the "
            "transaction is to be committed"
        )
    if facts.get("backend_type") == "autovacuum worker":
        return "only this run of autovacuum: the table is vacuumed again later"
    if facts.get("state") is None:
        return "what its transaction did, which this role cannot see"
    begun = facts.get("xact_start")
    if begun is None:
        return "nothing that was written, for it is in no transaction; its session's locks go"
    length = format_duration(max(0.0, round((at - begun).total_seconds(), 1)))
    idle = "" if facts.get("state") == "active" else "; its client gets an error at its next use"
    if facts.get("backend_xid") is None:
        return f"nothing that was written: its transaction of {length} has only read{idle}"
    return f"all that its transaction of {length} has written{idle}"


def released(root: str, waits: Collection[Claimed]) -> tuple[str, ...]:
    """Who goes on at once when `root` is gone, by the queue of each lock that it holds.

    A lock is given in the order of its queue to all whom neither a holder nor anybody ahead
    conflicts with (ProcLockWakeup in proc.c). Who holds the lock already and asks for more of it
    is put before the first of those who wait for that (ProcSleep).
    """
    concerned = {wait.lock for wait in waits if root in wait.held_by}
    queues: dict[tuple[str, str, str], list[Claimed]] = {lock: [] for lock in sorted(concerned)}
    for wait in sorted(waits, key=lambda w: (w.since is None, w.since, w.waiter)):
        if wait.lock in concerned and wait.waiter != root:
            queue = queues[wait.lock]
            place = (n for n, other in enumerate(queue) if wait.waiter in other.held_by)
            queue.insert(next(place, len(queue)), wait)
    return tuple(
        wait.waiter
        for queue in queues.values()
        for place, wait in enumerate(queue)
        if not wait.held_by - {root}
        and not any(conflicts(other.mode, wait.mode) for other in queue[:place])
    )

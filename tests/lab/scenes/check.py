"""What the server says against what a scene says: pg_locks, pg_blocking_pids, pg_stat_activity."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from psycopg.rows import dict_row

from tests.lab.scenes.truth import NOT_YET, Hold, Truth, Wait

ORDER = (
    "AccessShareLock",
    "RowShareLock",
    "RowExclusiveLock",
    "ShareUpdateExclusiveLock",
    "ShareLock",
    "ShareRowExclusiveLock",
    "ExclusiveLock",
    "AccessExclusiveLock",
)
# Table 13.2 of the documentation, Conflicting Lock Modes, row by row in the order above.
MATRIX = (
    ".......X",
    "......XX",
    "....XXXX",
    "...XXXXX",
    "..XX.XXX",
    "..XXXXXX",
    ".XXXXXXX",
    "XXXXXXXX",
)
TAG = (
    "locktype",
    "database",
    "relation",
    "page",
    "tuple",
    "virtualxid",
    "transactionid",
    "classid",
    "objid",
    "objsubid",
)

Row = Mapping[str, Any]


def tag(row: Row) -> tuple[object, ...]:
    """What identifies a lock, but its mode."""
    return tuple(row[key] for key in TAG)


def conflict(one: str, other: str) -> bool:
    """Whether two lock modes exclude each other, by the table of the documentation."""
    return MATRIX[ORDER.index(one)][ORDER.index(other)] == "X"


@dataclass(frozen=True)
class View:
    """One look at a server while nothing moves."""

    locks: Sequence[Row]  # pid 0 for prepared transactions, the leader's for parallel workers
    sessions: Mapping[int, Row]
    blocking: Mapping[int, frozenset[int]]  # waiting pid: what pg_blocking_pids says
    oids: Mapping[str, int]  # "schema.table" of the scene's database
    prepared: frozenset[str]

    def waiting_row(self, pid: int) -> Row:
        """The lock that this pid waits for."""
        return self._waiting.get(pid, {})

    @cached_property
    def _waiting(self) -> Mapping[int, Row]:
        return {row["pid"]: row for row in self.locks if not row["granted"]}

    @cached_property
    def _granted(self) -> Mapping[tuple[object, ...], list[tuple[int, str]]]:
        granted = defaultdict(list)
        for row in self.locks:
            if row["granted"]:
                granted[tag(row)].append((row["pid"], row["mode"]))
        return granted

    def holding(self, lock: Row) -> Sequence[tuple[int, str]]:
        """Who has been granted the same lock, in which mode."""
        return self._granted.get(tag(lock), ())

    def hard(self, pid: int) -> frozenset[int]:
        """Who holds what this pid waits for in a mode that conflicts."""
        asked = self.waiting_row(pid)
        return frozenset(
            holder
            for holder, mode in self.holding(asked)
            if holder != pid and conflict(mode, asked["mode"])
        )

    def roots(self, pid: int) -> frozenset[int]:
        """Where the chains from this waiter end; in a circle, all that it leads to."""
        reached: set[int] = set()
        todo = {pid}
        while todo:
            at = todo.pop()
            new = self.blocking.get(at, frozenset()) - reached
            reached |= new
            todo |= new
        return frozenset({r for r in reached if r not in self.blocking} or reached - {pid})


def look(truth: Truth) -> View:
    """A look at the server of this scene; from its database, where its relations have names."""
    with truth.server.connect(truth.database) as connection:

        def ask(query: str) -> list[dict[str, Any]]:
            return connection.cursor(row_factory=dict_row).execute(query).fetchall()

        sessions = {
            row["pid"]: row
            for row in ask("SELECT * FROM pg_stat_activity WHERE pid <> pg_backend_pid()")
        }
        leader = {pid: row["leader_pid"] or pid for pid, row in sessions.items()}
        locks = [
            {**row, "pid": leader.get(row["pid"], row["pid"] or 0)}
            for row in ask("SELECT * FROM pg_locks WHERE pid IS DISTINCT FROM pg_backend_pid()")
        ]
        blocked = ask(
            "SELECT DISTINCT pid, pg_blocking_pids(pid) AS by FROM pg_locks WHERE NOT granted"
        )
        names = ask("SELECT oid, relnamespace::regnamespace || '.' || relname AS n FROM pg_class")
        return View(
            locks=locks,
            sessions=sessions,
            blocking={row["pid"]: frozenset(row["by"]) for row in blocked},
            oids={row["n"]: row["oid"] for row in names},
            prepared=frozenset(row["gid"] for row in ask("SELECT gid FROM pg_prepared_xacts")),
        )


def disagreements(truth: Truth) -> list[str]:
    """Where the server, looked at now, contradicts the truth of a scene that pauses."""
    view = look(truth)
    lasting = [hold for hold in truth.holds if hold.released_before == NOT_YET]
    found = [f for hold in lasting for f in _about_hold(view, truth, hold)]
    found += [f for hold in lasting for wait in hold.waiters for f in _about_wait(view, hold, wait)]
    found += list(_about_all(view, truth, lasting))
    return found


def _about_hold(view: View, truth: Truth, hold: Hold) -> Iterator[str]:
    who = f"holder {hold.pid} {hold.application}"
    mine = [r for r in view.locks if r["pid"] == hold.pid and r["granted"]]
    kind = [r for r in mine if r["locktype"] == hold.lock_type and r["mode"] == hold.mode]
    if hold.lock_type == "relation":
        kind = [r for r in kind if r["relation"] == view.oids.get(hold.relation or "")]
    elif hold.relation is not None:
        kind = kind if any(r["relation"] == view.oids.get(hold.relation) for r in mine) else []
    if not kind:
        yield f"{who} has no {hold.mode} of type {hold.lock_type} on {hold.relation}"
    if not hold.taken_after <= hold.taken_before:
        yield f"{who} took its lock before it began to"
    if hold.pid in view.blocking and hold.pid not in truth.deadlocked:
        yield f"{who} waits itself"
    if hold.state == "prepared":
        return
    session = view.sessions.get(hold.pid)
    if session is None:
        yield f"{who} is no session"
        return
    yield from _differences(
        who,
        session,
        backend_start=hold.backend_start,
        application_name=hold.application,
        state=hold.state,
        query=hold.last_statement,
    )
    if hold.state != "idle" and not session["xact_start"] <= hold.taken_before:
        yield f"{who} has a transaction that began after its lock was taken"
    if hold.statement == hold.last_statement and hold.state != "active":
        # It was the last statement of all, so the session changed its state when it was done.
        if not hold.taken_after <= session["state_change"] <= hold.taken_before:
            yield f"{who} ended its statement at {session['state_change']}"


def _about_wait(view: View, hold: Hold, wait: Wait) -> Iterator[str]:
    if wait.outcome != "waiting":
        return
    who = f"waiter {wait.pid} {wait.application}"
    asked = view.waiting_row(wait.pid)
    if not asked:
        yield f"{who} does not wait"
        return
    oid = view.oids[wait.relation] if wait.relation else None
    yield from _differences(who, asked, locktype=wait.lock_type, mode=wait.mode, relation=oid)
    yield from _differences(
        who,
        view.sessions[wait.pid],
        backend_start=wait.backend_start,
        application_name=wait.application,
        query=wait.statement,
        state="active",  # not its wait event, which is gone for an instant at deadlock_timeout
    )
    if not wait.began_after <= asked["waitstart"] <= wait.began_before:
        yield f"{who} began to wait at {asked['waitstart']}"
    holds_it = hold.pid in {pid for pid, _ in view.holding(asked)}
    hard = view.hard(wait.pid)
    edge = "hard" if hold.pid in hard else "soft" if holds_it else "indirect"
    if edge != wait.edge:
        yield f"{who} has a {edge} edge to {hold.pid}"
    if hold.pid not in view.roots(wait.pid):
        yield f"{who} does not wait because of {hold.pid}"


def _about_all(view: View, truth: Truth, lasting: list[Hold]) -> Iterator[str]:
    waits = {wait.pid: wait for wait in truth.waiting}
    roots = {hold.pid for hold in lasting}
    there = roots | set(waits)
    cast = truth.innocents | roots
    if {pid for pid in view.blocking if pid in cast} != set(waits):
        yield f"these wait: {sorted(view.blocking)}"
        return
    for pid, wait in waits.items():
        hard, soft = wait.hard_behind & there, wait.soft_behind & there
        if view.hard(pid) != hard or view.blocking[pid] - view.hard(pid) != soft:
            yield f"waiter {pid} is behind {view.blocking[pid]}, hard {view.hard(pid)}"
        listed = {hold.pid for hold in lasting if pid in {w.pid for w in hold.waiters}}
        if view.roots(pid) != listed:
            yield f"waiter {pid} waits because of {view.roots(pid)}"
    blocking = frozenset().union(*(view.blocking[pid] for pid in waits))
    if blocking & set(waits) - truth.deadlocked != truth.amplifiers & set(waits):
        yield f"these wait and block others: {blocking & set(waits)}"
    for pid in truth.bystanders:
        holds = [r for r in view.locks if r["pid"] == pid and r["locktype"] == "relation"]
        if pid in blocking or not any(row["granted"] for row in holds):
            yield f"bystander {pid} blocks somebody, or holds nothing"
    for pid in truth.workers:
        if view.sessions[pid]["leader_pid"] not in roots:
            yield f"worker {pid} has no holder as its leader"
    if not view.prepared >= set(truth.prepared) or bool(truth.prepared) != (0 in roots):
        yield f"these transactions are prepared: {view.prepared}"


def _differences(who: str, row: Row, **expected: object) -> Iterator[str]:
    for key, value in expected.items():
        if row[key] != value:
            yield f"{who} has {key} {row[key]!r}, not {value!r}"

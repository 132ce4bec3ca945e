"""Edges of random snapshots against the documented conflicts, and what a sick server may say."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from incident_rca.formats.holder_statements import SeenStatements
from incident_rca.formats.lock_edges import Snapshot, edges_of
from tests.analysis.lock_queue import MODES, Lock, conflict
from tests.formats.builders import LOCK_COLUMNS, START

Row = dict[str, Any]
Edges = set[tuple[int, int]]


def written(second: float) -> str:
    return (START + timedelta(seconds=second)).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def lock(pid: int | None, mode: str, granted: bool, second: float | None, table: int = 1) -> Row:
    row: Row = dict.fromkeys(LOCK_COLUMNS)
    since = None if granted or second is None else written(second)
    return row | {
        "pid": pid,
        "mode": mode,
        "granted": granted,
        "locktype": "relation",
        "database": 5,
        "relation": table,
        "virtualtransaction": f"{pid or 255}/7",
        "waitstart": since,
    }


def snapshot(
    locks: list[Row],
    leaders: Mapping[int, int] = {},
    blocking: Mapping[int, list[int]] | None = None,
) -> Snapshot:
    pids = {row["pid"] for row in locks if row["pid"] is not None} | set(leaders.values())
    sessions = {
        pid: {
            "pid": pid,
            "backend_start": written(0),
            "leader_pid": leaders.get(pid),
            "database": "shop",
            "application_name": f"app-{pid}",
            "backend_type": "client backend",
            "state": "active",
            "xact_start": written(1),
            "query_start": written(1),
            "query": "SELECT 1",
            "blocking_pids": None if blocking is None else blocking.get(pid),
        }
        for pid in pids
    }
    return Snapshot(
        line=2,
        at=START,
        locks=locks,
        sessions=sessions,
        databases={5: "shop"},
        relations={},
        prepared={},
    )


def pairs(rows: list[Row], kind: str) -> Edges:
    return {(row["waiter_pid"], row["holder_pid"]) for row in rows if row["edge"] == kind}


@dataclass(frozen=True)
class Case:
    """A server's locks, its parallel workers, and what pg_blocking_pids says of each waiter."""

    locks: list[Row]
    leaders: dict[int, int]
    blocking: dict[int, list[int]]

    def owner(self, pid: int | None) -> int:
        return 0 if pid is None else self.leaders.get(pid, pid)

    def hard(self) -> Edges:
        return {
            (self.owner(wanted["pid"]), self.owner(held["pid"]))
            for wanted in self.locks
            for held in self.locks
            if not wanted["granted"]
            and held["granted"]
            and wanted["relation"] == held["relation"]
            and self.owner(wanted["pid"]) != self.owner(held["pid"])
            and conflict(held["mode"], wanted["mode"])
        }


PIDS = (10, 11, 12, 13, 14, 15)
# Who asks in turn for which of two tables in which mode.
asked = st.lists(
    st.tuples(st.sampled_from(PIDS), st.sampled_from((1, 2)), st.sampled_from(MODES)),
    min_size=2,
    max_size=16,
)


@st.composite
def cases(draw: st.DrawFn, workers: bool = True) -> Case:
    """What two locks look like after sessions have asked for them; who waits asks no more."""
    tables = {1: Lock(), 2: Lock()}
    waiting: set[int] = set()
    for clock, (pid, table, mode) in enumerate(draw(asked)):
        if pid not in waiting:
            tables[table].ask(str(pid), mode, clock)
            if str(pid) in tables[table].since:
                waiting.add(pid)
    locks: list[Row] = []
    blocking: dict[int, list[int]] = {}
    # One of those who wait for nothing may be a prepared transaction.
    prepared = draw(st.sampled_from((None, *sorted(set(PIDS) - waiting))))
    for number, queued in tables.items():
        for who, modes in queued.holders.items():
            owner = None if int(who) == prepared else int(who)
            locks += [lock(owner, mode, True, None, number) for mode in dict.fromkeys(modes)]
        for who, mode in queued.queue:
            locks.append(lock(int(who), mode, False, float(queued.since[who]), number))
            named = [0 if int(w) == prepared else int(w) for w in queued.blocking(who)]
            blocking[int(who)] = draw(st.permutations(named * 2))
    leaders: dict[int, int] = {}
    if workers:
        # Some holders have workers, which hold what they hold.
        for worker, leader in enumerate(draw(st.frozensets(st.sampled_from(PIDS))), start=101):
            leaders[worker] = leader
            own = [row for row in locks if row["pid"] == leader and row["granted"]]
            locks += [row | {"pid": worker} for row in own]
    return Case(draw(st.permutations(locks)), leaders, blocking)


def ends(edges: Edges, start: int) -> tuple[frozenset[int], bool]:
    """Whom one comes to from `start` who waits for nobody, and whether one comes into a circle."""
    reached = ahead(edges, start)
    waiters = {waiter for waiter, _ in edges}
    return reached - waiters, any(pid in ahead(edges, pid) for pid in reached)


def ahead(edges: Edges, start: int) -> frozenset[int]:
    reached: set[int] = set()
    todo = [start]
    while todo:
        here = todo.pop()
        new = {holder for waiter, holder in edges if waiter == here} - reached
        reached |= new
        todo += new
    return frozenset(reached)


@settings(max_examples=500, deadline=None)
@given(cases())
def test_hard_edges_are_the_conflicts_of_the_documentation(case: Case) -> None:
    for blocking in (case.blocking, None):
        rows = list(edges_of(snapshot(case.locks, case.leaders, blocking), SeenStatements()))
        assert pairs(rows, "hard") == case.hard()


@settings(max_examples=500, deadline=None)
@given(cases())
def test_nobody_waits_for_himself_or_both_ways_at_once(case: Case) -> None:
    rows = edges_of(snapshot(case.locks, case.leaders, case.blocking), SeenStatements())
    hard, soft = pairs(rows, "hard"), pairs(rows, "soft")
    assert not any(waiter == holder for waiter, holder in hard | soft)
    assert not hard & soft
    workers = set(case.leaders)
    assert workers.isdisjoint(pid for edge in hard | soft for pid in edge)
    for row in rows:
        if row["edge"] == "none":
            assert "waiter_pid" not in row


@settings(max_examples=500, deadline=None)
@given(cases())
def test_soft_edges_are_the_servers_and_lead_to_the_same_roots(case: Case) -> None:
    rows = edges_of(snapshot(case.locks, case.leaders, case.blocking), SeenStatements())
    hard, soft = pairs(rows, "hard"), pairs(rows, "soft")
    said = {(pid, holder) for pid, holders in case.blocking.items() for holder in holders}
    assert hard | soft <= said
    assert soft <= said - hard
    for waiter, holders in case.blocking.items():
        assert holders
        assert ends(hard | soft, waiter) == ends(said, waiter)


@settings(max_examples=300, deadline=None)
@given(cases(workers=False))
def test_every_wait_is_in_the_rows_once_or_explained(case: Case) -> None:
    rows = edges_of(snapshot(case.locks, case.leaders, case.blocking), SeenStatements())
    waiters = {row["pid"] for row in case.locks if not row["granted"]}
    kinds: dict[int, set[str]] = defaultdict(set)
    for row in rows:
        if row["edge"] != "none":
            kinds[row["waiter_pid"]].add(row["edge"])
    assert kinds.keys() == waiters
    for pid, found in kinds.items():
        assert case.blocking[pid] and found <= {"hard", "soft"}


odd_modes = st.sampled_from((*MODES, "SIReadLock", "NewLock", ""))
odd_kinds = st.sampled_from(
    (
        *("relation", "extend", "frozenid", "page", "tuple", "transactionid", "virtualxid"),
        *("spectoken", "object", "userlock", "advisory", "applytransaction", "new kind"),
    )
)
odd_numbers = st.none() | st.integers(0, 2**32 - 1)


@st.composite
def odd_locks(draw: st.DrawFn) -> Row:
    row: Row = {column: draw(odd_numbers) for column in LOCK_COLUMNS}
    return row | {
        "pid": draw(st.none() | st.sampled_from(PIDS)),
        "mode": draw(odd_modes),
        "granted": draw(st.booleans()),
        "locktype": draw(odd_kinds),
        "relation": draw(st.none() | st.sampled_from((1, 2))),
        "virtualxid": draw(st.none() | st.just("4/17")),
        "virtualtransaction": draw(st.sampled_from(("3/1", "255/7"))),
        "waitstart": draw(st.none() | st.floats(0, 60).map(written)),
    }


@settings(max_examples=500, deadline=None)
@given(
    st.lists(odd_locks(), max_size=10),
    st.dictionaries(st.sampled_from(PIDS), st.sampled_from((*PIDS, 99)), max_size=3),
    st.dictionaries(st.sampled_from(PIDS), st.lists(st.sampled_from((0, *PIDS, 4242)))),
    st.frozensets(st.sampled_from(PIDS)),
)
def test_any_rows_make_edges_and_no_error(
    locks: list[Row],
    leaders: dict[int, int],
    blocking: dict[int, list[int]],
    gone: frozenset[int],
) -> None:
    """Two views are not read at one instant: sessions may be gone, blockers may be strangers."""
    seen = snapshot(locks, leaders, blocking)
    sessions = {pid: row for pid, row in seen.sessions.items() if pid not in gone}
    partly = Snapshot(
        line=2,
        at=START,
        locks=locks,
        sessions=sessions,
        databases={},
        relations={},
        prepared={},
    )
    for row in edges_of(partly, SeenStatements()):
        assert row["edge"] in ("hard", "soft", "none", "unknown")
        assert row["relation"]
        if row["edge"] in ("hard", "soft"):
            waiter = row["waiter_session"]
            assert waiter != row["holder_session"]


# --- single cases -------------------------------------------------------------------------------


def edges_by_hand(*locks: Row, blocking: dict[int, list[int]], **more: Any) -> dict[str, Edges]:
    rows = edges_of(snapshot(list(locks), blocking=blocking, **more), SeenStatements())
    return {kind: pairs(rows, kind) for kind in ("hard", "soft", "unknown")}


def test_a_queue_of_many_adds_no_edges_among_those_who_wait_alike() -> None:
    many = range(100, 400)
    waiting = [lock(pid, "ExclusiveLock", False, pid / 10) for pid in many]
    blocking = {pid: [10, *range(100, pid)] for pid in many}
    found = edges_by_hand(lock(10, "ShareLock", True, None), *waiting, blocking=blocking)
    assert found["hard"] == {(pid, 10) for pid in many}
    assert found["soft"] == set()


def test_readers_behind_two_alters_name_both() -> None:
    found = edges_by_hand(
        lock(10, "AccessShareLock", True, None),
        lock(11, "AccessExclusiveLock", False, 1),
        lock(12, "AccessExclusiveLock", False, 2),
        lock(13, "AccessShareLock", False, 3),
        blocking={11: [10], 12: [10, 11], 13: [11, 12]},
    )
    assert found["soft"] == {(13, 11), (13, 12)}


def test_who_stands_ahead_in_a_mode_that_agrees_stops_nobody() -> None:
    """The server was not asked: the queue is known by the starts, and each mode stops others."""
    locks = [
        lock(10, "ShareLock", True, None),
        lock(11, "AccessShareLock", True, None),
        lock(20, "AccessExclusiveLock", False, 1),
        lock(30, "RowExclusiveLock", False, 2),
        lock(40, "AccessShareLock", False, 3),
    ]
    rows = edges_of(snapshot(locks), SeenStatements())
    assert pairs(rows, "hard") == {(20, 10), (20, 11), (30, 10)}
    # 30 stands ahead of 40, and behind a holder that 40 does not wait for: but a read agrees with a
    # write. Only the ALTER stops them both; the build that stops 30 itself says more of it.
    assert pairs(rows, "soft") == {(30, 20), (40, 20)}


def test_the_queue_is_the_servers_and_not_the_order_of_the_starts() -> None:
    """12 began to wait last and stands before 11, for it holds what 11 waits for."""
    found = edges_by_hand(
        lock(10, "AccessShareLock", True, None),
        lock(12, "AccessShareLock", True, None),
        lock(11, "AccessExclusiveLock", False, 1),
        lock(12, "AccessExclusiveLock", False, 2),
        blocking={11: [10, 12], 12: [10]},
    )
    assert found == {"hard": {(11, 10), (11, 12), (12, 10)}, "soft": set(), "unknown": set()}


def test_a_server_that_names_a_session_as_its_own_blocker_is_borne() -> None:
    found = edges_by_hand(
        lock(10, "ShareLock", True, None),
        lock(11, "RowExclusiveLock", False, 1),
        blocking={11: [11, 10, 10]},
    )
    assert found == {"hard": {(11, 10)}, "soft": set(), "unknown": set()}

"""The live view against what each scene did, and against pg_blocking_pids asked for beside it."""

from __future__ import annotations

import json
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from incident_rca import live
from incident_rca.formats.lock_recording import frames_of_records
from incident_rca.formats.parsed import RawInput
from incident_rca.model import LockEpisode, Session
from incident_rca.model.live import Blocker, LiveLocks, Waiting
from incident_rca.report.contract_episodes import lock_episodes
from incident_rca.report.live_tree import live_view
from tests.lab import scenes
from tests.lab.scenes import NOT_YET, SCENES, Hold, Scene, Truth, Wait
from tests.lab.servers import Server

Edges = Mapping[int, frozenset[int]]


@dataclass(frozen=True)
class Seen:
    """One look of ours, and what the test has asked the server itself meanwhile."""

    locks: LiveLocks
    edges: list[dict[str, Any]]
    text: str
    as_json: list[dict[str, Any]]
    blocking: Edges  # by pg_blocking_pids
    tags: Mapping[int, dict[str, Any]]  # the row of pg_locks that a pid waits for
    now: datetime  # the server's clock, after it


def look(truth: Truth) -> Seen:
    watched = live.watch(truth.dsn)
    try:
        records = live.read_records(watched, lambda: datetime.now(UTC))
    finally:
        watched.connection.close()
    found = live.live_locks(records, watched.server, watched.cure)
    raw = RawInput(path=Path("live"), file="live", source="live", work=Path())
    frame = frames_of_records(records, raw)["locks"]
    rows = [dict(zip(frame.columns, row, strict=True)) for row in frame.itertuples(index=False)]
    with truth.server.connect() as connection:
        cursor = connection.execute(
            "SELECT DISTINCT pid, pg_blocking_pids(pid) FROM pg_locks WHERE NOT granted"
        )
        blocking = {pid: frozenset(pids) - {pid} for pid, pids in cursor.fetchall()}
        cursor = connection.execute(
            """SELECT pid, row_to_json(l)::jsonb || jsonb_build_object('clock', clock_timestamp())
            FROM pg_locks l WHERE NOT granted"""
        )
        tags: dict[int, dict[str, Any]] = dict(cursor.fetchall())
        (now,) = connection.execute("SELECT clock_timestamp()").fetchone() or (None,)
    assert now is not None
    return Seen(found, rows, shown(found), as_json(found), blocking, tags, now)


def shown(found: LiveLocks) -> str:
    console = Console(
        width=100, highlight=False, markup=False, color_system=None, force_jupyter=False
    )
    with console.capture() as capture:
        console.print(live_view(found), crop=False)
    return capture.get()


def as_json(found: LiveLocks) -> list[dict[str, Any]]:
    ids = {e.digest: e.digest for episode in found.episodes for e in episode.evidence}
    return lock_episodes(found.episodes, ids)


# --- the truth, in the words of the view --------------------------------------------------------


def lasting(truth: Truth) -> dict[int, list[Hold]]:
    """The root holders that hold now with somebody behind them, by pid."""
    found: dict[int, list[Hold]] = defaultdict(list)
    for hold in truth.holds:
        if hold.released_before == NOT_YET and waiting(hold):
            found[hold.pid].append(hold)
    return found


def waiting(hold: Hold) -> list[Wait]:
    return [wait for wait in hold.waiters if wait.outcome == "waiting"]


def wanted(seen: Seen, truth: Truth, hold: Hold, wait: Wait) -> str:
    """What a wait is for, as it has to be named; a wait for a row by the table of that row."""
    row = seen.tags[wait.pid]
    if wait.lock_type == "virtualxid":
        return f"virtual transaction {row['virtualxid']}"
    if wait.lock_type == "advisory":
        parts = (row[part] for part in ("database", "classid", "objid", "objsubid"))
        return f"advisory lock [{','.join(map(str, parts))}]"
    if wait.lock_type == "transactionid":
        return hold.relation or ""
    return f"relation {row['relation']}" if truth.wrong_names else wait.relation or ""


def skeleton(statement: str) -> str:
    """A statement with every literal and placeholder as `?`."""
    return " ".join(re.sub(r"'[^']*'|\$?\b\d+\b", "?", statement).replace("$?", "?").split())


def everybody(branches: Iterable[Waiting]) -> Iterator[Waiting]:
    for branch in branches:
        yield branch
        yield from everybody(branch.behind)


def roots_of(edges: Edges, start: int) -> frozenset[frozenset[int]]:
    """The ends of all ways from `start`: sessions that wait for nobody, and circles."""
    ways = {pid: followed(edges, pid) for pid in followed(edges, start) | {start}}
    ends = {frozenset({pid}) for pid in ways if not edges.get(pid)}
    for pid, ahead in ways.items():
        if pid in ahead:
            ends.add(frozenset(other for other in ahead if pid in ways[other]))
    return frozenset(ends)


def followed(edges: Edges, start: int) -> frozenset[int]:
    reached: set[int] = set()
    todo = [start]
    while todo:
        for ahead in edges.get(todo.pop(), frozenset()):
            if ahead not in reached:
                reached.add(ahead)
                todo.append(ahead)
    return frozenset(reached)


# --- every scene, every act ---------------------------------------------------------------------


@pytest.mark.parametrize("scene", SCENES, ids=lambda scene: scene.name)
def test_the_view_says_what_the_scene_did(server: Server, scene: Scene) -> None:
    with scene(server) as truth:
        agrees(look(truth), truth)
        while truth.advance():
            agrees(look(truth), truth)
        if scene is not scenes.restart_in_the_middle:
            assert look(truth).locks.blockers == ()


def agrees(seen: Seen, truth: Truth) -> None:
    assert seen.locks.waiting == len(truth.waiting)
    edges_agree(seen, truth)
    roots_agree(seen, truth)
    for blocker in seen.locks.blockers:
        blocker_agrees(seen, truth, blocker)
    episodes_agree(seen, truth)
    nothing_else_is_named(seen, truth)


def edges_agree(seen: Seen, truth: Truth) -> None:
    there = set(lasting(truth)) | {wait.pid for wait in truth.waiting}
    kinds: dict[str, dict[int, set[int]]] = {"hard": defaultdict(set), "soft": defaultdict(set)}
    for row in seen.edges:
        if row["edge"] != "none":
            kinds[row["edge"]][row["waiter_pid"]].add(row["holder_pid"])
    hard, soft = kinds["hard"], kinds["soft"]
    for wait in truth.waiting:
        assert hard[wait.pid] == wait.hard_behind & there
        assert hard[wait.pid] <= seen.blocking[wait.pid]
        assert soft[wait.pid] <= seen.blocking[wait.pid] - hard[wait.pid]
        assert soft[wait.pid] <= wait.soft_behind
    ours: Edges = {pid: frozenset(hard[pid] | soft[pid]) for pid in seen.blocking}
    assert all(ours.values())
    for pid in seen.blocking:
        assert roots_of(ours, pid) == roots_of(seen.blocking, pid)
    starts = {row["waiter_pid"]: row["wait_start"] for row in seen.edges if row["edge"] != "none"}
    for wait in truth.waiting:
        assert wait.began_after <= starts[wait.pid].to_pydatetime() <= wait.began_before


def roots_agree(seen: Seen, truth: Truth) -> None:
    """Who is accused is exactly who holds; of a circle it is one of those in it."""
    accused = [blocker.session.pid for blocker in seen.locks.blockers]
    guilty = set(lasting(truth))
    circle = guilty & truth.deadlocked
    assert len(accused) == len(set(accused))
    assert set(accused) - circle == guilty - circle
    assert len(set(accused) & circle) == bool(circle)
    innocent = truth.innocents | truth.bystanders | truth.workers
    assert innocent.isdisjoint(pid for pid in accused if pid is not None)
    roots = {item["root_holder"]["pid"] for item in seen.as_json}
    assert roots == set(accused)


def session_agrees(session: Session, holds: list[Hold], truth: Truth) -> None:
    restricted = truth.dsn != truth.server.dsn_of(truth.database) and not truth.wrong_names
    hold = holds[0]
    if hold.pid == 0:
        assert session.session == f"prepared {truth.prepared[0]}"
        assert (session.state, session.statement, session.application) == ("prepared", "", "")
        return
    assert hold.backend_start is not None
    if restricted:
        assert (session.state, session.statement) == ("", "")
        return
    assert session.session == f"{hold.pid}@{hold.backend_start:%Y-%m-%dT%H:%M:%SZ}"
    assert session.state == hold.state
    assert session.application == (hold.application or "autovacuum worker")
    assert skeleton(session.statement) == skeleton(hold.last_statement)
    if not any(h.statement == h.last_statement for h in holds) or hold.state != "active":
        # Nobody runs it now; whether it took the lock is more than one look can show.
        assert session.statement_basis == "last" or hold.state == "active"
    if session.statement_basis == "running":
        assert hold.state == "active"
        assert skeleton(session.statement) in {skeleton(h.statement) for h in holds}


def blocker_agrees(seen: Seen, truth: Truth, blocker: Blocker) -> None:
    holds = lasting(truth)[blocker.session.pid or 0]
    session_agrees(blocker.session, holds, truth)
    assert blocker.session.mode in {hold.mode for hold in holds}
    assert blocker.deadlocked == bool(truth.deadlocked)
    assert blocker.database == truth.database
    behind = {wait.pid for hold in holds for wait in waiting(hold)}
    if truth.deadlocked:
        behind = set(truth.deadlocked) - {blocker.session.pid or 0}
    branches = list(everybody(blocker.waiting))
    assert sum(branch.count for branch in branches) == len(behind)
    assert {branch.session.pid for branch in branches} <= behind
    for branch in branches:
        alone = branch.count == 1
        starts = {w.pid: (w.began_after, w.began_before) for w in truth.waiting}
        after, before = starts[branch.session.pid or 0]
        assert branch.since is not None and after <= branch.since <= before
        assert alone or not branch.behind
    if blocker.transaction_start is not None:
        taken = min(hold.taken_before for hold in holds)
        assert blocker.transaction_start <= taken


@dataclass
class Expected:
    """What an episode of one root and one contended lock has to say."""

    holds: list[Hold]
    waits: dict[int, Wait]


def expected_episodes(seen: Seen, truth: Truth) -> dict[tuple[int, str], Expected]:
    found: dict[tuple[int, str], Expected] = {}
    accused = {blocker.session.pid or 0 for blocker in seen.locks.blockers}
    for holds in lasting(truth).values():
        for hold in holds:
            for wait in waiting(hold):
                root = min(accused) if hold.pid in truth.deadlocked else hold.pid
                key = (root, wanted(seen, truth, hold, wait))
                one = found.setdefault(key, Expected([], {}))
                one.waits[wait.pid] = wait
                if hold not in one.holds and hold.pid == root:
                    one.holds.append(hold)
    return found


def episodes_agree(seen: Seen, truth: Truth) -> None:
    expected = expected_episodes(seen, truth)
    found = {(e.root_holder.pid or 0, e.relation): e for e in seen.locks.episodes}
    assert len(found) == len(seen.locks.episodes)
    assert found.keys() == expected.keys()
    for key, episode in found.items():
        episode_agrees(seen, truth, episode, expected[key])
    for item, episode in zip(seen.as_json, seen.locks.episodes, strict=True):
        assert item["waiters_total"] == item["peak_waiters"] == episode.waiters_total
        assert item["database"] == truth.database
        assert item["deadlocked"] == bool(truth.deadlocked)
        assert item["evidence"]


def episode_agrees(seen: Seen, truth: Truth, episode: LockEpisode, expected: Expected) -> None:
    waits = expected.waits
    assert episode.waiters_total == episode.peak_waiters == len(waits)
    assert set(episode.waiter_modes) == {wait.mode for wait in waits.values()}
    assert set(episode.lock_types) == {wait.lock_type for wait in waits.values()}
    assert episode.database == truth.database
    session_agrees(episode.root_holder, expected.holds, truth)
    assert episode.root_holder.mode in {hold.mode for hold in expected.holds}
    # Who waits and stops those whom the root would let pass; in a queue for one row nobody does.
    through = [w for w in waits.values() if w.edge != "hard" and w.lock_type != "tuple"]
    amplifying = {pid for w in through for pid in w.hard_behind | w.soft_behind}
    there = {wait.pid for wait in truth.waiting}
    # In a circle everybody waits and stops others; the one that stands for it is its root.
    amplifying |= truth.deadlocked - {episode.root_holder.pid}
    assert {session.pid for session in episode.queue_amplifiers} == amplifying & there
    bystanders = {session.pid for session in episode.bystanders}
    assert bystanders <= truth.bystanders | set(waits)
    within(episode.held_start.lo, episode.held_start.hi, expected.holds)
    first = min(wait.began_before for wait in waits.values())
    assert episode.held_end.hi is None
    assert episode.held_end.lo is not None and first <= episode.held_end.lo <= seen.now
    begun = [(w.began_after, w.began_before) for w in waits.values()]
    assert episode.peak_at.lo is not None
    assert max(after for after, _ in begun) <= episode.peak_at.lo
    longest = sum((seen.now - after).total_seconds() for after, _ in begun)
    assert 0 < episode.waiter_seconds <= longest


def within(lo: datetime | None, hi: datetime | None, holds: list[Hold]) -> None:
    """Some lock of these was taken in this span."""
    assert any(
        (lo is None or lo <= hold.taken_before) and (hi is None or hold.taken_after <= hi)
        for hold in holds
    )


def nothing_else_is_named(seen: Seen, truth: Truth) -> None:
    everything = seen.text + json.dumps(seen.as_json) + repr(seen.locks)
    for name in truth.wrong_names:
        assert name.rpartition(".")[2] not in everything
    there = {wait.pid for wait in truth.waiting} | set(lasting(truth))
    for pid in (truth.innocents | truth.workers) - there:
        assert not re.search(rf"\bpid {pid}\b|backend\({pid}\)", seen.text)
    named = Counter(re.findall(r"backend\((\d+)\)", seen.text))
    assert {int(pid) for pid in named} == {b.session.pid for b in seen.locks.blockers} - {0}
    assert all(len(line) <= 100 for line in seen.text.splitlines())
    if not truth.waiting:
        assert "no session waits for a lock" in seen.text and seen.as_json == []


# --- single scenes, in the words that a person reads --------------------------------------------


def test_the_idle_reader_and_the_alter_have_their_roles(server: Server) -> None:
    with scenes.alter_behind_idle_reader(server) as truth:
        seen = look(truth)
    (item,) = seen.as_json
    assert item["root_holder"]["application"] == "reporting"
    assert [session["application"] for session in item["queue_amplifiers"]] == ["migrate"]
    (blocker,) = seen.locks.blockers
    (alter,) = blocker.waiting
    (readers,) = alter.behind
    assert (alter.is_soft, readers.is_soft, readers.count) == (False, True, 5)
    assert "and stops those below" in seen.text


def test_hidden_sessions_are_said_with_the_grant(server: Server) -> None:
    with scenes.without_privileges(server) as truth:
        seen = look(truth)
        with truth.server.connect() as connection:
            observer = truth.dsn.partition("://")[2].partition("@")[0]
            connection.execute(f"GRANT pg_read_all_stats TO {observer}")
            again = look(truth)
    grant = f"  GRANT pg_read_all_stats TO {observer};"
    assert grant in seen.text.splitlines() and seen.locks.waiting == 3
    assert "Hidden" not in again.text and "GRANT" not in again.text
    assert again.as_json[0]["root_holder"]["state"] == "idle in transaction"


def test_a_prepared_transaction_is_named_after_a_restart_too(server18: Server) -> None:
    with scenes.prepared_transaction(server18) as truth:
        before = look(truth)
    (gid,) = truth.prepared
    assert f"prepared transaction {gid}" in before.text
    assert f"ROLLBACK PREPARED '{gid}';" in before.text


def test_an_extension_is_no_table_lock(server18: Server) -> None:
    with scenes.relation_extension(server18) as truth:
        seen = look(truth)
    assert "wait for its turn to add pages to public.photos" in " ".join(seen.text.split())

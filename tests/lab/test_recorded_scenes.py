"""Each scene, recorded beside it and logged by its server, becomes the episodes that it states."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import pytest

from incident_rca.model import LockEpisode, Span
from tests.lab.recorded import Watched, watched
from tests.lab.scenes import (
    SCENES,
    Hold,
    Scene,
    Truth,
    create_index_held,
    create_index_held_then_select,
    waiters_give_up,
)
from tests.lab.servers import Server

LOGS = ("postgresql.log", "postgresql.csv", "postgresql.json")
# What the server's log calls the ends of waits, by what the scenes call them.
LOGGED_OUTCOMES = frozenset({"cancelled", "lock_timeout", "deadlock", "terminated", "granted"})


@pytest.mark.parametrize("scene", SCENES, ids=lambda scene: scene.name)
def test_a_recording_and_the_logs_show_what_the_scene_did(
    server: Server, scene: Scene, tmp_path: Path
) -> None:
    seen = watched(scene, server, tmp_path)
    recorded = seen.episodes(*seen.recording)
    wrong = [*accusations(seen.truth, recorded), *differences(seen, recorded)]
    assert wrong == []
    for name in LOGS:
        logged = seen.episodes(seen.logs / name)
        assert [*accusations(seen.truth, logged), *wrong_spans(seen.truth, logged)] == [], name
    for name in ("postgresql.json", "postgresql.log"):
        both = seen.episodes(*seen.recording, seen.logs / name)
        assert [*accusations(seen.truth, both), *differences(seen, both)] == [], name
        assert {e.database for e in both} == {e.database for e in recorded}, name


# --- what an episode may say ----------------------------------------------------------------------


def accusations(truth: Truth, episodes: tuple[LockEpisode, ...]) -> Iterator[str]:
    """Roots that hold nothing by the truth, and names that an observer cannot know."""
    for episode in episodes:
        root = episode.root_holder
        if episode.lock_types == ("extend",) and len(truth.innocents) > 100:
            continue  # hundreds that write at once do stop each other for a moment
        if root.pid is not None and root.pid not in {hold.pid for hold in truth.holds}:
            yield f"{root.pid} is no holder: {root}"
        for name in truth.wrong_names:
            if name in str(episode):
                yield f"{name} stands in {episode}"
        for bystander in episode.bystanders:
            if bystander.pid not in truth.innocents and bystander.pid not in truth.bystanders:
                if not any(bystander.pid == hold.pid for hold in truth.holds):
                    yield f"{bystander.pid} stands by, and is nobody of the scene"


def differences(seen: Watched, episodes: tuple[LockEpisode, ...]) -> Iterator[str]:
    """What the episodes of a recording say wrongly of the scene, or do not say."""
    truth = seen.truth
    yield from wrong_spans(truth, episodes)
    circle = {min(seen.deadlocked)} if seen.deadlocked else set()
    for hold in (h for h in truth.holds if h.waiters):
        found = of_hold(hold, episodes)
        if hold.pid in seen.deadlocked - circle:
            continue
        if not found:
            yield f"no episode of {hold.pid} on {hold.relation}"
        modes = {episode.root_holder.mode for episode in found}
        known = {h.mode for h in truth.holds if h.pid == hold.pid}
        if not modes <= known:
            yield f"modes {modes} of {hold.pid}, not {known}"
        named = {episode.root_holder.application for episode in found}
        # A server's own process has no name of its own.
        if found and hold.application and named != {hold.application}:
            yield f"{hold.pid} is called {named}, not {hold.application}"
        waiting = {w.pid for h in truth.holds if h.pid == hold.pid for w in h.waiters}
        if hold.pid in seen.deadlocked:
            waiting = {w.pid for h in truth.holds for w in h.waiters}
        # The wait that closes a circle is broken off before a sample can show it.
        if any(e.waiters_total - e.outcomes.get("deadlock", 0) > len(waiting) for e in found):
            yield f"more waiters behind {hold.pid} than {len(waiting)}"
        amplifiers = {a.pid for episode in found for a in episode.queue_amplifiers}
        if not amplifiers <= waiting:
            yield f"{amplifiers - waiting} amplify and do not wait behind {hold.pid}"
        soft = {w.pid for w in hold.waiters if w.edge != "hard" and w.lock_type == "relation"}
        if soft and not amplifiers:
            yield f"nobody amplifies {hold.pid}, though {soft} are not blocked by it directly"


def of_hold(hold: Hold, episodes: tuple[LockEpisode, ...]) -> list[LockEpisode]:
    """The episodes of a hold's process that overlap the time in which it held."""
    return [e for e in episodes if e.root_holder.pid == hold.pid and overlaps(e, hold)]


def overlaps(episode: LockEpisode, hold: Hold) -> bool:
    first, last = episode.held_start.hi, episode.held_end.lo
    assert first is not None and last is not None
    return first <= hold.released_before and last >= hold.taken_after


def wrong_spans(truth: Truth, episodes: tuple[LockEpisode, ...]) -> Iterator[str]:
    """Spans that contain no instant at which the root took a lock, or released one."""
    for episode in episodes:
        holds = [h for h in truth.holds if h.pid == episode.root_holder.pid]
        if not holds:
            continue
        start, end = episode.held_start, episode.held_end
        if not any(contains(start, h.taken_after, h.taken_before) for h in holds):
            yield f"{holds[0].pid} took its lock in {start}, not at {holds[0].taken_after}"
        if not any(contains(end, h.released_after, h.released_before) for h in holds):
            yield f"{holds[0].pid} released in {end}, not at {holds[0].released_after}"


def contains(span: Span, after: datetime, before: datetime) -> bool:
    """Whether an instant between two readings of the server's clock may lie in the span."""
    return (span.lo is None or span.lo <= before) and (span.hi is None or span.hi >= after)


# --- one incident, three ways to see it -----------------------------------------------------------


@pytest.fixture(scope="module")
def index_build(server18: Server, tmp_path_factory: pytest.TempPathFactory) -> Watched:
    """The index build that an on-call engineer asks about, recorded and logged."""
    return watched(create_index_held, server18, tmp_path_factory.mktemp("index"))


def test_the_recording_and_each_log_tell_of_one_episode(index_build: Watched) -> None:
    (hold,) = index_build.truth.holds
    ways = [index_build.recording, *((index_build.logs / name,) for name in LOGS)]
    for files in ways:
        (episode,) = index_build.episodes(*files)
        assert episode.relation.rpartition(".")[2] == "stock"
        assert episode.root_holder.pid == hold.pid
        assert episode.root_holder.mode == hold.mode == "ShareLock"
        assert episode.root_holder.statement == hold.statement
        assert (episode.waiters_total, episode.peak_waiters) == (12, 12)
        assert episode.waiter_modes == ("RowExclusiveLock",)
        assert episode.queue_amplifiers == ()


@pytest.mark.parametrize("name", LOGS)
def test_together_they_are_still_one(index_build: Watched, name: str) -> None:
    """Also where the log's prefix names no database: its session is in that of the recording."""
    (episode,) = index_build.episodes(*index_build.recording, index_build.logs / name)
    assert episode.object == f"{index_build.truth.database}.public.stock"
    assert episode.root_holder.application == "migrate"
    assert episode.outcomes == {"granted": 12}
    assert {b.pid for b in episode.bystanders} == index_build.truth.bystanders


def test_the_log_recovers_the_statement_behind_a_last_one(server18: Server, tmp_path: Path) -> None:
    seen = watched(create_index_held_then_select, server18, tmp_path)
    (alone,) = seen.episodes(*seen.recording)
    assert alone.root_holder.statement_basis == "last"
    assert "SELECT" in alone.root_holder.statement
    for name in LOGS:
        (both,) = seen.episodes(*seen.recording, seen.logs / name)
        assert both.root_holder.statement_basis == "recovered", name
        assert both.root_holder.statement == seen.truth.holds[0].statement, name


def test_waits_that_never_said_acquired_count(server18: Server, tmp_path: Path) -> None:
    seen = watched(waiters_give_up, server18, tmp_path)
    truth = [w.outcome for w in seen.truth.holds[0].waiters]
    for name in LOGS:
        found = seen.episodes(seen.logs / name)
        assert sum(e.waiters_total for e in found) == len(truth), name
        counted = {
            outcome: sum(e.outcomes.get(outcome, 0) for e in found) for outcome in LOGGED_OUTCOMES
        }
        for outcome in ("cancelled", "lock_timeout", "granted"):
            assert counted[outcome] == truth.count(outcome), (name, outcome, truth)

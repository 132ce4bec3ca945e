"""Each scene's truth against the server itself, while the scene pauses and after it is over."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import psycopg
import pytest

from tests.lab import scenes
from tests.lab.scenes import NOT_YET, SCENES, Hold, Scene, Truth, Wait, create_index_held
from tests.lab.scenes.check import ORDER, conflict, disagreements
from tests.lab.scenes.session import until
from tests.lab.servers import Server

# What the server logs when a statement or a session ends so (docs, errcodes-appendix).
LOGGED = {
    "cancelled": {"57014"},
    "lock_timeout": {"55P03"},
    "deadlock": {"40P01"},
    "terminated": {"57P01", "08006"},
}


@pytest.mark.parametrize("scene", SCENES, ids=lambda scene: scene.name)
def test_the_server_agrees_with_the_scene(server: Server, scene: Scene) -> None:
    with scene(server) as truth:
        assert truth.server.version == server.version
        assert truth.waiting
        assert disagreements(truth) == []
        while truth.advance():
            assert disagreements(truth) == []
        assert list(what_is_not_over(truth)) == []
        if scene is not scenes.restart_in_the_middle:  # a crash writes no line per session
            assert_outcomes_are_logged(truth)
    if not scene.own_server:
        assert_nothing_is_left(server, truth)


def what_is_not_over(truth: Truth) -> Iterator[str]:
    """The parts of a truth that lack an end, or end before they began."""
    now = datetime.now(UTC)
    for hold in truth.holds:
        if not hold.taken_after <= hold.taken_before <= hold.released_before <= now:
            yield f"{hold.pid} released between {hold.released_after} and {hold.released_before}"
        if not hold.taken_before <= hold.released_after <= hold.released_before:
            yield f"{hold.pid} released after {hold.released_after}"
        for wait in hold.waiters:
            if wait.outcome == "waiting" or not wait.began_before <= wait.ended_before <= now:
                yield f"{wait.pid} {wait.outcome} before {wait.ended_before}"
            if not wait.began_after <= wait.ended_after <= wait.ended_before:
                yield f"{wait.pid} ended after {wait.ended_after}"
            if wait.outcome == "granted" and wait.ended_before < hold.released_after:
                yield f"{wait.pid} got its lock while {hold.pid} held it"


def assert_outcomes_are_logged(truth: Truth) -> None:
    waits = {wait.pid: wait.outcome for hold in truth.holds for wait in hold.waiters}
    expected = {pid: outcome for pid, outcome in waits.items() if outcome in LOGGED}

    def logged() -> dict[int, str]:
        ended = {}
        with (truth.server.logs / "postgresql.csv").open(encoding="utf-8", newline="") as file:
            for row in csv.reader(file):
                for outcome, states in LOGGED.items():
                    if row[2] == truth.database and int(row[3]) in waits and row[12] in states:
                        ended[int(row[3])] = outcome
        return ended

    until(lambda: logged().keys() >= expected.keys(), "the log says how all waits ended")
    assert logged() == expected


def assert_nothing_is_left(server: Server, truth: Truth) -> None:
    with server.connect() as connection:
        for query in (
            "SELECT datname FROM pg_database WHERE datname LIKE 'lab%'",
            "SELECT rolname FROM pg_roles WHERE rolname LIKE 'lab%'",
            "SELECT gid FROM pg_prepared_xacts",
        ):
            assert connection.execute(query).fetchall() == []
        query = "SELECT pid FROM pg_stat_activity WHERE datname = %s"
        assert connection.execute(query, [truth.database]).fetchall() == []


# --- that a wrong truth is noticed --------------------------------------------------------------


def the_only_hold(change: Callable[[Hold], Hold]) -> Callable[[Truth], Truth]:
    return lambda truth: replace(truth, holds=(change(truth.holds[0]),))


def first_wait(change: Callable[[Wait], Wait]) -> Callable[[Truth], Truth]:
    return the_only_hold(
        lambda hold: replace(hold, waiters=(change(hold.waiters[0]), *hold.waiters[1:]))
    )


MINUTE = timedelta(minutes=1)
LIES: dict[str, Callable[[Truth], Truth]] = {
    "the bystander holds": lambda truth: replace(
        truth, holds=(replace(truth.holds[0], pid=min(truth.bystanders)),)
    ),
    "the holder stands by": lambda truth: replace(
        truth, bystanders=frozenset({truth.holds[0].pid})
    ),
    "a waiter is idle": lambda truth: replace(truth, bystanders=truth.innocents),
    "another mode": the_only_hold(lambda hold: replace(hold, mode="ExclusiveLock")),
    "another table": the_only_hold(lambda hold: replace(hold, relation="public.orders")),
    "another kind": the_only_hold(lambda hold: replace(hold, lock_type="transactionid")),
    "another state": the_only_hold(lambda hold: replace(hold, state="active")),
    "another application": the_only_hold(lambda hold: replace(hold, application="reporting")),
    "another last statement": the_only_hold(lambda hold: replace(hold, last_statement="SELECT 1")),
    "another backend": the_only_hold(
        lambda hold: replace(hold, backend_start=hold.taken_before + MINUTE)
    ),
    "taken earlier": the_only_hold(
        lambda hold: replace(
            hold, taken_after=hold.taken_after - MINUTE, taken_before=hold.taken_before - MINUTE
        )
    ),
    "released": the_only_hold(lambda hold: replace(hold, released_before=hold.taken_before)),
    "a waiter less": the_only_hold(lambda hold: replace(hold, waiters=hold.waiters[1:])),
    "a prepared transaction": lambda truth: replace(truth, prepared=("none",)),
    "a soft edge": first_wait(lambda wait: replace(wait, edge="soft")),
    "an indirect edge": first_wait(lambda wait: replace(wait, edge="indirect")),
    "soft behind": first_wait(
        lambda wait: replace(wait, soft_behind=wait.hard_behind, hard_behind=frozenset())
    ),
    "behind another": first_wait(
        lambda wait: replace(wait, hard_behind=wait.hard_behind | {wait.pid})
    ),
    "waits in another mode": first_wait(lambda wait: replace(wait, mode="ShareLock")),
    "waits for another kind": first_wait(lambda wait: replace(wait, lock_type="tuple")),
    "waits for no table": first_wait(lambda wait: replace(wait, relation=None)),
    "waits since later": first_wait(lambda wait: replace(wait, began_after=wait.began_before)),
    "waits since earlier": first_wait(lambda wait: replace(wait, began_before=wait.began_after)),
    "another statement waits": first_wait(lambda wait: replace(wait, statement="SELECT 1")),
    "does not wait any more": first_wait(lambda wait: replace(wait, outcome="granted")),
}


def test_a_wrong_truth_is_noticed(server18: Server) -> None:
    with create_index_held(server18) as truth:
        assert disagreements(truth) == []
        unnoticed = [lie for lie, tell in LIES.items() if not disagreements(tell(truth))]
        assert unnoticed == []
        assert len(list(what_is_not_over(truth))) == 1 + len(truth.waiting)


def test_the_matrix_is_the_servers(server: Server) -> None:
    with server.connect(autocommit=False) as one, server.connect() as other:
        other.execute("CREATE TABLE matrix ()")
        for held in ORDER:
            one.execute(f"LOCK TABLE matrix IN {words(held)} MODE")
            for asked in ORDER:
                assert refused(other, words(asked)) == conflict(held, asked), (held, asked)
            one.rollback()
        other.execute("DROP TABLE matrix")


def words(mode: str) -> str:
    """`AccessShareLock` as LOCK TABLE writes it.

    >>> words("ShareRowExclusiveLock")
    'Share Row Exclusive'
    """
    return "".join(f" {c}" if c.isupper() else c for c in mode.removesuffix("Lock")).strip()


def refused(connection: psycopg.Connection, mode: str) -> bool:
    try:
        with connection.transaction():
            connection.execute(f"LOCK TABLE matrix IN {mode} MODE NOWAIT")
    except psycopg.errors.LockNotAvailable:
        return True
    return False


# --- how a scene behaves ------------------------------------------------------------------------


def test_a_scene_ends_itself(server18: Server) -> None:
    with create_index_held(server18) as truth:
        assert [hold.released_before for hold in truth.holds] == [NOT_YET]
    assert list(what_is_not_over(truth)) == []
    assert {wait.outcome for hold in truth.holds for wait in hold.waiters} == {"granted"}


def test_a_release_in_the_body_is_not_repeated(server18: Server) -> None:
    with create_index_held(server18) as truth:
        truth.release()
        released = truth.holds
        assert list(what_is_not_over(truth)) == []
    assert truth.holds == released


class Broken(Exception):
    """An error in the body of a test."""


@pytest.mark.parametrize(
    "scene",
    [
        create_index_held,
        scenes.create_index_running,
        scenes.prepared_transaction,
        scenes.relation_extension,
        scenes.without_privileges,
    ],
    ids=lambda scene: scene.name,
)
def test_a_broken_body_leaves_nothing_behind(server18: Server, scene: Scene) -> None:
    with pytest.raises(Broken), scene(server18) as truth:
        raise Broken
    assert_nothing_is_left(server18, truth)


def test_the_waits_are_in_the_log_when_the_scene_says_so(server: Server) -> None:
    with create_index_held(server) as truth:
        truth.until_logged()
        log = (server.logs / "postgresql.log").read_text(encoding="utf-8")
    for wait in truth.holds[0].waiters:
        assert f"process {wait.pid} still waiting for RowExclusiveLock on relation" in log


def test_an_unprivileged_observer_sees_locks_but_no_sessions(server: Server) -> None:
    with scenes.without_privileges(server) as truth, psycopg.connect(truth.dsn) as observer:
        query = "SELECT count(*) FROM pg_locks WHERE NOT granted"
        assert observer.execute(query).fetchone() == (len(truth.waiting),)
        query = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
        assert observer.execute(query).fetchone() == (0,)


def test_the_clone_has_another_name_for_the_locked_table(server: Server) -> None:
    with scenes.template_clone(server) as truth, psycopg.connect(truth.dsn) as observer:
        query = "SELECT DISTINCT relation::regclass::text FROM pg_locks WHERE NOT granted"
        assert {name for (name,) in observer.execute(query)} <= truth.wrong_names


def test_the_list_and_its_description_name_every_scene() -> None:
    defined = {value.name for value in vars(scenes).values() if isinstance(value, Scene)}
    assert {scene.name for scene in SCENES} == defined
    assert len(SCENES) == len(defined)
    described = (scenes.__doc__ or "").replace(",", " ").split()
    assert [name for name in sorted(defined) if name not in described] == []
    assert all(scene.about for scene in SCENES)

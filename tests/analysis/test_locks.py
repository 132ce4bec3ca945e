"""Lock episodes and what is blamed on them: who held what, from when to when, and before what."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from incident_rca.model import Analysis, Kind, Role, SourceState, Stance, Topology, Verdict
from incident_rca.report.contract import to_json
from incident_rca.report.markdown import to_markdown
from tests.analysis.cases import (
    OUTAGE,
    Row,
    analysed,
    blocked,
    claims_of,
    counted,
    edge,
    heartbeat,
    made_case,
    of_kind,
    second_of,
    steps,
    the,
    usual,
    with_source,
)

GATEWAY = [*counted(OUTAGE), *usual("GET /items"), *usual("POST /mail")]
EXPLAINING = {Verdict.SUPPORTED, Verdict.WEAK}


def with_locks(locks: Sequence[Row], **rows: Any) -> Analysis:
    """The usual outage of `GET /items` beside these locks."""
    case = rows.pop("case", None)
    return analysed(case, locks=locks, failures=OUTAGE, gateway=GATEWAY, **rows)


def seconds(analysis: Analysis) -> list[float]:
    """What each lock hypothesis explains."""
    return [h.explains_seconds for h in of_kind(analysis, Kind.LOCK_BLOCKING)]


# --- a reader in front of ALTER TABLE -------------------------------------------------------------


@pytest.fixture(scope="module")
def queue() -> Analysis:
    """An idle reader, an ALTER TABLE that waits for it, and thirty reads behind that."""
    reader: dict[str, Any] = {
        "holder_application": "report",
        "holder_mode": "AccessShareLock",
        "holder_state": "idle in transaction",
        "holder_statement": "SELECT * FROM items",
        "holder_statement_basis": "last",
    }
    alter = edge(
        60,
        8,
        7,
        wait_start=-1,
        wait_end=60,
        held_since=-300,
        waiter_application="migrate",
        waiter_mode="AccessExclusiveLock",
        **reader,
    )
    reads = [
        edge(
            60,
            100 + n,
            8,
            wait_start=n / 10 - 0.5,
            wait_end=60,
            edge="soft",
            waiter_mode="AccessShareLock",
            holder_mode="AccessExclusiveLock",
            holder_statement="ALTER TABLE items ADD COLUMN c int",
        )
        for n in range(30)
    ]
    return with_locks([alter, *reads])


def test_the_reader_is_the_root_and_the_alter_amplifies(queue: Analysis) -> None:
    (episode,) = queue.lock_episodes
    assert (episode.root_holder.pid, episode.root_holder.mode) == (7, "AccessShareLock")
    assert episode.root_holder.state == "idle in transaction"
    assert [(s.pid, s.mode) for s in episode.queue_amplifiers] == [(8, "AccessExclusiveLock")]
    assert (episode.waiters_total, episode.peak_waiters) == (31, 31)
    assert episode.waiter_seconds == pytest.approx(61 + sum(60.5 - n / 10 for n in range(30)))


def test_the_reader_is_the_trigger(queue: Analysis) -> None:
    lock = the(queue, Kind.LOCK_BLOCKING)
    assert (lock.role, lock.verdict) == (Role.TRIGGER, Verdict.SUPPORTED)
    assert lock.explains_seconds == 60


def test_reads_behind_a_waiting_alter_contradict_nothing(queue: Analysis) -> None:
    """The queue's ACCESS EXCLUSIVE request blocks reads, whatever the root's own mode is."""
    assert not [c.statement for c in queue.contradictions if "not reads" in c.statement]


def test_a_queue_can_be_rendered(queue: Analysis) -> None:
    written = json.loads(to_json(queue))
    assert [s["pid"] for s in written["lock_episodes"][0]["queue_amplifiers"]] == [8]
    assert to_markdown(queue)


def test_reads_that_fail_under_a_write_lock_are_a_contradiction() -> None:
    found = with_locks(blocked(-1, 60)).contradictions
    assert [c for c in found if "not reads" in c.statement]


# --- order and path -------------------------------------------------------------------------------


def test_a_lock_that_covers_the_first_failure_is_the_trigger() -> None:
    analysis = with_locks(blocked(-1, 60))
    lock = the(analysis, Kind.LOCK_BLOCKING)
    assert (lock.role, lock.verdict) == (Role.TRIGGER, Verdict.SUPPORTED)
    assert (lock.explains_seconds, analysis.unexplained_seconds) == (60, 58)


NOT_THEN = {
    "released a minute before": blocked(-120, -60),
    "taken a minute after": blocked(60, 100),
    "first waited for a minute after": blocked(60, 100, held_since=-500),
    "first waited for a minute after, since when unknown": blocked(60, 100, held_since=None),
    "last seen two minutes before": blocked(-180, -120, wait_end=None, held_until=None),
}


@pytest.mark.parametrize("name", NOT_THEN)
def test_a_lock_of_another_time_explains_nothing(name: str) -> None:
    """Requests that a lock hurts arrive while sessions wait for it."""
    analysis = with_locks(NOT_THEN[name])
    lock = the(analysis, Kind.LOCK_BLOCKING)
    assert lock.role is not Role.TRIGGER
    assert lock.verdict is not Verdict.SUPPORTED
    assert lock.explains_seconds == 0
    assert analysis.unexplained_seconds == 118


@pytest.mark.parametrize("name", ["released a minute before", "taken a minute after"])
def test_a_separable_wrong_order_contradicts(name: str) -> None:
    lock = the(with_locks(NOT_THEN[name]), Kind.LOCK_BLOCKING)
    assert lock.verdict is Verdict.CONTRADICTED
    assert claims_of(lock, "order", Stance.AGAINST)


def test_a_lock_whose_end_is_unknown_explains_only_while_it_was_seen() -> None:
    """No sign of the release is not a sign that it was held to the end."""
    analysis = with_locks(blocked(-1, 20, wait_end=None, held_until=None))
    (episode,) = analysis.lock_episodes
    assert episode.held_end.hi is None
    assert sum(seconds(analysis)) <= 21


def test_a_lock_of_another_service_is_a_coincidence() -> None:
    locks = blocked(-1, 100, relation="public.letters", waiter_application="mail")
    analysis = with_locks(locks)
    lock = the(analysis, Kind.LOCK_BLOCKING)
    assert (lock.role, lock.verdict) == (Role.COINCIDENT, Verdict.CONTRADICTED)
    assert seconds(analysis) == [0]


def test_a_lock_on_a_table_of_nobody_is_a_coincidence() -> None:
    lock = the(with_locks(blocked(-1, 100, relation="public.audit")), Kind.LOCK_BLOCKING)
    assert (lock.role, lock.verdict) == (Role.COINCIDENT, Verdict.CONTRADICTED)


@pytest.mark.parametrize(("offset", "orders"), [(20.0, 0), (0.1, 1)])
def test_order_is_claimed_only_where_clocks_allow_it(offset: float, orders: int) -> None:
    """Failures every 2 s may have begun some seconds before the first one."""
    lock = the(with_locks(blocked(-20, 60), case=made_case(offset=offset)), Kind.LOCK_BLOCKING)
    assert len(claims_of(lock, "order", Stance.FOR)) == orders
    assert not claims_of(lock, "order", Stance.AGAINST)
    assert (lock.role, lock.verdict) == (Role.TRIGGER, Verdict.SUPPORTED)


def test_what_clocks_leave_open_is_asked() -> None:
    asked = with_locks(blocked(-20, 60), case=made_case(offset=20.0)).questions
    assert [q for q in asked if "not separable" in q]
    asked = with_locks(blocked(-20, 60), case=made_case(offset=0.1)).questions
    assert not [q for q in asked if "not separable" in q]


def test_without_a_topology_a_lock_is_not_supported() -> None:
    lock = the(with_locks(blocked(-1, 60), case=made_case(topology=Topology())), Kind.LOCK_BLOCKING)
    assert lock.verdict is not Verdict.SUPPORTED


@pytest.mark.parametrize("state", [SourceState.PARTIAL, SourceState.FAILED, SourceState.SKIPPED])
def test_an_access_log_that_is_not_ok_leaves_a_lock_insufficient(state: SourceState) -> None:
    analysis = with_locks(blocked(-1, 60), case=made_case(states={"access": state}))
    assert the(analysis, Kind.LOCK_BLOCKING).verdict is Verdict.INSUFFICIENT
    assert seconds(analysis) == [0]


def test_a_mode_that_conflicts_with_none_of_its_waiters_supports_nothing() -> None:
    lock = the(with_locks(blocked(-1, 60, holder_mode="AccessShareLock")), Kind.LOCK_BLOCKING)
    assert lock.verdict is Verdict.WEAK


def test_a_guessed_mode_supports_nothing() -> None:
    lock = the(with_locks(blocked(-1, 60, holder_mode_basis="candidate")), Kind.LOCK_BLOCKING)
    assert lock.verdict is Verdict.WEAK


# --- waiters --------------------------------------------------------------------------------------


def test_cancelled_waiters_count_until_they_were_cancelled() -> None:
    stayed = blocked(-1, 60, waiters=2)
    cancelled = [edge(9, 200, 7, wait_start=0, wait_end=9), edge(14, 201, 7, wait_start=4)]
    given = [*stayed, cancelled[0], dict(cancelled[1], wait_end=cancelled[1]["at"])]
    (episode,) = with_locks(given).lock_episodes
    assert episode.waiters_total == 4
    assert episode.waiter_seconds == pytest.approx(61 + 60.9 + 9 + 10)


def test_a_waiter_that_left_the_samples_waits_no_longer() -> None:
    samples = [
        edge(second, pid, 7, wait_start=-1)
        for pid, last in ((100, 5), (101, 60))
        for second in range(-1, last)
    ]
    probes = [heartbeat(second) for second in range(-10, 100)]
    (episode,) = with_locks(samples, session_counts=probes).lock_episodes
    assert episode.waiter_seconds == pytest.approx(61 + 6, abs=2)


def test_waiters_that_give_up_one_by_one_do_not_release_the_lock() -> None:
    """With `lock_timeout` waits end all the time; the lock is held while somebody still waits."""
    locks = [
        edge(
            min(120, 2 * n + 29),
            100 + n,
            7,
            wait_start=2 * n - 1,
            wait_end=min(120, 2 * n + 29),
            held_since=-1.2,
            held_until=120,
        )
        for n in range(60)
    ]
    (episode,) = with_locks(locks).lock_episodes
    assert second_of(episode.held_end.lo) == 120
    assert second_of(episode.held_end.hi) == 120


def test_a_wait_seen_in_two_samples_is_one() -> None:
    once, twice = blocked(-1, 60), [*blocked(-1, 60), *blocked(-1, 60)]
    (one,), (two,) = with_locks(once).lock_episodes, with_locks(twice).lock_episodes
    assert (one.waiters_total, one.waiter_seconds) == (two.waiters_total, two.waiter_seconds)


@pytest.mark.parametrize(
    ("columns", "step", "until"),
    [
        ({}, 1, 60),
        # Whom they wait for is read a moment after the probe that counts them, within a second.
        ({"wait_event_type": "Lock"}, 1, 61),
        ({"wait_event_type": "Lock"}, 20, 61),
        ({"state": None, "wait_event_type": None}, 1, 61),
    ],
)
def test_a_probe_at_which_somebody_waits_still_is_no_release(
    columns: Row, step: int, until: float
) -> None:
    samples = [edge(second, 101, 7, wait_start=-1) for second in range(-1, 60)]
    probes = [{**heartbeat(s), **(columns if s == 60 else {})} for s in range(-20, 100, step)]
    (episode,) = with_locks(samples, session_counts=probes).lock_episodes
    assert (second_of(episode.held_end.lo), second_of(episode.held_end.hi)) == (59, until)


def test_minutes_apart_are_two_episodes() -> None:
    found = with_locks([*blocked(-1, 60), *blocked(300, 350)]).lock_episodes
    ends = sorted((second_of(e.held_start.hi), second_of(e.held_end.hi)) for e in found)
    assert ends == [(-1, 60), (300, 350)]
    assert [e.waiters_total for e in found] == [5, 5]


def test_waits_that_only_slow_samples_show_are_one_episode() -> None:
    """A probe each 5 s sees somebody wait each time, a deadline of 3 s ends each of the waits.

    Two probes that saw nobody are a pause, for whoever had waited was gone.
    """

    def seen(interval: float, *stretches: tuple[float, float]) -> int:
        probes = [at for start, end in stretches for at in steps(start, end, 5)]
        rows = [edge(at, 100 + n, 7, wait_start=None) for n, at in enumerate(probes)]
        slow = with_source(made_case(), "locks", lambda s: replace(s, resolution_seconds=interval))
        return len(with_locks(rows, case=slow).lock_episodes)

    assert seen(5.0, (0, 60)) == 1
    assert seen(1.0, (0, 60)) == 12
    assert seen(5.0, (0, 30), (45, 60)) == 2


def test_only_the_episode_of_the_first_failure_is_the_trigger() -> None:
    analysis = with_locks([*blocked(-1, 30), *blocked(50, 118, waiters=40)])
    roles = {h.explains_seconds: h.role for h in of_kind(analysis, Kind.LOCK_BLOCKING)}
    assert roles == {30: Role.TRIGGER, 0: Role.CONTRIBUTING}


# --- who waits for whom ---------------------------------------------------------------------------

CHAINS = {
    "a waiter holds a lock on another table": [
        *blocked(-1, 60),
        edge(60, 200, 100, wait_start=0, wait_end=60, relation="public.letters"),
    ],
    "a session that once waited holds later": [
        *blocked(-100, -90),
        *blocked(-1, 60, holder=100, first_pid=300),
    ],
    "a session that held waits later": [
        *blocked(-1, 60),
        edge(200, 7, 500, wait_start=190, wait_end=200),
    ],
    "two wait for each other": [
        edge(5, 1, 2, wait_start=-1, wait_end=5),
        edge(5, 2, 1, wait_start=-0.5, wait_end=5),
    ],
    "two wait for each other and a third for them": [
        edge(5, 1, 2, wait_start=-1, wait_end=5),
        edge(5, 2, 3, wait_start=-0.5, wait_end=5),
        edge(5, 3, 2, wait_start=-0.5, wait_end=5),
    ],
}


@pytest.mark.parametrize("name", CHAINS)
def test_every_chain_has_an_episode(name: str) -> None:
    analysis = with_locks(CHAINS[name])
    relations = {row["relation"] for row in CHAINS[name]}
    assert {e.relation for e in analysis.lock_episodes} == relations
    assert to_json(analysis) and to_markdown(analysis)


def test_a_session_that_once_waited_is_the_root_when_it_holds() -> None:
    found = with_locks(CHAINS["a session that once waited holds later"]).lock_episodes
    assert {e.root_holder.pid for e in found} == {7, 100}


def test_a_session_that_waits_later_stays_the_root_of_what_it_held() -> None:
    found = with_locks(CHAINS["a session that held waits later"]).lock_episodes
    assert {e.root_holder.pid for e in found} == {7, 500}


def test_a_session_without_any_name_is_no_error() -> None:
    columns: dict[str, Any] = dict.fromkeys(
        ["waiter_application", "holder_application", "holder_mode", "holder_statement", "database"]
    )
    analysis = with_locks(blocked(-1, 60, **columns))
    assert the(analysis, Kind.LOCK_BLOCKING).verdict is Verdict.WEAK
    assert to_json(analysis) and to_markdown(analysis)


@pytest.mark.parametrize("start", [-700.0, 601.0])
def test_a_lock_outside_of_the_window_is_none(start: float) -> None:
    probes = [heartbeat(second) for second in range(-60, 600)]
    analysis = with_locks(blocked(start, start + 50), session_counts=probes)
    assert analysis.lock_episodes == ()
    (lock,) = of_kind(analysis, Kind.LOCK_BLOCKING)
    assert (lock.role, lock.verdict) == (Role.RULED_OUT, Verdict.CONTRADICTED)
    assert lock.explains_seconds == 0

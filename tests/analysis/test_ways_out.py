"""Who goes on when a holder is gone, against a lock table that is played through."""

from __future__ import annotations

import itertools
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from incident_rca.analysis.ways_out import Claimed, released, way_out
from incident_rca.model import Session
from tests.analysis.lock_queue import MODES, Lock, conflict
from tests.formats.builders import START

LOCK = ("shop", "public.stock", "relation")


def claims(lock: Lock) -> list[Claimed]:
    """What a snapshot of the lock tells: who holds against whom, and since when each waits."""
    return [
        Claimed(
            waiter=who,
            lock=LOCK,
            mode=mode,
            since=START + timedelta(seconds=lock.since[who]),
            held_by=frozenset(
                other
                for other, modes in lock.holders.items()
                if other != who and any(conflict(mode, held) for held in modes)
            ),
        )
        for who, mode in lock.queue
    ]


asked = st.lists(st.tuples(st.sampled_from("abcdef"), st.sampled_from(MODES)), max_size=12)


@settings(max_examples=600, deadline=None)
@given(asked, st.randoms())
def test_who_goes_on_is_who_the_lock_table_wakes(asks: list[tuple[str, str]], random: Any) -> None:
    lock = Lock()
    for clock, (who, mode) in enumerate(asks):
        if who not in lock.since:  # who waits asks for nothing more
            lock.ask(who, mode, clock)
    waiting = [who for who, _ in lock.queue]
    roots = [who for who in lock.holders if who not in waiting]
    assume(waiting and roots)
    snapshot = claims(lock)
    random.shuffle(snapshot)
    root = random.choice(roots)
    said = released(root, snapshot)
    woken = lock.end(root)
    if any(root in claim.held_by for claim in snapshot):
        assert sorted(said) == sorted(woken)
    else:
        assert said == ()


def test_two_locks_have_two_queues() -> None:
    other = ("shop", "public.orders", "relation")
    waits = [
        Claimed("a", LOCK, "AccessExclusiveLock", START, frozenset({"r"})),
        Claimed("b", other, "AccessShareLock", START + timedelta(seconds=1), frozenset({"r"})),
        Claimed("c", LOCK, "AccessShareLock", START + timedelta(seconds=2), frozenset()),
        Claimed("d", other, "AccessShareLock", START + timedelta(seconds=3), frozenset({"s"})),
    ]
    for order in itertools.permutations(waits):
        assert set(released("r", order)) == {"a", "b"}
        assert set(released("s", order)) == {"d"}


# --- what is proposed ---------------------------------------------------------------------------


def session(pid: int | None = 7, name: str = "7@2026-01-15T14:00:00Z") -> Session:
    texts = dict.fromkeys(("application", "mode", "state", "statement"), "")
    return Session(pid=pid, session=name, statement_basis="last", **texts)


def facts(state: str = "active", **more: Any) -> dict[str, Any]:
    begun = {"xact_start": START, "query_start": START, "backend_xid": None}
    return begun | {"state": state, "backend_type": "client backend"} | more


def waits(lock_type: str = "relation", holder: str = "7@2026-01-15T14:00:00Z") -> list[Claimed]:
    lock = ("shop", "x", lock_type)
    return [Claimed("w", lock, "ExclusiveLock", START, frozenset({holder}))]


CANCEL, TERMINATE = "SELECT pg_cancel_backend(7);", "SELECT pg_terminate_backend(7);"


@pytest.mark.parametrize(
    ("state", "lock_type", "commands"),
    [
        ("active", "relation", (CANCEL, TERMINATE)),
        ("active", "transactionid", (CANCEL, TERMINATE)),
        ("active", "advisory", (TERMINATE,)),
        ("idle in transaction", "relation", (TERMINATE,)),
        ("idle in transaction (aborted)", "relation", (TERMINATE,)),
        ("idle", "advisory", (TERMINATE,)),
    ],
)
def test_a_cancel_is_proposed_only_where_it_can_help(
    state: str, lock_type: str, commands: tuple[str, ...]
) -> None:
    way = way_out(session(), facts(state), waits(lock_type), {"w"}, START)
    assert way.commands == commands
    assert (way.then, way.still) == ("1 session would go on at once", "")


@pytest.mark.parametrize(
    ("begun_before", "is_said"), [(0, False), (1, True)], ids=["first", "later"]
)
def test_a_savepoint_may_save_the_lock_from_a_cancel(begun_before: int, is_said: bool) -> None:
    known = facts(query_start=START + timedelta(seconds=begun_before))
    way = way_out(session(), known, waits(), {"w"}, START)
    assert ("savepoint" in way.then) == is_said


def test_what_is_undone_follows_from_what_was_written() -> None:
    at = START + timedelta(seconds=90)
    for known, words in [
        (facts(), "has only read"),
        (facts(backend_xid=7), "all that its transaction of "),
        (facts("idle in transaction", backend_xid=7), "its client gets an error at its next use"),
        (facts("idle", xact_start=None), "it is in no transaction"),
        ({}, "which this role cannot see"),
        (facts(backend_type="autovacuum worker"), "only this run of autovacuum"),
    ]:
        assert words in way_out(session(), known, waits(), {"w"}, at).undoes


@pytest.mark.parametrize(
    "root",
    [
        session(None, ""),
        session(0, "prepared with virtual id 255/7"),
        session(0, "prepared latin-1 \ufffd"),
    ],
    ids=["nobody", "no name", "undecodable"],
)
def test_nothing_is_proposed_for_who_cannot_be_named(root: Session) -> None:
    assert way_out(root, {}, waits(holder=root.session), {"w"}, START).commands == ()


def parsed(constant: str) -> str:
    """A string constant as PostgreSQL reads it (documentation, "Lexical Structure")."""
    if constant.startswith("'"):
        assert constant.endswith("'")
        return constant[1:-1].replace("''", "'")
    assert constant.startswith("E'") and constant.endswith("'")
    text, out = constant[2:-1], ""
    while text:
        if text.startswith("''") or text.startswith("\\\\"):
            out, text = out + text[0], text[2:]
        elif text.startswith("\\u"):
            out, text = out + chr(int(text[2:6], 16)), text[6:]
        elif text.startswith("\\U"):
            out, text = out + chr(int(text[2:10], 16)), text[10:]
        else:
            assert text[0] not in "'\\"
            out, text = out + text[0], text[1:]
    return out


names = st.text(st.characters(codec="utf-8", exclude_characters="\x00\ufffd"), min_size=1)
tricky = st.text(alphabet="a '\\\n\t\"uU0041\u202e", min_size=1)


@settings(max_examples=400, deadline=None)
@given(names | tricky)
def test_a_command_names_its_prepared_transaction_and_nothing_else(gid: str) -> None:
    assume(not gid.startswith("with virtual id "))
    commands = way_out(session(0, f"prepared {gid}"), {}, [], set(), START).commands
    assert len(commands) == 2
    for command, verb in zip(commands, ("ROLLBACK", "COMMIT"), strict=True):
        start = f"{verb} PREPARED "
        assert command.startswith(start) and command.endswith(";")
        assert parsed(command.removeprefix(start).removesuffix(";")) == gid
        assert command.isascii() and command.isprintable() and "  " not in command

"""Which statement is shown for a holder, and what may be said of it."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from incident_rca.formats.holder_statements import HIDDEN, HolderStatement, SeenStatements
from tests.formats.builders import START

Row = dict[str, Any]
BUILD = "CREATE INDEX i ON stock (sku)"


def written(second: float) -> str:
    return (START + timedelta(seconds=second)).isoformat()


def session(query: str, state: str = "idle in transaction", **more: Any) -> Row:
    """A session whose transaction began a second before the statement that it shows."""
    row = {"pid": 7, "backend_start": written(0), "xact_start": written(1)}
    return row | {"query_start": written(2), "state": state, "query": query} | more


def shown(seen: SeenStatements, now: Row, **given: str) -> HolderStatement:
    lock = {"mode": "ShareLock", "lock_type": "relation", "relation": "public.stock"} | given
    return seen.of_holder(now, **lock)


def after(*earlier: Row) -> SeenStatements:
    seen = SeenStatements()
    for row in earlier:
        seen.note(row)
    return seen


def test_a_last_statement_that_is_not_the_culprit_is_only_the_last() -> None:
    now = session("SELECT 1")
    assert shown(after(now), now) == HolderStatement("SELECT $1", "last")


@pytest.mark.parametrize(
    ("now", "basis"),
    [
        (session(BUILD, "active"), "running"),
        (session(BUILD, "active", query_start=written(1)), "running"),
        # The transaction began with it, so nothing else can have taken the lock.
        (session("SELECT build_it()", "active", query_start=written(1)), "running"),
        (session("SELECT build_it()", "active"), "last"),
        (session(BUILD), "last"),
        (session(BUILD, "idle in transaction (aborted)"), "last"),
        (session("CREATE INDEX i ON orders (sku)", "active"), "last"),
        (session("CREATE INDEX CONCURRENTLY i ON stock (sku)", "active"), "last"),
        (session("CREATE INDEX i ON stockings (sku)", "active"), "last"),
    ],
)
def test_running_is_said_only_of_a_statement_that_takes_the_lock(now: Row, basis: str) -> None:
    assert shown(after(now), now).basis == basis


def test_an_earlier_statement_of_the_transaction_is_recovered() -> None:
    seen = after(session("SELECT 0"), session(BUILD, "active"), session("SELECT 1"))
    for state in ("active", "idle in transaction"):
        assert shown(seen, session("SELECT 2", state)) == HolderStatement(BUILD, "recovered")


def test_the_first_of_several_that_take_it_is_recovered() -> None:
    seen = after(session(BUILD), session("CREATE INDEX j ON stock (n)"))
    assert shown(seen, session("SELECT 1")).text == BUILD


@pytest.mark.parametrize(
    "other",
    [{"pid": 8}, {"backend_start": written(0.5)}, {"xact_start": written(1.5)}],
    ids=["another process", "the same process id again", "another transaction"],
)
def test_nothing_comes_from_another_transaction(other: Row) -> None:
    seen = after(session(BUILD, "active", **other))
    assert shown(seen, session("SELECT 1")).basis == "last"


@pytest.mark.parametrize("hidden", [HIDDEN, None, ""])
def test_a_hidden_statement_is_none(hidden: str | None) -> None:
    now = session("", state="") | {"query": hidden, "state": None}
    assert shown(after(now), now) == HolderStatement("", "last")
    assert not after(now).by_transaction


def test_a_relation_without_a_name_excludes_no_statement() -> None:
    seen = after(session(BUILD))
    assert shown(seen, session("SELECT 1"), relation="relation 16437").basis == "recovered"


def test_a_row_was_locked_by_what_writes_rows() -> None:
    lock = {"mode": "ExclusiveLock", "lock_type": "transactionid"}
    update = "UPDATE stock SET n = 1 WHERE sku = 'a'"
    for statement in (update, "DELETE FROM stock", "SELECT * FROM stock FOR UPDATE"):
        now = session("SELECT 1")
        assert shown(after(session(statement)), now, **lock).basis == "recovered"
    assert shown(after(session("LOCK TABLE stock")), session("SELECT 1"), **lock).basis == "last"


def test_other_types_of_locks_have_no_statement_that_proves_them() -> None:
    lock = {"mode": "ExclusiveLock", "lock_type": "advisory", "relation": "advisory lock [5,0,7,1]"}
    seen = after(session("SELECT pg_advisory_lock(7)"))
    assert shown(seen, session("SELECT 1", "active"), **lock).basis == "last"


@settings(max_examples=400, deadline=None)
@given(
    st.text(),
    st.lists(st.text(), max_size=3),
    st.sampled_from(["active", "idle in transaction", "idle", None, "new state"]),
    st.sampled_from(["relation", "transactionid", "tuple", "advisory", "virtualxid", "new"]),
    st.text(),
)
def test_any_text_is_a_statement(
    query: str, earlier: list[str], state: str | None, lock_type: str, relation: str
) -> None:
    seen = after(*(session(text) for text in earlier))
    now = session(query) | {"state": state}
    found = shown(seen, now, lock_type=lock_type, relation=relation)
    assert found.basis in ("running", "last", "recovered")
    if state != "active":
        assert found.basis != "running"
    if found.basis == "recovered":
        assert found.text in {seen.clean(text) for text in earlier}
    else:
        assert found.text == seen.clean(query)

"""pgwatch's lock pairs as JSON: modes decide, and no bytes break the reader."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from incident_rca.formats.parsed import Parsed
from tests.formats.builders import edges, envelope, parse, rows, write
from tests.formats.conftest import NewFolder
from tests.formats.history_values import TIMES, envelopes, record, survives, table

COLUMNS = ("time", "dbname", "data", "tag_data")


def pair(waiter: int, holder: int, **given: Any) -> list[Any]:
    """A pair on the table stock: an INSERT and an index build, unless something else is given."""
    fields = {
        "waiting_mode": "RowExclusiveLock",
        "other_mode": "ShareLock",
        "waiting_locktype": "relation",
        "other_locktype": "relation",
        "waiting_table": "stock",
        "waiting_query": "INSERT INTO stock VALUES (1)",
        "other_query": "CREATE INDEX i ON stock (sku)",
        "waiting_pid": waiter,
        "other_pid": holder,
    } | given
    tagged = ("waiting_mode", "waiting_locktype", "waiting_table", "real_dbname")
    data = {k: v for k, v in fields.items() if k not in tagged}
    tags = {k: v for k, v in fields.items() if k in tagged}
    return ["2026-01-15T14:23:00Z", "shop-1", data, tags]


def read(folder: Path, *pairs: Any) -> Parsed:
    text = envelope({}, {"columns": list(COLUMNS), "rows": pairs})
    return parse("pgwatch_history", write(folder / "a.json", text))


def test_a_holder_that_blocks_one_waiter_is_no_bystander_of_another(tmp_path: Path) -> None:
    reads = {"waiting_mode": "AccessShareLock", "waiting_query": "SELECT 1 FROM stock"}
    parsed = read(tmp_path, pair(1, 9), pair(2, 9, **reads), pair(1, 8, other_mode="RowShareLock"))
    assert edges(parsed) == {("hard", 1, 9, "Share"), ("none", None, 8, "RowShare")}


def test_locks_of_two_kinds_on_a_table_do_not_meet(tmp_path: Path) -> None:
    """The metric matches by relation alone: a row's lock and the table's are two locks."""
    parsed = read(tmp_path, pair(1, 9, waiting_locktype="tuple", other_mode="ExclusiveLock"))
    assert edges(parsed) == {("none", None, 9, "Exclusive")}


def test_locks_of_two_rows_may_not_meet(tmp_path: Path) -> None:
    rowwise = {"waiting_locktype": "tuple", "other_locktype": "tuple"}
    modes = {"waiting_mode": "ExclusiveLock", "other_mode": "ExclusiveLock"}
    assert edges(read(tmp_path, pair(1, 9, **rowwise, **modes))) == {("named", 1, 9, "Exclusive")}


def test_the_real_database_is_told_where_it_is_stored(tmp_path: Path) -> None:
    parsed = read(tmp_path, pair(1, 9), pair(2, 9, real_dbname="shop"))
    assert [row["database"] for row in rows(parsed, "locks")] == ["shop-1", "shop"]


@pytest.mark.parametrize(
    ("stored", "relation"),
    [
        ('"My T"', "My T"),
        ("public.stock", "public.stock"),
        ("16437", "relation 16437"),
        ("null", "stock"),
        ("<nil>", "stock"),
    ],
)
def test_a_relation_as_regclass_writes_it(tmp_path: Path, stored: str, relation: str) -> None:
    (row,) = rows(read(tmp_path, pair(1, 9, waiting_table=stored)), "locks")
    assert row["relation"] == relation


@pytest.mark.parametrize(
    "broken",
    [
        pair(-1, 9),
        pair(1, 9, other_mode="null"),
        ["noon", "shop", {}, {}],
        ["2026-01-15T14:23:00Z", "shop", None, None],
        ["2026-01-15T14:23:00Z"],
    ],
)
def test_a_broken_pair_is_counted(tmp_path: Path, broken: Any) -> None:
    parsed = read(tmp_path, broken, pair(1, 9))
    assert (parsed.rows, parsed.unparsed) == (1, 1)
    assert [row["line"] for row in rows(parsed, "locks")] == [2]


MODES = st.sampled_from(["ShareLock", "RowExclusiveLock", "AccessShareLock", "ExclusiveLock"])
KINDS = st.sampled_from(["relation", "tuple", "transactionid"])
DATA = record(
    waiting_pid=st.integers(0, 5),
    other_pid=st.integers(0, 5),
    other_mode=MODES,
    other_locktype=KINDS,
    waiting_query=st.text(max_size=9),
)
TAGS = record(waiting_mode=MODES, waiting_locktype=KINDS, waiting_table=st.text(max_size=5))


@settings(max_examples=200, deadline=None)
@given(envelopes("pgwatch", table(COLUMNS, TIMES, st.just("shop"), DATA, TAGS)))
def test_any_answer_is_read_or_refused(new_folder: NewFolder, content: Any) -> None:
    survives("pgwatch_history", new_folder(), content)


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=300))
def test_any_bytes_are_read_or_refused(new_folder: NewFolder, content: bytes) -> None:
    survives("pgwatch_history", new_folder(), content)

"""pgsentinel's history as JSON: what a sample says, and that no bytes break the reader.

What it says of real sessions is tested where they are sampled: tests/sources/test_pgsentinel.py.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from incident_rca.errors import BadInput
from incident_rca.formats.parsed import Parsed
from tests.formats.builders import envelope, instant, parse, rows, write
from tests.formats.conftest import NewFolder
from tests.formats.history_values import TIMES, envelopes, record, survives, table

COLUMNS = (
    *("ash_time", "datname", "pid", "leader_pid", "application_name", "backend_start"),
    *("xact_start", "wait_event_type", "wait_event", "state", "top_level_query", "query"),
    *("blockers", "blockerpid", "blocker_state"),
)
RING = {
    "oldest": "2026-01-15T14:00:00Z",
    "newest": "2026-01-15T15:00:00Z",
    "samples": 900,
    "max_entries": 1000,
    "sampling_period_seconds": 1,
}
WINDOW = {"window": {"start": "2026-01-15T14:10:00Z", "end": "2026-01-15T14:55:00Z"}}


def sample(clock: str, pid: int, **given: Any) -> list[Any]:
    fields = dict.fromkeys(COLUMNS) | {"ash_time": f"2026-01-15T{clock}Z", "pid": pid}
    return [(fields | given)[column] for column in COLUMNS]


def waiting(clock: str, pid: int, on: int, **given: Any) -> list[Any]:
    lock = {"wait_event_type": "Lock", "wait_event": "relation", "state": "active"}
    names = {"blockers": 1, "blockerpid": on, "top_level_query": "INSERT INTO stock VALUES (1)"}
    return sample(clock, pid, **{**lock, **names, **given})


def read(folder: Path, *samples: list[Any]) -> Parsed:
    answer = {"columns": list(COLUMNS), "rows": samples, "ring": RING}
    return parse("pgsentinel_history", write(folder / "a.json", envelope(WINDOW, answer)))


def test_a_worker_waits_as_its_leader(tmp_path: Path) -> None:
    (row,) = rows(read(tmp_path, waiting("14:20:00", 72, 50, leader_pid=71)), "locks")
    assert (row["waiter_pid"], row["holder_pid"]) == (71, 50)


def test_another_sample_says_nothing_of_the_holder(tmp_path: Path) -> None:
    builds = {"state": "active", "top_level_query": "CREATE INDEX i ON stock (sku)"}
    parsed = read(
        tmp_path,
        sample("14:20:00", 50, **builds),
        waiting("14:20:01", 72, 50, blocker_state="idle in transaction"),
    )
    (row,) = rows(parsed, "locks")
    assert (row["holder_statement"], row["holder_statement_basis"]) == ("", None)
    assert row["at"] == instant("14:20:01")


def test_an_own_sample_that_idles_has_run_its_last_statement(tmp_path: Path) -> None:
    idles = {
        "state": "idle in transaction",
        "top_level_query": "SELECT 1",
        "xact_start": "2026-01-15T14:19:00Z",
    }
    parsed = read(tmp_path, sample("14:20:00", 50, **idles), waiting("14:20:00", 72, 50))
    (row,) = rows(parsed, "locks")
    assert (row["holder_statement"], row["holder_statement_basis"]) == ("SELECT $1", "last")
    assert row["held_since"] == instant("14:19:00")


def test_a_statement_of_two_tables_names_no_relation(tmp_path: Path) -> None:
    two = "INSERT INTO stock SELECT * FROM orders"
    (row,) = rows(read(tmp_path, waiting("14:20:00", 72, 50, top_level_query=two)), "locks")
    assert row["relation"] == "relation (not named)"


def test_a_wait_for_nobody_that_is_named_is_a_wait(tmp_path: Path) -> None:
    nobody = {"blockers": None, "blockerpid": None}
    (row,) = rows(read(tmp_path, waiting("14:20:00", 72, 50, **nobody)), "locks")
    assert (row["edge"], row["waiter_pid"], row["holder_pid"]) == ("unknown", 72, None)


def test_other_waits_are_no_locks(tmp_path: Path) -> None:
    io = {"wait_event_type": "IO", "wait_event": "DataFileRead", "blockerpid": 50}
    parsed = read(tmp_path, sample("14:20:00", 72, **io))
    assert (parsed.rows, rows(parsed, "locks")) == (1, [])


@pytest.mark.parametrize(
    "broken",
    [
        sample("14:20:00", -1),
        sample("25:20:00", 7),
        waiting("14:20:00", 7, 2**40),
        ["too short"],
        None,
    ],
)
def test_a_broken_sample_is_counted(tmp_path: Path, broken: Any) -> None:
    parsed = read(tmp_path, broken, waiting("14:20:00", 72, 50))
    assert (parsed.rows, parsed.unparsed) == (1, 1)
    assert [row["line"] for row in rows(parsed, "locks")] == [2]


@pytest.mark.parametrize(
    "answer", [None, [], {}, {"columns": ["pid"]}, {"columns": [], "rows": []}]
)
def test_a_cut_answer_is_refused(tmp_path: Path, answer: Any) -> None:
    path = write(tmp_path / "a.json", envelope(WINDOW, answer))
    with pytest.raises(BadInput, match=r"a\.json"):
        parse("pgsentinel_history", path)


CELLS = (TIMES, st.just("shop"), st.just(7), st.just(7), st.text(max_size=4), TIMES, TIMES)
REST = tuple(
    st.sampled_from(["Lock", "relation", "active", 4711, 1]) for _ in COLUMNS[len(CELLS) :]
)
RINGS = record(oldest=TIMES, newest=TIMES, sampling_period_seconds=st.just(1))
ANSWERS = st.tuples(table(COLUMNS, *CELLS, *REST), RINGS).map(
    lambda parts: {**parts[0], "ring": parts[1]} if isinstance(parts[0], dict) else parts[0]
)


@settings(max_examples=200, deadline=None)
@given(envelopes("pgsentinel", ANSWERS))
def test_any_answer_is_read_or_refused(new_folder: NewFolder, content: Any) -> None:
    survives("pgsentinel_history", new_folder(), content)


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=300))
def test_any_bytes_are_read_or_refused(new_folder: NewFolder, content: bytes) -> None:
    survives("pgsentinel_history", new_folder(), content)

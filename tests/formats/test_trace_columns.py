"""Ids of requests in the tables: each format that sees a statement or a request keeps them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from incident_rca.formats.parsed import Parsed
from tests.formats.builders import (
    Row,
    Snapshot,
    acquired,
    header,
    parse,
    record,
    request,
    rows,
    waiting,
    write,
)
from tests.formats.test_access_log import failed
from tests.formats.test_access_log import read as read_access
from tests.formats.test_pgsentinel_history import read as read_pgsentinel
from tests.formats.test_pgsentinel_history import waiting as waiting_sample
from tests.formats.test_pgwatch_history import pair
from tests.formats.test_pgwatch_history import read as read_pgwatch

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
HELD = "1" * 32
_PARENT = f"/*traceparent='00-{TRACE}-00f067aa0ba902b7-01'*/"
TAGGED = " ".join(("INSERT INTO stock VALUES (1)", _PARENT))
HOLDS = f"CREATE INDEX i ON stock (sku) /*traceparent='00-{HELD}-00f067aa0ba902b7-01'*/"
REQUEST = "d2d06980-8e84-4b16-a868-a56fe089a76b"


def ids(parsed: Parsed) -> set[tuple[str | None, str | None]]:
    """The ids of waiters and holders in the rows of locks."""
    found = rows(parsed, "locks")
    assert not any(TRACE in (row["waiter_statement"] or "") for row in found)
    return {(row["waiter_trace_ids"], row["holder_trace_ids"]) for row in found}


def test_a_recording(tmp_path: Path) -> None:
    snapshot = Snapshot().lock(10, "Share").lock(20, "RowExclusive", granted=False)
    snapshot.session(10, HOLDS).session(20, TAGGED, blocking_pids=[10])
    parsed = parse("lock_recording", write(tmp_path / "a", header(), snapshot.line()))
    assert ids(parsed) == {(TRACE, HELD)}


def test_a_recording_whose_sessions_are_named_by_their_request(tmp_path: Path) -> None:
    snapshot = Snapshot().lock(10, "Share").lock(20, "RowExclusive", granted=False)
    name = f"orders 1-{TRACE[:8]}-{TRACE[8:]}"
    snapshot.session(10, "SELECT 1").session(
        20, "INSERT INTO stock VALUES (1)", blocking_pids=[10], application_name=name
    )
    parsed = parse("lock_recording", write(tmp_path / "a", header(), snapshot.line()))
    assert ids(parsed) == {(TRACE, None)}


def test_a_server_log(tmp_path: Path) -> None:
    lines = (
        record("14:22:59.000", 10, f"statement: {HOLDS}"),
        waiting("14:23:01.000", 20, [10], statement=TAGGED),
        acquired("14:23:02.000", 20),
        record("14:23:02.000", 10, "duration: 3000.000 ms"),
    )
    assert ids(parse("postgres_log", write(tmp_path / "a.json", *lines))) == {(TRACE, HELD)}


def test_the_history_of_pgsentinel(tmp_path: Path) -> None:
    sample = waiting_sample("14:20:00", 72, 50, top_level_query=TAGGED)
    assert ids(read_pgsentinel(tmp_path, sample)) == {(TRACE, None)}


def test_the_history_of_pgwatch(tmp_path: Path) -> None:
    told = pair(20, 10, waiting_query=TAGGED, other_query=HOLDS)
    assert ids(read_pgwatch(tmp_path, told)) == {(TRACE, HELD)}


@pytest.mark.parametrize(
    ("given", "found"),
    [
        ({"requestId": REQUEST, "extendedRequestId": "-G71prPQhzUnczk="}, {"-G71prPQhzUnczk="}),
        ({"requestId": REQUEST, "extendedRequestId": "-"}, set()),
        ({"requestId": REQUEST, "xrayTraceId": f"1-{TRACE[:8]}-{TRACE[8:]}"}, {TRACE}),
        ({"requestId": REQUEST, "integration.requestId": REQUEST.replace("d", "e")}, None),
    ],
)
def test_a_failed_request(tmp_path: Path, given: Row, found: set[str] | None) -> None:
    (row,) = rows(
        read_access(tmp_path, failed(0.0, **{"extendedRequestId": "-"} | given)), "failures"
    )
    expected = {REQUEST} | ({REQUEST.replace("d", "e")} if found is None else found)
    assert set(row["trace_ids"].split()) == expected


def test_a_request_that_was_served_has_no_row_for_its_id(tmp_path: Path) -> None:
    assert not rows(read_access(tmp_path, request(requestId=REQUEST)), "failures")


def test_the_ids_of_a_log_whose_keys_are_its_owners(tmp_path: Path) -> None:
    line = {
        "time": "15/Jan/2026:14:23:01 +0000",
        "request_time_epoch": "1768486981000",
        "request": {"method": "GET", "path": "/items"},
        "status": "502",
        "request_id": REQUEST,
        "xray_trace_id": f"1-{TRACE[:8]}-{TRACE[8:]}",
    }
    (row,) = rows(read_access(tmp_path, json.dumps(line)), "failures")
    assert set(row["trace_ids"].split()) == {REQUEST, TRACE}
    assert row["trace_id"] == f"1-{TRACE[:8]}-{TRACE[8:]}"


def test_what_the_recorder_measured_of_its_servers_clock(tmp_path: Path) -> None:
    snapshot = Snapshot().lock(10, "Share").session(10, "SELECT 1").line()
    measured = parse(
        "lock_recording",
        write(tmp_path / "a", header(clock={"offset_seconds": [0.01, 0.02]}), snapshot),
    )
    unknown = parse("lock_recording", write(tmp_path / "b", header(), snapshot))
    assert (measured.clock_offset_seconds, unknown.clock_offset_seconds) == ((0.01, 0.02), None)

"""Server logs: which process is proven to hold, how waits end, and what the log cannot say."""

from __future__ import annotations

import gzip
import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from incident_rca.formats.parsed import Parsed
from tests.formats.builders import (
    Row,
    acquired,
    edges,
    instant,
    parse,
    record,
    rows,
    waiting,
    write,
)

INDEX = "CREATE INDEX i ON stock (sku)"
READ = "SELECT * FROM stock"


def read(folder: Path, *lines: str) -> Parsed:
    return parse("postgres_log", write(folder / "postgresql.json", *lines))


def statement(clock: str, pid: int, sql: str) -> str:
    return record(clock, pid, f"statement: {sql}")


def finished(clock: str, pid: int, ms: float, sql: str = "") -> str:
    return record(clock, pid, f"duration: {ms:.3f} ms" + (f"  statement: {sql}" if sql else ""))


def incident() -> list[str]:
    """An index build (10) and a reader (11); 20 and 21 wait, the reader leaves before 21."""
    return [
        statement("14:22:59", 10, INDEX),
        waiting("14:23:02", 20, [10, 11]),
        waiting("14:23:04", 21, [10]),
        finished("14:27:00", 10, 241_000),
        acquired("14:27:00.010", 20, after=239_010),
        acquired("14:27:00.011", 21, after=237_011),
    ]


def test_a_holder_is_in_every_detail_and_its_mode_conflicts(tmp_path: Path) -> None:
    parsed = read(tmp_path, *incident())
    assert edges(parsed) == {
        ("hard", 20, 10, "Share"),
        ("hard", 21, 10, "Share"),
        ("none", None, 11, "None"),
    }
    hard = next(row for row in rows(parsed, "locks") if row["waiter_pid"] == 20)
    assert (hard["line"], hard["relation"], hard["relation_oid"]) == (2, "stock", 16437)
    assert (hard["wait_start"], hard["wait_end"]) == (instant("14:23:01"), instant("14:27:00.010"))
    assert (hard["held_since"], hard["held_until"]) == (instant("14:22:59"), instant("14:27:00"))
    assert (hard["holder_application"], hard["database"]) == ("app-10", "shop")
    assert (hard["holder_statement"], hard["holder_mode_basis"]) == (INDEX, "statement")
    assert (hard["waiter_application"], hard["waiter_mode"]) == ("app-20", "RowExclusiveLock")
    assert "(1)" not in hard["waiter_statement"]


def test_an_innocent_reader_is_none_although_named_everywhere(tmp_path: Path) -> None:
    parsed = read(
        tmp_path,
        statement("14:22:50", 11, READ),
        statement("14:22:59", 10, INDEX),
        waiting("14:23:02", 20, [11, 10]),
        acquired("14:27:00", 20, after=239_000),
    )
    assert edges(parsed) == {("hard", 20, 10, "Share"), ("none", None, 11, "AccessShare")}


def test_processes_whose_statements_are_unknown_are_not_accused(tmp_path: Path) -> None:
    parsed = read(tmp_path, waiting("14:23:02", 20, [10, 11]), acquired("14:27:00", 20))
    assert edges(parsed) == {
        ("none", None, 10, "None"),
        ("none", None, 11, "None"),
        ("unknown", 20, None, "None"),
    }


@pytest.mark.parametrize(
    "lines",
    [
        [statement("14:23:01.500", 10, INDEX)],
        [finished("14:22:59", 10, 1000, INDEX)],
        [finished("14:29:00", 10, 400_000, INDEX)],
        [statement("14:22:59", 99, INDEX)],
        [statement("14:22:59", 10, "VACUUM stock")],
        [statement("14:22:59", 10, "SHOW work_mem")],
    ],
    ids=["began later", "ended before", "ended after", "not named", "no conflict", "no mode"],
)
def test_what_does_not_fit_the_waits_is_no_proof(tmp_path: Path, lines: list[str]) -> None:
    log = [*lines, waiting("14:23:02", 20, [10, 9]), acquired("14:27:00", 20, after=239_000)]
    assert "hard" not in {edge for edge, *_ in edges(read(tmp_path, *log))}


@pytest.mark.parametrize(("clock", "is_proven"), [("14:23:01.278", True), ("14:23:01.280", False)])
def test_what_began_in_the_same_millisecond_may_have_begun_before(
    tmp_path: Path, clock: str, is_proven: bool
) -> None:
    """The log's clock is cut to milliseconds: the wait began between .277892 and .278892."""
    log = [statement(clock, 10, INDEX), waiting("14:23:01.478", 20, [10, 9], after=200.108)]
    found = edges(read(tmp_path, *log, acquired("14:27:00", 20, after=239_000)))
    assert (("hard", 20, 10, "Share") in found) == is_proven


def test_one_detail_without_it_acquits(tmp_path: Path) -> None:
    parsed = read(
        tmp_path,
        statement("14:22:59", 10, INDEX),
        waiting("14:23:02", 20, [10, 13]),
        waiting("14:23:03", 21, [12, 13]),
        acquired("14:27:00", 20, after=239_000),
        acquired("14:27:00", 21, after=238_000),
    )
    assert edges(parsed) == {
        *(("none", None, pid, "None") for pid in (10, 12, 13)),
        *(("unknown", pid, None, "None") for pid in (20, 21)),
    }


def queued(clock: str, pid: int, holders: list[int], queue: list[int], **given: Any) -> str:
    """A wait whose DETAIL names more than one process in the queue."""
    line = json.loads(waiting(clock, pid, holders, **given))
    names = ", ".join(map(str, queue))
    line["detail"] = line["detail"].replace(f"Wait queue: {pid}.", f"Wait queue: {names}.")
    return json.dumps(line)


ALTER = "ALTER TABLE stock ADD COLUMN m int"


def altering(clock: str, pid: int, holders: list[int], queue: list[int], after: float) -> str:
    return queued(clock, pid, holders, queue, mode="AccessExclusive", statement=ALTER, after=after)


def cancelled_vacuum(clock: str, pid: int, table: str = "stock") -> str:
    return record(
        clock,
        pid,
        "canceling autovacuum task",
        error_severity="ERROR",
        state_code="57014",
        context=f'automatic vacuum of table "shop.public.{table}"',
    )


def test_who_got_the_lock_before_the_line_was_written_does_not_block_itself(
    tmp_path: Path,
) -> None:
    parsed = read(
        tmp_path,
        statement("14:23:00", 20, ALTER),
        altering("14:23:01.002", 20, [20], [], 1_000),
        acquired("14:23:01.003", 20, mode="AccessExclusive", after=1_003),
    )
    assert [edge for edge, *_ in edges(parsed)] == ["unknown"]


def test_an_autovacuum_that_was_cancelled_while_one_waited_is_the_holder_though_unnamed(
    tmp_path: Path,
) -> None:
    parsed = read(
        tmp_path,
        cancelled_vacuum("14:23:01", 30),
        cancelled_vacuum("14:23:01", 31, "orders"),
        cancelled_vacuum("14:22:58", 32),
        altering("14:23:01.002", 20, [20], [], 1_000),
        acquired("14:23:01.003", 20, mode="AccessExclusive", after=1_003),
    )
    assert edges(parsed) == {("hard", 20, 30, "ShareUpdateExclusive")}


def test_a_cancelled_autovacuum_blocks_nobody_who_came_later(tmp_path: Path) -> None:
    parsed = read(
        tmp_path,
        cancelled_vacuum("14:23:01", 30),
        altering("14:23:01.002", 20, [40, 30], [20], 1_000),
        altering("14:23:03", 21, [40], [20, 21], 1_000),
        acquired("14:23:09", 20, mode="AccessExclusive", after=9_000),
        acquired("14:23:10", 21, mode="AccessExclusive", after=8_000),
    )
    found = edges(parsed)
    assert ("hard", 20, 30, "ShareUpdateExclusive") in found
    assert not {holder for _, waiter, holder, _ in found if waiter == 21} & {30}


def test_the_only_holder_is_proven_where_all_want_the_same(tmp_path: Path) -> None:
    parsed = read(
        tmp_path,
        queued("14:23:02", 20, [10], [20, 21]),
        queued("14:23:02.500", 21, [10, 11], [20, 21]),
        acquired("14:27:00", 20, after=239_000),
        acquired("14:27:00", 21, after=238_500),
    )
    assert edges(parsed) == {
        ("hard", 20, 10, "None"),
        ("hard", 21, 10, "None"),
        ("none", None, 11, "None"),
    }
    assert {r["holder_mode_basis"] for r in rows(parsed, "locks")} == {"candidate"}


@pytest.mark.parametrize(
    "second",
    [
        queued("14:23:02.500", 21, [10], [20, 21], mode="Share"),
        queued("14:23:05", 21, [10], [21], after=1000.0),
        record("14:23:02.100", 21, "deadlock detected", error_severity="ERROR", state_code="40P01"),
    ],
    ids=["another mode", "not known then", "no wait"],
)
def test_the_only_holder_is_not_proven_where_others_may_be_meant(
    tmp_path: Path, second: str
) -> None:
    """One that waits may hold a lock there too: it is named in the queue only."""
    parsed = read(tmp_path, queued("14:23:02", 20, [10], [20, 21]), second)
    assert ("hard", 20) not in {(edge, waiter) for edge, waiter, *_ in edges(parsed)}


def test_the_index_build_that_ended_in_an_open_transaction_is_its_likely_mode(
    tmp_path: Path,
) -> None:
    parsed = read(
        tmp_path,
        finished("14:22:59", 10, 1000, INDEX),
        waiting("14:23:02", 20, [10]),
        acquired("14:27:00", 20, after=239_000),
    )
    (row,) = rows(parsed, "locks")
    assert (row["edge"], row["holder_mode"]) == ("hard", "ShareLock")
    assert (row["holder_mode_basis"], row["holder_statement_basis"]) == ("candidate", "last")
    assert (row["holder_statement"], row["held_until"]) == (INDEX, None)


@pytest.mark.parametrize(
    ("object_", "lock_type"),
    [
        ("transaction 7339004", "transactionid"),
        ("virtual transaction 5/2610", "virtualxid"),
        ("speculative token 3 of transaction 7339004", "spectoken"),
    ],
)
def test_who_owns_a_transaction_holds_it_whatever_the_queue(
    tmp_path: Path, object_: str, lock_type: str
) -> None:
    line = queued("14:23:02", 20, [10], [20, 21, 22], mode="Share", on=object_)
    (row,) = rows(read(tmp_path, line), "locks")
    assert (row["edge"], row["holder_pid"], row["lock_type"]) == ("hard", 10, lock_type)
    assert (row["holder_mode"], row["holder_mode_basis"]) == ("ExclusiveLock", "granted")


def test_a_prepared_transaction_has_no_process(tmp_path: Path) -> None:
    line = waiting("14:23:02", 20, [0], mode="Share", on="transaction 7339004")
    (row,) = rows(read(tmp_path, line), "locks")
    assert (row["edge"], row["holder_pid"], row["holder_session"]) == ("hard", 0, None)


def test_the_statement_of_a_table_lock_is_no_mode_of_another_lock(tmp_path: Path) -> None:
    object_ = "advisory lock [5,0,42,1]"
    parsed = read(
        tmp_path,
        statement("14:22:59", 10, INDEX),
        waiting("14:23:02", 20, [10, 11], mode="Exclusive", on=object_),
    )
    assert "hard" not in {edge for edge, *_ in edges(parsed)}


@pytest.mark.parametrize("pids", [[10], [10, 11], [11, 10, 12, 13]])
def test_one_or_many_holders_are_read(tmp_path: Path, pids: list[int]) -> None:
    parsed = read(tmp_path, waiting("14:23:02", 20, pids), acquired("14:23:03", 20))
    assert {holder for _, _, holder, _ in edges(parsed) if holder} == set(pids)


def test_a_position_in_the_statement_is_no_obstacle(tmp_path: Path) -> None:
    suffix = " at character 45"
    parsed = read(
        tmp_path,
        statement("14:22:59", 10, INDEX),
        waiting("14:23:02", 20, [10], suffix=suffix),
        acquired("14:27:00", 20, after=239_000, suffix=suffix),
    )
    (row,) = rows(parsed, "locks")
    assert (row["edge"], row["wait_end"]) == ("hard", instant("14:27:00"))


@pytest.mark.parametrize(
    ("sqlstate", "kind", "severity"),
    [
        ("57014", "cancelled", "ERROR"),
        ("55P03", "lock_timeout", "ERROR"),
        ("40P01", "deadlock", "ERROR"),
        ("57P01", "terminated", "FATAL"),
        ("XX000", "error", "ERROR"),
    ],
)
def test_an_error_ends_a_wait(tmp_path: Path, sqlstate: str, kind: str, severity: str) -> None:
    parsed = read(
        tmp_path,
        statement("14:22:59", 10, INDEX),
        waiting("14:23:02", 20, [10]),
        record("14:23:06", 20, "canceling", error_severity=severity, state_code=sqlstate),
        waiting("14:24:02", 20, [10]),
        acquired("14:27:00", 20, after=179_000),
    )
    ends = [row["wait_end"] for row in rows(parsed, "locks") if row["edge"] == "hard"]
    assert ends == [instant("14:23:06"), instant("14:27:00")]
    events = rows(parsed, "server_events")
    assert [(e["kind"], e["sqlstate"], e["pid"]) for e in events if e["sqlstate"]] == [
        (kind, sqlstate, 20)
    ]


def test_an_error_of_another_process_ends_nothing(tmp_path: Path) -> None:
    parsed = read(
        tmp_path,
        statement("14:22:59", 10, INDEX),
        waiting("14:23:02", 20, [10]),
        record("14:23:06", 21, "no", error_severity="ERROR", state_code="57014"),
    )
    (row,) = rows(parsed, "locks")
    assert (row["waiter_pid"], row["wait_end"]) == (20, None)


def test_two_episodes_on_one_relation_have_their_own_holders(tmp_path: Path) -> None:
    parsed = read(
        tmp_path,
        statement("14:22:59", 10, INDEX),
        waiting("14:23:02", 20, [10]),
        finished("14:24:00", 10, 61_000),
        acquired("14:24:00", 20, after=59_000),
        statement("14:29:59", 12, "ALTER TABLE stock ADD c int"),
        waiting("14:30:02", 20, [12]),
        finished("14:31:00", 12, 61_000),
        acquired("14:31:00", 20, after=59_000),
    )
    assert edges(parsed) == {("hard", 20, 10, "Share"), ("hard", 20, 12, "AccessExclusive")}


def test_a_session_that_runs_two_statements_holds_by_the_one_that_fits(tmp_path: Path) -> None:
    """With log_statement=ddl alone no line says when the first one ended."""
    parsed = read(
        tmp_path,
        statement("14:20:00", 10, "CREATE INDEX j ON orders (at)"),
        statement("14:22:59", 10, INDEX),
        waiting("14:23:02", 20, [10]),
        acquired("14:27:00", 20, after=239_000),
    )
    (row,) = rows(parsed, "locks")
    assert (row["edge"], row["holder_statement"], row["relation"]) == ("hard", INDEX, "stock")
    assert row["held_since"] == instant("14:22:59")


def test_ddl_of_the_extended_protocol_is_ddl(tmp_path: Path) -> None:
    """Drivers that prepare (JDBC, pgx, psycopg) are logged as `execute NAME: …`."""
    parsed = read(
        tmp_path,
        record("14:22:59", 10, f"execute <unnamed>: {INDEX}"),
        waiting("14:23:02", 20, [10]),
        acquired("14:27:00", 20, after=239_000),
    )
    assert edges(parsed) == {("hard", 20, 10, "Share")}
    assert [event["kind"] for event in rows(parsed, "server_events")] == ["ddl"]


@pytest.mark.parametrize("verb", ["statement", "execute <unnamed>", "execute S_1/C_2"])
def test_a_duration_with_its_statement_is_a_hold(tmp_path: Path, verb: str) -> None:
    parsed = read(
        tmp_path,
        waiting("14:23:02", 20, [10]),
        record("14:27:00", 10, f"duration: 241000.000 ms  {verb}: {INDEX}"),
        acquired("14:27:00", 20, after=239_000),
    )
    (row,) = rows(parsed, "locks")
    assert (row["edge"], row["held_since"]) == ("hard", instant("14:22:59"))
    (event,) = rows(parsed, "server_events")
    assert (event["kind"], event["statement"]) == ("finished", INDEX)
    assert event["duration_ms"] == 241_000


def test_parsing_and_binding_do_not_end_a_statement(tmp_path: Path) -> None:
    parsed = read(
        tmp_path,
        statement("14:22:59", 10, INDEX),
        record("14:22:59.001", 10, f"duration: 0.100 ms  bind <unnamed>: {INDEX}"),
        waiting("14:23:02", 20, [10]),
        acquired("14:27:00", 20, after=239_000),
    )
    assert edges(parsed) == {("hard", 20, 10, "Share")}


def test_a_table_is_named_only_where_the_statements_leave_no_choice(tmp_path: Path) -> None:
    both = "UPDATE orders SET done = true FROM stock WHERE stock.id = orders.id"
    (row,) = rows(
        read(
            tmp_path,
            waiting("14:23:02", 20, [10], statement=both),
            acquired("14:24:00", 20, after=59_000),
        ),
        "locks",
    )
    assert row["relation"] == "relation 16437"


def test_statements_of_two_tables_name_none(tmp_path: Path) -> None:
    parsed = read(
        tmp_path,
        waiting("14:23:02", 20, [10], statement="INSERT INTO orders VALUES (1)"),
        waiting("14:23:02", 21, [10], statement="INSERT INTO stock VALUES (1)"),
    )
    assert {row["relation"] for row in rows(parsed, "locks")} == {"relation 16437"}


@pytest.mark.parametrize(
    ("object_", "lock_type"),
    [
        ("virtual transaction 5/2610", "virtualxid"),
        ("advisory lock [5,0,42,1]", "advisory"),
        ("object 16 of class 1247 of database 5", "object"),
        ("remote transaction 7 of subscription 3 of database 5", "applytransaction"),
        ("something of a later version", None),
    ],
)
def test_what_is_no_table_keeps_its_description(
    tmp_path: Path, object_: str, lock_type: str | None
) -> None:
    parsed = read(tmp_path, waiting("14:23:02", 20, [10], on=object_, mode="Share"))
    (row,) = rows(parsed, "locks")
    assert (row["relation"], row["relation_oid"]) == (object_, None)
    assert row["lock_type"] == lock_type


@pytest.mark.parametrize(
    ("object_", "lock_type"),
    [
        ("extension of relation 16437 of database 5", "extend"),
        ("page 7 of relation 16437 of database 5", "page"),
        ("tuple (3,7) of relation 16437 of database 5", "tuple"),
        ('"relation 16437 of database 5"', "relation"),
    ],
)
def test_what_is_of_a_table_has_its_name(tmp_path: Path, object_: str, lock_type: str) -> None:
    parsed = read(tmp_path, waiting("14:23:02", 20, [10], on=object_))
    (row,) = rows(parsed, "locks")
    assert (row["relation"], row["relation_oid"], row["lock_type"]) == ("stock", 16437, lock_type)


ROW_CONTEXTS = [
    "updating tuple (0,1)",
    "deleting tuple (0,1)",
    "locking tuple (0,1)",
    "locking updated version (0,1) of tuple",
    "checking uniqueness of tuple (0,1)",
    "rechecking updated tuple (0,1)",
    "checking exclusion constraint on tuple (0,1)",
]


@pytest.mark.parametrize("doing", ROW_CONTEXTS)
def test_the_context_names_the_table_of_a_row(tmp_path: Path, doing: str) -> None:
    line = json.loads(waiting("14:23:02", 20, [10], on="transaction 9", mode="Share"))
    line |= {"context": f'while {doing} in relation "parts"', "statement": "SELECT f()"}
    (row,) = rows(read(tmp_path, json.dumps(line)), "locks")
    assert row["relation"] == "parts"


def test_the_context_of_an_index_entry_names_the_index_not_the_table(tmp_path: Path) -> None:
    line = json.loads(waiting("14:23:02", 20, [10], on="transaction 9", mode="Share"))
    line["context"] = 'while inserting index tuple (0,2) in relation "stock_pkey"'
    (row,) = rows(read(tmp_path, json.dumps(line)), "locks")
    assert row["relation"] == "stock"
    line["statement"] = "SELECT f()"
    (row,) = rows(read(tmp_path, json.dumps(line)), "locks")
    assert row["relation"] == "transaction 9"


def test_one_relation_in_two_databases_is_two(tmp_path: Path) -> None:
    other = "relation 16437 of database 6"
    parsed = read(
        tmp_path,
        statement("14:22:59", 10, INDEX),
        waiting("14:23:02", 20, [10]),
        waiting("14:23:02", 21, [11], on=other),
        acquired("14:27:00", 20, after=239_000),
        acquired("14:27:00", 21, after=239_000, on=other),
    )
    assert edges(parsed) == {("hard", 20, 10, "Share"), ("hard", 21, 11, "None")}


# --- time ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(("clock", "zone"), [
    ("14:23:02.250", "UTC"), ("14:23:02.250", "GMT"), ("16:23:02.250", "+02"),
    ("11:23:02.250", "-03"), ("19:53:02.250", "+0530"),
])  # fmt: skip
def test_a_zone_with_a_meaning_is_read(tmp_path: Path, clock: str, zone: str) -> None:
    line = record(clock, 1, "x", zone=zone, error_severity="ERROR")
    (event,) = rows(read(tmp_path, line), "server_events")
    assert event["at"] == instant("14:23:02.250")


@pytest.mark.parametrize("zone", ["CET", "EST", "IST", "CST", "", "Europe/Berlin", "utc+1"])
def test_a_zone_without_one_is_not_guessed(
    tmp_path: Path, zone: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    parsed = read(tmp_path, record("14:23:02", 1, "x", zone=zone), record("14:23:02", 1, "x"))
    assert (parsed.rows, parsed.unparsed) == (1, 1)


def test_the_covered_window_is_that_of_the_records(tmp_path: Path) -> None:
    parsed = read(tmp_path, *(record(f"14:2{n}:00", 1, "checkpoint") for n in (3, 1, 7)))
    assert parsed.covered is not None
    assert parsed.covered.start == instant("14:21")
    assert parsed.covered.end - instant("14:27") <= timedelta(milliseconds=1)
    assert parsed.resolution_seconds == 0.001


# --- damage -------------------------------------------------------------------------------------

BROKEN: list[str] = [
    '{"timestamp": "2026-01-15 14:2',
    "2026-01-15 14:23:00 UTC [812] LOG:  checkpoint starting",
    "{}",
    "[]",
    "7",
    '{"timestamp": 1768486200, "message": "x", "error_severity": "LOG"}',
    '{"timestamp": null, "message": "x", "error_severity": "LOG"}',
    '{"timestamp": "", "message": "x", "error_severity": "LOG"}',
    "[" * 100_000,
]


@pytest.mark.parametrize("broken", BROKEN, ids=range(len(BROKEN)))
def test_a_broken_line_is_counted(tmp_path: Path, broken: str) -> None:
    first, *rest = incident()
    parsed = read(tmp_path, first, broken, "", *rest)
    assert (parsed.rows, parsed.unparsed) == (6, 1)
    assert {row["line"] for row in rows(parsed, "locks")} == {4, 5}


@pytest.mark.parametrize(
    "odd",
    [
        {"message": "process 20 still waiting for ShareLock on x after . ms"},
        {"message": "process 20 still waiting for ShareLock on x after 1.2.3 ms"},
        {"message": "process 20 still waiting for ShareLock on x after " + "9" * 40 + " ms"},
        {
            "message": "process 20 acquired ShareLock on x after 1 ms",
            "detail": "Process holding the lock: , .",
        },
        {"message": "duration: ... ms"},
        {"pid": "many", "message": "statement: DROP TABLE x"},
        {"pid": 2**70, "message": "statement: DROP TABLE x"},
    ],
    ids=range(7),
)
def test_a_forged_message_is_no_crash(tmp_path: Path, odd: Row) -> None:
    forged = json.dumps(json.loads(record("14:23:00", 20, "x")) | odd)
    parsed = read(tmp_path, forged, *incident())
    assert ("hard", 21, 10, "Share") in edges(parsed)


def test_a_truncated_log_leaves_its_waits_open(tmp_path: Path) -> None:
    path = tmp_path / "postgresql.json.gz"
    lines = [
        *incident()[:3],
        *(record("14:24:00", n, f"{n * 7919 % 104729:x}") for n in range(3000)),
    ]
    whole = gzip.compress("\n".join(lines).encode())
    path.write_bytes(whole[: len(whole) // 2])
    parsed = parse("postgres_log", path)
    assert parsed.damage and parsed.unparsed <= 1
    hard = [row for row in rows(parsed, "locks") if row["edge"] == "hard"]
    assert {(row["waiter_pid"], row["wait_end"], row["held_until"]) for row in hard} == {
        (20, None, None),
        (21, None, None),
    }


def test_events_are_redacted(tmp_path: Path) -> None:
    parsed = read(
        tmp_path,
        record(
            "14:13:52",
            47310,
            "duplicate key",
            error_severity="ERROR",
            state_code="23505",
            detail="Key (email)=(ada@example.com) already exists.",
            statement="INSERT INTO accounts VALUES ('ada', 4711)",
        ),
    )
    (event,) = rows(parsed, "server_events")
    assert event["kind"] == "error" and event["database"] == "shop"
    assert "ada" not in event["message"] + event["statement"]
    assert "4711" not in event["statement"]

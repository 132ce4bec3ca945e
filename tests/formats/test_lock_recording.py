"""Lock recordings: edges from hand-made snapshots, who held with which statement, and damage."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from incident_rca.errors import BadInput
from incident_rca.formats.parsed import Parsed
from tests.formats.builders import Snapshot, edges, header, instant, parse, probe, rows, write


def read(folder: Path, *lines: str | Snapshot) -> Parsed:
    texts = [line.line() if isinstance(line, Snapshot) else line for line in lines]
    return parse("lock_recording", write(folder / "locks.ndjson", header(), *texts))


def incident() -> Snapshot:
    """An index build that blocks two writers; an idle reader blocks nobody."""
    snapshot = Snapshot().lock(10, "Share").lock(11, "AccessShare")
    for pid in (20, 21):
        snapshot.lock(pid, "RowExclusive", granted=False)
        snapshot.session(pid, "INSERT INTO stock VALUES (7)", blocking_pids=[10])
    snapshot.session(10, "CREATE INDEX i ON stock (sku)")
    return snapshot.session(11, "SELECT 1", state="idle in transaction")


def test_conflicting_modes_are_hard_and_an_innocent_reader_none(tmp_path: Path) -> None:
    parsed = read(tmp_path, incident())
    assert edges(parsed) == {
        ("hard", 20, 10, "Share"),
        ("hard", 21, 10, "Share"),
        ("none", None, 11, "AccessShare"),
    }
    hard = next(row for row in rows(parsed, "locks") if row["waiter_pid"] == 20)
    assert (hard["database"], hard["relation"], hard["relation_oid"]) == (
        "shop",
        "public.stock",
        16437,
    )
    assert (hard["line"], hard["at"]) == (2, instant("14:23:00.5"))
    assert (hard["waiter_mode"], hard["wait_start"]) == ("RowExclusiveLock", instant("14:23:00"))
    assert (hard["waiter_application"], hard["holder_application"]) == ("app-20", "app-10")
    assert hard["holder_statement"] == "CREATE INDEX i ON stock (sku)"
    assert (hard["holder_statement_basis"], hard["holder_mode_basis"]) == ("running", "granted")
    assert "7" not in hard["waiter_statement"]


def test_probes_that_are_missing_are_a_gap_and_one_that_is_late_is_none(tmp_path: Path) -> None:
    clocks = ("14:23:00", "14:23:01", "14:23:06", "14:23:12", "14:23:13")
    parsed = read(tmp_path, *(probe(clock) for clock in clocks))
    (gap,) = parsed.gaps
    assert (gap.window.start, gap.window.end) == (instant("14:23:06"), instant("14:23:12"))
    assert "nothing was recorded" in gap.reason


def test_a_clock_that_was_put_back_is_told_and_one_that_trembles_is_not(tmp_path: Path) -> None:
    steady = ["14:23:00", "14:23:01.2", "14:23:01.1", "14:23:02"]
    assert read(tmp_path, *map(probe, steady)).damage == ""
    back = [*steady, "14:23:40", "14:23:10", "14:23:11"]
    assert "back by 30.0 s at 2026-01-15T14:23:40Z" in read(tmp_path, *map(probe, back)).damage


def test_a_waiter_ahead_is_soft(tmp_path: Path) -> None:
    snapshot = Snapshot().lock(10, "AccessShare").lock(20, "AccessExclusive", granted=False)
    snapshot.lock(30, "AccessShare", granted=False)
    snapshot.session(10, "SELECT 1", state="idle in transaction")
    snapshot.session(20, "ALTER TABLE stock ADD c int", blocking_pids=[10])
    snapshot.session(30, "SELECT 2", blocking_pids=[20, 20])
    assert edges(read(tmp_path, snapshot)) == {
        ("hard", 20, 10, "AccessShare"),
        ("soft", 30, 20, "AccessExclusive"),
    }


def test_an_edge_is_hard_or_soft_but_not_both(tmp_path: Path) -> None:
    snapshot = Snapshot().lock(10, "Share").lock(10, "AccessExclusive", granted=False)
    snapshot.lock(20, "RowExclusive", granted=False)
    snapshot.lock(11, "AccessShare")
    snapshot.session(10, "ALTER TABLE stock ADD c int", blocking_pids=[11])
    snapshot.session(11, "SELECT 1", state="idle in transaction")
    snapshot.session(20, "INSERT INTO stock VALUES (1)", blocking_pids=[10])
    assert edges(read(tmp_path, snapshot)) == {
        ("hard", 10, 11, "AccessShare"),
        ("hard", 20, 10, "Share"),
    }


def test_two_upgraders_block_each_other_and_nobody_himself(tmp_path: Path) -> None:
    snapshot = Snapshot()
    for pid, other in ((10, 11), (11, 10)):
        snapshot.lock(pid, "AccessShare").lock(pid, "AccessExclusive", granted=False)
        snapshot.session(pid, "LOCK TABLE stock", blocking_pids=[other, pid])
    found = edges(read(tmp_path, snapshot))
    assert found == {("hard", 10, 11, "AccessShare"), ("hard", 11, 10, "AccessShare")}


def test_parallel_workers_are_their_leader(tmp_path: Path) -> None:
    snapshot = Snapshot().lock(20, "RowExclusive", granted=False)
    snapshot.session(20, "INSERT INTO stock VALUES (1)", blocking_pids=[10, 10, 10])
    snapshot.lock(10, "Share").session(10, "CREATE INDEX i ON stock (sku)")
    for worker in (101, 102):
        snapshot.lock(worker, "Share").session(worker, "CREATE INDEX", leader_pid=10)
    parsed = read(tmp_path, snapshot)
    assert [(r["edge"], r["waiter_pid"], r["holder_pid"]) for r in rows(parsed, "locks")] == [
        ("hard", 20, 10)
    ]


def test_a_parallel_worker_that_waits_is_its_leader(tmp_path: Path) -> None:
    snapshot = Snapshot().lock(10, "AccessExclusive").session(10, "ALTER TABLE stock ADD c int")
    snapshot.session(20, "SELECT count(*) FROM stock", blocking_pids=[10])
    for worker in (201, 202):
        snapshot.lock(worker, "AccessShare", granted=False)
        snapshot.session(worker, "SELECT count(*) FROM stock", leader_pid=20, blocking_pids=[10])
    assert edges(read(tmp_path, snapshot)) == {("hard", 20, 10, "AccessExclusive")}


def test_a_prepared_transaction_holds_as_process_zero(tmp_path: Path) -> None:
    snapshot = Snapshot().lock(None, "RowExclusive").lock(20, "Share", granted=False)
    snapshot.session(20, "CREATE INDEX i ON stock (sku)", blocking_pids=[0])
    (row,) = rows(read(tmp_path, snapshot), "locks")
    assert (row["edge"], row["waiter_pid"], row["holder_pid"]) == ("hard", 20, 0)
    assert (row["holder_application"], row["holder_state"], row["holder_statement"]) == (
        None,
        "prepared",
        "",
    )


def test_row_and_advisory_locks_are_named_as_what_they_are(tmp_path: Path) -> None:
    snapshot = Snapshot()
    tags: list[tuple[int, int, dict[str, Any]]] = [
        (20, 10, {"locktype": "transactionid", "transactionid": 7339004}),
        (21, 11, {"locktype": "advisory", "database": 5, "classid": 3, "objid": 9, "objsubid": 2}),
        (22, 12, {"locktype": "virtualxid", "virtualxid": "4/17"}),
    ]
    for waiter, holder, tag in tags:
        snapshot.lock(holder, "Exclusive", **tag).lock(waiter, "Exclusive", granted=False, **tag)
        snapshot.session(holder, "SELECT 1").session(waiter, "SELECT 2", blocking_pids=[holder])
    found = {row["waiter_pid"]: row["relation"] for row in rows(read(tmp_path, snapshot), "locks")}
    assert found[20] == "transaction 7339004"
    assert found[21] == "advisory lock [5,3,9,2]"
    assert found[22] == "virtual transaction 4/17"


def test_two_advisory_locks_are_two(tmp_path: Path) -> None:
    snapshot = Snapshot()
    for holder, waiter, number in ((10, 20, 1), (11, 21, 2)):
        tag: dict[str, Any] = {"locktype": "advisory", "database": 5, "classid": 0}
        tag |= {"objid": number, "objsubid": 1}
        snapshot.lock(holder, "Exclusive", **tag).lock(waiter, "Exclusive", granted=False, **tag)
        snapshot.session(holder, "SELECT 1").session(waiter, "SELECT 2", blocking_pids=[holder])
    parsed = read(tmp_path, snapshot)
    assert edges(parsed) == {("hard", 20, 10, "Exclusive"), ("hard", 21, 11, "Exclusive")}
    assert len({row["relation"] for row in rows(parsed, "locks")}) == 2


def test_a_lock_that_nobody_waits_for_is_no_row(tmp_path: Path) -> None:
    snapshot = Snapshot().lock(10, "Share").lock(11, "RowExclusive", relation=16500)
    snapshot.session(10, "CREATE INDEX i ON stock (sku)").session(11, "INSERT INTO orders")
    assert rows(read(tmp_path, snapshot), "locks") == []


def test_a_conflict_on_another_table_is_none_here(tmp_path: Path) -> None:
    snapshot = incident().lock(12, "AccessExclusive", relation=16500)
    assert 12 not in {holder for _, _, holder, _ in edges(read(tmp_path, snapshot))}


def test_the_same_oid_in_two_databases_is_two_relations(tmp_path: Path) -> None:
    snapshot = Snapshot(names=((5, "shop"), (6, "accounts")))
    for database, holder, waiter in ((5, 10, 20), (6, 11, 21), (7, 12, 22)):
        snapshot.lock(holder, "Share", database=database)
        snapshot.lock(waiter, "RowExclusive", granted=False, database=database)
        snapshot.session(holder, "CREATE INDEX").session(waiter, "INSERT")
    parsed = read(tmp_path, snapshot)
    assert edges(parsed) == {
        ("hard", waiter, holder, "Share") for holder, waiter in ((10, 20), (11, 21), (12, 22))
    }
    found = {row["waiter_pid"]: (row["database"], row["relation"]) for row in rows(parsed, "locks")}
    assert found[20] == ("shop", "public.stock")
    assert found[21] == ("accounts", "relation 16437")
    assert found[22] == (None, "relation 16437")


# --- the holder's statement ---------------------------------------------------------------------


def held_by(query: str, state: str, clock: str, **given: str) -> Snapshot:
    snapshot = Snapshot(clock=clock).lock(10, "AccessExclusive")
    snapshot.session(10, query, state=state, **given)
    snapshot.lock(20, "AccessShare", granted=False)
    return snapshot.session(20, "SELECT 1", blocking_pids=[10])


def test_an_idle_holder_seen_first_has_only_its_last_statement(tmp_path: Path) -> None:
    snapshot = held_by("SELECT version()", "idle in transaction", "14:23:00")
    (row,) = rows(read(tmp_path, snapshot), "locks")
    assert (row["holder_statement_basis"], row["holder_state"]) == ("last", "idle in transaction")
    assert row["holder_statement"] == "SELECT version()"
    assert row["held_since"] == instant("14:22:59")


def test_a_statement_seen_running_is_recovered_for_the_idle_holder(tmp_path: Path) -> None:
    running = held_by("ALTER TABLE stock ADD c int", "active", "14:23:00")
    idle = held_by("SELECT version()", "idle in transaction", "14:23:01")
    first, second = rows(read(tmp_path, running, idle), "locks")
    assert (first["holder_statement_basis"], second["holder_statement_basis"]) == (
        "running",
        "recovered",
    )
    assert second["holder_statement"] == "ALTER TABLE stock ADD c int"


def test_the_same_snapshot_again_is_read_with_what_was_seen_between(tmp_path: Path) -> None:
    """A statement that only a probe saw; nothing of the lock has changed before and after it."""
    idle = [held_by("SELECT version()", "idle in transaction", f"14:23:0{n}") for n in range(4)]
    columns = ["pid", "backend_start", "xact_start", "query_start", "query"]
    seen = [
        10,
        "2026-01-15T09:00:00Z",
        "2026-01-15T14:22:59Z",
        None,
        "ALTER TABLE stock ADD c int",
    ]
    head = json.loads(header())
    head["columns"] |= {"statements": columns}
    told = json.loads(probe("14:23:01.5")) | {"statements": [seen]}
    lines = [
        json.dumps(head),
        *(snapshot.line() for snapshot in idle[:2]),
        json.dumps(told),
        *(snapshot.line() for snapshot in idle[2:]),
    ]
    found = rows(parse("lock_recording", write(tmp_path / "locks.ndjson", *lines)), "locks")
    assert [(r["line"], r["at"].second, r["holder_statement_basis"]) for r in found] == [
        (2, 0, "last"),
        (3, 1, "last"),
        (5, 2, "recovered"),
        (6, 3, "recovered"),
    ]


def test_the_same_snapshot_again_has_the_names_of_a_torn_one_between(tmp_path: Path) -> None:
    unnamed, named = incident(), incident()
    unnamed.relations, unnamed.names = (), ()
    named.sessions = [[1]]
    found = rows(read(tmp_path, unnamed, unnamed, named, unnamed), "locks")
    of_line = {row["line"]: row["relation"] for row in found}
    assert of_line == {2: "relation 16437", 3: "relation 16437", 5: "public.stock"}


@pytest.mark.parametrize("name", [5, True, 1.5])
def test_a_text_that_is_none_is_told(tmp_path: Path, name: object) -> None:
    with pytest.raises(BadInput, match="should be a text"):
        read(tmp_path, probe("14:23:00", [name, "active", None, None, 1]))


@pytest.mark.parametrize(
    "other", [{"xact_start": "2026-01-15T14:23:00Z"}, {"backend_start": "2026-01-15T14:23:00Z"}]
)
def test_nothing_is_recovered_from_another_transaction(
    tmp_path: Path, other: dict[str, str]
) -> None:
    running = held_by("ALTER TABLE stock ADD c int", "active", "14:23:00")
    idle = held_by("SELECT version()", "idle in transaction", "14:23:01", **other)
    assert rows(read(tmp_path, running, idle), "locks")[1]["holder_statement_basis"] == "last"


def test_statements_are_redacted(tmp_path: Path) -> None:
    snapshot = held_by("UPDATE stock SET note = 'ada@example.com', n = 4711", "active", "14:23:00")
    (row,) = rows(read(tmp_path, snapshot), "locks")
    assert "ada" not in row["holder_statement"] and "4711" not in row["holder_statement"]


# --- probes, relations, the file ----------------------------------------------------------------


def test_probes_count_sessions(tmp_path: Path) -> None:
    counts = (["inventory", "active", "Lock", "relation", 100], ["", None, None, None, 4])
    parsed = read(tmp_path, probe("14:22:59", *counts), probe("14:23:00.25"))
    first, second = rows(parsed, "session_counts")
    assert (first["application"], first["state"], first["sessions"]) == ("inventory", "active", 100)
    assert (first["wait_event_type"], first["wait_event"]) == ("Lock", "relation")
    assert (second["state"], second["sessions"], second["line"]) == (None, 4, 2)
    assert parsed.covered is not None
    assert (parsed.covered.start, parsed.covered.end) == (
        instant("14:22:59"),
        instant("14:23:01.25"),
    )
    assert parsed.resolution_seconds == 1.0


def test_a_relation_is_described_once(tmp_path: Path) -> None:
    found = rows(read(tmp_path, incident(), incident()), "relations")
    assert [(row["relation"], row["reltuples"]) for row in found] == [
        ("public.stock", 2_000_000.0),
        ("public.orders", 10.0),
    ]


def test_instants_may_have_an_offset(tmp_path: Path) -> None:
    line = json.dumps({"kind": "probe", "at": "2026-01-15T16:23:00+02:00", "counts": []})
    parsed = read(tmp_path, line)
    assert parsed.covered is not None and parsed.covered.start == instant("14:23")


@pytest.mark.parametrize(
    "broken",
    [
        '{"kind":"probe","at":"2026-01-15T14:2',
        "{}",
        "[]",
        "7",
        "null",
        '{"kind":"probe"}',
        '{"kind":"probe","at":"noon","counts":[]}',
        '{"kind":"probe","at":"2026-01-15T14:23:00","counts":[]}',
        '{"kind":"probe","at":7,"counts":[]}',
        '{"kind":"probe","at":"2026-01-15T14:23:00Z","counts":[["a"]]}',
        '{"kind":"probe","at":"2026-01-15T14:23:00Z","counts":7}',
        '{"kind":"snapshot","locks_at":"2026-01-15T14:23:00Z","locks":[[1]],"sessions":[]}',
        '{"kind":"snapshot","locks_at":"2026-01-15T14:23:00Z","locks":[],"sessions":[7]}',
        "[" * 100_000,
    ],
    ids=range(14),
)
def test_a_broken_line_is_counted(tmp_path: Path, broken: str) -> None:
    parsed = read(tmp_path, probe("14:22:59"), broken, incident())
    assert (parsed.unparsed, len(edges(parsed))) == (1, 3)
    assert parsed.rows == 3
    assert {row["line"] for row in rows(parsed, "locks")} == {4}


def test_a_torn_last_line_is_counted(tmp_path: Path) -> None:
    path = write(
        tmp_path / "a", header(), probe("14:22:59"), incident().line()[:300], last_end=False
    )
    parsed = parse("lock_recording", path)
    assert (parsed.unparsed, parsed.damage, parsed.rows) == (1, "", 2)


def test_blank_lines_keep_the_numbers(tmp_path: Path) -> None:
    parsed = read(tmp_path, "", " ", incident(), "")
    assert {row["line"] for row in rows(parsed, "locks")} == {4}
    assert parsed.unparsed == 0


def test_a_truncated_gzip_is_kept_up_to_the_damage(tmp_path: Path) -> None:
    lines = [
        probe(f"14:{n // 60:02}:{n % 60:02}", ["a", str(n), None, None, n]) for n in range(900)
    ]
    whole = gzip.compress("\n".join([header(), *lines]).encode())
    path = tmp_path / "locks.ndjson.gz"
    path.write_bytes(whole[: len(whole) // 2])
    parsed = parse("lock_recording", path)
    assert parsed.damage and 10 < parsed.rows < 900 and parsed.unparsed <= 1


def test_a_newer_format_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "locks.ndjson", header(2), probe("14:22:59"))
    with pytest.raises(BadInput) as caught:
        parse("lock_recording", path)
    assert "2" in caught.value.message and "update" in caught.value.hint


def test_unknown_kinds_of_lines_are_for_later_versions(tmp_path: Path) -> None:
    parsed = read(tmp_path, '{"kind":"note","text":"x"}', incident())
    assert (parsed.unparsed, len(edges(parsed))) == (0, 3)

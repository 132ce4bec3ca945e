"""The rollup of a load balancer's log against its import, and against a count by Python alone."""

from __future__ import annotations

import gzip
import itertools
import json
from collections import Counter
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlglot
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlglot import exp

from docs.make_rollup_sql import ENGINES
from incident_rca.errors import BadInput
from incident_rca.formats.access_log import pieces
from incident_rca.formats.duckdb_session import define, open_session
from incident_rca.formats.load_balancer_rollup import COLUMNS
from incident_rca.formats.parsed import Parsed
from incident_rca.model import TimeWindow
from incident_rca.queries import load_query
from incident_rca.rollup import Asked
from incident_rca.rollup.local_files import LocalFiles
from incident_rca.rollup.log_format import LoadBalancerFormat, log_format_of
from incident_rca.rollup.statement import (
    athena_statement,
    duckdb_piece,
    spark_statement,
    without_header,
)
from tests.formats.builders import Row, bucket, kind_of, parse, request, rows, write
from tests.formats.load_balancer_lines import START, Line
from tests.formats.test_load_balancer_log import GARBAGE, LINES, NOBODY
from tests.rollup.balancer_logs import LOGS, SOUND, counted, written
from tests.rollup.dialects import translated_back
from tests.rollup.logs import packed
from tests.rollup.test_rollup import rolled_up

KIND = "load_balancer_rollup"
NAMES = (
    *("second", "load_balancer", "method", "path", "elb_status", "target_status", "answered_by"),
    *("error_type", "error_reason"),
)
FAILED = Line(elb_status="502", target_status="502")


def counts(parsed: Parsed) -> Counter[tuple[Any, ...]]:
    """Requests by all that a rollup knows of them but their latencies."""
    found: Counter[tuple[Any, ...]] = Counter()
    for row in rows(parsed, "load_balancer"):
        has_row_of_its_own = row["at"] is not None
        is_timed = bool(row["latency_ms_counts"])
        found[(*(row[name] for name in NAMES), has_row_of_its_own, is_timed)] += row["requests"]
    return found


def latencies(parsed: Parsed) -> dict[tuple[Any, ...], list[int]]:
    """The bound of each request's bucket, by second and statuses, in order."""
    found: dict[tuple[Any, ...], list[int]] = {}
    for row in rows(parsed, "load_balancer"):
        key = (row["second"], row["elb_status"], row["path"])
        for bound, number in zip(row["latency_ms_bounds"], row["latency_ms_counts"], strict=True):
            found.setdefault(key, []).extend([bound] * number)
    return {key: sorted(bounds) for key, bounds in found.items()}


def imported(folder: Path, path: Path) -> tuple[Parsed, Parsed]:
    """The log as `import` reads it, and its rollup as `import` reads that."""
    made, said = rolled_up(folder, path)
    assert kind_of(made) == KIND
    truth, found = parse("load_balancer_log", path), parse(KIND, made)
    assert (said.requests, said.unread) == (truth.rows, truth.unparsed)
    assert found.unparsed == truth.unparsed
    return truth, found


@pytest.mark.parametrize("name", LOGS)
def test_a_rollup_says_what_its_log_says(name: str, tmp_path: Path) -> None:
    truth, found = imported(tmp_path, written(name, tmp_path))
    assert found.damage == ""
    assert counts(found) == counts(truth)
    read, true = latencies(found), latencies(truth)
    assert read.keys() == true.keys()
    for key in true:
        for ms, exact in zip(read[key], true[key], strict=True):
            # Two bounds in whole milliseconds: one 1 % above what it was, the other 2 %.
            assert exact / 1.01 - 1 <= ms <= exact * 1.02 + 1


@pytest.mark.parametrize("name", SOUND)
def test_the_rows_are_those_of_a_plain_count(name: str, tmp_path: Path) -> None:
    made, _ = rolled_up(tmp_path, written(name, tmp_path))
    with gzip.open(made, "rt") as file:
        _, *lines, _ = map(json.loads, file)
    found: Counter[Any] = Counter()
    for line in lines:
        row = dict(zip(COLUMNS, line, strict=True))
        in_buckets = sum(number for _, number in row["latency_buckets"])
        unknown = [(-1, row["requests"] - in_buckets)] if row["requests"] > in_buckets else []
        names = ("second", "load_balancer", "method", "path", "elb_status", "target_status")
        for k, number in (*row["latency_buckets"], *unknown):
            found[*(row[name] for name in names), k] += number
    assert found == counted(SOUND[name])


@settings(deadline=None, max_examples=15, derandomize=True)
@given(mix=st.lists(LINES | GARBAGE, max_size=25))
def test_sound_lines_among_others(
    mix: list[Line | bytes], tmp_path_factory: pytest.TempPathFactory
) -> None:
    first, folder = Line(), tmp_path_factory.mktemp("mix")
    lines = [str(line) if isinstance(line, Line) else line for line in (first, *mix)]
    truth, found = imported(folder, write(folder / "log", *lines))
    assert counts(found) == counts(truth)


def test_a_failure_has_a_row_of_its_own(tmp_path: Path) -> None:
    line = Line(second=3.25, elb_status="502", target_status="-", reason="LambdaUnhandled")
    made, _ = rolled_up(tmp_path, write(tmp_path / "a", str(line), str(line), str(Line())))
    first, *failed = rows(parse(KIND, made), "load_balancer")
    assert (first["elb_status"], first["at"], first["requests"]) == (200, None, 1)
    for row in failed:
        assert row["at"] == row["second"] == START + timedelta(seconds=3)
        assert (row["error_type"], row["error_reason"]) == ("function_error", "LambdaUnhandled")
        assert (row["requests"], row["trace_id"], row["line_first"]) == (1, None, row["line_last"])
        assert row["latency_ms_bounds"] == [row["latency_ms"]] and 33 <= row["latency_ms"] <= 34
    assert len(failed) == 2


def test_a_client_that_closed_has_one_too_and_an_unknown_latency_stays_unknown(
    tmp_path: Path,
) -> None:
    old = Line(**(NOBODY | {"elb_status": "460", "fields": 20}))
    made, _ = rolled_up(tmp_path, write(tmp_path / "a", str(old)))
    (row,) = rows(parse(KIND, made), "load_balancer")
    assert (row["error_type"], row["at"], row["latency_ms"]) == ("client_abort", START, None)
    assert row["latency_ms_counts"] == []


def test_paths_of_a_scanner_are_put_together_where_the_file_is_read(tmp_path: Path) -> None:
    letters = "abcdefghijklmnopqrstuvwxyz"
    lines = [
        *(
            Line(request=f"GET https://a:443/{a}{b}.php HTTP/1.1", elb_status="404")
            for a, b in itertools.product(letters, letters)
        ),
        *(Line(), Line()),
        Line(request="GET https://a:443/zz/fails HTTP/1.1", elb_status="502", target_status="-"),
    ]
    truth, found = imported(tmp_path, write(tmp_path / "a", *map(str, lines)))
    assert counts(found) == counts(truth)
    assert len({row["path"] for row in rows(found, "load_balancer")}) == 501


def test_each_load_balancer_has_paths_of_its_own(tmp_path: Path) -> None:
    """As in S3, where each has files of its own: a busy one takes no path from a quiet one."""
    busy = [
        str(Line(request=f"GET https://a:443/{a}{b} HTTP/1.1", elb_status="404", balancer="app/a"))
        for a, b in itertools.product("abcdefghijklmnopqrstuvwxyz", repeat=2)
        for _ in range(2)
    ]
    quiet = str(Line(request="GET https://a:443/pay HTTP/1.1", balancer="app/b"))
    one, two = write(tmp_path / "1", *busy), write(tmp_path / "2", quiet)
    made, _ = rolled_up(tmp_path, one, two)
    found = parse(KIND, made)
    truth = counts(parse("load_balancer_log", one)) + counts(parse("load_balancer_log", two))
    assert counts(found) == truth
    assert any("2 load balancers" in lack for lack in found.lacks)


def test_logs_of_both_kinds_are_no_one_rollup(tmp_path: Path) -> None:
    of_gateway, junk = write(tmp_path / "1", request()), write(tmp_path / "2", "junk")
    of_balancer = write(tmp_path / "3", str(Line()))
    for order in itertools.permutations((of_gateway, junk, of_balancer)):
        with pytest.raises(BadInput, match=r"1 is a gateway's log, .*3 a load balancer's"):
            LocalFiles(order).plan(Asked())


def test_only_the_window_is_counted(tmp_path: Path) -> None:
    lines = [str(Line(second=n * 0.5, took=("0", "9.0", "0"))) for n in range(20)]
    window = TimeWindow(START + timedelta(seconds=2), START + timedelta(seconds=4.5))
    made, said = rolled_up(tmp_path, write(tmp_path / "a", *lines, "https torn"), window=window)
    found = parse(KIND, made)
    seconds = sorted(row["second"] for row in rows(found, "load_balancer"))
    # By arrival, though all of them were answered later.
    assert seconds == [START + timedelta(seconds=n) for n in (2, 3, 4)]
    assert (said.requests, said.unread, found.asked) == (6, 1, window)


@pytest.mark.parametrize("is_packed", [False, True], ids=["plain", "gz"])
def test_pieces_say_what_the_whole_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_packed: bool
) -> None:
    mixed = [line for name in ("torn", "other bytes", "seconds") for line in LOGS[name]]
    log = write(tmp_path / "a", *mixed)
    path = packed(log) if is_packed else log
    truth = parse("load_balancer_log", log)
    monkeypatch.setattr(pieces, "PIECE_BYTES", 3_000)
    monkeypatch.setattr(pieces, "CHUNK_BYTES", 700)
    made, said = rolled_up(tmp_path, path)
    assert (said.requests, said.unread) == (truth.rows, truth.unparsed)
    assert counts(parse(KIND, made)) == counts(truth)


def test_many_files_are_one_rollup(tmp_path: Path) -> None:
    one = write(tmp_path / "1", *(str(Line(second=n * 0.1)) for n in range(50)))
    two = packed(write(tmp_path / "2", *(str(FAILED) for _ in range(5))))
    made, _ = rolled_up(tmp_path, one, two)
    both = write(tmp_path / "3", *one.read_text().splitlines(), *(str(FAILED) for _ in range(5)))
    assert counts(parse(KIND, made)) == counts(parse("load_balancer_log", both))


def test_lines_that_may_tell_of_failures_are_told(tmp_path: Path) -> None:
    text = str(FAILED)
    torn = text[: text.index('"') - 1]
    fine = str(Line())[: len(torn)]
    made, said = rolled_up(tmp_path, write(tmp_path / "a", text, torn, fine))
    assert (said.unread, said.unread_failures) == (2, 1)
    assert any("1 lines" in lack for lack in parse(KIND, made).lacks)


def test_what_it_says_of_itself(tmp_path: Path) -> None:
    made, _ = rolled_up(tmp_path, write(tmp_path / "a", str(Line(second=1.5)), str(Line(second=9))))
    found = parse(KIND, made)
    assert found.resolution_seconds == 1.0 and "count(*)" in found.query
    assert found.covered == TimeWindow(START + timedelta(seconds=1), START + timedelta(seconds=10))
    # Of a single load balancer nothing can stand behind another.
    assert found.lacks == ()
    head = json.loads(gzip.open(made, "rt").readline())
    assert head["service"] == "incident_rca_load_balancer_rollup"
    assert head["request"]["columns"] == list(COLUMNS)


def test_a_gateways_log_is_no_load_balancers() -> None:
    assert isinstance(log_format_of([b"junk", str(Line()).encode()]), LoadBalancerFormat)
    assert not isinstance(log_format_of([request().encode()]), LoadBalancerFormat)
    assert log_format_of([b"junk"]) is None


def test_every_engine_is_asked_for_the_same_columns(tmp_path: Path) -> None:
    engine = LocalFiles((write(tmp_path / "a", str(Line())),))
    plan = engine.plan(Asked())
    assert plan.statements == (load_query("rollup/load_balancer.sql").text,)
    wanted = load_query("rollup/load_balancer.sql").headers["columns"].split(", ")
    partitions = "stretch BETWEEN '2026/01/15' AND '2026/01/16'"
    athena = athena_statement(plan.line_format, (1, 2), table="logs.lines", partitions=partitions)
    for dialect, text in (
        ("spark", spark_statement(plan.line_format, (1, 2))),
        ("trino", athena),
        ("athena", athena),
    ):
        statement = sqlglot.parse_one(text, read=dialect)
        assert isinstance(statement, exp.Select) and statement.named_selects == wanted
        ctes = {cte.alias for cte in statement.find_all(exp.CTE)}
        # Once: a second time would be read, and paid, again.
        (table,) = (t.name for t in statement.find_all(exp.Table) if t.name not in ctes)
        assert table == "lines"


@pytest.mark.parametrize("name", LOGS)
def test_each_dialect_translated_back_gives_the_same_rows(name: str, tmp_path: Path) -> None:
    """Trino itself is run nowhere here: this shows what sqlglot made of the source, and back."""
    texts = [
        line.decode("utf-8", "replace") if isinstance(line, bytes) else line for line in LOGS[name]
    ]
    with open_session(tmp_path) as session:
        session.execute("CREATE TABLE lines (text VARCHAR)")
        session.executemany("INSERT INTO lines VALUES (?)", [[text] for text in texts])
        session.execute(duckdb_piece("load_balancer"))
        wanted = session.table("piece").fetchall()
        assert sum(row[-1] for row in wanted) == sum(bool(text.strip(" \t\r")) for text in texts)
        for dialect in ENGINES:
            text = without_header(f"rollup/load_balancer.{dialect}.sql")
            session.execute(duckdb_piece("load_balancer", translated_back(text, dialect)))
            assert session.table("piece").fetchall() == wanted, dialect


# --- files that are not as they were written ------------------------------------------------------


@pytest.fixture
def lines(tmp_path: Path) -> list[str]:
    path = write(tmp_path / "a", *(str(Line(second=n, elb_status="502")) for n in range(9)))
    with gzip.open(rolled_up(tmp_path, path)[0], "rt") as file:
        return file.read().splitlines()


def damaged(folder: Path, lines: list[str]) -> Parsed:
    return parse(KIND, write(folder / "b.ndjson", *lines))


def test_a_file_that_was_cut_off_or_lost_a_row_says_so(tmp_path: Path, lines: list[str]) -> None:
    assert damaged(tmp_path, lines).damage == ""
    assert "cut off" in damaged(tmp_path, lines[:-1]).damage
    assert "last line says" in damaged(tmp_path, [*lines[:2], *lines[3:]]).damage


@pytest.mark.parametrize(
    "change",
    [
        {"second": 1},
        {"elb_status": 99},
        {"elb_status": 1000},
        {"elb_status": "502"},
        {"target_status": "x"},
        {"target_status": "0502"},
        {"target_status": "99"},
        {"target_status": "５０２"},
        {"target_status": "1" * 5000},
        {"target_status": ""},
        {"path": None},
        {"requests": -1},
        {"requests": 0, "latency_buckets": []},
        {"requests": 1, "latency_buckets": [[5, 2]]},
        {"requests": 2**63, "latency_buckets": [[5, 2**63]]},
        {"latency_buckets": [[2000, 1]]},
        {"latency_buckets": [[3, 0]]},
    ],
)
def test_a_row_that_is_none_is_unparsed(tmp_path: Path, lines: list[str], change: Row) -> None:
    row = dict(zip(COLUMNS, json.loads(lines[1]), strict=True)) | change
    bad = json.dumps(list(row.values()))
    parsed = damaged(tmp_path, [*lines[:-1], bad, lines[-1]])
    assert (parsed.unparsed, len(rows(parsed, "load_balancer"))) == (1, 9)


def test_a_file_of_no_rows(tmp_path: Path, lines: list[str]) -> None:
    foot = '{"rows": 0, "requests": 0}'
    parsed = damaged(tmp_path, [lines[0], foot])
    assert (parsed.damage, parsed.rows, parsed.covered) == ("", 0, None)
    assert rows(parsed, "load_balancer") == []


# --- an error's type follows from what is kept of it ----------------------------------------------

ACTIONS = st.lists(
    st.sampled_from(["waf", "waf-failed", "authenticate", "forward", "fixed-response", "redirect"]),
    max_size=3,
).map(",".join)
ERRORS = st.builds(
    Line,
    elb_status=st.sampled_from("400 401 403 405 460 463 500 501 502 503 504 561".split()),
    target_status=st.sampled_from("- 200 401 403 500 502 503".split()),
    actions=ACTIONS,
    reason=st.sampled_from(
        "- AuthInvalidCookie LambdaUnhandled LambdaThrottling LambdaAccessDenied "
        "LambdaInvalidResponse LambdaResponseTooLarge LambdaConnectionTimeout Lambda.Other".split()
    ),
)


@settings(max_examples=15, deadline=None)
@given(errors=st.lists(ERRORS, min_size=60, max_size=60))
def test_the_type_of_an_error_is_that_of_its_line(
    errors: list[Line], tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("types")
    paths = ["".join("abcdefghij"[int(digit)] for digit in str(n)) for n in range(len(errors))]
    told = [
        str(line).replace("/api/orders", f"/{path}")
        for line, path in zip(errors, paths, strict=True)
    ]
    path = write(folder / "log", *told)
    with open_session(folder) as session:
        session.execute("SET VARIABLE raw_path = ?", [str(path)])
        session.execute("SET VARIABLE first_line = 1")
        define(session, "load_balancer_error_type.sql")
        define(session, "load_balancer_requests.sql")
        session.execute(load_query("rollup/lines.duckdb.sql").text)
        session.execute(duckdb_piece("load_balancer"))
        truth = session.sql("SELECT path, error_type FROM balanced ORDER BY ALL").fetchall()
        kept = session.sql(
            """
            SELECT path, load_balancer_error_type(
                elb_status, try_cast(target_status AS INTEGER), action, error_reason
            ) FROM piece ORDER BY ALL
            """
        ).fetchall()
    assert len(truth) == len(errors) and kept == truth


def test_the_bucket_is_the_one_above_the_latency(tmp_path: Path) -> None:
    took = [("0.000", f"{ms / 1000:.3f}", "0.000") for ms in (1, 7, 29_000, 600_000)]
    path = write(tmp_path / "a", *(str(Line(second=n, took=t)) for n, t in enumerate(took)))
    with gzip.open(rolled_up(tmp_path, path)[0], "rt") as file:
        _, *lines, _ = map(json.loads, file)
    assert [line[-1][0][0] for line in lines] == [bucket(ms) for ms in (1, 7, 29_000, 600_000)]

"""The rollup of DuckDB against the import of the log itself, and files that are not whole."""

from __future__ import annotations

import gzip
import json
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from incident_rca.errors import BadInput
from incident_rca.formats import BY_KIND
from incident_rca.formats.access_log import given_format, pieces
from incident_rca.formats.parsed import Parsed, RawInput
from incident_rca.model import TimeWindow
from incident_rca.pipeline import parse_raw
from incident_rca.rollup import Asked
from incident_rca.rollup.local_files import LocalFiles
from incident_rca.rollup.rollup_file import Written, write_rollup
from tests.formats.builders import START, bucket, kind_of, parse, request, rows, write
from tests.formats.test_access_log_pieces import LINES
from tests.rollup.logs import LOGS, packed

NOW = datetime(2026, 1, 16, tzinfo=UTC)
SAMPLE = Path(__file__).parents[2] / "samples" / "inc-2847" / "raw" / "access.ndjson.gz"


def rolled_up(
    folder: Path, *files: Path, format_text: str = "", window: TimeWindow | None = None
) -> tuple[Path, Written]:
    """The rollup of some files and what was said of it."""
    engine = LocalFiles(files)
    asked = Asked(line_format=given_format(format_text), window=window)
    path = folder / "a.rollup.ndjson.gz"
    return path, write_rollup(path, engine, asked, engine.plan(asked), asked_at=NOW)


def imported(path: Path, format_text: str, work: Path) -> Parsed:
    """The log itself as `import` reads it."""
    reading = {"access_log_format": format_text} if format_text else {}
    raw = RawInput(path=path, file="raw/a", source="given", work=work, reading=reading)
    return parse_raw(BY_KIND["access_log"], raw)


def counts(parsed: Parsed) -> list[dict[str, Any]]:
    """The rows of `gateway` but for where they are from; latencies by the buckets of a rollup."""
    origin = ("source", "file", "line_first", "line_last", "latency_ms_bounds", "latency_ms_counts")
    return [
        {name: row[name] for name in row if name not in origin} | {"latencies": bucketed(row)}
        for row in rows(parsed, "gateway")
    ]


def bucketed(row: dict[str, Any]) -> Counter[int]:
    """How many requests of a row fell into each bucket of a rollup."""
    known = zip(row["latency_ms_bounds"], row["latency_ms_counts"], strict=True)
    found: Counter[int] = Counter()
    for latency_ms, requests in known:
        found[int(1.02 ** bucket(latency_ms))] += requests
    return found


def failures(parsed: Parsed) -> Counter[tuple[Any, ...]]:
    """The failed requests by what a rollup knows of each."""
    return Counter(
        (
            row["at"].replace(microsecond=0),
            *(row[name] for name in ("method", "route", "status", "error_type")),
            row["integration_status"],
            row["latency_ms"] is None,
        )
        for row in rows(parsed, "failures")
    )


@pytest.mark.parametrize("name", LOGS)
def test_a_rollup_says_what_its_log_says(name: str, tmp_path: Path) -> None:
    log = LOGS[name]
    path = log.written(tmp_path, "access")
    truth = imported(path, log.format, tmp_path)
    made, written = rolled_up(tmp_path, path, format_text=log.format)
    assert kind_of(made) == "gateway_rollup"
    found = parse("gateway_rollup", made)
    assert counts(found) == counts(truth)
    assert failures(found) == failures(truth)
    assert (written.requests, written.unread) == (truth.rows, truth.unparsed)
    assert (found.unparsed, found.damage) == (truth.unparsed, "")
    assert set(truth.lacks) <= set(found.lacks)


def test_the_sample_says_the_same(tmp_path: Path) -> None:
    made, written = rolled_up(tmp_path, SAMPLE)
    truth, found = imported(SAMPLE, "", tmp_path), parse("gateway_rollup", made)
    assert (written.requests, written.unread) == (13_178, 5)
    assert counts(found) == counts(truth)
    assert failures(found) == failures(truth)
    orders = [row for row in rows(found, "failures") if row["route"] == "/api/orders"]
    assert len(orders) == 1_247
    assert made.stat().st_size < SAMPLE.stat().st_size / 10


def test_a_latency_is_that_of_its_bucket(tmp_path: Path) -> None:
    path = write(
        tmp_path / "a", *(request(0.0, status="504", responseLatency=n) for n in (1, 7, 29_000))
    )
    made, _ = rolled_up(tmp_path, path)
    found = [row["latency_ms"] for row in rows(parse("gateway_rollup", made), "failures")]
    assert all(n <= ms <= n * 1.02 + 1 for n, ms in zip((1, 7, 29_000), found, strict=True))


def test_many_files_are_one_rollup(tmp_path: Path) -> None:
    one = write(tmp_path / "1", *(request(n * 0.1) for n in range(50)))
    two = packed(write(tmp_path / "2", *(request(n * 0.1, status="502") for n in range(50))))
    made, _ = rolled_up(tmp_path, one, two)
    both = write(tmp_path / "3", *one.read_text().splitlines(), *gzip.open(two, "rt").readlines())
    assert counts(parse("gateway_rollup", made)) == counts(imported(both, "", tmp_path))


@pytest.mark.parametrize("is_packed", [False, True], ids=["plain", "gz"])
def test_pieces_say_what_the_whole_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_packed: bool
) -> None:
    """Every second stands in several pieces, beside lines that are blank, broken and unclean."""
    log = write(tmp_path / "a", *(line for _ in range(9) for line in LINES))
    path = packed(log) if is_packed else log
    truth = imported(path, "", tmp_path)
    monkeypatch.setattr(pieces, "PIECE_BYTES", 900)
    monkeypatch.setattr(pieces, "CHUNK_BYTES", 77)
    made, written = rolled_up(tmp_path, path)
    found = parse("gateway_rollup", made)
    assert (written.requests, written.unread) == (truth.rows, truth.unparsed)
    assert truth.unparsed > written.unread_failures > 0
    assert counts(found) == counts(truth)
    assert failures(found) == failures(truth)


def test_only_the_window_is_counted(tmp_path: Path) -> None:
    path = write(tmp_path / "a", *(request(n * 0.5) for n in range(20)), "{torn")
    window = TimeWindow(START + timedelta(seconds=2), START + timedelta(seconds=4.5))
    made, written = rolled_up(tmp_path, path, window=window)
    found = parse("gateway_rollup", made)
    seconds = Counter(row["second"] for row in rows(found, "gateway"))
    # A window holds its seconds as a whole.
    assert sorted(seconds) == [START + timedelta(seconds=n) for n in (2, 3, 4)]
    assert (written.requests, written.unread) == (6, 1)
    assert found.asked == window


def test_what_broke_off_is_partial(tmp_path: Path) -> None:
    whole = packed(write(tmp_path / "a", *(request(n * 0.1) for n in range(3_000)))).read_bytes()
    torn = tmp_path / "b.gz"
    torn.write_bytes(whole[: len(whole) * 2 // 3])
    made, written = rolled_up(tmp_path, torn)
    assert 0 < written.requests < 3_000 and "b.gz" in written.error
    assert "gzip" in parse("gateway_rollup", made).damage


def test_lines_that_may_tell_of_failures_are_told(tmp_path: Path) -> None:
    made, written = rolled_up(tmp_path, write(tmp_path / "a", request(), request(status=502)[:-9]))
    assert (written.unread, written.unread_failures) == (1, 1)
    assert any("1 lines" in text for text in parse("gateway_rollup", made).lacks)


def test_a_log_of_no_format_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput) as caught:
        rolled_up(tmp_path, write(tmp_path / "a", "hello", "world"))
    assert "--access-log-format" in caught.value.hint
    assert list(tmp_path.glob("*rollup*")) == []


def test_equal_logs_give_equal_files(tmp_path: Path) -> None:
    first, _ = rolled_up(tmp_path, SAMPLE)
    again = tmp_path / "again"
    again.mkdir()
    assert rolled_up(again, SAMPLE)[0].read_bytes() == first.read_bytes()


# --- files that are not as they were written ------------------------------------------------------


@pytest.fixture
def lines(tmp_path: Path) -> list[str]:
    path = write(tmp_path / "a", *(request(n * 0.7, status="502") for n in range(9)))
    with gzip.open(rolled_up(tmp_path, path)[0], "rt") as file:
        return file.read().splitlines()


def damaged(folder: Path, lines: Sequence[str | bytes]) -> Parsed:
    return parse("gateway_rollup", write(folder / "b.ndjson", *lines))


def test_a_whole_file_is_whole(tmp_path: Path, lines: list[str]) -> None:
    parsed = damaged(tmp_path, lines)
    assert (parsed.damage, parsed.unparsed, len(rows(parsed, "failures"))) == ("", 0, 9)
    assert [row["line"] for row in rows(parsed, "failures")] == sorted(
        row["line"] for row in rows(parsed, "failures")
    )
    assert "count(*)" in parsed.query


def test_a_file_that_was_cut_off_says_so(tmp_path: Path, lines: list[str]) -> None:
    assert "cut off" in damaged(tmp_path, lines[:-1]).damage


def test_a_row_that_is_gone_is_missed(tmp_path: Path, lines: list[str]) -> None:
    parsed = damaged(tmp_path, [*lines[:2], *lines[3:]])
    assert "last line says" in parsed.damage


@pytest.mark.parametrize(
    "line",
    [
        "[]",
        "[1,2]",
        "x",
        '[1,"GET","/a",200,"-","-","-","-","-","-",1,[]]',
        '[1768486200,"GET","/a",200,"-","-","-","-","-","-",-1,[]]',
        '[1768486200,"GET","/a",3000000000,"-","-","-","-","-","-",1,[]]',
        '[1768486200,"GET","/a",200,"-","-","-","-","-","-",1,[[2000,1]]]',
        '[1768486200,"GET","/a",200,"-","-","-","-","-","-",1,[[3,0]]]',
        '[1768486200,null,"/a",200,"-","-","-","-","-","-",1,[]]',
        '[1768486200,"GET","/a",200,"-","-","-","-","-","-",1,[],2]',
        b'[1768486200,"GET","/\xff",200,"-","-","-","-","-","-",1,[]]',
        '{"rows": "x"}',
        '{"rows": 9, "requests": 9, "unread": -1}',
        '{"rows": 9, "requests": 9, "lacks": [5]}',
    ],
)
def test_a_row_that_is_none_is_unparsed(
    tmp_path: Path, lines: list[str], line: str | bytes
) -> None:
    parsed = damaged(tmp_path, [*lines[:-1], line, lines[-1]])
    assert (parsed.unparsed, len(rows(parsed, "failures"))) == (1, 9)


def test_a_first_line_that_says_nothing_is_refused(tmp_path: Path, lines: list[str]) -> None:
    with pytest.raises(BadInput):
        damaged(tmp_path, [json.dumps({"service": "incident_rca_rollup"}), *lines[1:]])


def test_what_a_first_line_says_is_run_by_no_database(tmp_path: Path, lines: list[str]) -> None:
    """Its names of facts were once part of a statement: a file of others could write any file."""
    planted = tmp_path / "planted"
    head = json.loads(lines[0])
    statement = f"response_type = true; COPY (SELECT 1) TO '{planted}'; SET VARIABLE knows_x"
    head["request"]["knows"][statement] = True
    parsed = damaged(tmp_path, [json.dumps(head), *lines[1:]])
    assert (parsed.damage, len(rows(parsed, "failures"))) == ("", 9)
    assert not planted.exists()


def test_a_small_file_that_tells_of_endless_failures_is_refused(
    tmp_path: Path, lines: list[str]
) -> None:
    row = json.loads(lines[1])
    row[-2:] = [10**12, [[300, 10**12]]]
    with pytest.raises(BadInput) as caught:
        damaged(tmp_path, [lines[0], json.dumps(row)])
    assert f"{10**12:,}" in caught.value.message and "--from" in caught.value.hint


def test_each_failure_has_a_latency_of_its_row_or_none(tmp_path: Path, lines: list[str]) -> None:
    row = json.loads(lines[1])
    row[-2:] = [4, [[0, 1], [35, 2]]]
    parsed = damaged(tmp_path, [lines[0], json.dumps(row), '{"rows": 1, "requests": 4}'])
    found = rows(parsed, "failures")
    assert [row["latency_ms"] for row in found] == [1, 1.02**35 // 1, 1.02**35 // 1, None]
    assert {row["line"] for row in found} == {2} and parsed.damage == ""

"""Access logs out of S3: export tasks and Firehose give the rows that the plain log gives."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from incident_rca.formats import exported_log
from incident_rca.formats.exported_log import objects_in
from incident_rca.formats.parsed import Parsed
from tests.formats.builders import START, kind_of, parse, request, rows, write, write_gzip

NewFolder = Callable[[], Path]
LOG = [
    request(0),
    request(1, status="502", integrationStatus="502", integration_status="502"),
    request(2, resourcePath="/a}{b", errorMessage='say "}{" twice: }{'),
    request(3, status="504", errorResponseType="INTEGRATION_TIMEOUT", responseLatency="29001"),
]


def stamped(lines: Sequence[str]) -> list[str]:
    """As an export task writes them: the event's time is later than the request's arrival."""
    return [f"2026-01-15T14:10:{30 + n % 10}.123Z {line}" for n, line in enumerate(lines)]


def same(parsed: Parsed, folder: Path, lines: Sequence[str | bytes]) -> None:
    """Whether the rows are those of the plain log in a file of the same name."""
    plain = parse("access_log", write(folder / "given.log", *lines))
    for table in ("gateway", "failures"):
        assert rows(parsed, table) == rows(plain, table)
    assert (parsed.rows, parsed.unparsed) == (plain.rows, plain.unparsed)
    assert (parsed.covered, parsed.resolution_seconds) == (plain.covered, plain.resolution_seconds)


@pytest.mark.parametrize("zone", ["Z", "+00:00", "+0100"])
def test_an_export_is_the_log_behind_its_times(tmp_path: Path, zone: str) -> None:
    lines = [line.replace("Z ", f"{zone} ", 1) for line in stamped(LOG)]
    path = write(tmp_path / "given.log", *lines)
    assert kind_of(path) == "exported_log"
    parsed = parse("exported_log", path)
    assert parsed.rows == 4 and [r["line"] for r in rows(parsed, "failures")] == [2, 4]
    # The time is the arrival that the request states, not the one of the event.
    assert parsed.covered is not None and parsed.covered.start == START
    same(parsed, tmp_path, LOG)


def test_lines_keep_their_numbers(tmp_path: Path) -> None:
    log = [*stamped(LOG[:1]), "", "the rest of a message", *stamped(["torn {"]), *stamped(LOG[1:2])]
    parsed = parse("exported_log", write(tmp_path / "given.log", *log))
    assert (parsed.rows, parsed.unparsed) == (2, 2)
    assert [row["line"] for row in rows(parsed, "failures")] == [5]


def test_gzip_and_torn_gzip(tmp_path: Path) -> None:
    data = "".join(f"{line}\n" for line in stamped(LOG * 500)).encode()
    path = write_gzip(tmp_path / "000000.gz", data)
    assert kind_of(path) == "exported_log"
    whole = parse("exported_log", path)
    assert (whole.rows, whole.unparsed, whole.damage) == (2000, 0, "")
    packed = gzip.compress(data, mtime=0)
    path.write_bytes(packed[: len(packed) // 2])
    torn = parse("exported_log", path)
    assert "gzip" in torn.damage and 0 < torn.rows < 2000 and torn.unparsed <= 1


def test_nothing_is_left_in_the_folder_for_scratch(tmp_path: Path) -> None:
    parse("exported_log", write(tmp_path / "given.log", *stamped(LOG)))
    assert not [p for p in (tmp_path / "work").iterdir() if p.is_file()]


@pytest.mark.parametrize("between", ["", " ", "\n", "\r\n", "  \n\n "])
def test_objects_in_a_row_are_the_log(tmp_path: Path, between: str) -> None:
    path = tmp_path / "given.log"
    # At least two of them on one line: else it is a plain log.
    path.write_text("".join(LOG[:2]) + between + between.join(LOG[2:]))
    assert kind_of(path) == "concatenated_log"
    parsed = parse("concatenated_log", path)
    assert [row["line"] for row in rows(parsed, "failures")] == [2, 4]
    same(parsed, tmp_path, LOG)


def test_numbers_of_objects_are_said_to_be_such() -> None:
    assert "by object" in exported_log.CONCATENATED.title
    assert "by object" in exported_log.CONCATENATED.cannot_show


def test_a_torn_object_is_counted_and_the_next_one_read(tmp_path: Path) -> None:
    torn = LOG[1][:80]
    path = tmp_path / "given.log"
    path.write_text(LOG[0] + torn + "\n" + LOG[1] + LOG[3] + torn)
    parsed = parse("concatenated_log", path)
    assert (parsed.rows, parsed.unparsed) == (3, 2)
    assert [row["line"] for row in rows(parsed, "failures")] == [3, 4]


@pytest.mark.parametrize(
    "lines",
    [
        LOG,
        stamped(["LOG:  process 7 still waiting for ShareLock"]),
        ['{"level": "info"}{"level": "warn"}'],
        ["", "{", "}{"],
    ],
)
def test_other_files_are_none(tmp_path: Path, lines: list[str]) -> None:
    assert kind_of(write(tmp_path / "given.log", *lines)) not in (
        "exported_log",
        "concatenated_log",
    )


TEXTS = st.text(st.sampled_from('{}":, \\ab\u00e9'), max_size=12)
OBJECTS = st.dictionaries(TEXTS, TEXTS | st.dictionaries(TEXTS, TEXTS, max_size=2), max_size=3)


@settings(deadline=None, max_examples=200, derandomize=True)
@given(
    objects=st.lists(OBJECTS, max_size=6),
    between=st.sampled_from(["", " ", "\n", "\r\n"]),
    size=st.integers(1, 40),
)
def test_any_objects_come_back_however_they_are_cut(
    objects: list[object], between: str, size: int
) -> None:
    text = between.join(json.dumps(value, ensure_ascii=False) for value in objects).encode()
    chunks = [text[n : n + size] for n in range(0, len(text), size)]
    assert [json.loads(found) for found in objects_in(chunks)] == objects


@settings(deadline=None, max_examples=15, derandomize=True)
@given(garbage=st.lists(st.binary(max_size=60), max_size=8), kind=st.sampled_from([0, 1]))
def test_garbage_is_only_unparsed(new_folder: NewFolder, garbage: list[bytes], kind: int) -> None:
    folder = new_folder()
    good = stamped(LOG) if kind == 0 else LOG
    path = write(folder / "given.log", *good, *(b"x" + g.replace(b"\n", b"") for g in garbage))
    parsed = parse(("exported_log", "concatenated_log")[kind], path)
    assert parsed.rows == len(LOG) and parsed.unparsed == len(garbage)
    assert len(rows(parsed, "failures")) == 2


def test_a_log_that_is_no_json_is_unwrapped_as_well(tmp_path: Path) -> None:
    request_id = "7d444840-9dc0-11d1-b245-5ffdce74fad"
    log = [
        f'203.0.113.9 - - [15/Jan/2026:14:10:0{n} +0000] "GET /a HTTP/1.1" {status} 17'
        f" {request_id}{n} x-{n}="
        for n, status in enumerate((200, 502, 200, 504))
    ]
    path = write(tmp_path / "given.log", *stamped(log))
    assert kind_of(path) == "exported_log"
    parsed = parse("exported_log", path)
    assert (parsed.rows, [r["line"] for r in rows(parsed, "failures")]) == (4, [2, 4])
    same(parsed, tmp_path, log)

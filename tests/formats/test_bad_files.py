"""Files as disks, editors, networks and clocks spoil them: every format, through the whole program.

Each gives its rows, counts what it could not read, or is refused with one clear error; whatever was
read can be reported on.
"""

from __future__ import annotations

import gzip
import re
import tempfile
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path

import pytest

from incident_rca.errors import BadInput
from incident_rca.formats import BY_KIND
from incident_rca.formats.parsed import Parsed
from incident_rca.importing import import_files
from incident_rca.model import TimeWindow
from incident_rca.pipeline import analyse_case
from incident_rca.settings import Settings
from tests.formats.builders import START, instant, parse
from tests.redaction.raw_examples import DOCUMENTS, EXAMPLES

Spoil = Callable[[bytes], bytes]
WINDOW = TimeWindow(START, instant("14:55"))
# As seconds, milliseconds or nanoseconds since 1970.
EPOCH = re.compile(rb"(?<![\d.])(17684\d{5})(\d{3}|\d{9})?(?!\d)")
YEAR_3000 = 32_503_680_000 - 1_767_225_600
KINDS = sorted(BY_KIND)
# Lines of text in which anything may be the rest of the message before it.
TEXTS = {"execution_log", "cloudwatch_postgres_log", "postgres_log"}


def parsed(kind: str, content: bytes, folder: Path) -> Parsed | BadInput:
    """What a file of this kind gives, or why it is refused."""
    given = folder / "given"
    given.write_bytes(content)
    try:
        return parse(kind, given)
    except BadInput as error:
        assert "\n" not in error.message and error.hint
        return error


@cache
def good_rows(kind: str) -> int:
    with tempfile.TemporaryDirectory() as folder:
        found = parsed(kind, EXAMPLES[kind][-1], Path(folder))
    assert isinstance(found, Parsed) and not found.unparsed
    return found.rows


def moved(content: bytes, year: int) -> bytes:
    """The same with all its times in another year."""
    return content.replace(b"2026", b"%04d" % year)


def in_year_3000(content: bytes) -> bytes:
    return EPOCH.sub(
        lambda m: b"%d" % (int(m[1]) + YEAR_3000) + (m[2] or b""), moved(content, 3000)
    )


UNCHANGED: Mapping[str, Spoil] = {
    "gzip of two members": lambda data: gzip.compress(data[:99]) + gzip.compress(data[99:]),
    "gzip of two members with zeros between": lambda data: (
        gzip.compress(data[:99]) + bytes(512) + gzip.compress(data[99:]) + bytes(512)
    ),
    "byte order mark": lambda data: b"\xef\xbb\xbf" + data,
    "byte order mark in gzip": lambda data: gzip.compress(b"\xef\xbb\xbf" + data),
    "CRLF": lambda data: data.replace(b"\n", b"\r\n"),
    "duplicate keys": lambda data: re.sub(rb'"([A-Za-z]\w*)": ', rb'"\1": null, "\1": ', data),
}
# DuckDB reads most of these, and takes the first of two values. All else takes the last.
FIRST_VALUES = {"access_log", "concatenated_log", "exported_log"}


def with_others_behind(data: bytes) -> bytes:
    return re.sub(rb'("[A-Za-z]\w*": )("(?:[^"\\]|\\.)*"|[\d.]+)', rb"\1\2, \1null", data)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("way", UNCHANGED)
def test_what_says_the_same_gives_the_same_rows(kind: str, way: str, tmp_path: Path) -> None:
    is_first = way == "duplicate keys" and kind in FIRST_VALUES
    spoil = with_others_behind if is_first else UNCHANGED[way]
    found = parsed(kind, spoil(EXAMPLES[kind][-1]), tmp_path)
    assert isinstance(found, Parsed), found
    assert (found.rows, found.unparsed) == (good_rows(kind), 0)


TORN: Mapping[str, Spoil] = {
    "zero bytes": lambda data: data + b"\x00" * 50 + b"\n",
    "zero byte inside": lambda data: data[: len(data) // 2] + b"\x00" + data[len(data) // 2 :],
    "foreign bytes": lambda data: data[: len(data) // 2] + b"\xff\xfe" + data[len(data) // 2 :],
    "deep JSON": lambda data: data + b'{"a":' * 50_000 + b"\n",
    "deep list": lambda data: data + b"[" * 50_000 + b"\n",
    "long line": lambda data: data + b"x" * 3_000_000 + b"\n",
    "torn gzip": lambda data: gzip.compress(data)[:-9],
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("way", TORN)
def test_what_is_torn_is_counted_or_refused(kind: str, way: str, tmp_path: Path) -> None:
    found = parsed(kind, TORN[way](EXAMPLES[kind][-1]), tmp_path)
    if kind in DOCUMENTS:
        assert isinstance(found, BadInput)
    elif isinstance(found, BadInput):
        assert good_rows(kind) == 1
    else:
        assert found.rows + found.unparsed >= good_rows(kind) - ("gzip" in found.damage)
        assert found.unparsed or "gzip" in found.damage or kind in TEXTS


def with_wrong_checksum(data: bytes) -> bytes:
    packed = bytearray(gzip.compress(data))
    packed[-6] ^= 0x10
    return bytes(packed)


SPOILT_BEHIND: Mapping[str, Spoil] = {
    "wrong checksum": with_wrong_checksum,
    "a byte behind gzip": lambda data: gzip.compress(data) + b"x",
    "a member behind a byte": lambda data: gzip.compress(data) + b"x" + gzip.compress(data),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("way", SPOILT_BEHIND)
def test_what_stands_before_damage_is_read(kind: str, way: str, tmp_path: Path) -> None:
    found = parsed(kind, SPOILT_BEHIND[way](EXAMPLES[kind][-1]), tmp_path)
    if kind in DOCUMENTS:
        assert isinstance(found, BadInput)
        return
    assert isinstance(found, Parsed), found
    # The last message of a PostgreSQL log may go on in what was not read.
    assert (found.rows, found.unparsed) == (good_rows(kind) - (kind == "postgres_log"), 0)
    assert "gzip" in found.damage


OTHER_VALUES: Mapping[str, Spoil] = {
    "year 3000": in_year_3000,
    "year 1": lambda data: moved(data, 1),
    "negative times": lambda data: EPOCH.sub(rb"-\1\2", data),
    "texts for numbers": lambda data: re.sub(
        rb"(?<=[:\[,] )(-?\d+(?:\.\d+)?)(?=[,\]}])", rb'"\1"', data
    ),
    "numbers beyond 64 bits": lambda data: re.sub(
        rb"(?<=[:\[,] )(-?\d+)(?=[,\]}])", rb"9e99", data
    ),
}


@pytest.mark.parametrize("way", OTHER_VALUES)
def test_odd_values_are_rows_or_counted_or_refused(way: str, tmp_path: Path) -> None:
    """One case with such a file of each kind: each is there or refused, and a report tells all."""
    files = [tmp_path / kind for kind in KINDS]
    for file in files:
        file.write_bytes(OTHER_VALUES[way](EXAMPLES[file.name][-1]))
    case = tmp_path / "INC-1"
    done = import_files(case, files, settings=Settings(), window=WINDOW)
    assert len(done.added) + len(done.refused) == len(KINDS)
    for error in done.refused:
        assert "\n" not in error.message and error.hint
    for source in done.added:
        assert source.rows + source.unparsed >= good_rows(source.name)
    analysis = analyse_case(case)
    assert {source.name for source in done.added} <= {s.name for s in analysis.case.sources}


def test_the_window_is_known_without_being_given_wherever_the_clock_stood(tmp_path: Path) -> None:
    given = tmp_path / "given"
    for year in (2000, 2099):
        given.write_bytes(moved(EXAMPLES["postgres_log"][0], year))
        case = tmp_path / f"INC-{year}"
        done = import_files(case, [given], settings=Settings())
        assert done.case.window.start.year == year
        analyse_case(case)
    for year in (1, 1999, 2100, 9999):
        given.write_bytes(moved(EXAMPLES["postgres_log"][0], year))
        with pytest.raises(BadInput, match="none of its 4 rows could be read"):
            import_files(tmp_path / f"INC-{year}", [given], settings=Settings())


def test_a_bomb_is_refused_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Blank lines without end behind a good log: no reader may write them down one by one."""
    monkeypatch.setattr("incident_rca.formats.lines.FREELY_EXPANDED_BYTES", 1 << 20)
    bomb = tmp_path / "given.gz"
    bomb.write_bytes(gzip.compress(EXAMPLES["access_log"][0]) + gzip.compress(b"\n" * (1 << 25)))
    with pytest.raises(BadInput, match="expands to more than 300 times"):
        import_files(tmp_path / "INC-1", [bomb], settings=Settings())
    assert not (tmp_path / "INC-1").exists()

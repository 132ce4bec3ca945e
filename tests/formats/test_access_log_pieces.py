"""A log cut into pieces gives what it gives as a whole, and every line keeps its number."""

from __future__ import annotations

import gzip
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from incident_rca.formats import duckdb_session
from incident_rca.formats.access_log import pieces, rolling
from incident_rca.formats.access_log.pieces import (
    Piece,
    cleaned,
    lines_at,
    pieces_of,
    pieces_of_values,
)
from incident_rca.formats.lines import Truncated
from tests.formats.builders import parse, request, rows, write, write_gzip

NewFolder = Callable[[], Path]
LINES = (
    request(0.2, responseLatency="7"),
    request(0.4, responseLatency="7"),
    request(1.0, responseLatency="900"),
    request(0.5, status="502", requestId="é"),
    "",
    " \t",
    "\r",
    request(2, status="504").replace(",", ",\r", 1),
    request(2, status="500").encode() + b"\r",
    request(3, status="503").replace("POST", "P\xffST").encode("latin-1"),
    request(3, status="502")[:-9],
    "no request",
    "{}",
    '{"a": 1}{"b": 2}',
)


@pytest.fixture
def small_pieces(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Pieces of a few lines, out of chunks that end anywhere in a line."""
    with monkeypatch.context() as small:
        small.setattr(pieces, "PIECE_BYTES", 900)
        small.setattr(pieces, "CHUNK_BYTES", 77)
        yield


@settings(deadline=None, max_examples=25)
@given(lines=st.lists(st.sampled_from(LINES), max_size=20), is_packed=st.booleans())
def test_pieces_give_what_the_whole_gives(
    new_folder: NewFolder, lines: list[str | bytes], is_packed: bool
) -> None:
    path = write(new_folder() / "a", LINES[0], *lines)
    if is_packed:
        path.write_bytes(gzip.compress(path.read_bytes()))
    whole = parse("access_log", path)
    with pytest.MonkeyPatch.context() as small:
        small.setattr(pieces, "PIECE_BYTES", 900)
        small.setattr(pieces, "CHUNK_BYTES", 77)
        small.setattr(rolling, "ROWS_AT_ONCE", 3)
        cut = parse("access_log", path)
    assert (cut.rows, cut.unparsed) == (whole.rows, whole.unparsed)
    for table in ("gateway", "failures"):
        assert rows(cut, table) == rows(whole, table)
    assert not any((path.parent / "work").iterdir())


@pytest.mark.usefixtures("small_pieces")
def test_every_line_keeps_its_number(tmp_path: Path) -> None:
    """Failures stand on every tenth line, between blank, broken and unclean ones."""
    others = [
        line for line in LINES if b"50" not in (line if isinstance(line, bytes) else line.encode())
    ]
    log: list[str | bytes] = [
        request(n, status="502", extendedRequestId=f"r{n}")
        if n % 10 == 9
        else others[n % len(others)]
        for n in range(200)
    ]
    parsed = parse("access_log", write(tmp_path / "a", *log))
    failures = rows(parsed, "failures")
    assert [row["line"] for row in failures] == list(range(10, 201, 10))
    assert [row["request_id"] for row in failures] == [f"r{n}" for n in range(9, 200, 10)]
    requests = sum(str(line).startswith('{"requestTime') for line in log)
    blank = sum(not str(line).strip() for line in log)
    assert (parsed.rows, parsed.unparsed) == (requests, 200 - requests - blank)


@pytest.mark.usefixtures("small_pieces")
def test_a_second_in_two_pieces_is_one_row(tmp_path: Path) -> None:
    latencies = [str(n % 5 + 1) for n in range(40)]
    log = [request(0.02 * n, responseLatency=latency) for n, latency in enumerate(latencies)]
    (row,) = rows(parse("access_log", write(tmp_path / "a", *log)), "gateway")
    assert (row["requests"], row["line_first"], row["line_last"]) == (40, 1, 40)
    assert list(row["latency_ms_bounds"]) == [1, 2, 3, 4, 5]
    assert list(row["latency_ms_counts"]) == [8] * 5


@pytest.mark.usefixtures("small_pieces")
def test_a_failure_hidden_in_a_later_piece_is_found(tmp_path: Path) -> None:
    hidden = request(9, status="502").replace(
        '"integrationLatency": "', '"integrationLatency": -, "x": "'
    )
    log = [*(request(n / 9) for n in range(60)), hidden]
    parsed = parse("access_log", write(tmp_path / "a", *log))
    assert [row["line"] for row in rows(parsed, "failures")] == [61]
    assert (parsed.rows, parsed.unparsed) == (61, 0)


@pytest.mark.usefixtures("small_pieces")
def test_what_stands_before_a_break_is_kept(tmp_path: Path) -> None:
    log = "".join(f"{request(n)}\n" for n in range(500)).encode()
    path = write_gzip(tmp_path / "a.gz", log)
    path.write_bytes(path.read_bytes()[:-400])
    parsed = parse("access_log", path)
    assert parsed.damage and 0 < parsed.rows < 500 and parsed.unparsed <= 1
    assert sum(row["requests"] for row in rows(parsed, "gateway")) == parsed.rows


def test_pieces_are_whole_lines_and_few_are_there_at_once(tmp_path: Path) -> None:
    with pytest.MonkeyPatch.context() as small:
        small.setattr(pieces, "PIECE_BYTES", 50)
        small.setattr(pieces, "CHUNK_BYTES", 7)
        content = b"".join(b"line %d\n" % n for n in range(100)) + b"x" * 500 + b"\nlast"
        path = tmp_path / "a"
        path.write_bytes(content)
        cut = [(piece, piece.path.read_bytes()) for piece in pieces_of(path, tmp_path)]
    assert cut[0][0].first == 1
    for (piece, data), (following, _) in pairwise(cut):
        assert data.endswith(b"\n") and data.count(b"\n") == piece.lines
        assert following.first == piece.first + piece.lines
    kept = b"".join(data for _, data in cut).split(b"\n")
    assert kept[:100] == content.split(b"\n")[:100] and kept[101:] == [b"last"]
    assert len(kept[100]) < 200, "of a line longer than two pieces the middle is left out"


def test_values_left_out_are_blank_lines(tmp_path: Path) -> None:
    def given_rows() -> Iterator[tuple[int, bytes]]:
        yield from [(2, b'{"a":1}'), (3, b""), (6, b"{}")]
        raise Truncated("broken off")

    found: list[Piece] = []
    with pytest.raises(Truncated):
        found.extend(pieces_of_values(given_rows(), tmp_path))
    (piece,) = found
    assert piece.path.read_bytes() == b'{}\n{"a":1}\n{}\n{}\n{}\n{}\n'
    assert (piece.first, piece.lines, piece.blank) == (1, 6, 4)


@pytest.mark.parametrize("unreadable", [0, 3, 6000])
@pytest.mark.parametrize(
    "unclean",
    [
        request(1).replace("POST", "P\xffST").encode("latin-1"),
        request(1, errorMessage="a-b").replace("a-b", "a\rb").encode(),
    ],
)
def test_requests_that_only_unclean_bytes_make_unreadable_are_read(
    tmp_path: Path, unclean: bytes, unreadable: int
) -> None:
    parsed = parse("access_log", write(tmp_path / "a", request(0), *["x"] * unreadable, unclean))
    assert (parsed.rows, parsed.unparsed) == (2, unreadable)


def test_lines_of_a_cleaned_piece_are_found(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"a\xff\n\r\n" * 20 + b"b\n" * 20)
    with pytest.MonkeyPatch.context() as small:
        small.setattr(pieces, "CHUNK_BYTES", 9)
        (piece,) = pieces_of(path, tmp_path)
        clean = cleaned(piece)
        found = [line for number in range(1, 61) for line in lines_at(clean, [number])]
    assert len(piece.marks) > 10
    assert found == ["a\ufffd\n".encode(), b"{}\n"] * 20 + [b"b\n"] * 20


def test_a_cleaned_piece_has_the_same_lines(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"a\rb\r\n\xff\n\r\n \n{}\nlast")
    clean = cleaned(Piece(path, first=5, lines=6))
    assert clean.path.read_bytes().decode() == "a b\n\ufffd\n{}\n{}\n{}\nlast\n"
    assert (clean.first, clean.lines, clean.blank) == (5, 6, 2)


@given(
    lines=st.lists(st.binary(max_size=30).map(lambda text: text.replace(b"\n", b"")), min_size=1),
    chosen=st.sets(st.integers(0, 20)),
    first=st.integers(1, 1000),
)
def test_lines_are_found_by_their_numbers(
    new_folder: NewFolder, lines: list[bytes], chosen: set[int], first: int
) -> None:
    path = new_folder() / "a"
    path.write_bytes(b"\n".join(lines))
    numbers = sorted(first + index for index in chosen if index < len(lines))
    with pytest.MonkeyPatch.context() as small:
        small.setattr(pieces, "CHUNK_BYTES", 13)
        found = [*lines_at(Piece(path, first, len(lines)), numbers)]
    assert [line.rstrip(b"\n") for line in found] == [lines[number - first] for number in numbers]


@given(
    lines=st.lists(st.integers(1, 30).map(lambda size: b"x" * size), min_size=1),
    chosen=st.sets(st.integers(0, 20)),
)
def test_lines_of_a_piece_with_marks_are_found(
    new_folder: NewFolder, lines: list[bytes], chosen: set[int]
) -> None:
    folder = new_folder()
    numbered = [b"%d %s" % (number, line) for number, line in enumerate(lines, start=1)]
    (folder / "a").write_bytes(b"\n".join(numbered))
    with pytest.MonkeyPatch.context() as small:
        small.setattr(pieces, "CHUNK_BYTES", 13)
        small.setattr(pieces, "PIECE_BYTES", 200)
        for piece in pieces_of(folder / "a", folder):
            inside = range(piece.first, piece.first + piece.lines)
            numbers = sorted(n for index in chosen if (n := piece.first + index) in inside)
            found = [line.rstrip(b"\n") for line in lines_at(piece, numbers)]
            assert found == [numbered[number - 1] for number in numbers]
            assert len(piece.marks) > 1 or piece.path.stat().st_size <= 13


@pytest.mark.parametrize("filler", [b"\n", b" \t\r\n"])
def test_blank_lines_of_any_number_are_skipped_and_counted(tmp_path: Path, filler: bytes) -> None:
    first, last = request(0, status="502"), request(1, status="502")
    number = 3_000_000 // len(filler)
    path = tmp_path / "a.ndjson"
    path.write_bytes(first.encode() + b"\n" + filler * number + last.encode() + b"\n")
    cut = [(piece.first, piece.path.stat().st_size) for piece in pieces_of(path, tmp_path)]
    assert sum(size for _, size in cut) < 2 * pieces.CHUNK_BYTES + 1000
    parsed = parse("access_log", path)
    assert (parsed.rows, parsed.unparsed) == (2, 0)
    assert [row["line"] for row in rows(parsed, "failures")] == [1, number + 2]


def test_a_line_that_ends_in_a_blank_chunk_is_whole(tmp_path: Path) -> None:
    with pytest.MonkeyPatch.context() as small:
        small.setattr(pieces, "CHUNK_BYTES", 10)
        path = tmp_path / "a"
        path.write_bytes(b"0123456789" + b" \n" * 20 + b"   next\n")
        cut = [(piece.first, piece.path.read_bytes()) for piece in pieces_of(path, tmp_path)]
    assert cut == [(1, b"0123456789 \n"), (21, b"   next\n")]


def test_millions_of_unreadable_lines_are_counted_and_not_kept(tmp_path: Path) -> None:
    path = tmp_path / "a.ndjson"
    lines = [b"x"] * 2_000_000
    lines[1_000_000] = request(0, status="502").encode()
    path.write_bytes(request(0).encode() + b"\n" + b"\n".join(lines) + b"\n")
    with pytest.MonkeyPatch.context() as small:
        small.setattr(duckdb_session, "MEMORY_LIMIT", "160MB")
        parsed = parse("access_log", path)
    assert (parsed.rows, parsed.unparsed) == (2, 1_999_999)
    assert [row["line"] for row in rows(parsed, "failures")] == [1_000_002]

"""Lines, heads and documents of plain and gzipped files, whole and damaged."""

from __future__ import annotations

import gzip
import json
import time
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from incident_rca.errors import BadInput
from incident_rca.formats import lines as reading
from incident_rca.formats.lines import (
    HEAD_BYTES,
    Truncated,
    chunks_of,
    document_of,
    head_of,
    lines_of,
    repaired_copy,
)
from tests.formats.builders import write, write_gzip

NewFolder = Callable[[], Path]
CONTENT = st.lists(st.sampled_from([b"a", b"\n", b"\r\n", b"\x00", b"\xff", b" ", b"bc"])).map(
    b"".join
)


def split(content: bytes) -> list[bytes]:
    """The lines of a content by the plainest reading of "line"."""
    lines = content.split(b"\n")
    return [line.rstrip(b"\r") for line in (lines[:-1] if lines[-1] == b"" else lines)]


@settings(deadline=None)
@given(members=st.lists(CONTENT, min_size=1, max_size=4))
def test_lines_are_those_of_the_content(new_folder: NewFolder, members: list[bytes]) -> None:
    content = b"".join(members)
    plain = new_folder() / "a.txt"
    plain.write_bytes(content)
    assert list(lines_of(plain)) == split(content)
    assert list(lines_of(write_gzip(plain.with_suffix(".gz"), *members))) == split(content)


@settings(deadline=None)
@given(members=st.lists(st.binary(max_size=40), min_size=1, max_size=4), size=st.integers(1, 30))
def test_chunks_may_end_anywhere(new_folder: NewFolder, members: list[bytes], size: int) -> None:
    assume(not b"".join(members).startswith(b"\x1f\x8b"))  # gzip in gzip is unpacked
    path = write_gzip(new_folder() / "a.gz", *members)
    assert b"".join(chunks_of(path, size)) == b"".join(members)


@settings(deadline=None)
@given(members=st.lists(st.binary(min_size=1, max_size=40), min_size=1, max_size=4))
def test_what_was_compressed_twice_is_read(new_folder: NewFolder, members: list[bytes]) -> None:
    once = b"".join(gzip.compress(member) for member in members)
    content = b"".join(members)
    if not content.startswith(b"\x1f\x8b"):
        assert b"".join(chunks_of(write_gzip(new_folder() / "a.gz", once))) == content


def test_no_chunk_of_a_bomb_is_larger_than_asked(tmp_path: Path) -> None:
    zeros = 64 << 20
    sizes = [len(c) for c in chunks_of(write_gzip(tmp_path / "a.gz", bytes(zeros)), 1 << 16)]
    assert (max(sizes), sum(sizes)) == (1 << 16, zeros)


def test_padding_behind_the_last_member_is_no_content(tmp_path: Path) -> None:
    path = tmp_path / "a.gz"
    path.write_bytes(gzip.compress(b"one\ntwo\n") + b"\x00" * 512)
    assert list(lines_of(path)) == [b"one", b"two"]


@settings(deadline=None)
@given(
    members=st.lists(st.binary(max_size=40), min_size=1, max_size=4),
    zeros=st.integers(0, 60),
    size=st.integers(1, 30),
)
def test_padding_between_members_is_no_content(
    new_folder: NewFolder, members: list[bytes], zeros: int, size: int
) -> None:
    assume(not b"".join(members).startswith(b"\x1f\x8b"))
    path = new_folder() / "a.gz"
    path.write_bytes(b"".join(gzip.compress(member) + bytes(zeros) for member in members))
    with gzip.open(path) as file:
        assert b"".join(chunks_of(path, size)) == file.read() == b"".join(members)


@settings(deadline=None)
@given(zeros=st.integers(0, 40), size=st.integers(1, 30), between=st.sampled_from([b"x", b"\n{}"]))
def test_what_follows_a_member_and_is_none_is_told(
    new_folder: NewFolder, zeros: int, size: int, between: bytes
) -> None:
    unread = between + gzip.compress(b"three\n")
    path = new_folder() / "a.gz"
    path.write_bytes(gzip.compress(b"one\ntwo\n") + bytes(zeros) + unread)
    assert lines_before_damage(path) == [b"one", b"two"]
    found = bytearray()
    with pytest.raises(Truncated, match=f"^{len(unread)} bytes behind its last gzip member"):
        for chunk in chunks_of(path, size):
            found += chunk
    assert found == b"one\ntwo\n"


@settings(deadline=None)
@given(cut=st.integers(3, 400))
def test_what_stands_before_a_cut_is_given(new_folder: NewFolder, cut: int) -> None:
    lines = [f"{n * 7919 % 104729:x}".encode() for n in range(200)]
    whole = gzip.compress(b"\n".join(lines))
    path = new_folder() / "a.gz"
    path.write_bytes(whole[: min(cut, len(whole) - 1)])
    got = b"\n".join(lines_before_damage(path))
    assert b"\n".join(lines).startswith(got)


def lines_before_damage(path: Path) -> list[bytes]:
    found: list[bytes] = []
    lines = lines_of(path)
    with pytest.raises(Truncated):
        while True:
            found.append(next(lines))
    return found


def test_damage_in_the_middle_is_told(tmp_path: Path) -> None:
    content = bytearray(gzip.compress(bytes(range(256)) * 40))
    content[len(content) // 2] ^= 0xFF
    path = tmp_path / "a.gz"
    path.write_bytes(content)
    with pytest.raises(Truncated):
        list(lines_of(path))


@pytest.mark.parametrize("count", [1, 6, 300, 30_000, 200_000])
@pytest.mark.parametrize("place", [-8, -5, -4, -1], ids=lambda place: f"byte {place}")
def test_a_wrong_checksum_costs_no_line(tmp_path: Path, count: int, place: int) -> None:
    lines = [f"{n * 7919 % 104729:x} of {count}".encode() for n in range(count)]
    content = bytearray(gzip.compress(b"\n".join(lines)))
    content[place] ^= 0x01
    path = tmp_path / "a.gz"
    path.write_bytes(content)
    assert lines_before_damage(path) == lines
    assert head_of(path).lines[0] == lines[0]


@settings(deadline=None, max_examples=50)
@given(place=st.integers(20, 2_000), size=st.integers(1, 2_000))
def test_what_stands_before_damage_is_given(new_folder: NewFolder, place: int, size: int) -> None:
    """The second of two blocks is damaged where its kind is told, so all of the first is sound."""
    lines = b"".join(b"%x\n" % (n * 2654435761 % 2**32) for n in range(place))
    deflate = zlib.compressobj(wbits=31)
    sound = deflate.compress(lines) + deflate.flush(zlib.Z_FULL_FLUSH)
    path = new_folder() / "a.gz"
    path.write_bytes(sound + b"\xff" * 9)
    found = bytearray()
    with pytest.raises(Truncated, match="damaged"):
        for chunk in chunks_of(path, size):
            found += chunk
            # The first holds what a byte order mark is looked for in.
            assert len(chunk) <= size + 2
    assert found == lines


# --- heads --------------------------------------------------------------------------------------


def test_a_document_may_be_of_any_size(tmp_path: Path) -> None:
    document = {"data": ["x" * 1000] * (HEAD_BYTES // 500)}
    text = json.dumps(document).encode()
    assert head_of(write(tmp_path / "a.json", text)).document == document
    assert head_of(write_gzip(tmp_path / "a.json.gz", text)).document == document


def test_a_document_may_stand_on_many_lines(tmp_path: Path) -> None:
    document = {"data": {"values": [1.5, None] * (HEAD_BYTES // 8)}}
    path = write(tmp_path / "a.json", json.dumps(document, indent=2))
    assert head_of(path).document == document


def test_a_log_is_no_document(tmp_path: Path) -> None:
    long = [json.dumps({"n": n, "text": "x" * 90}).encode() for n in range(5000)]
    for lines in (long, long[:2]):
        head = head_of(write(tmp_path / "a.ndjson", *lines))
        assert head.document is None
        assert head.lines[:2] == tuple(long[:2])
        assert all(json.loads(line) for line in head.lines)


@pytest.mark.parametrize("content", [b"", b"\n\n", b"\x00" * 10, b"\xff\xfe{", b"[1]", b"7"])
def test_what_is_no_object_is_no_document(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a"
    path.write_bytes(content)
    assert head_of(path).document is None


@pytest.mark.parametrize("size", [1000, 3 * HEAD_BYTES])
def test_the_head_of_a_truncated_gzip_is_what_is_left_of_it(tmp_path: Path, size: int) -> None:
    noise = "\n".join(f"{n * 2654435761 % 2**32:x}" for n in range(size // 8)).encode()
    whole = gzip.compress(b'{"a": 1\n' + noise)
    path = tmp_path / "a.gz"
    path.write_bytes(whole[: len(whole) - 100])
    head = head_of(path)
    assert head.document is None
    assert head.lines[0] == b'{"a": 1'


# --- documents ----------------------------------------------------------------------------------


def test_half_a_document_is_refused(tmp_path: Path) -> None:
    text = json.dumps({"data": {"attributes": {"series": []}}}).encode()
    for content in (text[:-1], text[: len(text) // 2], b"[]", b"", text + text):
        path = tmp_path / "a.json"
        path.write_bytes(content)
        with pytest.raises(BadInput) as caught:
            document_of(path)
        assert "a.json" in caught.value.message and caught.value.hint


def test_a_truncated_gzip_document_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.json.gz"
    path.write_bytes(gzip.compress(json.dumps({"a": list(range(1000))}).encode())[:-30])
    with pytest.raises(BadInput):
        document_of(path)


def test_a_document_too_deep_to_read_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "a.json", b'{"a":' * 100_000 + b"1" + b"}" * 100_000)
    with pytest.raises(BadInput):
        document_of(path)


# --- repaired copies ----------------------------------------------------------------------------


@settings(deadline=None)
@given(
    lines=st.lists(
        st.binary(max_size=12).map(lambda b: b.replace(b"\n", b"")) | st.just(b"x" * 1_100_000),
        max_size=8,
    )
)
def test_a_repaired_copy_has_the_same_lines(new_folder: NewFolder, lines: list[bytes]) -> None:
    assume(not b"".join(lines[:1]).startswith(b"\x1f\x8b"))
    path = write(new_folder() / "a", *lines, last_end=bool(lines))
    copy, damage = repaired_copy(path, path.parent)
    content = copy.read_bytes()
    text = content.decode()
    assert not damage
    assert content.count(b"\n") == len(lines) == len(text.split("\n")) - 1
    assert "\r" not in text
    assert all(fresh for fresh in text.split("\n")[:-1])
    assert all(len(fresh) <= 1024 * 1024 for fresh in text.split("\n"))
    for given_line, fresh in zip(lines, text.split("\n"), strict=False):
        if given_line.isascii() and b"\r" not in given_line and given_line:
            assert given_line.decode().startswith(fresh)


def test_a_repaired_copy_tells_the_damage(tmp_path: Path) -> None:
    path = tmp_path / "a.gz"
    path.write_bytes(gzip.compress(b"one\n\n\xff\nfour")[:-8])
    copy, damage = repaired_copy(path, tmp_path)
    assert copy.read_text() == "one\n \n\ufffd\nfour\n"
    assert damage


# --- what is larger than anything recorded ------------------------------------------------------


def test_what_expands_as_no_log_does_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "FREELY_EXPANDED_BYTES", 1 << 20)
    once = gzip.compress(b"\n" * (8 << 20))
    bombs = (once, gzip.compress(once), gzip.compress(b"{" + b" " * (8 << 20)))
    for number, content in enumerate(bombs):
        path = tmp_path / f"{number}.gz"
        path.write_bytes(content)
        for read in (head_of, document_of, lambda path: list(lines_of(path))):
            if read is head_of and number < 2:
                continue  # It reads the first lines, and no further.
            with pytest.raises(BadInput, match="expands to more than 300 times"):
                read(path)


def test_what_is_as_uniform_as_a_log_can_be_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "FREELY_EXPANDED_BYTES", 0)
    beats = [f'{{"at": {n}, "counts": {[["app", "active", 3]] * 30}}}' for n in range(20_000)]
    content = "\n".join(beats).encode()
    path = write_gzip(tmp_path / "a.gz", content)
    assert len(content) > 50 * path.stat().st_size
    assert len(list(lines_of(path))) == len(beats)


def test_a_line_above_the_limit_stays_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "LONGEST_READ_BYTES", 3 << 20)
    path = write(tmp_path / "a", "before", "x" * (5 << 20), "y" * 100, "z" * (4 << 20))
    assert [len(line) for line in lines_of(path)] == [6, 3 << 20, 100, 3 << 20]


def test_a_long_line_is_not_copied_for_each_chunk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """That is 40 GB to copy for these 2 MB, which take no tenth of a second to join."""
    monkeypatch.setattr(reading, "chunks_of", lambda path: (b"x" * 50 for _ in range(40_000)))
    before = time.process_time()
    assert [len(line) for line in lines_of(tmp_path)] == [2_000_000]
    assert time.process_time() - before < 1


def test_a_document_above_the_limit_is_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "LARGEST_DOCUMENT_BYTES", 1 << 20)
    path = write(tmp_path / "a.json", json.dumps({"data": ["x"] * (1 << 19)}))
    assert head_of(path).document is None
    with pytest.raises(BadInput, match="is larger than 1 MiB"):
        document_of(path)

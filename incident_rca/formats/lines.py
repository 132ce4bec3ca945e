"""Lines and JSON documents out of plain or gzipped files, keeping what stands before any damage."""

from __future__ import annotations

import zlib
from codecs import BOM_UTF8
from collections.abc import Iterator, Mapping
from itertools import chain
from pathlib import Path
from typing import Any

from incident_rca.errors import BadInput
from incident_rca.formats.parsed import Head
from incident_rca.json_text import decode

HEAD_BYTES = 256 * 1024
LONGEST_LINE_BYTES = 1024 * 1024
# A line of the collector's file exporter holds a request, 4 MiB unless gRPC is told otherwise.
LONGEST_READ_BYTES = 32 * 1024 * 1024
# As much as is taken from a service (sources/http.py).
LARGEST_DOCUMENT_BYTES = 256 * 1024 * 1024
# A log in which only times and ids differ gives 63 times its bytes, a recording of one same state
# after the other 93 times; deflate can give 1,032 times, and what was compressed twice a million.
MOST_EXPANSION = 300
FREELY_EXPANDED_BYTES = 256 * 1024 * 1024
_GZIP_MAGIC = b"\x1f\x8b"
MOST_COMPRESSIONS = 2


class Truncated(Exception):
    """Raised behind the last good line of a file that ends too early."""


def chunks_of(path: Path, size: int = 1 << 20) -> Iterator[bytes]:
    """The decompressed bytes of a file, `size` at most at once; raises Truncated where gzip breaks.

    Raises BadInput where it expands as nothing does that was recorded. A log that CloudWatch sends
    is compressed by it, and again by a bucket's Firehose stream that compresses (Amazon CloudWatch
    Logs User Guide, "Log group-level subscription filters"). A byte order mark is left out.
    """
    with path.open("rb") as file:
        chunks: Iterator[bytes] = iter(lambda: file.read(size), b"")
        is_packed = False
        for _ in range(MOST_COMPRESSIONS):
            is_gzip, chunks = _looked_into(chunks)
            if not is_gzip:
                break
            is_packed = True
            chunks = _inflated(chunks, size)
        most = max(MOST_EXPANSION * path.stat().st_size, FREELY_EXPANDED_BYTES)
        given = 0
        for chunk in _without_mark(chunks):
            given += len(chunk)
            if is_packed and given > most:
                raise BadInput(
                    f"{path.name}: expands to more than {MOST_EXPANSION} times its size, which no "
                    "log does",
                    hint="is it the file you meant? If so, expand it and give it plain",
                )
            if chunk:
                yield chunk


def _without_mark(chunks: Iterator[bytes]) -> Iterator[bytes]:
    """What comes, without the byte order mark that editors and PowerShell put before UTF-8."""
    first = b""
    while len(first) < len(BOM_UTF8) and (chunk := next(chunks, b"")):
        first += chunk
    yield first.removeprefix(BOM_UTF8)
    yield from chunks


def _looked_into(chunks: Iterator[bytes]) -> tuple[bool, Iterator[bytes]]:
    """Whether what comes is gzip, and all of it."""
    first = b""
    while len(first) < len(_GZIP_MAGIC) and (chunk := next(chunks, b"")):
        first += chunk
    # An iterator lets go of what it has given; a list would stay until the end.
    return first.startswith(_GZIP_MAGIC), chain(iter((first,)), chunks)


def _inflated(chunks: Iterator[bytes], size: int) -> Iterator[bytes]:
    """What the gzip members hold that follow each other; zeros behind one are padding."""
    inflate = zlib.decompressobj(wbits=31)
    for chunk in chunks:
        rest, data = chunk, b""
        # A full answer may have left more behind, though all that was given is used up.
        while rest or (len(data) == size and not inflate.eof):
            if inflate.eof:
                rest = rest.lstrip(b"\0")
                if not rest:
                    break
                if not rest.startswith(_GZIP_MAGIC[:1]):
                    unread = len(rest) + sum(map(len, chunks))
                    raise Truncated(f"{unread:,} bytes behind its last gzip member were not read")
                inflate = zlib.decompressobj(wbits=31)
            # A call that fails gives nothing of what it had read until then.
            before = inflate.copy()
            try:
                data = inflate.decompress(rest, size)
            except zlib.error as error:
                yield from _before_damage(before, rest, size)
                raise Truncated(f"its gzip stream is damaged ({error})") from error
            rest = inflate.unused_data if inflate.eof else inflate.unconsumed_tail
            if data:
                yield data
    if not inflate.eof:
        raise Truncated("its gzip stream ends too early")


def _before_damage(inflate: zlib._Decompress, rest: bytes, size: int) -> Iterator[bytes]:
    """What can be read of `rest` up to its damage, in steps that are halved where one fails.

    All of it where only the checksum behind the last byte is wrong.
    """
    step, data = len(rest), b""
    while step and (rest or data):
        before = inflate.copy()
        try:
            data = inflate.decompress(rest[:step], size)
        except zlib.error:
            inflate, step = before, step // 2
            continue
        if data:
            yield data
        rest = inflate.unconsumed_tail + rest[step:]


def lines_of(path: Path) -> Iterator[bytes]:
    """The lines of a file without their ends, blank ones too; raises Truncated behind the last.

    A torn last line of a broken gzip stream is given as well: it is somebody's row, to be counted.
    So is one above 32 MiB, cut there.
    """
    rest: list[bytes] = []
    held = 0
    broken: Truncated | None = None
    chunks = chunks_of(path)
    while True:
        try:
            chunk = next(chunks, None)
        except Truncated as error:
            broken, chunk = error, None
        if chunk is None:
            break
        first, *others = chunk.split(b"\n")
        # In pieces, because a line that grew chunk by chunk would be copied for each.
        rest.append(first[: max(LONGEST_READ_BYTES - held, 0)])
        held += len(first)
        if not others:
            continue
        yield b"".join(rest).rstrip(b"\r")
        for line in others[:-1]:
            yield line.rstrip(b"\r")
        rest, held = [others[-1]], len(others[-1])
    if last := b"".join(rest):
        yield last.rstrip(b"\r")
    if broken:
        raise broken


def head_of(path: Path) -> Head:
    """The first lines of a file and, if it is one JSON object of any size, that object."""
    data, whole = b"", False
    chunks = chunks_of(path, 64 * 1024)
    try:
        for chunk in chunks:
            data += chunk
            if len(data) >= HEAD_BYTES:
                break
        else:
            whole = True
    except Truncated:
        whole = True
    lines = tuple(line for line in data.split(b"\n") if line.strip())
    if not whole and len(lines) > 1:
        lines = lines[:-1]
    if not data.lstrip().startswith(b"{") or (len(lines) > 1 and object_of(lines[0]) is not None):
        return Head(lines, None)
    try:
        text = data if whole else _bytes_of(path)
    except Truncated:
        return Head(lines, None)
    return Head(lines, None if text is None else object_of(text))


def _bytes_of(path: Path) -> bytes | None:
    """All that a file holds, None where that is more than a document may be."""
    data = bytearray()
    for chunk in chunks_of(path):
        data += chunk
        if len(data) > LARGEST_DOCUMENT_BYTES:
            return None
    return bytes(data)


def object_of(data: bytes) -> Mapping[str, Any] | None:
    """The JSON object of some bytes, or None."""
    try:
        value = decode(data)
    except ValueError:
        return None
    return value if isinstance(value, dict) else None


def document_of(path: Path) -> Mapping[str, Any]:
    """The JSON object that a file is; raises BadInput where it is half-written or none."""
    try:
        data = _bytes_of(path)
    except Truncated as error:
        raise BadInput(f"{path.name}: {error}", hint="fetch or copy the file again") from error
    if data is None:
        raise BadInput(
            f"{path.name}: is larger than {LARGEST_DOCUMENT_BYTES >> 20} MiB",
            hint="fetch it in parts: a narrower window, or fewer series at a time",
        )
    document = object_of(data)
    if document is None:
        raise BadInput(
            f"{path.name}: is no whole JSON object ({len(data)} bytes)",
            hint="fetch or copy the file again; a half-written answer proves nothing",
        )
    return document


def damage_of(path: Path) -> tuple[bool, str]:
    """Whether a file's line ends are uneven, and why its gzip stream is damaged ("" if not).

    Uneven: carriage returns that do not end each line. A reader that takes a bare one for a line's
    end would number all later lines wrongly.
    """
    returns = pairs = newlines = 0
    last = b""
    damage = ""
    try:
        for chunk in chunks_of(path):
            newlines += chunk.count(b"\n")
            pairs += last == b"\r" and chunk.startswith(b"\n")
            if b"\r" in chunk:
                returns += chunk.count(b"\r")
                pairs += chunk.count(b"\r\n")
            last = chunk[-1:]
    except Truncated as error:
        damage = str(error)
    return returns > 0 and not returns == pairs == newlines, damage


def clean_line(line: bytes) -> str:
    """A line as valid UTF-8 without carriage returns; of one above 1 MiB, its beginning."""
    return line[:LONGEST_LINE_BYTES].decode("utf-8", "replace").replace("\r", " ")


def repaired_copy(path: Path, work: Path) -> tuple[Path, str]:
    """A plain copy whose line numbers are those of `path`, and what was damaged ("" if nothing).

    Each line becomes valid UTF-8 without carriage returns; blank lines become one blank and lines
    above 1 MiB are cut (they stay one line and count as unparsed), so no reader renumbers them.
    """
    copy = work / "repaired.ndjson"
    damage = ""
    with copy.open("wb") as out:
        try:
            for line in lines_of(path):
                out.write((clean_line(line) or " ").encode() + b"\n")
        except Truncated as error:
            damage = str(error)
    return copy, damage

"""A log cut into pieces of whole lines, each a scratch file, so that what is held has a bound.

DuckDB counts lines but skips blank ones: a piece in which none is blank is numbered truly.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from io import BufferedReader, FileIO
from itertools import chain, count
from operator import attrgetter
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, NamedTuple

from incident_rca.formats.lines import Truncated, chunks_of, clean_line

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

# 32 of them are a gigabyte; larger ones are not parsed faster.
PIECE_BYTES = 32 * 1024 * 1024
# Larger ones are given back to the system and taken again, which costs more than to fill them.
CHUNK_BYTES = 256 * 1024
BLANK = b"{}\n"
_SPARE = "spare"
_END = ord("\n")


class Mark(NamedTuple):
    """A byte of a piece, and how many of its lines end before it."""

    offset: int
    ends: int


@dataclass(frozen=True, slots=True)
class Piece:
    """The lines of a log from number `first` on; `blank` of them are blank there and `{}` here.

    `marks` are places in it, and how many lines end before each.
    """

    path: Path
    first: int
    lines: int
    blank: int = 0
    marks: tuple[Mark, ...] = ()


@dataclass(frozen=True, slots=True)
class Part:
    """Bytes of a piece, whether they are its last, and how many blank lines then are in none."""

    data: bytes
    is_last: bool
    skipped: int = 0


def pieces_of(path: Path, work: Path) -> Iterator[Piece]:
    """The lines of a file as they are, so blank ones too; raises Truncated behind the last."""
    first = 1
    parts = _parts(path)
    for part in parts:
        skipped = part.skipped
        if part.data:
            piece, skipped = _piece(work / f"lines-{first}", first, chain((part,), parts))
            yield piece
            first += piece.lines
        first += skipped


def _piece(path: Path, first: int, parts: Iterable[Part]) -> tuple[Piece, int]:
    """The piece up to the first part that is a last one, and how many blank lines follow it."""
    import numpy as np

    ends, last, skipped = 0, b"", 0
    marks = []
    with _written_over(path) as out:
        for part in parts:
            marks.append(Mark(out.tell(), ends))
            out.write(part.data)
            ends += int(np.count_nonzero(_is_end(part.data)))
            last, skipped = part.data or last, part.skipped
            if part.is_last:
                break
    lines = ends + (not last.endswith(b"\n"))
    return Piece(path, first, lines, marks=tuple(marks)), skipped


def set_aside(piece: Piece) -> Path:
    """Where a piece now stands that is done with; the next one is written over it."""
    return piece.path.replace(piece.path.with_name(_SPARE))


@contextmanager
def _written_over(path: Path) -> Iterator[BinaryIO]:
    """A file to write, in place of the piece that was set aside last, if there is one.

    That takes a third of the time of a new file: the system has its pages at hand.
    """
    with suppress(FileNotFoundError):
        path.with_name(_SPARE).replace(path)
    path.touch()
    with path.open("r+b") as out:
        yield out
        out.truncate()


def _is_end(data: bytes) -> NDArray[np.bool_]:
    """Whether a line ends there, by byte; to count them takes a quarter of `bytes.count`."""
    import numpy as np

    return np.equal(np.frombuffer(data, dtype=np.uint8), _END)


def _parts(path: Path) -> Iterator[Part]:
    """Whole lines, of which PIECE_BYTES make a piece, each given as soon as it is read.

    Of a line longer than a piece the middle is left out. Blank lines that fill a chunk are
    skipped: they may be of any number, and are neither requests nor unreadable. A piece of no data
    is none.
    """
    size, last = 0, b""
    broken: Truncated | None = None
    chunks = chunks_of(path, CHUNK_BYTES)
    while broken is None:
        try:
            chunk = next(chunks, b"")
        except Truncated as error:
            broken, chunk = error, b""
        if not chunk:
            break
        end = chunk.rfind(b"\n") + 1
        if end and chunk.isspace():
            # Its first line end is that of a line which began before.
            begun = chunk.find(b"\n") + 1 if size and last != b"\n" else 0
            yield Part(chunk[:begun], is_last=True, skipped=chunk.count(b"\n", begun))
            size = 0
        elif end and size + end >= PIECE_BYTES:
            yield Part(chunk[:end], is_last=True)
            size = len(chunk) - end
            if size:
                yield Part(chunk[end:], is_last=False)
        elif end or size < 2 * PIECE_BYTES:
            yield Part(chunk, is_last=False)
            size += len(chunk)
        last = chunk[-1:]
    yield Part(b"", is_last=True)
    if broken is not None:
        raise broken


def cleaned(piece: Piece) -> Piece:
    """The same lines as valid UTF-8 without carriage returns, the blank ones counted as such."""
    clean = replace(piece, path=piece.path.with_suffix(".clean"), marks=())
    blank = 0
    with piece.path.open("rb", CHUNK_BYTES) as lines, clean.path.open("wb") as out:
        for line in lines:
            text = clean_line(line.rstrip(b"\r\n"))
            is_blank = not text.strip(" \t\v\f")
            blank += is_blank
            out.write(BLANK if is_blank else text.encode() + b"\n")
    return replace(clean, blank=blank)


def is_clean(texts: Iterable[bytes]) -> bool:
    """Whether `cleaned` would find nothing to do in them, which are no blank lines."""
    return all(text.isascii() and b"\r" not in text for text in texts)


def chunks_at(piece: Piece) -> Iterator[bytes]:
    """All that a piece holds."""
    with piece.path.open("rb") as file:
        yield from iter(lambda: file.read(CHUNK_BYTES), b"")


def lines_at(piece: Piece, numbers: Iterable[int]) -> Iterator[bytes]:
    """The lines with these numbers, which ascend."""
    read = 0
    with BufferedReader(piece.path.open("rb", buffering=0), CHUNK_BYTES) as file:
        for number in numbers:
            before = number - piece.first
            # Of a mark with just as many ends the line may have begun before.
            nearest = bisect_left(piece.marks, before, key=attrgetter("ends")) - 1
            if nearest >= 0 and piece.marks[nearest].ends > read:
                mark = piece.marks[nearest]
                file.seek(mark.offset)
                read = mark.ends
            _skip(file, before - read)
            yield file.readline()
            read = before + 1


def _skip(file: BufferedReader[FileIO], lines: int) -> None:
    """Reads on behind so many lines, a buffer at once, as Python takes each line by itself."""
    while lines and (ahead := file.peek()):
        ends = _is_end(ahead).nonzero()[0]
        file.read(len(ahead) if len(ends) < lines else int(ends[lines - 1]) + 1)
        lines -= min(len(ends), lines)


def pieces_of_values(rows: Iterable[tuple[int, bytes]], work: Path) -> Iterator[Piece]:
    """Rows of JSON by the line that they came from; raises Truncated behind the last.

    The numbers ascend; one that is left out is a blank line, as is an empty row.
    """
    held: list[bytes] = []
    size, blank, first, at = 0, 0, 1, 1
    broken: Truncated | None = None
    names = (work / f"values-{number}" for number in count())

    def written() -> Piece:
        path = next(names)
        with _written_over(path) as out:
            out.writelines(held)
        return Piece(path, first, at - first, blank)

    try:
        for number, row in rows:
            held += [BLANK] * (number - at)
            blank += number - at + (not row)
            held.append(row + b"\n" if row else BLANK)
            size += len(held[-1]) + (number - at) * len(BLANK)
            at = number + 1
            if size >= PIECE_BYTES:
                yield written()
                held, size, blank, first = [], 0, 0, at
    except Truncated as error:
        broken = error
    if held:
        yield written()
    if broken is not None:
        raise broken

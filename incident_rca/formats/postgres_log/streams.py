"""Which kind of server log a file is, and its records."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from itertools import islice
from pathlib import Path

from incident_rca.formats.lines import HEAD_BYTES, Truncated, chunks_of, lines_of, object_of
from incident_rca.formats.parsed import RawInput
from incident_rca.formats.postgres_log import columns, envelopes, stderr
from incident_rca.formats.postgres_log.prefixes import (
    PARTS,
    Prefix,
    compile_prefix,
    fields_of,
    general_fields,
    inferred,
    label_of,
)
from incident_rca.formats.postgres_log.records import Foreign, LogClock, Read, Record, Unreadable

_LOOKED_AT = 300
_FRACTION = re.compile(r"\d:\d\d\.\d")


class Kind(Enum):
    JSON = auto()
    CSV = auto()
    TEXT = auto()
    ENTRIES = auto()
    DOCUMENT = auto()


@dataclass(frozen=True, slots=True)
class Stream:
    """The records of a log in the order of its lines, and what its times can tell apart.

    Iterating raises Truncated behind the last record of a file that ends too early.
    """

    reads: Iterator[Read]
    resolution_seconds: float


def kind_of(lines: Sequence[bytes], prefix: Prefix | None = None) -> Kind | None:
    """The kind of log that begins with these lines, or None if it is no PostgreSQL log."""
    for line in lines[:_LOOKED_AT]:
        row = object_of(line) if line.lstrip().startswith(b"{") else None
        if row is None:
            continue
        if columns.is_json_record(row) or columns.is_wrapped_record(row):
            return Kind.JSON
        if _is_logged(envelopes.message_of(row), prefix):
            return Kind.ENTRIES
    if lines and lines[0].lstrip()[:1] in (b"{", b"["):
        entries = islice(envelopes.entries_of_document([b"\n".join(lines)]), _LOOKED_AT)
        if any(_is_logged(envelopes.message_of(entry), prefix) for _, entry in entries if entry):
            return Kind.DOCUMENT
    texts = [line.decode("utf-8", "replace") for line in lines[:_LOOKED_AT]]
    if any(map(columns.is_csv_start, texts)):
        for read in columns.read_csv(enumerate(texts, 1), LogClock()):
            if isinstance(read, Record) or (isinstance(read, Unreadable) and read.zone):
                return Kind.CSV
    return Kind.TEXT if any(_is_logged(text, prefix) for text in texts) else None


def _is_logged(text: str | None, prefix: Prefix | None) -> bool:
    """Whether a text begins as a line of PostgreSQL's: time, process, severity and two blanks."""
    if text is None or text.startswith("\t"):
        return False
    label = label_of(text)
    if label is None or label["label"] in PARTS:
        return False
    if prefix is not None and fields_of(prefix, text) is not None:
        return True
    return general_fields(text[: label.start()]) is not None and label["gap"] == "  "


def open_stream(raw: RawInput) -> Stream:
    """The records of a raw file; what is of no known kind is read as text.

    Raises BadInput for a `log_timezone` that is none.
    """
    clock = LogClock(raw.reading.get("log_timezone", ""))
    named = raw.reading.get("log_line_prefix", "")
    prefix = compile_prefix(named) if named else None
    match kind_of(_first_lines(raw.path), prefix):
        case Kind.JSON:
            return Stream(columns.read_json(_numbered(raw.path), clock), 0.001)
        case Kind.CSV:
            lines = (
                (n, line.decode("utf-8", "replace"))
                for n, line in enumerate(lines_of(raw.path), start=1)
            )
            return Stream(columns.read_csv(lines, clock), 0.001)
        case Kind.ENTRIES:
            return _wrapped(envelopes.entries_of_lines(_numbered(raw.path)), prefix, clock)
        case Kind.DOCUMENT:
            return _wrapped(envelopes.entries_of_document(chunks_of(raw.path)), prefix, clock)
        case _:
            text = ((n, line.decode("utf-8", "replace")) for n, line in _numbered(raw.path))
            return _of_text(text, prefix, clock)


def _wrapped(entries: Iterable[envelopes.Entry], prefix: Prefix | None, clock: LogClock) -> Stream:
    foreign: list[Read] = []
    stream = _of_text(_known(envelopes.texts_of(entries), foreign), prefix, clock)

    def with_foreign() -> Iterator[Read]:
        for read in stream.reads:
            yield from foreign
            foreign.clear()
            yield read
        yield from foreign

    return Stream(with_foreign(), stream.resolution_seconds)


def _known(
    texts: Iterable[tuple[int, str | None]], foreign: list[Read]
) -> Iterator[tuple[int, str]]:
    for number, text in texts:
        if text is None:
            foreign.append(Foreign(number))
        else:
            yield number, text


def _of_text(lines: Iterable[tuple[int, str]], prefix: Prefix | None, clock: LogClock) -> Stream:
    source, ahead = iter(lines), list[tuple[int, str]]()
    broken: Truncated | None = None
    try:
        ahead.extend(islice(source, _LOOKED_AT))
    except Truncated as error:
        broken = error

    def everything() -> Iterator[tuple[int, str]]:
        yield from ahead
        if broken is not None:
            raise broken
        yield from source

    prefix = prefix or inferred(text for _, text in ahead)
    if prefix is not None:
        resolution = prefix.resolution_seconds
    else:
        resolution = 0.001 if any(_FRACTION.search(text[:200]) for _, text in ahead) else 1.0
    return Stream(stderr.read(everything(), prefix, clock), resolution)


def _first_lines(path: Path) -> list[bytes]:
    data = b""
    try:
        for chunk in chunks_of(path, 64 * 1024):
            data += chunk
            if len(data) >= HEAD_BYTES:
                break
    except Truncated:
        pass
    return [line for line in data.split(b"\n") if line.strip()]


def _numbered(path: Path) -> Iterator[tuple[int, bytes]]:
    """The lines that are not empty; a tab alone is an empty line of a statement."""
    return (
        (n, line)
        for n, line in enumerate(lines_of(path), start=1)
        if line.strip() or line[:1] == b"\t"
    )

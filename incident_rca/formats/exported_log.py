"""Access logs as they come to S3: unwrapped into plain lines, which are read as an access log.

An export task writes `<time of the event> <message>` a line (Amazon CloudWatch Logs User Guide,
"Exporting log data to Amazon S3"). Firehose writes each record as it came, without a line's end of
its own (Amazon Data Firehose developer guide, "Configure the destination"), so that JSON objects
may follow each other on one line.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

from incident_rca.formats import access_log
from incident_rca.formats.lines import Truncated, chunks_of, lines_of, object_of
from incident_rca.formats.parsed import Format, Head, Parsed, RawInput
from incident_rca.model import System

LONGEST_OBJECT_BYTES = 16 * 1024 * 1024
# A `}{` may stand inside of a text; what is no object after so many of them is torn.
MOST_PIECES = 16
HEAD_LINES = 50
_STAMP = re.compile(rb"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:?\d\d) ")
# A little junk between two objects costs the second one only, and not both.
_END_OF_PIECE = re.compile(rb"\n|\}(?=[^\"{}\[\],:\n]{0,16}\{)")


def recognises(head: Head) -> bool:
    """Whether the first lines are an access log behind a time that an export task put there."""
    stamped = [line for line in head.lines[:HEAD_LINES] if _STAMP.match(line)]
    return bool(stamped) and access_log.recognises(
        Head(tuple(_without_stamp(line) for line in stamped), None)
    )


def parse(raw: RawInput) -> Parsed:
    """The access log without the times of its events; each line keeps its number.

    A line without such a time (the rest of a message of several lines) is left as it is.
    """
    return _parse_unwrapped(raw, (_without_stamp(line) for line in lines_of(raw.path)))


def recognises_concatenated(head: Head) -> bool:
    """Whether one of the first lines is several JSON objects of an access log, not just one."""
    for line in head.lines[:HEAD_LINES]:
        if line.startswith(b"{") and object_of(line) is None:
            found = tuple(objects_in([line]))
            if len(found) > 1 and access_log.recognises(Head(found, None)):
                return True
    return False


def parse_concatenated(raw: RawInput) -> Parsed:
    """The access log that the objects are; the number of a row is that of its object."""
    return _parse_unwrapped(raw, objects_in(chunks_of(raw.path)))


def objects_in(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Each JSON object of a text in which nothing but blanks need stand between them.

    What is none is given as well, up to the next object or line's end: it is somebody's row.

    >>> list(objects_in([b'{"a": "}{"}{"b', b'": 2}\\n{"c": {"d": {}', b'{"e": 5}']))
    [b'{"a": "}{"}', b'{"b": 2}', b'{"c": {"d": {}', b'{"e": 5}']
    """
    pending: list[bytes] = []
    for piece in _pieces(chunks):
        pending.append(piece)
        if object_of(b"".join(pending)) is not None:
            yield b"".join(pending).strip()
            pending = []
        elif object_of(piece) is not None:
            yield b"".join(pending[:-1]).strip()
            yield piece.strip()
            pending = []
        elif len(pending) >= MOST_PIECES or piece.endswith(b"\n"):
            if torn := b"".join(pending).strip():
                yield torn
            pending = []
    if torn := b"".join(pending).strip():
        yield torn


def _pieces(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """The text cut behind each line's end, and between `}` and `{`; raises what `chunks` raises."""
    rest = b""
    broken: Truncated | None = None
    source = iter(chunks)
    while broken is None:
        try:
            chunk = next(source, None)
        except Truncated as error:
            broken, chunk = error, None
        if chunk is None:
            break
        data, start = rest + chunk, 0
        for end in _END_OF_PIECE.finditer(data):
            yield data[start : end.end()]
            start = end.end()
        rest = data[start:]
        if len(rest) > LONGEST_OBJECT_BYTES:
            yield rest
            rest = b""
    if rest:
        yield rest
    if broken is not None:
        raise broken


def _without_stamp(line: bytes) -> bytes:
    stamp = _STAMP.match(line)
    return line[stamp.end() :] if stamp else line


def _parse_unwrapped(raw: RawInput, lines: Iterator[bytes]) -> Parsed:
    plain = raw.work / "unwrapped.log"
    try:
        damage = _write(plain, lines)
        parsed = access_log.parse(replace(raw, path=plain))
    finally:
        plain.unlink(missing_ok=True)
    return replace(parsed, damage=damage or parsed.damage)


def _write(path: Path, lines: Iterator[bytes]) -> str:
    """Writes the lines and says what was damaged ("" if nothing); a blank line stays a line."""
    with path.open("wb") as out:
        try:
            for line in lines:
                out.write((line or b" ") + b"\n")
        except Truncated as error:
            return str(error)
    return ""


FORMAT = Format(
    kind="exported_log",
    system=System.GATEWAY,
    title="API Gateway access log, exported by CloudWatch Logs: the event's time before each line",
    recognises=recognises,
    parse=parse,
    cannot_show=access_log.FORMAT.cannot_show,
)
CONCATENATED = Format(
    kind="concatenated_log",
    system=System.GATEWAY,
    title="API Gateway access log, JSON objects without line ends: rows are numbered by object",
    recognises=recognises_concatenated,
    parse=parse_concatenated,
    cannot_show=f"{access_log.FORMAT.cannot_show}; its rows are numbered by object, not by line",
)

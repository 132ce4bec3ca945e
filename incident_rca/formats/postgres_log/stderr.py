"""Plain text logs -> records, whose lines are joined by process.

elog.c writes the prefix again before DETAIL, HINT, QUERY, CONTEXT and STATEMENT, and a tab behind
each line end inside a text; so a statement with `\\nLOG:  …` in it can forge no record. Where no
collector writes the log, lines of other processes may stand between those of one record.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

from incident_rca.formats.parsed import sane_instant
from incident_rca.formats.postgres_log.prefixes import (
    PARTS,
    Prefix,
    fields_of,
    general_fields,
    label_of,
)
from incident_rca.formats.postgres_log.records import (
    LogClock,
    Read,
    Record,
    UnknownZone,
    Unreadable,
    pid_of,
    severity_of,
)

# How many lines a record waits for more of its process.
WINDOW_LINES = 200
LONGEST_TEXT = 1 << 20


@dataclass(slots=True)
class _Open:
    """A record while its lines arrive."""

    line: int
    word: str
    fields: Mapping[str, str]
    touched: int
    parts: dict[str, list[str]] = field(default_factory=dict)
    size: int = 0
    is_closed: bool = False
    localised: str = ""
    part: str = "message"

    def add(self, part: str, text: str) -> None:
        self.part = part
        self.size += len(text)
        if self.size <= LONGEST_TEXT:
            self.parts.setdefault(part, []).append(text)


def read(
    lines: Iterable[tuple[int, str]], prefix: Prefix | None, clock: LogClock
) -> Iterator[Read]:
    """The records in their order; unreadable are lines before the first, and blocks of NULs.

    Without a prefix each line must have a time and a process id somewhere before its label.
    """
    order: deque[_Open] = deque()
    by_process: dict[str, _Open] = {}
    last: _Open | None = None
    for count, (number, line) in enumerate(lines):
        if "\0" in line:
            # No text of PostgreSQL's has one: a crash left this block, and lines with it.
            last = None
            yield Unreadable(number)
            continue
        start = None if line.startswith("\t") else _start_of(line, prefix)
        if start is None:
            if last is None:
                if line.strip():
                    yield Unreadable(number)
            else:
                last.add(last.part, line.removeprefix("\t"))
                last.touched = count
            continue
        word, fields, text = start
        process = fields.get("p") or fields.get("c") or ""
        known = by_process.get(process)
        part = severity_of(word)[0] if word not in PARTS else word
        if part in PARTS and known is None:
            # Its record is not in the file, and belongs to no other.
            last = None
            yield Unreadable(number)
            continue
        if part in PARTS and known is not None:
            known.add(part, text)
            known.localised = known.localised or severity_of(word)[1]
            last = known
        else:
            if known:
                known.is_closed = True
            last = by_process[process] = _Open(number, word, fields, count)
            last.add("message", text)
            order.append(last)
        last.touched = count
        while order and (order[0].is_closed or count - order[0].touched > WINDOW_LINES):
            yield _finished(order.popleft(), by_process, clock)
    while order:
        yield _finished(order.popleft(), by_process, clock)


def _start_of(line: str, prefix: Prefix | None) -> tuple[str, Mapping[str, str], str] | None:
    """The label, fields and text of a line that begins with a prefix."""
    if prefix is not None:
        found = fields_of(prefix, line)
        return (found[0]["label"], found[1], line[found[0].end() :]) if found else None
    label = label_of(line)
    fields = general_fields(line[: label.start()]) if label else None
    return (label["label"], fields, line[label.end() :]) if label and fields else None


def _finished(record: _Open, by_process: dict[str, _Open], clock: LogClock) -> Read:
    process = record.fields.get("p") or record.fields.get("c") or ""
    if by_process.get(process) is record:
        del by_process[process]
    try:
        return _record(record, clock)
    except UnknownZone as error:
        return Unreadable(record.line, error.zone)
    except (ValueError, OverflowError, OSError):
        return Unreadable(record.line)


def _record(record: _Open, clock: LogClock) -> Record:
    fields = record.fields
    severity, localised = severity_of(record.word)
    parts = {name: "\n".join(texts) for name, texts in record.parts.items()}
    begun, _, pid = fields.get("c", "").partition(".")
    session_start = None
    if begun:
        session_start = sane_instant(datetime.fromtimestamp(int(begun, 16), UTC))
    elif fields.get("s"):
        session_start = clock.instant(fields["s"])
    return Record(
        line=record.line,
        at=_instant(fields, clock),
        severity=severity,
        message=parts.pop("message", ""),
        pid=pid_of(fields["p"]) if fields.get("p") else (pid_of(int(pid, 16)) if pid else None),
        sqlstate=fields.get("e", "").replace("00000", ""),
        detail=parts.get("DETAIL", ""),
        context=parts.get("CONTEXT", ""),
        statement=parts.get("STATEMENT", ""),
        session_start=session_start,
        user=_name(fields.get("u")),
        database=_name(fields.get("d")),
        application=_name(fields.get("a")),
        backend_type=fields.get("b", ""),
        localised=localised or record.localised,
    )


def _instant(fields: Mapping[str, str], clock: LogClock) -> datetime:
    """The time of a record; raises ValueError for a prefix that has none."""
    if fields.get("n"):
        return sane_instant(datetime.fromtimestamp(float(fields["n"]), UTC))
    return clock.instant(fields.get("m") or fields.get("t") or "")


def _name(text: str | None) -> str | None:
    """A name; elog.c writes `[unknown]` for an empty one."""
    return None if not text or text == "[unknown]" else text

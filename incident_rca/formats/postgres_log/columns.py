"""csvlog, jsonlog and CloudNativePG's JSON of csvlog -> records.

PostgreSQL documentation, "Error Reporting and Logging": csvlog has 23 columns in version 12, 24 in
13 (backend_type) and 26 since 14 (leader_pid, query_id); jsonlog is of 15. CloudNativePG writes a
record of csvlog as `{"logger": "postgres", "record": {COLUMN: TEXT, …}}`.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from incident_rca.formats.postgres_log.records import (
    Foreign,
    LogClock,
    Read,
    Record,
    UnknownZone,
    Unreadable,
    pid_of,
    severity_of,
)
from incident_rca.json_text import decode

CSV_COLUMNS = (
    *("log_time", "user_name", "database_name", "process_id", "connection_from", "session_id"),
    *("session_line_num", "command_tag", "session_start_time", "virtual_transaction_id"),
    *("transaction_id", "error_severity", "sql_state_code", "message", "detail", "hint"),
    *("internal_query", "internal_query_pos", "context", "query", "query_pos", "location"),
    *("application_name", "backend_type", "leader_pid", "query_id"),
)
CSV_WIDTHS = frozenset({23, 24, 26})
_CSV_START = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3} [A-Za-z0-9+:-]{1,9},")
# A row that is longer was torn: PostgreSQL cuts no statement, but nobody sends one of this size.
LONGEST_ROW = 4 << 20
_NAME_OF_JSON: Mapping[str, str] = {
    "log_time": "timestamp",
    "user_name": "user",
    "database_name": "dbname",
    "process_id": "pid",
    "session_start_time": "session_start",
    "sql_state_code": "state_code",
    "query": "statement",
}


def is_csv_start(line: str) -> bool:
    """Whether a line begins as a row of csvlog does."""
    return bool(_CSV_START.match(line))


def is_json_record(row: Mapping[str, Any]) -> bool:
    """Whether an object is a record of jsonlog."""
    return row.keys() >= {"timestamp", "error_severity", "message"}


def is_wrapped_record(row: Mapping[str, Any]) -> bool:
    """Whether an object is CloudNativePG's of a record."""
    record = row.get("record")
    return (
        row.get("logger") == "postgres"
        and isinstance(record, dict)
        and record.keys() >= {"log_time", "error_severity", "message"}
    )


def read_json(lines: Iterable[tuple[int, bytes]], clock: LogClock) -> Iterator[Read]:
    """The records of jsonlog, or of CloudNativePG's log, in which other programs write too."""
    for number, line in lines:
        try:
            row = decode(line)
            if "logger" in row and not is_json_record(row):
                yield _wrapped(number, row, clock)
            else:
                yield _record(number, {c: row.get(_NAME_OF_JSON.get(c, c)) for c in _USED}, clock)
        except UnknownZone as error:
            yield Unreadable(number, error.zone)
        except (KeyError, TypeError, ValueError, OverflowError, AttributeError):
            yield Unreadable(number)


def _wrapped(number: int, row: Mapping[str, Any], clock: LogClock) -> Read:
    if row["logger"] != "postgres" or not isinstance(row.get("record"), dict):
        return Foreign(number)
    return _record(number, row["record"], clock)


_USED = (
    *("log_time", "user_name", "database_name", "process_id", "session_start_time"),
    *("error_severity", "sql_state_code", "message", "detail", "context", "query"),
    *("application_name", "backend_type"),
)


def _record(number: int, row: Mapping[str, Any], clock: LogClock) -> Record:
    """Raises ValueError or TypeError where the row has no time, severity or message."""
    severity, localised = severity_of(str(row["error_severity"]))
    if not severity or row.get("message") is None:
        raise ValueError("no severity")
    session_start, pid = row.get("session_start_time"), row.get("process_id")
    return Record(
        line=number,
        at=clock.instant(_text_of(row["log_time"])),
        severity=severity,
        message=str(row["message"]),
        pid=pid_of(pid) if pid not in (None, "") else None,
        sqlstate=str(row.get("sql_state_code") or "").replace("00000", ""),
        detail=str(row.get("detail") or ""),
        context=str(row.get("context") or ""),
        statement=str(row.get("query") or ""),
        session_start=clock.instant(_text_of(session_start)) if session_start else None,
        user=_name(row.get("user_name")),
        database=_name(row.get("database_name")),
        application=_name(row.get("application_name")),
        backend_type=str(row.get("backend_type") or ""),
        localised=localised,
    )


def _text_of(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError("a time is a text")
    return value


def _name(value: object) -> str | None:
    return str(value) if value else None


def read_csv(lines: Iterable[tuple[int, str]], clock: LogClock) -> Iterator[Read]:
    """The rows of csvlog, whose quoted texts may have several lines.

    Of a torn row each line that begins no row is unreadable with it, so the next row is found.
    """
    source = iter(lines)
    waiting: deque[tuple[int, str]] = deque()
    while True:
        first = _next(waiting, source)
        if first is None:
            return
        if not first[1].strip():
            continue
        taken = [first]
        size, quotes = len(first[1]), first[1].count('"')
        while quotes % 2 and size < LONGEST_ROW and (more := _next(waiting, source)):
            taken.append(more)
            size += len(more[1])
            quotes += more[1].count('"')
        try:
            yield _csv_record(taken, clock)
        except UnknownZone as error:
            yield Unreadable(first[0], error.zone)
        except (ValueError, OverflowError):
            yield Unreadable(first[0])
            _give_back(taken, waiting)


def _next(
    waiting: deque[tuple[int, str]], source: Iterator[tuple[int, str]]
) -> tuple[int, str] | None:
    return waiting.popleft() if waiting else next(source, None)


def _give_back(taken: list[tuple[int, str]], waiting: deque[tuple[int, str]]) -> None:
    """What was read behind a torn row from the next line on that begins a row."""
    for index in range(1, len(taken)):
        if is_csv_start(taken[index][1]):
            waiting.extendleft(reversed(taken[index:]))
            return


def _csv_record(taken: list[tuple[int, str]], clock: LogClock) -> Record:
    number, first = taken[0]
    if not is_csv_start(first):
        raise ValueError("no row begins so")
    text = first if len(taken) == 1 else "\n".join(line for _, line in taken)
    row = _fields_of(text)
    if len(row) not in CSV_WIDTHS:
        raise ValueError(f"{len(row)} columns")
    return _record(number, dict(zip(CSV_COLUMNS, row, strict=False)), clock)


# The csv module of the standard library refuses texts above 128 KiB, which statements may be.
_FIELD = re.compile(r'(?:"(?P<quoted>[^"]*+(?:""[^"]*+)*+)"|(?P<bare>[^",]*+))(?P<end>,|\Z)')


def _fields_of(text: str) -> list[str]:
    """The fields of a row; raises ValueError where a quote is not closed or stands inside."""
    fields: list[str] = []
    end = ","
    at = 0
    while end:
        match = _FIELD.match(text, at)
        if match is None:
            raise ValueError("no row of CSV")
        quoted, end, at = match["quoted"], match["end"], match.end()
        fields.append(match["bare"] if quoted is None else quoted.replace('""', '"'))
    return fields

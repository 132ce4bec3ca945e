"""PostgreSQL's jsonlog (log_destination 'jsonlog', version 15+) -> `locks` and `server_events`.

`log_lock_waits` writes one line when a wait passes deadlock_timeout, and names in its DETAIL every
process with a granted lock there, conflicting or not (proc.c has no conflict filter). So a named
process is a candidate: it counts as holder only if it is named in every DETAIL of that lock and the
mode of a statement it logged conflicts with the waiters' mode.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from incident_rca.formats.lines import Truncated, decode, lines_of, object_of
from incident_rca.formats.parsed import (
    Format,
    Head,
    Parsed,
    RawInput,
    frame_of,
    utc_instant,
    window_of,
)
from incident_rca.lock_modes import conflicts, mode_of_statement
from incident_rca.model import System
from incident_rca.redact import redact_sql

Row = dict[str, Any]

_WAIT = re.compile(
    r"process (?P<pid>\d+) (?P<verb>still waiting for|acquired) (?P<mode>\w+) on "
    r"(?P<object>.+?) after (?P<ms>\d{1,12}(?:\.\d+)?) ms(?: at character \d+)?"
)
_RELATION = re.compile(r"relation (?P<relation>\d+) of database (?P<database>\d+)")
_HOLDERS = re.compile(r"Process(?:es)? holding the lock: (?P<pids>\d+(?:, \d+)*)\.")
_DURATION = re.compile(
    r"duration: (?P<ms>\d{1,12}(?:\.\d+)?) ms(?:\s+(?:statement|execute[^:]*): (?P<sql>.*))?", re.S
)
_STATEMENT = re.compile(r"(?:statement|execute[^:]*): (?P<sql>.*)", re.S)
_KIND_BY_SQLSTATE = {
    "57P01": "terminated",
    "57014": "cancelled",
    "55P03": "lock_timeout",
    "40P01": "deadlock",
}
_NAME = r"(?P<name>\"?[a-z_][\w$]*\"?(?:\.\"?[a-z_][\w$]*\"?)?)"
# Every place where a statement names a table; a function behind FROM has a parenthesis.
_TABLES_OF = (
    re.compile(rf"\b(?:insert\s+into|delete\s+from|truncate(?:\s+table)?)\s+{_NAME}", re.I),
    re.compile(rf"\b(?<!for\s)update\s+(?:only\s+)?{_NAME}\s+(?:as\s+)?(?:\w+\s+)?set\b", re.I),
    re.compile(rf"\b(?:from|join|using)\s+(?:only\s+)?{_NAME}(?!\s*[\w$.]*\s*\()", re.I),
    re.compile(rf"\bcreate\s+(?:unique\s+)?index\b.*?\bon\s+(?:only\s+)?{_NAME}", re.I | re.S),
    re.compile(rf"\balter\s+table\s+(?:if\s+exists\s+)?(?:only\s+)?{_NAME}", re.I),
    re.compile(rf"\block\s+table\s+(?:only\s+)?{_NAME}", re.I),
)
_NO_TABLES = frozenset({"only", "select", "lateral", "table", "skip", "nowait"})
LARGEST_PID = 2**31 - 1
_OFFSET = re.compile(r"(?P<stamp>.+?) (?P<offset>[+-]\d\d(?::?\d\d)?)")


@dataclass(slots=True)
class _Wait:
    """One wait of a process for a lock; its end is known if it was granted or broken off."""

    line: int
    pid: int
    application: str | None
    database: str | None
    mode: str
    object: str
    start: datetime
    statement: str
    candidates: frozenset[int] | None = None
    end: datetime | None = None
    end_line: int | None = None


@dataclass(slots=True)
class _Reading:
    waits: dict[tuple[int, str], _Wait] = field(default_factory=dict)
    ended: list[_Wait] = field(default_factory=list)
    events: list[Row] = field(default_factory=list)
    statements: dict[int, list[Row]] = field(default_factory=dict)
    first: datetime | None = None
    last: datetime | None = None
    records: int = 0
    unparsed: int = 0


def recognises(head: Head) -> bool:
    """Whether one of the first lines is a jsonlog record."""
    for line in head.lines[:20]:
        row = object_of(line)
        if row is not None and row.keys() >= {"timestamp", "error_severity", "message"}:
            return True
    return False


def parse(raw: RawInput) -> Parsed:
    """The waits with the holder that the log proves, and what else the server said."""
    reading = _Reading()
    damage = ""
    try:
        for number, line in enumerate(lines_of(raw.path), start=1):
            if line.strip():
                _read_line(reading, number, line)
    except Truncated as error:
        damage = str(error)
    waits = [*reading.ended, *reading.waits.values()]
    instants = [i for i in (reading.first, reading.last) if i is not None]
    return Parsed(
        frames={
            "locks": frame_of("locks", _edges(waits, reading), raw),
            "server_events": frame_of("server_events", reading.events, raw),
        },
        rows=reading.records,
        unparsed=reading.unparsed,
        covered=window_of(instants),
        resolution_seconds=0.001,
        query=raw.query,
        damage=damage,
    )


def _read_line(reading: _Reading, number: int, line: bytes) -> None:
    """One record; whatever a forged or torn line holds, it is counted and the next one is read."""
    try:
        record = decode(line)
        at = _instant(record["timestamp"])
        _read_record(reading, number, at, record)
    except (KeyError, TypeError, ValueError, OverflowError, AttributeError):
        reading.unparsed += 1
        return
    reading.records += 1
    reading.first = min(reading.first or at, at)
    reading.last = max(reading.last or at, at)


def _read_record(reading: _Reading, number: int, at: datetime, record: Mapping[str, Any]) -> None:
    message = str(record["message"])
    if not 0 <= int(record.get("pid") or 0) <= LARGEST_PID:
        raise ValueError("no process id")
    wait = _WAIT.match(message)
    if wait:
        _read_wait(reading, number, at, wait, record)
    elif record["error_severity"] in ("ERROR", "FATAL", "PANIC"):
        _read_error(reading, number, at, record)
    else:
        _read_statement(reading, number, at, message, record)


def _instant(text: str) -> datetime:
    """A log timestamp; a zone abbreviation other than UTC or GMT is refused, not guessed."""
    stamp, _, zone = text.rpartition(" ")
    if zone in ("UTC", "GMT"):
        return datetime.fromisoformat(stamp).replace(tzinfo=UTC)
    offset = _OFFSET.fullmatch(text)
    return utc_instant(offset["stamp"] + offset["offset"] if offset else text)


def _read_wait(
    reading: _Reading, number: int, at: datetime, wait: re.Match[str], record: Mapping[str, Any]
) -> None:
    pid, key = int(wait["pid"]), (int(wait["pid"]), wait["object"])
    waited = timedelta(milliseconds=float(wait["ms"]))
    known = reading.waits.get(key)
    if known is None:
        known = _Wait(
            line=number,
            pid=pid,
            application=record.get("application_name"),
            database=record.get("dbname"),
            mode=wait["mode"],
            object=wait["object"],
            start=at - waited,
            statement=str(record.get("statement", "")),
        )
        reading.waits[key] = known
    detail = _HOLDERS.search(str(record.get("detail", "")))
    if detail:
        named = frozenset(int(p) for p in detail["pids"].split(","))
        known.candidates = named if known.candidates is None else known.candidates & named
    if wait["verb"] == "acquired":
        known.end, known.end_line = at, number
        reading.ended.append(reading.waits.pop(key))


def _read_error(reading: _Reading, number: int, at: datetime, record: Mapping[str, Any]) -> None:
    pid = record.get("pid")
    for key in [key for key in reading.waits if key[0] == pid]:
        reading.waits[key].end, reading.waits[key].end_line = at, number
        reading.ended.append(reading.waits.pop(key))
    sqlstate = str(record.get("state_code", ""))
    _add_event(reading, number, at, record, _KIND_BY_SQLSTATE.get(sqlstate, "error"))


def _read_statement(
    reading: _Reading, number: int, at: datetime, message: str, record: Mapping[str, Any]
) -> None:
    """A statement that log_statement printed, or its duration; each closes or opens a hold."""
    duration, statement = _DURATION.fullmatch(message), _STATEMENT.match(message)
    pid = int(record.get("pid") or 0)
    if duration:
        spent = timedelta(milliseconds=float(duration["ms"]))
        begun = [s for s in reading.statements.get(pid, []) if s["until"] is None]
        sql = duration["sql"] or (begun[-1]["sql"] if begun else "")
        if begun:
            begun[-1]["until"] = at
        elif sql:
            _remember(reading, pid, record, sql, at - spent, at)
        _add_event(reading, number, at, record, "finished", sql, float(duration["ms"]))
    elif statement:
        _remember(reading, pid, record, statement["sql"], at, None)
        _add_event(reading, number, at, record, "ddl", statement["sql"])


def _remember(
    reading: _Reading,
    pid: int,
    record: Mapping[str, Any],
    sql: str,
    since: datetime,
    until: datetime | None,
) -> None:
    reading.statements.setdefault(pid, []).append(
        {
            "sql": sql,
            "since": since,
            "until": until,
            "mode": mode_of_statement(sql),
            "application": record.get("application_name"),
        }
    )


def _add_event(
    reading: _Reading,
    number: int,
    at: datetime,
    record: Mapping[str, Any],
    kind: str,
    statement: str = "",
    duration_ms: float | None = None,
) -> None:
    text = " ".join(str(record[key]) for key in ("message", "detail") if record.get(key))
    reading.events.append(
        {
            "line": number,
            "at": at,
            "kind": kind,
            "pid": record.get("pid"),
            "application": record.get("application_name"),
            "database": record.get("dbname"),
            "sqlstate": record.get("state_code"),
            "statement": redact_sql(statement or str(record.get("statement", ""))),
            "message": "" if kind in ("ddl", "finished") else text,
            "duration_ms": duration_ms,
        }
    )


def _edges(waits: Iterable[_Wait], reading: _Reading) -> list[Row]:
    """One row a wait and proven holder, and one `none` row a process that was only named."""
    by_object: dict[str, list[_Wait]] = {}
    for wait in waits:
        by_object.setdefault(wait.object, []).append(wait)
    rows: list[Row] = []
    for named, group in by_object.items():
        group.sort(key=lambda w: (w.start, w.pid))
        for episode in _overlapping(group):
            rows.extend(_episode_edges(named, episode, reading))
    return sorted(rows, key=lambda r: (r["line"], r["holder_pid"]))


def _overlapping(group: list[_Wait]) -> list[list[_Wait]]:
    """Waits that overlap in time, joined: one stretch in which the same lock was contended."""
    episodes: list[list[_Wait]] = []
    until: datetime | None = None
    for wait in group:
        if until is None or wait.start > until:
            episodes.append([])
            until = wait.end or wait.start
        episodes[-1].append(wait)
        until = max(until, wait.end or wait.start)
    return episodes


def _episode_edges(named: str, episode: list[_Wait], reading: _Reading) -> list[Row]:
    in_every = frozenset.intersection(
        *(w.candidates for w in episode if w.candidates is not None),
        frozenset(p for w in episode for p in w.candidates or ()),
    )
    begun, ended = episode[0].start, max((w.end or w.start) for w in episode)
    table = _RELATION.fullmatch(named)
    waiting = frozenset(_bare(name) for w in episode for name in _tables_of(w.statement))
    rows: list[Row] = []
    for pid in sorted(frozenset(p for w in episode for p in w.candidates or ())):
        hold = _hold(pid, waiting, begun, ended, reading) if pid in in_every else None
        relation, database = _relation(named, episode, hold)
        base = {
            "database": database,
            "relation": relation,
            "relation_oid": int(table["relation"]) if table else None,
            "holder_pid": pid,
            "holder_application": hold["application"] if hold else None,
            "holder_mode": hold["mode"] if hold else None,
            "holder_mode_basis": "statement" if hold and hold["until"] else "candidate",
            "holder_state": "active" if hold else None,
            "holder_statement": redact_sql(hold["sql"]) if hold else "",
            "holder_statement_basis": "running" if hold else "last",
            "held_since": hold["since"] if hold else None,
            "held_until": hold["until"] if hold else None,
        }
        blocked = [w for w in episode if hold and conflicts(hold["mode"], w.mode)]
        rows.extend(_wait_row(wait) | base for wait in blocked)
        if not blocked:
            rows.append({"line": episode[0].line, "at": episode[0].start, "edge": "none"} | base)
    return rows


def _wait_row(wait: _Wait) -> Row:
    return {
        "line": wait.line,
        "at": wait.start,
        "edge": "hard",
        "waiter_pid": wait.pid,
        "waiter_application": wait.application,
        "waiter_mode": wait.mode,
        "waiter_statement": redact_sql(wait.statement),
        "wait_start": wait.start,
        "wait_end": wait.end,
        "wait_end_line": wait.end_line,
    }


def _hold(
    pid: int, waiting: frozenset[str], begun: datetime, ended: datetime, reading: _Reading
) -> Row | None:
    """The logged statement of `pid` on the waiters' table, from before the first wait to the last.

    Where its end is not logged it may be over long since: then its mode is that of a candidate.
    """
    for statement in reversed(reading.statements.get(pid, [])):
        until = statement["until"]
        if (
            statement["mode"]
            and statement["since"] <= begun
            and (not waiting or not waiting.isdisjoint(map(_bare, _tables_of(statement["sql"]))))
            and (until is None or begun <= until <= ended + timedelta(seconds=1))
        ):
            return statement
    return None


def _relation(named: str, episode: list[_Wait], hold: Row | None) -> tuple[str, str | None]:
    """The table's name as the statements write it; the log itself has only its OID."""
    database = next((w.database for w in episode if w.database), None)
    if not _RELATION.fullmatch(named):
        return named, database
    texts = [hold["sql"]] if hold else []
    texts += [w.statement for w in episode]
    tables = {_bare(name): name for text in texts for name in _tables_of(text)}
    if len(tables) == 1:
        return next(iter(tables.values())), database
    return named.partition(" of ")[0], database


def _bare(name: str) -> str:
    return name.rpartition(".")[2]


def _tables_of(statement: str) -> list[str]:
    """The tables that a statement names, the shortest spelling first."""
    found = {
        match["name"].replace('"', "")
        for known in _TABLES_OF
        for match in known.finditer(statement)
    }
    return sorted(found - _NO_TABLES, key=lambda name: (len(name), name))


FORMAT = Format(
    kind="postgres_log",
    system=System.POSTGRES,
    title="PostgreSQL server log in jsonlog format",
    recognises=recognises,
    parse=parse,
)

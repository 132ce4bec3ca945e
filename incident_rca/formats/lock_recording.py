"""The flight recorder's NDJSON -> `locks`, `session_counts` and `relations`.

One self-describing file: a `header` line names the format's version, the server and the columns;
a `probe` line every second counts the sessions by application, state and wait event; a `snapshot`
line holds `pg_locks` and the sessions in it, while somebody waits and once after.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from incident_rca.errors import BadInput
from incident_rca.formats.lines import Truncated, decode, lines_of
from incident_rca.formats.parsed import (
    Format,
    Head,
    Parsed,
    RawInput,
    frame_of,
    utc_instant,
    window_of,
)
from incident_rca.lock_modes import conflicts
from incident_rca.model import System
from incident_rca.redact import redact_sql

FORMAT_NAME = "incident-rca/lock-recording"
FORMAT_VERSION = 1
_TAG = (
    "locktype",
    "database",
    "relation",
    "page",
    "tuple",
    "virtualxid",
    "transactionid",
    "classid",
    "objid",
    "objsubid",
)

Row = dict[str, Any]


def recognises(head: Head) -> bool:
    """Whether the first line is the recorder's header."""
    return bool(head.lines) and f'"{FORMAT_NAME}"'.encode() in head.lines[0][:4096]


@dataclass(slots=True)
class _Reading:
    """What is gathered while the lines go by."""

    columns: Mapping[str, Sequence[str]] = field(default_factory=dict)
    interval_seconds: float = 1.0
    locks: list[Row] = field(default_factory=list)
    counts: list[Row] = field(default_factory=list)
    relations: dict[tuple[Any, ...], Row] = field(default_factory=dict)
    statements: dict[tuple[Any, ...], tuple[str, datetime | None]] = field(default_factory=dict)
    redacted: dict[str, str] = field(default_factory=dict)
    instants: list[datetime] = field(default_factory=list)
    records: int = 0
    unparsed: int = 0


def parse(raw: RawInput) -> Parsed:
    """The edges of each snapshot, the counts of each probe, the size of each contended relation.

    Raises BadInput for a recording of a newer format. A torn line is counted as unparsed.
    """
    reading = _Reading()
    damage = ""
    try:
        for number, line in enumerate(lines_of(raw.path), start=1):
            if line.strip():
                _read_line(reading, number, line, raw)
    except Truncated as error:
        damage = str(error)
    return Parsed(
        frames={
            "locks": frame_of("locks", reading.locks, raw),
            "session_counts": frame_of("session_counts", reading.counts, raw),
            "relations": frame_of("relations", reading.relations.values(), raw),
        },
        rows=reading.records,
        unparsed=reading.unparsed,
        covered=window_of(reading.instants, step_seconds=reading.interval_seconds),
        resolution_seconds=reading.interval_seconds,
        query=raw.query,
        damage=damage,
    )


def _read_line(reading: _Reading, number: int, line: bytes, raw: RawInput) -> None:
    try:
        record = decode(line)
        kind = record["kind"]
        if kind == "header":
            _read_header(reading, record, raw)
        elif kind == "probe":
            _read_probe(reading, number, record)
        elif kind == "snapshot":
            _read_snapshot(reading, number, record)
        reading.records += 1
    except (KeyError, TypeError, ValueError, IndexError, AttributeError):
        reading.unparsed += 1


def _read_header(reading: _Reading, record: Mapping[str, Any], raw: RawInput) -> None:
    if record["format_version"] > FORMAT_VERSION:
        raise BadInput(
            f"{raw.file}: is a lock recording of format {record['format_version']}, "
            f"this version reads up to {FORMAT_VERSION}",
            hint="update incident-rca",
        )
    reading.columns = record["columns"]
    reading.interval_seconds = float(record["interval_seconds"])


def _read_probe(reading: _Reading, number: int, record: Mapping[str, Any]) -> None:
    at = utc_instant(record["at"])
    reading.instants.append(at)
    for row in _dicts(reading.columns["counts"], record["counts"]):
        reading.counts.append(
            {
                "line": number,
                "at": at,
                "application": row["application_name"],
                "state": row["state"],
                "wait_event_type": row["wait_event_type"],
                "wait_event": row["wait_event"],
                "sessions": row["sessions"],
            }
        )


def _read_snapshot(reading: _Reading, number: int, record: Mapping[str, Any]) -> None:
    at = utc_instant(record["locks_at"])
    reading.instants.append(at)
    databases = dict(record.get("databases", ()))
    names: dict[tuple[str, int], str] = {}
    for row in _dicts(reading.columns["relations"], record.get("relations", ())):
        name = f"{row['schema']}.{row['relation']}"
        names[row["database"], row["oid"]] = name
        reading.relations.setdefault(
            (row["database"], row["oid"]),
            {
                "line": number,
                "at": at,
                "database": row["database"],
                "relation": name,
                "oid": row["oid"],
                "reltuples": row["reltuples"],
            },
        )
    sessions = {s["pid"]: s for s in _dicts(reading.columns["sessions"], record["sessions"])}
    for tag, locks in _by_tag(_dicts(reading.columns["locks"], record["locks"])).items():
        database = databases.get(tag[1])
        relation = names.get((database or "", tag[2] or 0)) or _unnamed(tag)
        base = {
            "line": number,
            "at": at,
            "database": database,
            "relation": relation,
            "relation_oid": tag[2],
        }
        reading.locks.extend({**base, **e} for e in _edges(reading, tag, locks, sessions))


def _dicts(columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> Iterator[Row]:
    for row in rows:
        yield dict(zip(columns, row, strict=True))


def _by_tag(locks: Iterator[Row]) -> dict[tuple[Any, ...], list[Row]]:
    """The lock rows by what they lock; only tags that somebody waits for."""
    tags: dict[tuple[Any, ...], list[Row]] = {}
    for lock in locks:
        tags.setdefault(tuple(lock[column] for column in _TAG), []).append(lock)
    return {t: rows for t, rows in tags.items() if any(not row["granted"] for row in rows)}


def _unnamed(tag: tuple[Any, ...]) -> str:
    """What is locked where no name was recorded: never a name looked up elsewhere."""
    if tag[2] is not None:
        return f"relation {tag[2]}"
    return " ".join(str(part) for part in (tag[0], *tag[3:]) if part is not None)


def _edges(
    reading: _Reading,
    tag: tuple[Any, ...],
    locks: Sequence[Row],
    sessions: Mapping[int, Row],
) -> Iterator[Row]:
    """Hard edges by the conflict matrix, soft ones where the server names another waiter.

    Parallel workers are folded into their leader; holders that block nobody give one `none` row.
    """
    holders = {(_leader(lock, sessions), lock["mode"]): lock for lock in locks if lock["granted"]}
    waiters = {_leader(lock, sessions): lock for lock in locks if not lock["granted"]}
    guilty = set()
    for pid, lock in waiters.items():
        session = sessions.get(pid, {})
        waiter = {
            "waiter_pid": pid,
            "waiter_application": session.get("application_name"),
            "waiter_mode": lock["mode"],
            "waiter_statement": _redacted(reading, session.get("query")),
            "wait_start": _instant(lock["waitstart"]),
        }
        hard = [h for h in holders if h[0] != pid and conflicts(h[1], lock["mode"])]
        for holder, mode in hard:
            guilty.add((holder, mode))
            yield {"edge": "hard", **waiter, **_holder(reading, tag, holder, mode, sessions)}
        hard_pids = {holder for holder, _ in hard}
        for ahead in dict.fromkeys(session.get("blocking_pids") or ()):
            if ahead in waiters and ahead not in hard_pids and ahead != pid:
                mode = waiters[ahead]["mode"]
                yield {"edge": "soft", **waiter, **_holder(reading, tag, ahead, mode, sessions)}
    for holder, mode in holders:
        if (holder, mode) not in guilty:
            yield {"edge": "none", **_holder(reading, tag, holder, mode, sessions)}


def _leader(lock: Row, sessions: Mapping[int, Row]) -> int:
    pid = lock["pid"] or 0
    return sessions.get(pid, {}).get("leader_pid") or pid


def _holder(
    reading: _Reading,
    tag: tuple[Any, ...],
    pid: int,
    mode: str,
    sessions: Mapping[int, Row],
) -> Row:
    """Who holds: the statement is its running one, an earlier one seen with this lock, or its last.

    `held_since` is the earliest instant the lock can have been taken: the running statement's start
    if that began the transaction, else the transaction's.
    """
    session = sessions.get(pid, {})
    statement = _redacted(reading, session.get("query"))
    transaction, query = _instant(session.get("xact_start")), _instant(session.get("query_start"))
    key = (pid, session.get("backend_start"), session.get("xact_start"), tag, mode)
    if session.get("state") == "active":
        reading.statements.setdefault(key, (statement, query))
        basis, since = "running", transaction
    elif key in reading.statements:
        statement, since = reading.statements[key]
        basis = "recovered"
    else:
        basis, since = "last", transaction
    return {
        "holder_pid": pid,
        "holder_application": session.get("application_name"),
        "holder_mode": mode,
        "holder_mode_basis": "granted",
        "holder_state": session.get("state"),
        "holder_statement": statement,
        "holder_statement_basis": basis,
        "held_since": since,
    }


def _instant(text: str | None) -> datetime | None:
    return utc_instant(text) if text else None


def _redacted(reading: _Reading, statement: str | None) -> str:
    if not statement:
        return ""
    if statement not in reading.redacted:
        reading.redacted[statement] = redact_sql(statement)
    return reading.redacted[statement]


FORMAT = Format(
    kind="lock_recording",
    system=System.POSTGRES,
    title="lock recording written by `incident-rca record`, NDJSON",
    recognises=recognises,
    parse=parse,
)

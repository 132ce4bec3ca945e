"""Tiny raw files built by hand, and their tables as plain rows."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from incident_rca.formats import BY_KIND, recognise
from incident_rca.formats.lines import head_of
from incident_rca.formats.parsed import Parsed, RawInput
from incident_rca.pipeline import parse_raw

START = datetime(2026, 1, 15, 14, 10, tzinfo=UTC)
START_MS = int(START.timestamp() * 1000)

Row = dict[str, Any]


def instant(clock: str) -> datetime:
    """An instant of the day of the tests, by its time of day in UTC."""
    return datetime.fromisoformat(f"2026-01-15T{clock}").replace(tzinfo=UTC)


def write(path: Path, *lines: str | bytes, end: bytes = b"\n", last_end: bool = True) -> Path:
    """A file of these lines."""
    joined = end.join(line.encode() if isinstance(line, str) else line for line in lines)
    path.write_bytes(joined + (end if last_end else b""))
    return path


def write_gzip(path: Path, *members: bytes) -> Path:
    """A gzip file with one member for each given content."""
    path.write_bytes(b"".join(gzip.compress(member, mtime=0) for member in members))
    return path


def parse(kind: str, path: Path, *, query: str = "", metric: str = "") -> Parsed:
    """What the format of that kind reads from a file."""
    work = path.parent / "work"
    work.mkdir(exist_ok=True)
    file = f"raw/{path.name}"
    raw = RawInput(path=path, file=file, source="given", work=work, query=query, metric=metric)
    return parse_raw(BY_KIND[kind], raw)


def rows(parsed: Parsed, table: str) -> list[Row]:
    """The rows of a table as plain values: None where null, datetimes for instants."""
    frame = parsed.frames[table]
    return [
        {column: _plain(value) for column, value in zip(frame.columns, values, strict=True)}
        for values in frame.itertuples(index=False, name=None)
    ]


def _plain(value: Any) -> Any:
    if isinstance(value, list):
        return value
    if hasattr(value, "tolist"):
        return _plain(value.tolist())
    if value is None or str(value) in ("<NA>", "NaT", "nan"):
        return None
    return value.to_pydatetime() if hasattr(value, "to_pydatetime") else value


def kind_of(path: Path) -> str | None:
    """The kind that a file is recognised as."""
    known = recognise(head_of(path))
    return known.kind if known else None


# --- access logs --------------------------------------------------------------------------------


def request(second: float = 0.0, **given: Any) -> str:
    """One healthy request as the access log writes it; `given` replaces keys, `_` means a dot."""
    at = START + timedelta(seconds=second)
    fields: Row = {
        "requestTimeEpoch": str(START_MS + round(second * 1000)),
        "requestTime": at.strftime("%d/%b/%Y:%H:%M:%S +0000"),
        "requestId": "r-1",
        "extendedRequestId": "x-1=",
        "httpMethod": "POST",
        "resourcePath": "/api/orders",
        "status": "201",
        "integrationStatus": "201",
        "integration.status": "201",
        "integrationLatency": "30",
        "responseLatency": "33",
        "errorResponseType": "-",
        "errorMessage": "-",
        "integrationErrorMessage": "-",
    }
    fields |= {key.replace("_", "."): value for key, value in given.items()}
    return json.dumps({key: value for key, value in fields.items() if value is not None})


# --- envelopes ----------------------------------------------------------------------------------


def envelope(request: Any, response: Any) -> str:
    """An answer in the envelope that collecting writes."""
    return json.dumps(
        {
            "service": "s",
            "request": request,
            "asked_at": "2026-01-15T15:00:00Z",
            "response": response,
        }
    )


# --- lock recordings ----------------------------------------------------------------------------

LOCK_COLUMNS = (
    *("mode", "granted", "pid", "locktype", "database", "relation", "page", "tuple", "virtualxid"),
    *("transactionid", "classid", "objid", "objsubid", "virtualtransaction", "fastpath"),
    "waitstart",
)
SESSION_COLUMNS = (
    *("pid", "backend_start", "leader_pid", "database", "application_name", "backend_type"),
    *("state", "wait_event_type", "wait_event", "xact_start", "query_start", "state_change"),
    *("query", "blocking_pids"),
)
COLUMNS: Mapping[str, Sequence[str]] = {
    "counts": ("application_name", "state", "wait_event_type", "wait_event", "sessions"),
    "locks": LOCK_COLUMNS,
    "sessions": SESSION_COLUMNS,
    "relations": ("database", "oid", "schema", "relation", "kind", "reltuples"),
    "databases": ("oid", "database"),
}


def header(version: int = 1, **given: Any) -> str:
    """The first line of a recording."""
    return json.dumps(
        {
            "kind": "header",
            "format": "incident-rca/lock-recording",
            "format_version": version,
            "interval_seconds": 1.0,
            "columns": COLUMNS,
        }
        | given
    )


def probe(clock: str, *counts: Sequence[Any]) -> str:
    """One heartbeat of the recorder."""
    return json.dumps({"kind": "probe", "at": f"2026-01-15T{clock}Z", "counts": counts})


@dataclass
class Snapshot:
    """One look at pg_locks and the sessions in it."""

    clock: str = "14:23:00.5"
    database: int = 5
    names: Sequence[tuple[int, str]] = ((5, "shop"),)
    relations: Sequence[Sequence[Any]] = (
        ("shop", 16437, "public", "stock", "r", 2_000_000.0),
        ("shop", 16500, "public", "orders", "r", 10.0),
    )
    locks: list[list[Any]] = field(default_factory=list)
    sessions: list[list[Any]] = field(default_factory=list)

    def lock(self, pid: int | None, mode: str, *, granted: bool = True, **given: Any) -> Snapshot:
        """Adds a row of pg_locks: on table 16437 of the database unless something else is given."""
        row: Row = dict.fromkeys(LOCK_COLUMNS)
        row |= {"pid": pid, "mode": f"{mode}Lock", "granted": granted, "fastpath": False}
        if not granted:
            row["waitstart"] = "2026-01-15T14:23:00Z"
        target = {"locktype": "relation", "database": self.database, "relation": 16437}
        row |= given if "locktype" in given else target | given
        self.locks.append([row[column] for column in LOCK_COLUMNS])
        return self

    def session(self, pid: int, query: str = "", state: str = "active", **given: Any) -> Snapshot:
        """Adds a session."""
        row: Row = dict.fromkeys(SESSION_COLUMNS)
        row |= {
            "pid": pid,
            "backend_start": "2026-01-15T09:00:00Z",
            "application_name": f"app-{pid}",
            "state": state,
            "xact_start": "2026-01-15T14:22:59Z",
            "query_start": "2026-01-15T14:22:59Z",
            "query": query,
        }
        row |= given
        self.sessions.append([row[column] for column in SESSION_COLUMNS])
        return self

    def line(self) -> str:
        """The snapshot as the recorder writes it."""
        return json.dumps(
            {
                "kind": "snapshot",
                "locks_at": f"2026-01-15T{self.clock}Z",
                "databases": self.names,
                "relations": self.relations,
                "locks": self.locks,
                "sessions": self.sessions,
            }
        )


def edges(parsed: Parsed) -> set[tuple[str, int | None, int, str]]:
    """The lock rows as (edge, waiter, holder, holder's mode)."""
    return {
        (r["edge"], r["waiter_pid"], r["holder_pid"], str(r["holder_mode"]).removesuffix("Lock"))
        for r in rows(parsed, "locks")
    }


# --- server logs --------------------------------------------------------------------------------


def record(clock: str, pid: int, message: str, *, zone: str = "UTC", **given: Any) -> str:
    """One jsonlog record."""
    fields = {
        "timestamp": f"2026-01-15 {clock} {zone}".rstrip(),
        "pid": pid,
        "dbname": "shop",
        "application_name": f"app-{pid}",
        "error_severity": "LOG",
        "message": message,
    }
    return json.dumps(fields | given)


def waiting(
    clock: str,
    pid: int,
    holders: Iterable[int],
    *,
    mode: str = "RowExclusive",
    on: str = "relation 16437 of database 5",
    after: float = 1000.0,
    statement: str = "INSERT INTO stock VALUES (1)",
    suffix: str = "",
) -> str:
    """The line of a wait that passed deadlock_timeout, with the processes that hold the lock."""
    named = list(holders)
    noun = "Process" if len(named) == 1 else "Processes"
    detail = f"{noun} holding the lock: {', '.join(map(str, named))}. Wait queue: {pid}."
    message = f"process {pid} still waiting for {mode}Lock on {on} after {after:.3f} ms{suffix}"
    return record(clock, pid, message, detail=detail, statement=statement)


def acquired(
    clock: str,
    pid: int,
    *,
    mode: str = "RowExclusive",
    on: str = "relation 16437 of database 5",
    after: float = 2000.0,
    suffix: str = "",
) -> str:
    """The line of a wait that was granted."""
    return record(
        clock, pid, f"process {pid} acquired {mode}Lock on {on} after {after:.3f} ms{suffix}"
    )


def bucket(latency_ms: float) -> int:
    """The bucket of Logs Insights and of a rollup, by a search in place of a logarithm."""
    return next(k for k in range(1000) if 1.02**k >= max(latency_ms, 1) * (1 - 1e-12))

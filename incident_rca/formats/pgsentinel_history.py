"""The ring of pgsentinel, as fetched by SQL -> `locks` with edges that say who blocks, not how.

The view samples the active sessions (those idle in transaction only with
`pgsentinel_ash.track_idle_trans`) and keeps the first of pg_blocking_pids and their number
(pgsentinel, README.md and src/pgsentinel.c). A first one may hold a lock that conflicts or merely
stand ahead in the queue: that is not in it.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from incident_rca.errors import BadInput
from incident_rca.formats.lines import document_of
from incident_rca.formats.parsed import Format, Head, Parsed, RawInput, frame_of, session_of
from incident_rca.formats.sql_answer import (
    Row,
    asked_of,
    instant_of,
    is_answer_of,
    pid_of,
    request_of,
    rows_of,
    text_of,
    within,
)
from incident_rca.model import System, TimeWindow
from incident_rca.redact import redact_sql
from incident_rca.statement_tables import only_table_of
from incident_rca.trace_ids import ids_in_session

SERVICE = "pgsentinel"
# The locks that a statement takes on the tables it names, or on rows of them.
_OF_A_TABLE = frozenset({"relation", "extend", "page", "tuple", "transactionid", "spectoken"})
_PERIOD_SECONDS = 1.0  # the default of pgsentinel_ash.sampling_period

Sample = tuple[datetime, int]


def recognises(head: Head) -> bool:
    """Whether the document is an envelope of pgsentinel's history."""
    return is_answer_of(head.document, SERVICE)


def parse(raw: RawInput) -> Parsed:
    """One row a waiter and sample; `blind` says what of the window the ring no longer holds."""
    document = document_of(raw.path)
    rows, unparsed = rows_of(document.get("response"), raw.file)
    samples: list[tuple[int, datetime, int, Row]] = []
    for position, row in rows:
        try:
            at, pid = instant_of(row["ash_time"]), pid_of(row["pid"])
            if at is None or pid is None:
                raise ValueError("a sample without its time or process")
            pid_of(row.get("blockerpid")), pid_of(row.get("leader_pid"))
            instant_of(row.get("backend_start")), instant_of(row.get("xact_start"))
        except (KeyError, ValueError):
            unparsed += 1
        else:
            samples.append((position, at, pid, row))
    by_session = {(at, pid): row for _, at, pid, row in samples}
    edges = [
        _edge(position, at, pid, row, by_session)
        for position, at, pid, row in samples
        if row.get("wait_event_type") == "Lock"
    ]
    asked = asked_of(document)
    covered, period, blind = _reach(document["response"].get("ring"), asked, raw.file)
    return Parsed(
        frames={"locks": frame_of("locks", edges, raw)},
        rows=len(samples),
        unparsed=unparsed,
        asked=asked,
        covered=covered,
        resolution_seconds=period,
        query=str(request_of(document).get("query", "")) or raw.query,
        blind=blind,
    )


def _edge(position: int, at: datetime, pid: int, row: Row, by_session: Mapping[Sample, Row]) -> Row:
    # A worker of a parallel query waits for its leader, and is listed beside it.
    waiter = pid_of(row.get("leader_pid")) or pid
    statement = text_of(row.get("top_level_query")) or text_of(row.get("query"))
    lock_type = text_of(row.get("wait_event")) or "lock"
    # A prepared transaction is counted as blocker, but has no process id.
    is_named = bool(row.get("blockerpid") or row.get("blockers"))
    table = only_table_of(statement) if lock_type in _OF_A_TABLE else None
    return {
        "line": position,
        "at": at,
        "edge": "named" if is_named else "unknown",
        "lock_type": lock_type,
        "database": text_of(row.get("datname")),
        "relation": table or f"{lock_type} (not named)",
        "waiter_pid": waiter,
        "waiter_session": _session(waiter, by_session.get((at, waiter))),
        "waiter_application": text_of(row.get("application_name")),
        "waiter_statement": redact_sql(statement or ""),
        "waiter_trace_ids": _ids(row),
        **(_holder(at, row, by_session) if is_named else {}),
    }


def _holder(at: datetime, row: Row, by_session: Mapping[Sample, Row]) -> Row:
    """Who is named, with the statement of its own sample at that instant if it was sampled."""
    pid = pid_of(row.get("blockerpid")) or 0
    own = by_session.get((at, pid), {})
    state = text_of(own.get("state")) or text_of(row.get("blocker_state"))
    statement = text_of(own.get("top_level_query")) or text_of(own.get("query"))
    basis = "running" if state == "active" else "last"
    return {
        "holder_pid": pid,
        "holder_session": _session(pid, own) if pid else "prepared, its name is not recorded",
        "holder_application": text_of(own.get("application_name")),
        "holder_state": state,
        "holder_statement": redact_sql(statement or ""),
        "holder_statement_basis": basis if statement else None,
        "holder_trace_ids": _ids(own),
        "held_since": instant_of(own.get("xact_start")),
    }


def _ids(row: Row) -> str | None:
    """The ids in both statements of a sample: the one of a function has none of its caller's."""
    statements = (text_of(row.get(name)) or "" for name in ("top_level_query", "query"))
    return ids_in_session("\n".join(statements), text_of(row.get("application_name")))


def _session(pid: int, row: Row | None) -> str:
    return session_of(pid, instant_of((row or {}).get("backend_start")))


def _period_of(ring: Mapping[str, Any]) -> float:
    period = ring.get("sampling_period_seconds")
    known = isinstance(period, int | float) and not isinstance(period, bool) and period > 0
    return min(float(period), 86_400.0) if known and period is not None else _PERIOD_SECONDS


def _reach(ring: Any, asked: TimeWindow | None, file: str) -> tuple[TimeWindow | None, float, str]:
    """What of the asked window the ring still holds, its period, and what that leaves unseen."""
    try:
        oldest, newest = instant_of(ring["oldest"]), instant_of(ring["newest"])
    except (KeyError, TypeError, ValueError) as error:
        raise BadInput(
            f"{file}: does not say how far the ring reaches", hint="collect it again"
        ) from error
    period = _period_of(ring)
    if oldest is None or newest is None:
        return None, period, "the ring is empty"
    covered = within(asked, oldest, newest + timedelta(seconds=period))
    begins = f"its oldest sample is of {oldest:%Y-%m-%dT%H:%M:%SZ}"
    if covered is None:
        return None, period, f"the ring holds nothing of the window ({begins})"
    if asked is None or oldest <= asked.start:
        return covered, period, ""
    if ring.get("max_entries") is not None and ring["max_entries"] == ring.get("samples"):
        return covered, period, f"the ring of {ring['max_entries']} rows was overwritten: {begins}"
    return covered, period, f"the ring does not reach back to the window's start: {begins}"


FORMAT = Format(
    kind="pgsentinel_history",
    system=System.POSTGRES,
    title="history of the extension pgsentinel, fetched by SQL",
    recognises=recognises,
    parse=parse,
    cannot_show=(
        "lock modes, blockers other than the first, and whether that one holds or only queues; "
        "relations only by the text of a statement; nothing older than its ring (1,000 rows by "
        "default: about 10 s while 100 sessions wait)"
    ),
)

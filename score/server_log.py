"""What PostgreSQL's own log says: jsonlog lines, which the real format reads.

With log_lock_waits on and log_statement = ddl. Texts as in proc.c, deadlock.c and postgres.c.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping

from score.lock_table import Request
from score.recorder import DATABASE_OID, xid_of
from score.trace import Logged

CANCELLED = "canceling statement due to user request"
TERMINATED = "terminating connection due to administrator command"


def lines(
    log: Iterable[Logged], oids: Mapping[str, int], stamp: Callable[[float], str]
) -> Iterator[str]:
    """One JSON object a message, in the order in which they were written."""
    for said in log:
        session = said.session
        record = {
            "timestamp": stamp(said.at),
            "user": session.application,
            "dbname": session.database,
            "pid": session.pid,
            "session_id": f"{session.pid:x}.{session.pid:x}",
            "session_start": stamp(session.backend_start),
            "error_severity": "LOG",
            "application_name": session.application,
            "backend_type": "client backend",
            **_message(said, oids),
        }
        yield json.dumps(record)


def _message(said: Logged, oids: Mapping[str, int]) -> Mapping[str, str]:
    if said.kind == "statement":
        return {"message": f"statement: {said.text}"}
    if said.kind == "terminated":
        return {"error_severity": "FATAL", "state_code": "57P01", "message": TERMINATED}
    request = said.request
    assert request is not None
    if said.kind == "cancelled":
        error = {"error_severity": "ERROR", "state_code": "57014", "message": CANCELLED}
        return {**error, "statement": said.text}
    if said.kind == "deadlock":
        return _deadlock(said, request, oids)
    since = request.began
    if request.tag[1] is not None and said.is_first and request.first_since is not None:
        since = request.first_since
    ms = 1000 * (said.at - since)
    verb = "acquired" if said.kind == "acquired" else "still waiting for"
    what = f"{_mode(said, request)} on {_place(said, request, oids)}"
    message = f"process {said.session.pid} {verb} {what} after {ms:.3f} ms"
    if said.kind == "acquired":
        return {"message": message, "statement": said.text}
    holders = ", ".join(map(str, said.holders))
    queue = ", ".join(map(str, said.queue))
    plural = "Process" if len(said.holders) == 1 else "Processes"
    detail = f"{plural} holding the lock: {holders}. Wait queue: {queue}."
    return {"message": message, "detail": detail, "statement": said.text, **_context(request)}


def _mode(said: Logged, request: Request) -> str:
    if request.tag[1] is None:
        return request.mode
    return "ShareLock" if said.is_first else "ExclusiveLock"


def _place(said: Logged, request: Request, oids: Mapping[str, int]) -> str:
    table, row = request.tag
    if row is None:
        return f"relation {oids[table]} of database {DATABASE_OID}"
    if said.is_first:
        return f"transaction {said.holders[0] if said.holders else 0}"
    return f"tuple (0,{row}) of relation {oids[table]} of database {DATABASE_OID}"


def _context(request: Request) -> Mapping[str, str]:
    table, row = request.tag
    if row is None:
        return {}
    name = table.rpartition(".")[2]
    return {"context": f'while updating tuple (0,{row}) in relation "{name}"'}


def _deadlock(said: Logged, request: Request, oids: Mapping[str, int]) -> Mapping[str, str]:
    me, other = said.session.pid, (said.holders or said.queue)[0]
    xid, own = 5_000_000 + other, xid_of(said.session)
    detail = (
        f"Process {me} waits for ShareLock on transaction {xid}; blocked by process {other}.\n"
        f"Process {other} waits for ShareLock on transaction {own}; blocked by process {me}.\n"
        f"Process {me}: {said.text}\nProcess {other}: {said.text}"
    )
    return {
        "error_severity": "ERROR",
        "state_code": "40P01",
        "message": "deadlock detected",
        "detail": detail,
        "hint": "See server log for query details.",
        "statement": said.text,
        **_context(request),
    }

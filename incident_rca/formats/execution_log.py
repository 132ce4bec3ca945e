"""API Gateway execution logs (REST and WebSocket) -> `failures` seen in `execution`.

One event is one line `(request id) text`, and a request has many: its path, what the integration
answered, why it failed, its status. An id is both, `requestId extendedRequestId`, where the log
says the latter too. Source of the texts: real logs, and the API Gateway developer guide, "Set up
CloudWatch logging".
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from incident_rca.formats.cloudwatch_messages import LogEvent
from incident_rca.formats.error_types import error_types_of
from incident_rca.formats.lines import Truncated, lines_of
from incident_rca.formats.parsed import Format, Head, Parsed, RawInput, frame_of, window_of
from incident_rca.model import System

_TEXTS = (
    r"(?:Starting execution for request|HTTP Method: |Method request |Extended Request Id: |"
    r"Endpoint re(?:quest|sponse) |Sending request to |Received response\. |Method response |"
    r"Successfully completed execution|Execution failed |Lambda (?:execution|invocation) failed |"
    r"Method completed with status: |Verifying Usage Plan|API Key |Gateway response )"
)
_TIME = r"(?:(?P<at>\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:\.\d{1,9})?(?:Z|[+-]\d\d:?\d\d))\s+)?"
_STREAM = r"(?:[\w/\[\]$.-]{8,300}\s+)?"
_LINE = re.compile(_TIME + _STREAM + r"\((?P<id>[^()\s]{1,128})\) (?P<text>.*)", re.DOTALL)
_TEST_TIME = r"(?P<at>\w{3} \w{3} \d\d \d\d:\d\d:\d\d UTC \d{4})"
_TEST_LINE = re.compile(_TEST_TIME + " : (?P<text>.*)", re.DOTALL)
_TEST_START = re.compile(r"Execution log for request (\S{1,128})\s*")
_KNOWN = re.compile(_TEXTS)
_PATH = re.compile(r"HTTP Method: ([A-Z]{1,20}), Resource Path: (\S{1,2000})")
_EXTENDED = re.compile(r"Extended Request Id: (\S{1,128})")
_RECEIVED = re.compile(r"Received response\. Status: (\d{3}), Integration latency: (\d{1,9}) ms")
_COMPLETED = re.compile(r"Method completed with status: (\d{3})")
_FAILED = re.compile(r"(?:Execution failed|Lambda execution failed|Lambda invocation failed) ")
_LONGEST_MESSAGE = 2000
_KNOWS = {
    "response_type": False,
    "integration_status": False,
    "backend_status": False,
    "error_text": True,
}


@dataclass(slots=True)
class _Request:
    """What the lines of one request have said so far."""

    line: int
    extended_id: str = ""
    first_ms: int | None = None
    started_ms: int | None = None
    method: str | None = None
    path: str | None = None
    status: int | None = None
    integration_status: str | None = None
    latency_ms: float | None = None
    message: str = ""
    failed_last: bool = False


def recognises(head: Head) -> bool:
    """Whether one of the first lines is one of an execution log."""
    return is_execution_log(line.decode("utf-8", "replace") for line in head.lines[:50])


def is_execution_log(texts: Iterable[str]) -> bool:
    """Whether one of these texts is a line of an execution log."""
    for text in texts:
        found = _LINE.fullmatch(text) or _TEST_LINE.fullmatch(text)
        if found is not None and _KNOWN.match(found["text"]):
            return True
    return False


def parse(raw: RawInput) -> Parsed:
    """The failed requests of a file of plain lines, with or without their times."""
    return parse_events(raw, _plain_lines(raw.path))


def _plain_lines(path: Path) -> Iterator[LogEvent]:
    for number, line in enumerate(lines_of(path), start=1):
        if line.strip():
            yield LogEvent(number, line.decode("utf-8", "replace"))


def parse_events(raw: RawInput, events: Iterable[LogEvent]) -> Parsed:
    """The failed requests, one row each: status 5xx, or failed with a status that is not logged.

    A line without an id continues the one before it. A request's time is that of its start. `rows`
    counts lines.
    """
    requests: dict[str, _Request] = {}
    rows = unparsed = 0
    first = last = None
    current, damage = "", ""
    try:
        for event in events:
            found = _split(event.message, current)
            if found is None:
                unparsed += 1
                continue
            rows += 1
            request_id, at_text, text = found
            current = request_id
            at_ms = event.event_ms if event.event_ms is not None else _milliseconds(at_text)
            if at_ms is not None:
                first, last = min(first or at_ms, at_ms), max(last or at_ms, at_ms)
            if request_id and text:
                request = requests.setdefault(request_id, _Request(event.number))
                _see(request, event.number, at_ms, text, continues=at_text is None)
                if request.status is not None and request.status < 500:
                    del requests[request_id]
    except Truncated as error:
        damage = str(error)
    failed = [(key, r) for key, r in requests.items() if r.message or r.status is not None]
    found_rows = _rows(failed, raw.work)
    bounds = (_instant(at) for at in (first, last) if at is not None)
    return Parsed(
        frames={"failures": frame_of("failures", found_rows, raw)},
        rows=rows,
        unparsed=unparsed,
        covered=window_of(bounds, step_seconds=0.001),
        resolution_seconds=0.001,
        query=raw.query,
        damage=damage,
    )


def _split(message: str | None, current: str) -> tuple[str, str | None, str] | None:
    """The request, the time's text and the text of a line; None as the time where it continues."""
    if message is None:
        return None
    if found := _LINE.fullmatch(message):
        return found["id"], found["at"] or "", found["text"]
    if start := _TEST_START.fullmatch(message):
        return start[1], "", ""
    if found := _TEST_LINE.fullmatch(message):
        return current or "test-invoke-request", found["at"], found["text"]
    return (current, None, message) if current else None


def _see(request: _Request, line: int, at_ms: int | None, text: str, *, continues: bool) -> None:
    if continues:
        if request.failed_last:
            request.message = f"{request.message} {text.strip()}"[:_LONGEST_MESSAGE]
        return
    if at_ms is not None:
        request.first_ms = min(request.first_ms or at_ms, at_ms)
        if text.startswith("Starting execution"):
            request.started_ms = at_ms
    request.failed_last = bool(_FAILED.match(text))
    if request.failed_last:
        request.line = line
        request.message = " ".join(filter(None, (request.message, text)))[:_LONGEST_MESSAGE]
    elif path := _PATH.match(text):
        request.method, request.path = path[1], path[2]
    elif extended := _EXTENDED.match(text):
        request.extended_id = extended[1]
    elif received := _RECEIVED.match(text):
        request.integration_status, request.latency_ms = received[1], float(received[2])
    elif completed := _COMPLETED.match(text):
        request.status = int(completed[1])
        request.line = request.line if request.message else line


def _rows(failed: list[tuple[str, _Request]], work: Path) -> list[dict[str, Any]]:
    rows = [
        {
            "line": r.line,
            "at": _instant(at) if (at := r.started_ms or r.first_ms) is not None else None,
            "request_id": f"{key} {r.extended_id}".rstrip(),
            "method": r.method,
            "route": r.path,
            "status": r.status,
            "latency_ms": r.latency_ms,
            "integration_status": r.integration_status,
            "message": r.message or None,
            "seen_in": "execution",
        }
        for key, r in failed
    ]
    types = error_types_of(rows, work, knows=_KNOWS)
    typed = ({**row, "error_type": kind} for row, kind in zip(rows, types, strict=True))
    return sorted(typed, key=lambda row: row["line"])


def _milliseconds(text: str | None) -> int | None:
    """The milliseconds since 1970 of a line's own time; None where it has none."""
    if not text:
        return None
    try:
        if text[0].isdigit():
            at = datetime.fromisoformat(text)
        else:
            at = datetime.strptime(text, "%a %b %d %H:%M:%S UTC %Y").replace(tzinfo=UTC)
    except ValueError:
        return None
    return round(at.timestamp() * 1000)


def _instant(milliseconds: int) -> datetime:
    return datetime.fromtimestamp(milliseconds / 1000, UTC)


FORMAT = Format(
    kind="execution_log",
    system=System.GATEWAY,
    title="API Gateway execution log, one line an event",
    recognises=recognises,
    parse=parse,
    cannot_show="requests of HTTP APIs, and what the stage's log level leaves out",
)

"""What CloudWatch Logs answered, as it was collected or as its command line prints it -> events.

A collected file has one header, which says what was asked for, and one event a line. The command
line prints documents: `aws logs filter-log-events` and `aws logs get-log-events`, page by page. A
subscription sends documents with `logEvents`, each with its `id`, one behind the other.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any

from incident_rca.formats.lines import chunks_of, lines_of, object_of
from incident_rca.formats.parsed import Head, utc_instant
from incident_rca.formats.postgres_log.envelopes import entries_of_document
from incident_rca.model import TimeWindow

# Events come in late now and then: sources/log_spool.py says how late.


@dataclass(frozen=True, slots=True)
class LogEvent:
    """One event and its line, or its position in the document; without a message: unreadable."""

    number: int
    message: str | None
    event_ms: int | None = None


@dataclass(frozen=True, slots=True)
class Asked:
    """What the header of a collected file says of it.

    `kind` is `access_log`, `execution_log` or `postgres_log`, `selection` `errors` or `all`.
    `is_to_the_end` says that nothing broke off; `damage` why the answer is not whole or may not be,
    "" if it is; `lacks` what cannot be had of such a log.
    """

    kind: str
    selection: str
    format: str
    window: TimeWindow | None
    is_to_the_end: bool
    damage: str
    lacks: tuple[str, ...]


def asked_of(head: Head) -> Asked | None:
    """What was asked for, or None where the file has no such header."""
    header = object_of(head.lines[0]) if head.lines else None
    request = header.get("request") if header else None
    if (
        header is None
        or header.get("service") != "cloudwatch_logs"
        or not isinstance(request, dict)
    ):
        return None
    if "kind" not in request:
        return None
    response = header.get("response")
    uncountable = response.get("uncountable") if isinstance(response, dict) else None
    return Asked(
        kind=str(request["kind"]),
        selection=str(request.get("selection", "")),
        format=str(request.get("format") or ""),
        window=window_in(request),
        is_to_the_end=not broke_off(response),
        damage=damage_of(response),
        lacks=(f"failures were not counted: {uncountable}",) if uncountable else (),
    )


def window_in(request: Mapping[str, Any]) -> TimeWindow | None:
    """The window that a request of ours was about, or None where it names none."""
    try:
        given = request["window"]
        return TimeWindow(utc_instant(given["start"]), utc_instant(given["end"]))
    except (KeyError, TypeError, ValueError):
        return None


def damage_of(response: Any) -> str:
    """All that is missing of an answer by what it says of itself; "" for nothing.

    That more may come since its window has only just ended is no damage: the collection says so.
    """
    if not isinstance(response, dict):
        return ""
    uncounted = response.get("uncounted")
    said = (
        broke_off(response),
        _difference(response.get("reconciled")),
        f"Logs Insights did not count the failures: {uncounted}" if uncounted else "",
    )
    return "; ".join(text for text in said if text)


def broke_off(response: Any) -> str:
    """Why an answer ends before its end, "" where it does not."""
    if not isinstance(response, dict):
        return ""
    error = response.get("error")
    if isinstance(error, dict):
        return f"the answer broke off: {error.get('code', '')} {error.get('message', '')}".strip()
    if error:
        return f"the answer broke off: {error}"
    return "" if response.get("complete", True) else "the answer is not complete"


def _difference(reconciled: Any) -> str:
    """Both numbers of failed requests where they differ."""
    if not isinstance(reconciled, dict):
        return ""
    counted, fetched = reconciled.get("counted"), reconciled.get("fetched")
    if counted == fetched:
        return ""
    return f"Logs Insights counted {counted} failures, {fetched} lines were fetched"


def messages_in(head: Head) -> list[str]:
    """The messages of the events that a file begins with; empty where it has none."""
    found = (_message(object_of(line)) for line in head.lines)
    messages = [message for message in found if message is not None]
    if messages or not head.lines or not head.lines[0].lstrip().startswith(b"{"):
        return messages
    entries = entries_of_document([b"\n".join(head.lines)])
    return [message for _, entry in entries if (message := _message(entry)) is not None]


def _message(entry: Mapping[str, Any] | None) -> str | None:
    if entry is None or not isinstance(entry.get("timestamp"), int):
        return None
    message = entry.get("message")
    return message if isinstance(message, str) else None


def events_of(path: Path, head: Head) -> Iterator[LogEvent]:
    """The events of a file, each once by its `eventId`; raises Truncated behind the last.

    What stands where an event should and is none comes without a message.
    """
    has_header = asked_of(head) is not None
    seen: set[bytes] = set()
    for number, entry in _entries(path, head, has_header=has_header):
        message = _message(entry)
        if entry is None or message is None:
            yield LogEvent(number, None)
            continue
        if isinstance(event_id := entry.get("eventId", entry.get("id")), str):
            digest = blake2b(event_id.encode(), digest_size=8).digest()
            if digest in seen:
                continue
            seen.add(digest)
        yield LogEvent(number, message, int(entry["timestamp"]))


def _entries(
    path: Path, head: Head, *, has_header: bool
) -> Iterable[tuple[int, Mapping[str, Any] | None]]:
    if has_header or any(_message(object_of(line)) is not None for line in head.lines[:5]):
        for number, line in enumerate(lines_of(path), start=1):
            if line.strip() and not (has_header and number == 1):
                yield number, object_of(line)
        return
    found = (entry for _, entry in entries_of_document(chunks_of(path)))
    yield from enumerate((entry for entry in found if not _is_about_events(entry)), start=1)


def _is_about_events(entry: Mapping[str, Any] | None) -> bool:
    """Whether it stands beside the events and is none.

    FilterLogEvents names the streams that it searched; a subscription proves with a control
    message that its destination is reached (Amazon CloudWatch Logs User Guide, "Log group-level
    subscription filters").
    """
    if entry is None:
        return False
    if "message" not in entry:
        return "searchedCompletely" in entry
    return entry.get("id") == "" and str(entry["message"]).startswith("CWL CONTROL MESSAGE")

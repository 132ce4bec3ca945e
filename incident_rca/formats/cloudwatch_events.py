"""Events of CloudWatch Logs, collected or printed by its command line -> what is in their messages.

Access logs give `gateway` and `failures`, execution logs `failures`, logs of PostgreSQL what
`postgres_log` reads. Of access logs that were asked for their errors only, no `gateway` row is
made: the counts of such a window come from a log query.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from incident_rca.errors import BadInput
from incident_rca.formats import access_log, execution_log, postgres_log
from incident_rca.formats.access_log.keys import format_of_head
from incident_rca.formats.access_log.reading import USUAL_FORMAT, NumberedLine, parse_lines
from incident_rca.formats.cloudwatch_messages import (
    Asked,
    LogEvent,
    asked_of,
    events_of,
    messages_in,
)
from incident_rca.formats.lines import Truncated, head_of, lines_of
from incident_rca.formats.parsed import Format, Head, Parsed, RawInput
from incident_rca.model import System
from incident_rca.typed_frames import as_schema

_POSTGRES = "postgres_log"


def recognises(head: Head) -> bool:
    """Whether the file holds events of an API's access log or execution log."""
    asked = asked_of(head)
    return asked.kind != _POSTGRES if asked else bool(_kind_in(head))


def recognises_postgres(head: Head) -> bool:
    """Whether the file was collected from a log of PostgreSQL."""
    asked = asked_of(head)
    return asked is not None and asked.kind == _POSTGRES


def _kind_in(head: Head) -> str:
    """What the messages of a file without a header are; "" where they are neither."""
    messages = messages_in(head)
    if execution_log.is_execution_log(messages[:50]):
        return "execution_log"
    encoded = [message.encode() for message in messages]
    return "access_log" if messages and format_of_head(encoded) is not None else ""


def parse(raw: RawInput) -> Parsed:
    """The rows of the messages, each event once.

    Raises BadInput where there are no events, or the header names a kind of log that is not known.
    """
    head = head_of(raw.path)
    asked = asked_of(head)
    if asked is None and not messages_in(head) and "events" not in (head.document or {}):
        raise BadInput(
            f"{raw.file}: holds no events of CloudWatch Logs",
            hint="it is what `aws logs filter-log-events` prints, or what `collect` fetched",
        )
    kind = asked.kind if asked else _kind_in(head) or "access_log"
    if kind == "access_log":
        parsed = _access_log(raw, head, asked)
    elif kind == "execution_log":
        parsed = execution_log.parse_events(raw, events_of(raw.path, head))
    elif kind == _POSTGRES:
        parsed = _postgres_log(raw)
    else:
        raise BadInput(
            f"{raw.file}: its header names the kind {kind!r}",
            hint="known are access_log, execution_log and postgres_log",
        )
    if asked is None:
        return parsed
    is_to_the_end = asked.is_to_the_end and not parsed.damage
    return replace(
        parsed,
        damage="; ".join(said for said in (parsed.damage, asked.damage) if said),
        asked=asked.window,
        covered=(asked.window if is_to_the_end else None) or parsed.covered,
        lacks=(*parsed.lacks, *asked.lacks),
    )


def _access_log(raw: RawInput, head: Head, asked: Asked | None) -> Parsed:
    text = raw.reading.get(access_log.FORMAT_READING, "") or (asked.format if asked else "")
    known = access_log.given_format(text)
    if known is None:
        messages = [message.encode() for message in messages_in(head)]
        known = format_of_head(messages) or USUAL_FORMAT
    parsed = parse_lines(raw, _lines(events_of(raw.path, head)), known)
    if asked.selection == "errors" if asked else _has_failures_only(parsed):
        gateway = parsed.frames["gateway"]
        only = {**parsed.frames, "gateway": as_schema(gateway.iloc[:0], "gateway")}
        return replace(parsed, frames=only)
    return parsed


def _lines(events: Iterator[LogEvent]) -> Iterator[NumberedLine]:
    for event in events:
        text = "{" if event.message is None else event.message.replace("\n", " ")
        yield NumberedLine(event.number, text.encode("utf-8", "replace"), event.event_ms)


def _has_failures_only(parsed: Parsed) -> bool:
    """Whether a file that does not say what was asked for holds errors alone, as a filter gives."""
    statuses = parsed.frames["gateway"]["status"]
    return bool(len(statuses)) and bool((statuses >= 400).all())


def _postgres_log(raw: RawInput) -> Parsed:
    """The log without its header, whose line stays as a blank one, so that numbers stay true."""
    copy = raw.work / "events.ndjson"
    damage = ""
    try:
        with copy.open("wb") as out:
            try:
                for number, line in enumerate(lines_of(raw.path), start=1):
                    out.write(b"\n" if number == 1 else line + b"\n")
            except Truncated as error:
                damage = str(error)
        parsed = postgres_log.parse(replace(raw, path=copy))
    finally:
        copy.unlink(missing_ok=True)
    return replace(parsed, damage=damage or parsed.damage)


FORMAT = Format(
    kind="cloudwatch_events",
    system=System.GATEWAY,
    title="CloudWatch Logs events of an API's access log or execution log",
    recognises=recognises,
    parse=parse,
    cannot_show="requests that did not reach the gateway, and what went on behind it",
)
POSTGRES_FORMAT = Format(
    kind="cloudwatch_postgres_log",
    system=System.POSTGRES,
    title="CloudWatch Logs events of a PostgreSQL server log",
    recognises=recognises_postgres,
    parse=parse,
    cannot_show=postgres_log.FORMAT.cannot_show,
)

"""API Gateway access logs in any format, through DuckDB -> `gateway` and `failures`.

`stage_format.py` turns a stage's format string into what reads its lines, `keys.py` finds the
format of a file by its content, and `reading.py` reads: JSON lines as they are, all else from a
copy.
"""

from __future__ import annotations

from incident_rca.errors import BadInput
from incident_rca.formats.access_log.keys import format_of_head
from incident_rca.formats.access_log.reading import (
    has_plain_keys,
    numbered,
    parse_json_file,
    parse_lines,
)
from incident_rca.formats.access_log.stage_format import LineFormat, compile_format
from incident_rca.formats.lines import head_of
from incident_rca.formats.parsed import Format, Head, Parsed, RawInput
from incident_rca.model import System

# What the user calls a stage's format string: --access-log-format.
FORMAT_READING = "access_log_format"


def recognises(head: Head) -> bool:
    """Whether one of the first lines is a request with its time, route and status."""
    return format_of_head(head.lines) is not None


def given_format(text: str) -> LineFormat | None:
    """The reader of a format string, None for an empty one; raises BadInput where it is none."""
    if not text.strip():
        return None
    try:
        return compile_format(text)
    except ValueError as error:
        raise BadInput(
            f"the access log format {text[:80]!r} cannot be used: {error}",
            hint="give the stage's own: accessLogSettings.format of `aws apigateway get-stage`",
        ) from error


def parse(raw: RawInput) -> Parsed:
    """The requests by second and the failures by line.

    `raw.reading` may have `access_log_format`, the stage's format string, and
    `integration_timeout_ms`. Raises BadInput where that format names no variable.
    """
    known = given_format(raw.reading.get(FORMAT_READING, "")) or format_of_head(
        head_of(raw.path).lines
    )
    if known is None or (known.kind == "json" and has_plain_keys(known)):
        return parse_json_file(raw, known)
    return parse_lines(raw, numbered(raw.path), known)


FORMAT = Format(
    kind="access_log",
    system=System.GATEWAY,
    title="API Gateway access log: JSON lines, CLF, CSV, XML, or any format given",
    recognises=recognises,
    parse=parse,
    cannot_show="requests that did not reach the gateway, and what went on behind it",
)

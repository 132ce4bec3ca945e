"""Access logs of an Application Load Balancer, through DuckDB -> `load_balancer`.

The fields and their order are those of the Elastic Load Balancing user guide, "Access logs for your
Application Load Balancer". New fields are appended there, so what stands behind the known ones is
not read.
"""

from __future__ import annotations

import re
from datetime import timedelta
from pathlib import Path
from typing import Any

from incident_rca.formats.duckdb_session import define, fetch, open_session, run_file
from incident_rca.formats.lines import damage_of, repaired_copy
from incident_rca.formats.parsed import Format, Head, Parsed, RawInput, origin_of, redacted
from incident_rca.model import System, TimeWindow
from incident_rca.typed_frames import as_schema

# The log writes microseconds, but a request is created in a millisecond.
RESOLUTION_SECONDS = 0.001
# What neither the log nor a rollup of it has.
NOT_IN_A_LOG = (
    "requests that did not reach the load balancer, the status of a gRPC call, and what the target "
    "did; delivery is by best effort, so a missing line proves nothing"
)
# Type, time, load balancer, client, target, three durations, two statuses, two sizes, the request.
_LINE = re.compile(
    rb"(?:http|https|h2|grpcs|ws|wss) \d{4}-\d\d-\d\dT[0-9:.]+Z \S+ \S+ \S+"
    rb'(?: -?[0-9.]+){3} (?:\d{3}|-) (?:\d{3}|-) \d+ \d+ "'
)


def recognises(head: Head) -> bool:
    """Whether one of the first lines is a request as a load balancer writes it."""
    return any(_LINE.match(line) for line in head.lines[:50])


def parse(raw: RawInput) -> Parsed:
    """The requests by second, path and statuses, and each failure by its line.

    A file that DuckDB cannot number line by line is read from a repaired copy, as access logs are.
    """
    import duckdb

    is_uneven, damage = damage_of(raw.path)
    if not is_uneven and not damage:
        try:
            return _read(raw, raw.path, damage="")
        except duckdb.Error:
            damage = ""
    copy, damage = repaired_copy(raw.path, raw.work)
    try:
        return _read(raw, copy, damage=damage)
    finally:
        copy.unlink()


def _read(raw: RawInput, path: Path, *, damage: str) -> Parsed:
    with open_session(raw.work) as session:
        session.execute("SET VARIABLE raw_path = ?", [str(path)])
        define(session, "load_balancer_error_type.sql")
        define(session, "load_balancer_requests.sql")
        coverage = fetch(run_file(session, "load_balancer_coverage.sql")).iloc[0]
        frame = fetch(run_file(session, "load_balancer_rows.sql"))
    origin = origin_of(raw)
    rows = int(coverage["rows"])
    return Parsed(
        frames={
            "load_balancer": as_schema(
                redacted(frame, "load_balancer").assign(**origin), "load_balancer"
            )
        },
        rows=rows,
        unparsed=int(coverage["unparsed"]),
        covered=_covered(coverage) if rows else None,
        resolution_seconds=RESOLUTION_SECONDS,
        query=raw.query,
        damage=damage,
    )


def _covered(coverage: Any) -> TimeWindow:
    first, last = coverage["first_at"].to_pydatetime(), coverage["last_at"].to_pydatetime()
    return TimeWindow(first, last + timedelta(seconds=RESOLUTION_SECONDS))


FORMAT = Format(
    kind="load_balancer_log",
    system=System.GATEWAY,
    title="Access log of an Application Load Balancer",
    recognises=recognises,
    parse=parse,
    cannot_show=NOT_IN_A_LOG,
)

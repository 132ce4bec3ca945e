"""API Gateway access logs, one JSON object a line, through DuckDB -> `gateway` and `failures`."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

from incident_rca.formats.duckdb_session import define, fetch, open_session, run_file
from incident_rca.formats.lines import damage_of, object_of, repaired_copy
from incident_rca.formats.parsed import Format, Head, Parsed, RawInput, as_schema, redacted
from incident_rca.model import System, TimeWindow

_NEEDED = {"httpMethod", "resourcePath", "status"}
_TIMES = {"requestTimeEpoch", "requestTime"}


def recognises(head: Head) -> bool:
    """Whether one of the first lines is a request with its time, route and status."""
    for line in head.lines[:50]:
        row = object_of(line)
        if row is not None and row.keys() >= _NEEDED and row.keys() & _TIMES:
            return True
    return False


def parse(raw: RawInput) -> Parsed:
    """The requests by second and the failures by line.

    A file that DuckDB cannot number line by line (uneven line ends, foreign bytes, a broken gzip
    stream) is read from a repaired copy, so that every line keeps its number.
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
        define(session, "error_type.sql")
        define(session, "access_log_requests.sql")
        coverage = fetch(run_file(session, "access_log_coverage.sql")).iloc[0]
        gateway = fetch(run_file(session, "access_log_gateway.sql"))
        failures = fetch(run_file(session, "access_log_failures.sql"))
    origin = {"source": raw.source, "file": raw.file}
    rows, resolution = int(coverage["rows"]), 0.001 if coverage["has_milliseconds"] else 1.0
    return Parsed(
        frames={
            "gateway": as_schema(redacted(gateway, "gateway").assign(**origin), "gateway"),
            "failures": as_schema(
                redacted(failures, "failures").assign(**origin, seen_in="access"), "failures"
            ),
        },
        rows=rows,
        unparsed=int(coverage["unparsed"]),
        covered=_covered(coverage, resolution) if rows else None,
        resolution_seconds=resolution,
        query=raw.query,
        damage=damage,
    )


def _covered(coverage: Any, resolution_seconds: float) -> TimeWindow:
    first, last = coverage["first_at"].to_pydatetime(), coverage["last_at"].to_pydatetime()
    return TimeWindow(first, last + timedelta(seconds=resolution_seconds))


FORMAT = Format(
    kind="access_log",
    system=System.GATEWAY,
    title="API Gateway access log, one JSON object a line",
    recognises=recognises,
    parse=parse,
    cannot_show="requests that did not reach the gateway, and what went on behind it",
)

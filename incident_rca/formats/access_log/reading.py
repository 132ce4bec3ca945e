"""The lines of an access log and their format -> the tables, with every line's number true."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import timedelta
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from incident_rca.formats.access_log.keys import FLAT_KEYS, is_request
from incident_rca.formats.access_log.pieces import Piece, pieces_of, pieces_of_values
from incident_rca.formats.access_log.rolling import (
    Counted,
    Lines,
    LostFailure,
    failure_rows,
    gateway_rows,
    roll_up,
)
from incident_rca.formats.access_log.stage_format import LineFormat, json_format
from incident_rca.formats.access_log.values import values_of
from incident_rca.formats.access_log.variables import VARIABLES
from incident_rca.formats.duckdb_session import define, fetch, open_session, run_file
from incident_rca.formats.lines import lines_of
from incident_rca.formats.parsed import Parsed, RawInput, origin_of, redacted
from incident_rca.model import TimeWindow
from incident_rca.typed_frames import as_schema

if TYPE_CHECKING:
    import duckdb

USUAL_FORMAT = json_format({name: (key,) for name, key in FLAT_KEYS.items()})
# The path of a variable that no line has.
NOWHERE = ("\ue000",)
_PLAIN_KEY = re.compile(r"[\w. /:@-]+")
# What is no JSON is taken apart only where a status 5xx may stand in it.
_MAY_HAVE_FAILED = re.compile(rb"^\s*\{.*[^0-9]5[0-9][0-9][^0-9]", re.DOTALL)
_INTEGRATION = {"integrationStatus", "integration.integrationStatus"}
# An arrival that is only known to lie before the log event, by at most an integration's time-out.
EVENT_RESOLUTION_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class NumberedLine:
    """A line and its number in the file; `event_ms` is when a log service took it, if it says."""

    number: int
    text: bytes
    event_ms: int | None = None


def numbered(path: Path) -> Iterator[NumberedLine]:
    """The lines of a file; raises Truncated behind the last of a damaged one."""
    return (NumberedLine(n, text) for n, text in enumerate(lines_of(path), start=1))


def parse_json_file(raw: RawInput, known: LineFormat | None) -> Parsed:
    """The tables of JSON lines, which DuckDB reads by itself.

    Lines that are no valid JSON but can be read all the same are unparsed, unless one of them is a
    failed request: then the file is read from a copy of its values, which takes several times as
    long.
    """
    how = _how(raw, known or USUAL_FORMAT, known, lambda line: is_failure(known, line))
    try:
        return _parsed(raw, pieces_of(raw.path, raw.work), how, known)
    except LostFailure:
        assert known is not None
        return parse_lines(raw, numbered(raw.path), known)


def is_failure(known: LineFormat | None, line: bytes) -> bool:
    """Whether a line that is no valid JSON is a failed request all the same."""
    if known is None or not _MAY_HAVE_FAILED.search(line):
        return False
    values = values_of(known, line)
    return is_request(values) and values is not None and int(values["status"]) >= 500


def parse_lines(raw: RawInput, lines: Iterable[NumberedLine], known: LineFormat) -> Parsed:
    """The tables of lines in any format, read one by one.

    The numbers ascend; a line whose number is left out counts as nothing, one that is no request as
    unparsed. Where the format has no time, a request arrived its latency before its event.
    """
    how = _how(raw, USUAL_FORMAT, known, lambda _: False)
    return _parsed(raw, pieces_of_lines(lines, known, raw.work), how, known)


def pieces_of_lines(
    lines: Iterable[NumberedLine], known: LineFormat, work: Path
) -> Iterator[Piece]:
    """The values of lines in any format, as JSON of USUAL_FORMAT; each line keeps its number."""
    from_events = not known.keys.keys() & {"requestTimeEpoch", "requestTime"}
    rows = ((line.number, _copied(line, known, from_events=from_events)) for line in lines)
    return pieces_of_values(rows, work)


def _copied(line: NumberedLine, known: LineFormat, *, from_events: bool) -> bytes:
    """The values of a line under the usual keys, empty for a blank one."""
    if not line.text.strip():
        return b""
    values = values_of(known, line.text) or {}
    if from_events and values and line.event_ms is not None:
        arrived = line.event_ms - _latency_ms(values)
        values = {**values, "requestTimeEpoch": str(arrived)}
    usual = {FLAT_KEYS[name]: value for name, value in values.items() if name in FLAT_KEYS}
    return msgspec.json.encode(usual)


def _latency_ms(values: Mapping[str, str]) -> int:
    for name in ("responseLatency", "integrationLatency", "integration.latency"):
        if values.get(name, "").isdecimal():
            return int(values[name])
    return 0


def _how(
    raw: RawInput,
    keys: LineFormat,
    known: LineFormat | None,
    is_failure: Callable[[bytes], bool],
) -> Lines:
    """How JSON lines with these keys become requests."""

    def prepare(connection: duckdb.DuckDBPyConnection) -> None:
        _tell(connection, raw, known)
        define(connection, "error_type.sql")
        define_fields(connection, keys)
        define(connection, "access_log_requests.sql")

    def read(connection: duckdb.DuckDBPyConnection) -> Counted:
        define(connection, "access_log_piece.sql")
        return Counted(*run_file(connection, "access_log_piece_lines.sql").fetchall()[0])

    return Lines(prepare, read, lambda on: define(on, "access_log_keep.sql"), is_failure)


def define_fields(connection: duckdb.DuckDBPyConnection, keys: LineFormat) -> None:
    """Defines the view `fields` of a piece's JSON lines, whose keys are those of `keys`."""
    paths = paths_of(keys)
    in_order = [_json_path(paths[name]) for name in VARIABLES]
    connection.execute("SET VARIABLE json_paths = ?", [in_order])
    kind = "flat" if paths == USUAL_FORMAT.paths else "keys"
    define(connection, f"access_log_fields_{kind}.sql")


def _parsed(raw: RawInput, pieces: Iterable[Piece], how: Lines, known: LineFormat | None) -> Parsed:
    with ThreadPoolExecutor(1) as beside, open_session(raw.work) as session:
        # What puts the rows together takes a while to load, and DuckDB is at work meanwhile.
        beside.submit(import_module, "pandas")
        define(session, "access_log_rolled.sql")
        unparsed, damage = roll_up(session, pieces, how)
        coverage = fetch(run_file(session, "access_log_coverage.sql")).iloc[0]
        gateway, failures = gateway_rows(session), failure_rows(session)
    origin = origin_of(raw)
    rows, resolution = int(coverage["rows"]), _resolution(bool(coverage["has_milliseconds"]), known)
    return Parsed(
        frames={
            "gateway": as_schema(redacted(gateway, "gateway").assign(**origin), "gateway"),
            "failures": as_schema(
                redacted(failures, "failures").assign(**origin, seen_in="access"), "failures"
            ),
        },
        rows=rows,
        unparsed=unparsed,
        covered=_covered(coverage, resolution) if rows else None,
        resolution_seconds=resolution,
        query=raw.query,
        damage=damage,
        lacks=known.lacks if known else (),
    )


def knows_of(line_format: LineFormat | None) -> Mapping[str, bool]:
    """Which facts an absent value proves to be absent, as queries/duckdb/error_type.sql asks."""
    names = line_format.keys.keys() if line_format else {*VARIABLES}
    return {
        "response_type": "error.responseType" in names,
        "integration_status": bool(names & _INTEGRATION),
        "backend_status": "integration.status" in names,
        "error_text": bool(names & {"integration.error", "integrationErrorMessage"}),
    }


def _tell(session: duckdb.DuckDBPyConnection, raw: RawInput, known: LineFormat | None) -> None:
    """Tells the queries what the format could have shown, and what the user said."""
    for fact, value in knows_of(known).items():
        session.execute(f"SET VARIABLE knows_{fact} = ?", [value])
    timeout = raw.reading.get("integration_timeout_ms", "")
    session.execute(
        "SET VARIABLE integration_timeout_ms = ?", [int(timeout) if timeout.isdecimal() else None]
    )


def paths_of(keys: LineFormat) -> dict[str, tuple[str, ...]]:
    """A path for each variable; one that the head of a file did not show may have its usual key."""
    used = set(keys.paths.values())
    is_whole = bool(keys.text)
    return {
        name: keys.paths.get(name, NOWHERE if is_whole or (key,) in used else (key,))
        for name, key in FLAT_KEYS.items()
    }


def _json_path(keys: Iterable[str]) -> str:
    """A JSON path as DuckDB reads it.

    >>> _json_path(("integration", "a.status"))
    '$."integration"."a.status"'
    """
    return "$" + "".join(f'."{key}"' for key in keys)


def has_plain_keys(known: LineFormat) -> bool:
    """Whether all keys can stand in a JSON path of DuckDB."""
    return all(_PLAIN_KEY.fullmatch(key) for path in known.paths.values() for key in path)


def _resolution(has_milliseconds: bool, known: LineFormat | None) -> float:
    if known and not known.keys.keys() & {"requestTimeEpoch", "requestTime"}:
        has_latency = known.keys.keys() & {"responseLatency", "integrationLatency"}
        return 1.0 if has_latency else EVENT_RESOLUTION_SECONDS
    return 0.001 if has_milliseconds else 1.0


def _covered(coverage: Any, resolution_seconds: float) -> TimeWindow:
    first, last = coverage["first_at"].to_pydatetime(), coverage["last_at"].to_pydatetime()
    return TimeWindow(first, last + timedelta(seconds=resolution_seconds))

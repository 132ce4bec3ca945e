"""The lines of an access log and their format -> the tables, with every line's number true."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from incident_rca.formats.access_log.keys import FLAT_KEYS, is_request
from incident_rca.formats.access_log.stage_format import LineFormat, json_format
from incident_rca.formats.access_log.values import values_of
from incident_rca.formats.access_log.variables import VARIABLES
from incident_rca.formats.duckdb_session import define, fetch, open_session, run_file
from incident_rca.formats.lines import Truncated, damage_of, lines_of, repaired_copy
from incident_rca.formats.parsed import Parsed, RawInput, redacted
from incident_rca.model import TimeWindow
from incident_rca.trace_ids import ids_of_log, joined_ids, split_ids
from incident_rca.typed_frames import as_schema

if TYPE_CHECKING:
    import duckdb

USUAL_FORMAT = json_format({name: (key,) for name, key in FLAT_KEYS.items()})
# The keys of what `copy_values` writes.
VALUES_FORMAT = json_format({name: (name,) for name in VARIABLES})
# The path of a variable that no line has.
NOWHERE = ("\ue000",)
_PLAIN_KEY = re.compile(r"[\w. /:@-]+")
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

    A file that DuckDB cannot number line by line (uneven line ends, foreign bytes, a broken gzip
    stream) is read from a repaired copy, so that every line keeps its number. Lines that are no
    valid JSON but can be read all the same are unparsed, unless one of them is a failed request:
    then the file is read from a copy of its values, which takes several times as long.
    """
    import duckdb

    is_uneven, damage = damage_of(raw.path)
    if not is_uneven and not damage:
        try:
            return _read_json(raw, raw.path, known, damage="")
        except duckdb.Error:
            damage = ""
    copy, damage = repaired_copy(raw.path, raw.work)
    try:
        return _read_json(raw, copy, known, damage=damage)
    finally:
        copy.unlink()


def _read_json(raw: RawInput, path: Path, known: LineFormat | None, *, damage: str) -> Parsed:
    with open_session(raw.work) as session:
        parsed = _read(session, raw, path, known or USUAL_FORMAT, known, damage=damage)
        unread: Iterable[str] = ()
        if known is not None and parsed.unparsed:
            unread = fetch(run_file(session, "access_log_unread.sql"))["text"]
    if known is not None and may_be_failures(known, unread):
        return parse_lines(raw, numbered(path), known, damage=damage)
    return parsed


def may_be_failures(known: LineFormat, texts: Iterable[str]) -> bool:
    """Whether one of some lines that are no valid JSON is a failed request all the same."""
    found = (values_of(known, text.encode()) for text in texts)
    return any(is_request(v) and int(v["status"]) >= 500 for v in found if v is not None)


def parse_lines(
    raw: RawInput, lines: Iterable[NumberedLine], known: LineFormat, *, damage: str = ""
) -> Parsed:
    """The tables of lines in any format, read one by one.

    The numbers ascend; a line whose number is left out counts as nothing, one that is no request as
    unparsed. Where the format has no time, a request arrived its latency before its event.
    """
    copy = raw.work / "values.ndjson"
    try:
        broken = copy_values(lines, known, copy)
        with open_session(raw.work) as session:
            parsed = _read(session, raw, copy, VALUES_FORMAT, known, damage=damage or broken)
    finally:
        copy.unlink(missing_ok=True)
    return parsed


def copy_values(lines: Iterable[NumberedLine], known: LineFormat, copy: Path) -> str:
    """Writes the values of lines as JSON lines of VALUES_FORMAT; what they broke off by, "" if not.

    Each line keeps its number.
    """
    from_events = not known.keys.keys() & {"requestTimeEpoch", "requestTime"}
    at = 1
    with copy.open("wb") as out:
        try:
            for line in lines:
                out.write(b" \n" * (line.number - at))
                out.write(_copied(line, known, from_events=from_events) + b"\n")
                at = line.number + 1
        except Truncated as error:
            return str(error)
    return ""


def _copied(line: NumberedLine, known: LineFormat, *, from_events: bool) -> bytes:
    if not line.text.strip():
        return b" "
    values = values_of(known, line.text) or {}
    if from_events and values and line.event_ms is not None:
        arrived = line.event_ms - _latency_ms(values)
        values = {**values, "requestTimeEpoch": str(arrived)}
    return msgspec.json.encode(values)


def _latency_ms(values: Mapping[str, str]) -> int:
    for name in ("responseLatency", "integrationLatency", "integration.latency"):
        if values.get(name, "").isdecimal():
            return int(values[name])
    return 0


def _read(
    session: duckdb.DuckDBPyConnection,
    raw: RawInput,
    path: Path,
    keys: LineFormat,
    known: LineFormat | None,
    *,
    damage: str,
) -> Parsed:
    """The tables of the JSON lines of `path`, whose keys are those of `keys`."""
    _tell(session, raw, known)
    define(session, "error_type.sql")
    define_fields(session, [path], keys)
    define(session, "access_log_requests.sql")
    coverage = fetch(run_file(session, "access_log_coverage.sql")).iloc[0]
    gateway = fetch(run_file(session, "access_log_gateway.sql"))
    failures = fetch(run_file(session, "access_log_failures.sql"))
    ids = failures["logged_ids"].map(lambda text: joined_ids(ids_of_log(*split_ids(text))))
    failures = failures.assign(trace_ids=ids)
    origin = {"source": raw.source, "file": raw.file}
    rows, resolution = int(coverage["rows"]), _resolution(bool(coverage["has_milliseconds"]), known)
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
        lacks=known.lacks if known else (),
    )


def define_fields(
    session: duckdb.DuckDBPyConnection, paths: Sequence[Path], keys: LineFormat
) -> None:
    """Defines the view `fields` over the JSON lines of files, whose keys are those of `keys`."""
    session.execute("SET VARIABLE raw_path = ?", [[str(path) for path in paths]])
    define(session, "access_log_lines.sql")
    of_variables = paths_of(keys)
    if of_variables == USUAL_FORMAT.paths:
        define(session, "access_log_fields_flat.sql")
    else:
        in_order = [_json_path(of_variables[name]) for name in VARIABLES]
        session.execute("SET VARIABLE json_paths = ?", [in_order])
        define(session, "access_log_fields_keys.sql")


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

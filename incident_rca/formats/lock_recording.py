"""The flight recorder's NDJSON -> `locks`, `session_counts` and `relations`.

One self-describing file: a `header` line names the format's version, the server and the columns;
a `probe` line every second counts the sessions by application, state and wait event; a `snapshot`
line holds pg_locks and the sessions in it, while somebody waits and once after; a `gap` line says
why nothing was recorded for a while, an `end` line that the recorder ended in order.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from incident_rca.errors import BadInput
from incident_rca.formats.holder_statements import SeenStatements
from incident_rca.formats.lines import Truncated, lines_of
from incident_rca.formats.lock_edges import Snapshot, edges_of
from incident_rca.formats.parsed import (
    Format,
    Head,
    Parsed,
    RawInput,
    frame_of,
    frame_of_columns,
    utc_instant,
    window_of,
)
from incident_rca.json_text import decode
from incident_rca.model import Gap, System, TimeWindow

if TYPE_CHECKING:
    import pandas as pd

FORMAT_NAME = "incident-rca/lock-recording"
FORMAT_VERSION = 1
# A probe may be late once; this many intervals without one are a gap.
GAP_INTERVALS = 5
HIDDEN = "its role saw process ids and locks, but neither states nor statements of other sessions"
RESTRICTED = f"{HIDDEN}: GRANT pg_read_all_stats to it"

Row = dict[str, Any]

# When the server answered: what alone differs between two snapshots of one state.
_TIMES = frozenset({"locks_at", "sessions_at"})
_NO_SNAPSHOT: tuple[Row, int, list[Row]] = ({}, 0, [])
# The columns of a count of sessions, and the recorder's names for them.
COUNTED = {
    "application": "application_name",
    "state": "state",
    "wait_event_type": "wait_event_type",
    "wait_event": "wait_event",
    "sessions": "sessions",
}


def recognises(head: Head) -> bool:
    """Whether the first line is the recorder's header."""
    return bool(head.lines) and f'"{FORMAT_NAME}"'.encode() in head.lines[0][:4096]


@dataclass(slots=True)
class _Reading:
    """What is gathered while the lines go by."""

    columns: Mapping[str, Sequence[str]] = field(default_factory=dict)
    interval_seconds: float = 1.0
    restricted: bool = False
    clock_offset_seconds: tuple[float, float] | None = None
    locks: list[Row] = field(default_factory=list)
    # By column, as a day has most of a million of them; `probes` has the line and the instant of
    # each look, and how many of them it gave.
    counts: dict[str, list[Any]] = field(default_factory=lambda: {name: [] for name in COUNTED})
    probes: list[tuple[int, datetime, int]] = field(default_factory=list)
    databases: dict[int, str] = field(default_factory=dict)
    names: dict[tuple[str, int], Row] = field(default_factory=dict)
    relations: dict[tuple[str, int], Row] = field(default_factory=dict)
    prepared: dict[str, Row] = field(default_factory=dict)
    statements: SeenStatements = field(default_factory=SeenStatements)
    # The last snapshot without its times, how many statements were known then, and its edges.
    last: tuple[Row, int, list[Row]] = _NO_SNAPSHOT
    instants: list[datetime] = field(default_factory=list)
    reasons: dict[datetime, str] = field(default_factory=dict)
    records: int = 0
    unparsed: int = 0
    went_back: str = ""


def parse(raw: RawInput) -> Parsed:
    """The edges of each snapshot, the counts of each probe, the size of each contended relation.

    Raises BadInput for a recording of a newer format. A torn line is counted as unparsed.
    """
    reading = _Reading()
    damage = ""
    try:
        for number, line in enumerate(lines_of(raw.path), start=1):
            if line.strip():
                _read_line(reading, number, line, raw)
    except Truncated as error:
        damage = str(error)
    return Parsed(
        frames=_frames(reading, raw),
        rows=reading.records,
        unparsed=reading.unparsed,
        covered=window_of(reading.instants, step_seconds=reading.interval_seconds),
        resolution_seconds=reading.interval_seconds,
        query=raw.query,
        damage="; ".join(said for said in (damage, reading.went_back) if said),
        gaps=_gaps(reading),
        blind=RESTRICTED if reading.restricted else "",
        clock_offset_seconds=reading.clock_offset_seconds,
    )


def frames_of_records(records: Iterable[Row], raw: RawInput) -> Mapping[str, pd.DataFrame]:
    """The tables of records that are at hand, as the live view has them; `raw` only names them."""
    reading = _Reading()
    for number, record in enumerate(records, start=1):
        _read_record(reading, number, record, raw)
    return _frames(reading, raw)


def _frames(reading: _Reading, raw: RawInput) -> Mapping[str, pd.DataFrame]:
    return {
        "locks": frame_of("locks", reading.locks, raw),
        "session_counts": _counts(reading, raw),
        "relations": frame_of("relations", reading.relations.values(), raw),
    }


def _counts(reading: _Reading, raw: RawInput) -> pd.DataFrame:
    import numpy as np
    import pandas as pd

    lines, instants, numbers = zip(*reading.probes, strict=True) if reading.probes else ((), (), ())
    looks: dict[str, Any] = {
        "line": np.repeat(np.array(lines, dtype=np.int64), numbers),
        "at": pd.DatetimeIndex(instants, tz="UTC").repeat(numbers),
    }
    return frame_of_columns("session_counts", looks | reading.counts, raw)


def _gaps(reading: _Reading) -> tuple[Gap, ...]:
    """The stretches without a probe, on the server's clock; who recorded nothing knows nothing."""
    longest = timedelta(seconds=GAP_INTERVALS * reading.interval_seconds)
    silent = "nothing was recorded: the recorder did not run, or its machine stood still"
    return tuple(
        Gap(TimeWindow(last, first), reading.reasons.get(last, silent))
        for last, first in pairwise(sorted(reading.instants))
        if first - last > longest
    )


def _read_line(reading: _Reading, number: int, line: bytes, raw: RawInput) -> None:
    try:
        _read_record(reading, number, decode(line), raw)
        reading.records += 1
    except (KeyError, TypeError, ValueError, IndexError, AttributeError, OverflowError):
        reading.unparsed += 1


def _read_record(reading: _Reading, number: int, record: Row, raw: RawInput) -> None:
    kind = record["kind"]
    if kind == "header":
        _read_header(reading, record, raw)
    elif kind == "probe":
        _read_probe(reading, number, record)
    elif kind == "snapshot":
        _read_snapshot(reading, number, record)
    elif kind == "gap" and reading.instants:
        # Its own times are of the recorder's clock; the probes around it are of the server's.
        reading.reasons.setdefault(reading.instants[-1], str(record["reason"]))


def _read_header(reading: _Reading, record: Row, raw: RawInput) -> None:
    if record["format_version"] > FORMAT_VERSION:
        raise BadInput(
            f"{raw.file}: is a lock recording of format {record['format_version']}, "
            f"this version reads up to {FORMAT_VERSION}",
            hint="update incident-rca",
        )
    reading.columns, reading.last = record["columns"], _NO_SNAPSHOT
    reading.interval_seconds = float(record["interval_seconds"])
    reading.restricted = reading.restricted or record.get("visibility") == "restricted"
    if "clock" in record:
        lo, hi = record["clock"]["offset_seconds"]
        reading.clock_offset_seconds = (float(lo), float(hi))


def _read_probe(reading: _Reading, number: int, record: Row) -> None:
    at = utc_instant(record["at"])
    _note_clock(reading, at)
    rows = record["counts"]
    names = reading.columns["counts"]
    given = dict(zip(names, zip(*rows, strict=True), strict=True)) if rows else {}
    fresh = {ours: given[theirs] for ours, theirs in COUNTED.items() if rows}
    for row in _dicts(reading.columns.get("statements", ()), record.get("statements", ())):
        reading.statements.note(row)
    for name, values in fresh.items():
        reading.counts[name] += values
    reading.probes.append((number, at, len(rows)))
    reading.instants.append(at)


def _note_clock(reading: _Reading, at: datetime) -> None:
    """Notes where the server's clock was put back: what it saw before and after has equal times."""
    last = reading.instants[-1] if reading.instants else at
    if (last - at).total_seconds() > reading.interval_seconds and not reading.went_back:
        seconds = (last - at).total_seconds()
        reading.went_back = (
            f"the server's clock went back by {seconds:.1f} s at {last:%Y-%m-%dT%H:%M:%S}Z: what "
            "was seen in these seconds, and then again, cannot be told apart"
        )


def _read_snapshot(reading: _Reading, number: int, record: Row) -> None:
    at = utc_instant(record["locks_at"])
    told = {name: value for name, value in record.items() if name not in _TIMES}
    last_told, noted, edges = reading.last
    # Who waits for a long lock waits for it in one snapshot after the other.
    if told != last_told or noted != reading.statements.noted:
        # One that breaks off may have said a name by then, so it ends what was known to be equal.
        reading.last = _NO_SNAPSHOT
        edges = _edges(reading, number, at, told)
        reading.last = told, reading.statements.noted, edges
    reading.locks += ({**edge, "line": number, "at": at} for edge in edges)
    reading.instants.append(at)


def _edges(reading: _Reading, number: int, at: datetime, record: Row) -> list[Row]:
    columns = reading.columns
    reading.databases.update(dict(record.get("databases", ())))
    for row in _dicts(columns["relations"], record.get("relations", ())):
        _read_relation(reading, number, at, row)
    for row in _dicts(columns.get("prepared", ()), record.get("prepared", ())):
        reading.prepared[row["virtualtransaction"]] = row
    sessions = {s["pid"]: s for s in _dicts(columns["sessions"], record["sessions"])}
    for session in sessions.values():
        reading.statements.note(session)
    snapshot = Snapshot(
        line=number,
        at=at,
        locks=list(_dicts(columns["locks"], record["locks"])),
        sessions=sessions,
        databases=reading.databases,
        relations=reading.names,
        prepared=reading.prepared,
    )
    return edges_of(snapshot, reading.statements)


def _read_relation(reading: _Reading, number: int, at: datetime, row: Row) -> None:
    key = (row["database"], row["oid"])
    reading.names[key] = row
    reading.relations.setdefault(
        key,
        {
            "line": number,
            "at": at,
            "database": row["database"],
            "relation": f"{row['schema']}.{row['relation']}",
            "oid": row["oid"],
            "reltuples": row["reltuples"],
        },
    )


def _dicts(columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> Iterator[Row]:
    for row in rows:
        yield dict(zip(columns, row, strict=True))


FORMAT = Format(
    kind="lock_recording",
    system=System.POSTGRES,
    title="lock recording written by `incident-rca record`, NDJSON",
    recognises=recognises,
    parse=parse,
    cannot_show=(
        "waits shorter than its interval; when the holder took its lock (only bounds); statements "
        "that took a lock and ended between two probes"
    ),
)

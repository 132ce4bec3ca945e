"""The lock pairs that pgwatch stored -> `locks`, with those that block nobody told apart.

Its metric `blocking_locks` pairs each waiter with every granted lock on the same relation or
transaction, whatever their modes (pgwatch, internal/metrics/metrics.yaml); its PostgreSQL sink
keeps columns named `tag_` in `tag_data` without that prefix, the others in `data`
(internal/sinks/postgres.go). Both modes are there, so the conflict matrix can be applied after all.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from statistics import median
from typing import Any

from incident_rca.formats.lines import document_of
from incident_rca.formats.parsed import (
    Format,
    Head,
    Parsed,
    RawInput,
    frame_of,
    session_of,
    window_of,
)
from incident_rca.formats.sql_answer import (
    Row,
    asked_of,
    instant_of,
    is_answer_of,
    pid_of,
    request_of,
    rows_of,
    text_of,
    within,
)
from incident_rca.lock_modes import CONFLICTS, conflicts
from incident_rca.model import System
from incident_rca.redact import redact_sql
from incident_rca.statement_tables import only_table_of
from incident_rca.trace_ids import ids_in_session

SERVICE = "pgwatch"
# Of these one relation has many, and which of them it was is not stored.
_MANY_IN_A_RELATION = frozenset({"tuple", "page"})
_NO_ROW = "pgwatch writes no row when nobody waits: whether it looked at all is not in its table"
_ABSENT = frozenset({"", "null", "<nil>"})  # as its SQL and Go's `%v` write it


@dataclass(frozen=True, slots=True)
class _Pair:
    """A waiter and somebody with a granted lock on the same relation or transaction."""

    line: int
    at: datetime
    database: str | None
    relation: str | None
    lock_type: str
    waiter: int
    waiter_mode: str
    waiter_statement: str
    holder: int
    holder_type: str
    holder_mode: str
    holder_statement: str

    @property
    def edge(self) -> str:
        """`hard` where the modes conflict, `named` where they may be on two locks, else `none`."""
        if self.holder_type != self.lock_type or not conflicts(self.holder_mode, self.waiter_mode):
            return "none"
        return "named" if self.lock_type in _MANY_IN_A_RELATION else "hard"

    @property
    def held(self) -> tuple[Any, ...]:
        """What one granted lock of one sample is known by."""
        return (
            *(self.at, self.database, self.relation),
            *(self.holder, self.holder_type, self.holder_mode),
        )


def recognises(head: Head) -> bool:
    """Whether the document is an envelope of pgwatch's lock pairs."""
    return is_answer_of(head.document, SERVICE)


def parse(raw: RawInput) -> Parsed:
    """One row a pair that conflicts, one a holder that blocks nobody; covered is what has rows.

    No rows at all mean that nobody waited or that nobody looked: `blind` says so.
    """
    document = document_of(raw.path)
    rows, unparsed = rows_of(document.get("response"), raw.file)
    pairs: list[_Pair] = []
    for position, row in rows:
        try:
            pairs.append(_pair(position, row))
        except (KeyError, ValueError):
            unparsed += 1
    asked, cadence = asked_of(document), _cadence_seconds(pairs)
    sampled = window_of((p.at for p in pairs), step_seconds=cadence or 0.0)
    return Parsed(
        frames={"locks": frame_of("locks", _edges(pairs), raw)},
        rows=len(pairs),
        unparsed=unparsed,
        asked=asked,
        covered=within(asked, sampled.start, sampled.end) if sampled else None,
        resolution_seconds=cadence,
        query=str(request_of(document).get("query", "")) or raw.query,
        blind="" if pairs else _NO_ROW,
    )


def _pair(position: int, row: Mapping[str, Any]) -> _Pair:
    data, tags = row["data"], row["tag_data"]
    if not isinstance(data, dict) or not isinstance(tags, dict):
        raise ValueError("no measurement")
    at = instant_of(row["time"])
    waiter, holder = pid_of(data["waiting_pid"]), pid_of(data["other_pid"])
    waiter_mode, holder_mode = tags["waiting_mode"], data["other_mode"]
    if at is None or waiter is None or holder is None:
        raise ValueError("a pair without its time or processes")
    modes = (waiter_mode, holder_mode)
    if not all(isinstance(mode, str) and mode in CONFLICTS for mode in modes):
        raise ValueError("a mode that is none of a table, transaction or row")
    waiter_statement = text_of(data.get("waiting_query")) or ""
    return _Pair(
        line=position,
        at=at,
        database=_said(tags.get("real_dbname")) or _said(row.get("dbname")),
        relation=_relation(tags.get("waiting_table")) or only_table_of(waiter_statement),
        lock_type=text_of(tags["waiting_locktype"]) or "lock",
        waiter=waiter,
        waiter_mode=waiter_mode,
        waiter_statement=waiter_statement,
        holder=holder,
        holder_type=text_of(data["other_locktype"]) or "lock",
        holder_mode=holder_mode,
        holder_statement=text_of(data.get("other_query")) or "",
    )


def _said(value: Any) -> str | None:
    return value if isinstance(value, str) and value not in _ABSENT else None


def _relation(value: Any) -> str | None:
    """A name as regclass writes it, without quotes; of a table that is gone it writes the OID."""
    name = _said(value)
    if name is None:
        return None
    return f"relation {name}" if name.isdecimal() else name.replace('"', "")


def _edges(pairs: Iterable[_Pair]) -> list[Row]:
    """The pairs that block, and each granted lock that blocked nobody in its sample, once."""
    pairs = list(pairs)
    guilty = {pair.held for pair in pairs if pair.edge != "none"}
    rows: list[Row] = []
    seen: set[tuple[Any, ...]] = set()
    for pair in pairs:
        if pair.edge != "none":
            rows.append(_row(pair) | _waiter(pair))
        elif pair.held not in guilty and pair.held not in seen:
            seen.add(pair.held)
            rows.append(_row(pair))
    return rows


def _row(pair: _Pair) -> Row:
    lock_type = pair.lock_type if pair.edge != "none" else pair.holder_type
    return {
        "line": pair.line,
        "at": pair.at,
        "edge": pair.edge,
        "lock_type": lock_type,
        "database": pair.database,
        "relation": pair.relation or f"{lock_type} (not named)",
        "holder_pid": pair.holder,
        "holder_session": session_of(pair.holder),
        "holder_mode": pair.holder_mode,
        "holder_mode_basis": "granted",
        "holder_statement": redact_sql(pair.holder_statement),
        # Its state is not stored: whether this statement took the lock is not known.
        "holder_statement_basis": "last" if pair.holder_statement else None,
        "holder_trace_ids": ids_in_session(pair.holder_statement, None),
    }


def _waiter(pair: _Pair) -> Row:
    return {
        "waiter_pid": pair.waiter,
        "waiter_session": session_of(pair.waiter),
        "waiter_mode": pair.waiter_mode,
        "waiter_statement": redact_sql(pair.waiter_statement),
        "waiter_trace_ids": ids_in_session(pair.waiter_statement, None),
    }


def _cadence_seconds(pairs: Iterable[_Pair]) -> float | None:
    """The usual time between two samples of one source, None where there are no two of one."""
    times: dict[str | None, set[datetime]] = {}
    for pair in pairs:
        times.setdefault(pair.database, set()).add(pair.at)
    steps = [
        (later - earlier).total_seconds()
        for of_source in times.values()
        for earlier, later in pairwise(sorted(of_source))
    ]
    return median(steps) if steps else None


FORMAT = Format(
    kind="pgwatch_history",
    system=System.POSTGRES,
    title="metric blocking_locks of pgwatch, fetched from its measurements by SQL",
    recognises=recognises,
    parse=parse,
    cannot_show=(
        "waits between two polls (every 30 s, and only in the preset `debug`), the queue order, "
        "when a wait began, a holder's state, autovacuum, prepared transactions, advisory locks, "
        "and whether it was polling when there is no row"
    ),
)

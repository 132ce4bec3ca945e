"""What a parser takes and gives, and how rows become typed frames."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import repeat
from pathlib import Path
from typing import TYPE_CHECKING, Any

from incident_rca.console_names import known_console
from incident_rca.errors import BadInput
from incident_rca.model import Cluster, Gap, System, TimeWindow
from incident_rca.pseudonyms import COUNTED_BY, mark
from incident_rca.redact import by_kind, redact_query, redact_text
from incident_rca.tables import SCHEMAS
from incident_rca.typed_frames import as_schema, categories_of

if TYPE_CHECKING:
    import pandas as pd

# The years 2000 to 2099, as queries/duckdb/load_balancer_requests.sql has them.
FIRST_SECOND, END_SECOND = 946_684_800, 4_102_444_800
_CENTURY, _NEXT_CENTURY = datetime(2000, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class RawInput:
    """One raw file: where it is, what the case calls it, and what its answer does not say itself.

    `work` is a folder for scratch files; `query` and `metric` are what the user named for a bare
    answer, `reading` what else the file does not say (`log_line_prefix`, `log_timezone`).
    """

    path: Path
    file: str
    source: str
    work: Path
    query: str = ""
    metric: str = ""
    reading: Mapping[str, str] = field(default_factory=dict, hash=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Parsed:
    """The tables of one raw file, and how much of it could be read.

    `rows` counts records, `unparsed` those that could not be read. `damage` says why the file ends
    before its end, if it does. `resolution_seconds` tells two instants apart. `lacks` says which
    facts its format cannot give. `clock_offset_seconds` bounds the clock of its times against true
    time, where who wrote the file measured that. `console` is that of SourceStatus.
    `cure` says what the user may give so that it can be read, as far as its reader knows.
    `clusters` count all rows by time, where a format has rows that are in no table.
    """

    frames: Mapping[str, pd.DataFrame] = field(hash=False)
    rows: int
    unparsed: int = 0
    asked: TimeWindow | None = None
    covered: TimeWindow | None = None
    resolution_seconds: float | None = None
    query: str = ""
    damage: str = ""
    gaps: tuple[Gap, ...] = ()
    clusters: tuple[Cluster, ...] = ()
    blind: str = ""
    lacks: tuple[str, ...] = ()
    clock_offset_seconds: tuple[float, float] | None = None
    console: Mapping[str, str] = field(default_factory=dict, hash=False)
    cure: str = ""

    @property
    def is_unread(self) -> bool:
        """Whether there is something in the file, and none of it could be read."""
        return self.rows == 0 and self.unparsed > 0

    def unread(self, name: str, kind: str, doubt: str) -> BadInput:
        """The error of a file that is unread; `doubt` is its hint where no cure is known."""
        return BadInput(
            f"{name}: none of its {self.unparsed} rows could be read as {kind}",
            hint=self.cure or doubt,
        )


@dataclass(frozen=True, slots=True)
class Head:
    """The beginning of a file, decompressed: its first lines, and its JSON object if it is one."""

    lines: tuple[bytes, ...]
    document: Mapping[str, Any] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Format:
    """One known kind of file: how to recognise and parse it, and what such a file never shows."""

    kind: str
    system: System
    title: str
    recognises: Callable[[Head], bool]
    parse: Callable[[RawInput], Parsed]
    cannot_show: str = ""


# Statements are redacted as SQL where they are parsed, names of sources and files with the case;
# trace ids have the shape of one.
_REDACTED_ELSEWHERE = frozenset(
    {
        "source",
        "file",
        "trace_ids",
        "waiter_trace_ids",
        "holder_trace_ids",
        "statement",
        "waiter_statement",
        "holder_statement",
    }
)
# The name of a prepared transaction is in it, which a command to end it must write.
_NAMES_TO_COPY = frozenset({"waiter_session", "holder_session"})
# Uuids, X-Ray roots, extended request ids and `session_of` say nothing of a person.
_BARE_IDS = re.compile(
    r"(?:(?:[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}|(?:Root=)?1-[0-9a-f]{8}-[0-9a-f]{24}"
    r"|[\w+/-]{15}=|[0-9]{1,10}(?:@[0-9TZ:-]{20})?)\n)*+"
)


def redacted(frame: pd.DataFrame, table: str) -> pd.DataFrame:
    """`frame` with personal data and secrets out of every text, whoever wrote it."""
    columns: dict[str, Any] = {}
    for column, duckdb_type in SCHEMAS[table].items():
        if duckdb_type == "VARCHAR" and column in frame and column not in _REDACTED_ELSEWHERE:
            texts = frame[column].dropna().unique()
            if not _BARE_IDS.fullmatch("\n".join([*texts, ""])):
                stand_in = by_kind if column in COUNTED_BY else mark
                redact = redact_query if column in _NAMES_TO_COPY else redact_text
                new = {text: redact(text, stand_in) for text in texts}
                if any(text != shown for text, shown in new.items()):
                    columns[column] = frame[column].map(new)
    return frame.assign(**columns)


def origin_of(raw: RawInput) -> Mapping[str, str]:
    """Where the rows of a file come from, by the columns that say it."""
    return {"source": raw.source, "file": raw.file}


def frame_of(table: str, rows: Iterable[dict[str, Any]], raw: RawInput) -> pd.DataFrame:
    """A typed frame of `table` from rows as mappings; `source` and `file` are added."""
    records = list(rows)
    given = (column for column in SCHEMAS[table] if column not in origin_of(raw))
    columns = {column: list(map(dict.get, records, repeat(column))) for column in given}
    return frame_of_columns(table, columns, raw)


def frame_of_columns(table: str, columns: Mapping[str, Any], raw: RawInput) -> pd.DataFrame:
    """A typed frame of `table` from lists or arrays of one length; what is absent is added.

    Raises TypeError where something else is among texts.
    """
    import numpy as np
    import pandas as pd

    number = len(next(iter(columns.values())))
    # Where each text is held once, it is looked at and redacted once.
    held = {
        column: categories_of(values) if SCHEMAS[table][column] == "VARCHAR" else values
        for column, values in columns.items()
    }
    for column, text in origin_of(raw).items():
        once = pd.Index([text], dtype="str")
        held[column] = pd.Categorical.from_codes(np.zeros(number, dtype=np.int8), once)
    return as_schema(redacted(pd.DataFrame(held), table), table)


def console_of(request: object) -> Mapping[str, str]:
    """What the request of an envelope says of its service's own console, as far as it can be so."""
    said = request.get("console") if isinstance(request, Mapping) else None
    return known_console(said if isinstance(said, Mapping) else {})


def utc_instant(text: str) -> datetime:
    """The sane UTC instant of an ISO 8601 text; raises ValueError where it has no offset."""
    at = datetime.fromisoformat(text)
    if at.tzinfo is None:
        raise ValueError(f"a time without an offset: {text!r}")
    return sane_instant(at.astimezone(UTC))


def sane_instant(at: datetime) -> datetime:
    """An instant of this century, as the access logs' queries know it; raises ValueError else."""
    if not is_sane(at):
        raise ValueError(f"a time outside of this century: {at.isoformat()}")
    return at


def is_sane(at: datetime) -> bool:
    """Whether an instant is of this century: one outside of it is no reading but damage."""
    return _CENTURY <= at < _NEXT_CENTURY


def session_of(pid: int, backend_start: datetime | None = None, prepared: str = "") -> str:
    """The identity of a session: a process id is used again, but not with the same start.

    A log states the start in whole seconds, so whole seconds it is; without it the pid stands
    alone. A prepared transaction has no process: its identity is the name it was given.

    >>> session_of(4711, datetime(2026, 1, 15, 14, 0, 1, 250000, UTC))
    '4711@2026-01-15T14:00:01Z'
    >>> session_of(4711), session_of(0, prepared="transfer-7")
    ('4711', 'prepared transfer-7')
    """
    if prepared:
        return f"prepared {prepared}"
    if backend_start is None:
        return str(pid)
    return f"{pid}@{backend_start.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"


def window_of(instants: Iterable[Any], *, step_seconds: float = 0.0) -> TimeWindow | None:
    """The window from the first instant to a step behind the last, or None if there is none."""
    known = sorted(instants)
    if not known:
        return None
    first, last = known[0], known[-1]
    return TimeWindow(
        first, max(last + timedelta(seconds=step_seconds), first + timedelta(0, 0, 1))
    )

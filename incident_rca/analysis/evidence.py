"""Evidence out of table rows, settings and source states, and its short ids."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

import numpy as np

from incident_rca.analysis.frames import pieces, values
from incident_rca.model import Case, Evidence, SourceStatus, Span, System
from incident_rca.redact import plain
from incident_rca.tables import SCHEMAS
from incident_rca.window import format_instant

if TYPE_CHECKING:
    import pandas as pd

SHORTEST_ID_DIGITS = 4
_KNOWN_COLUMNS = frozenset(
    column
    for schema in SCHEMAS.values()
    for column, duckdb_type in schema.items()
    if not duckdb_type.endswith("[]")
)
EXCERPT_FIRST = 2
LONGEST_EXCERPT = 420
_ORIGIN = frozenset({"source", "file", "line", "row", "line_first", "wait_end_line"})


def instant(value: Any) -> datetime | None:
    """A table's timestamp as an aware UTC datetime, or None where it is null."""
    return None if value is None or value != value else value.to_pydatetime()


def rows_as_evidence(
    frame: pd.DataFrame,
    *,
    system: System,
    at: Span,
    seen: str,
    first: str = "line",
    last: str | None = None,
    count: int | None = None,
) -> tuple[Evidence, ...]:
    """One evidence a file that `frame` draws from, with its first and last line."""
    found = []
    for (source, file), rows in pieces(frame, "source", "file"):
        found.append(
            Evidence(
                system=system,
                source=source,
                at=at,
                seen=seen,
                file=file,
                rows=(int(rows[first].min()), int(rows[last or first].max())),
                count=len(rows) if count is None else count,
                excerpt=_excerpt(rows, first),
            )
        )
    return tuple(found)


def _excerpt(rows: pd.DataFrame, number: str) -> tuple[str, ...]:
    """The first rows and the last one, each with its number, its columns named."""
    numbers = rows[number].to_numpy(dtype=float, na_value=np.nan)
    order = np.argsort(numbers, kind="stable")
    columns = [column for column in rows if column in _KNOWN_COLUMNS and column not in _ORIGIN]
    texts = []
    some = [*order[:EXCERPT_FIRST], *order[EXCERPT_FIRST:][-1:]]
    for position, *cells in values(rows.iloc[some], number, *columns):
        named = zip(columns, cells, strict=True)
        shown = " ".join(f"{c}={_cell(v)}" for c, v in named if _is_shown(v))
        texts.append(plain(f"{position}: {shown}", LONGEST_EXCERPT))
    return tuple(texts)


def _is_shown(value: Any) -> bool:
    return isinstance(value, str | int | float | datetime) and value != ""


def _cell(value: Any) -> str:
    if isinstance(value, datetime):
        return format_instant(value)
    return f"{value:g}" if isinstance(value, float) else str(value)


def setting_as_evidence(case: Case, seen: str) -> tuple[Evidence, ...]:
    """A setting, a line of the topology or an assumption, as it stands in case.json."""
    return (
        Evidence(
            system=System.SETTINGS,
            source="case",
            at=Span(case.window.start, case.window.end, "holds for the whole window"),
            seen=seen,
            file="case.json",
            rows=None,
        ),
    )


def source_as_evidence(case: Case, source: SourceStatus) -> tuple[Evidence, ...]:
    """The state of a source: what cites it says that something is not known."""
    return setting_as_evidence(
        case, f"source {source.name} is {source.state}: {source.reason or 'no reason recorded'}"
    )


def short_ids(evidence: Iterable[Evidence]) -> Mapping[str, str]:
    """The short id of each digest: its letter and the first hex digits, more until unique.

    At least SHORTEST_ID_DIGITS, so an id mostly stays when evidence is added.
    """
    by_letter: dict[str, set[str]] = {}
    for item in evidence:
        by_letter.setdefault(item.letter, set()).add(item.digest)
    ids: dict[str, str] = {}
    for letter, digests in by_letter.items():
        for digest in digests:
            digits = SHORTEST_ID_DIGITS
            while sum(other.startswith(digest[:digits]) for other in digests) > 1:
                digits += 1
            ids[digest] = f"{letter}{digest[:digits]}"
    return ids

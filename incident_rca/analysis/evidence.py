"""Evidence out of table rows, settings and source states, and its short ids."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

from incident_rca.analysis.frames import pieces
from incident_rca.model import Case, Evidence, SourceStatus, Span, System

if TYPE_CHECKING:
    import pandas as pd

SHORTEST_ID_DIGITS = 4
SHOWN_FIRST = 2


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
        lines = sorted({int(line) for line in rows[first]})
        found.append(
            Evidence(
                system=system,
                source=source,
                at=at,
                seen=seen,
                file=file,
                rows=(lines[0], int(rows[last or first].max())),
                count=len(rows) if count is None else count,
                shown=tuple(lines[:SHOWN_FIRST] + lines[SHOWN_FIRST:][-1:]),
            )
        )
    return tuple(found)


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

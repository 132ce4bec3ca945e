"""The rows behind an evidence, a few of them, as the redacted tables hold them."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from incident_rca.analysis.frames import values
from incident_rca.model import Evidence
from incident_rca.redact import plain
from incident_rca.tables import TABLE_NAMES, Tables
from incident_rca.window import format_instant

LONGEST_EXCERPT = 240
_NUMBER_COLUMNS = ("line", "row", "line_first")
_ORIGIN = frozenset({"source", "file", *_NUMBER_COLUMNS})


def excerpts_of(tables: Tables, evidence: Iterable[Evidence]) -> dict[str, list[str]]:
    """The rows that each evidence shows, with their numbers in its file, by its digest."""
    wanted = tuple(evidence)
    rows: dict[tuple[str, int], str] = {}
    asked = {(item.file, number) for item in wanted for number in item.shown}
    for name in sorted(TABLE_NAMES, key="gateway".__eq__):
        frame = getattr(tables, name)
        number = next(column for column in _NUMBER_COLUMNS if column in frame)
        columns = [column for column in frame if column not in _ORIGIN]
        inside = frame[frame["file"].isin({f for f, _ in asked})]
        inside = inside[inside[number].isin({n for _, n in asked})]
        for file, row, *cells in values(inside, "file", number, *columns):
            if (file, row) in asked:
                rows.setdefault((file, row), _text(row, zip(columns, cells, strict=True)))
    return {
        item.digest: [rows[item.file, n] for n in item.shown if (item.file, n) in rows]
        for item in wanted
    }


def _text(number: int, cells: Iterable[tuple[str, Any]]) -> str:
    shown = " ".join(
        f"{column}={_cell(value)}"
        for column, value in cells
        if isinstance(value, str | int | float | datetime) and value != ""
    )
    return plain(f"{number}: {shown}", LONGEST_EXCERPT)


def _cell(value: Any) -> str:
    if isinstance(value, datetime):
        return format_instant(value)
    return f"{value:g}" if isinstance(value, float) else str(value)

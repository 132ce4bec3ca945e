"""The raw rows behind an evidence, a few of them, redacted for a terminal."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from incident_rca.formats.lines import Truncated, lines_of
from incident_rca.model import Case, Evidence, SourceState
from incident_rca.redact import plain, redact_text
from incident_rca.tables import Tables

if TYPE_CHECKING:
    import pandas as pd

LONGEST_EXCERPT = 240


def excerpts_of(
    folder: Path, case: Case, tables: Tables, evidence: Iterable[Evidence], each: int = 3
) -> dict[str, list[str]]:
    """Some raw rows behind each evidence, redacted, by the evidence's digest.

    Lines of text files stand as they are; rows of JSON answers as the tables read them.
    """
    good = {f.path for s in case.sources if s.state is not SourceState.FAILED for f in s.files}
    found: dict[str, list[str]] = {}
    for item in evidence:
        if item.rows is None or item.file not in good:
            continue
        rows = _from_tables(tables, item, each)
        found[item.digest] = rows or _from_lines(folder / item.file, item, each)
    return found


def _from_tables(tables: Tables, evidence: Evidence, each: int) -> list[str]:
    """The first and last rows of a JSON answer that an evidence cites; none for text files."""
    for frame in (tables.metrics, tables.baseline, tables.changes):
        rows = _cited(frame, evidence)
        if len(rows):
            picked = rows if len(rows) <= each else rows.iloc[[*range(each - 1), -1]]
            return [_row(values) for _, values in picked.iterrows()]
    return []


def _cited(frame: pd.DataFrame, evidence: Evidence) -> pd.DataFrame:
    first, last = evidence.rows or (0, 0)
    return frame[(frame["file"] == evidence.file) & frame["row"].between(first, last)]


def _row(values: Any) -> str:
    shown = {k: v for k, v in values.items() if k not in ("source", "file") and v == v}
    return plain(" ".join(f"{k}={v}" for k, v in shown.items() if v is not None), LONGEST_EXCERPT)


def _from_lines(path: Path, evidence: Evidence, each: int) -> list[str]:
    """The first and last lines of a text file that an evidence cites, each with its number."""
    first, last = evidence.rows or (0, 0)
    wanted = {*range(first, min(first + each - 1, last + 1)), last}
    found = []
    try:
        for number, line in enumerate(lines_of(path), start=1):
            if number in wanted:
                text = redact_text(line[:4096].decode("utf-8", "replace"))
                found.append(plain(f"{number}: {text}", LONGEST_EXCERPT))
            if number >= last:
                break
    except Truncated:
        return found
    return found

"""Files that a case holds twice, under two names: their rows are evidence once."""

from __future__ import annotations

from collections import Counter
from itertools import combinations
from typing import TYPE_CHECKING

from incident_rca.analysis.frames import pieces, sizes
from incident_rca.tables import TABLE_NAMES, Tables

if TYPE_CHECKING:
    import pandas as pd


def without_copies(tables: Tables) -> Tables:
    """The tables without the rows of a file that are, line by line, those of another file.

    The one whose source and path sort first stays.
    """
    return Tables(**{name: _once(getattr(tables, name)) for name in TABLE_NAMES})


def _once(frame: pd.DataFrame) -> pd.DataFrame:
    times = Counter(sizes(frame, "source", "file"))
    if max(times.values(), default=0) < 2:
        return frame
    found = [
        (key, _content(rows))
        for key, rows in pieces(frame, "source", "file")
        if times[len(rows)] > 1
    ]
    copies = {
        later for (one, rows), (later, others) in combinations(found, 2) if rows.equals(others)
    }
    if not copies:
        return frame
    origins = zip(frame["source"], frame["file"], strict=True)
    return frame[[origin not in copies for origin in origins]]


def _content(rows: pd.DataFrame) -> pd.DataFrame:
    """The rows but for where they are from, in an order of their own; lists as texts."""
    plain = rows.drop(columns=["source", "file"])
    lists = [str(c) for c in plain if plain[c].dtype == "number_lists"]
    plain = plain.assign(**{c: list(map(str, plain[c])) for c in lists})
    return plain.sort_values(list(plain.columns), kind="stable", ignore_index=True)

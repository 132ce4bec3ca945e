"""Files that a case holds twice, under two names: their rows are evidence once."""

from __future__ import annotations

from itertools import combinations
from typing import TYPE_CHECKING

from incident_rca.analysis.frames import pieces
from incident_rca.tables import TABLE_NAMES, Tables

if TYPE_CHECKING:
    import pandas as pd


def without_copies(tables: Tables) -> Tables:
    """The tables without the rows of a file that are, line by line, those of another file.

    The one whose source and path sort first stays.
    """
    return Tables(**{name: _once(getattr(tables, name)) for name in TABLE_NAMES})


def _once(frame: pd.DataFrame) -> pd.DataFrame:
    sizes = frame.groupby(["source", "file"], sort=True).size()
    as_large = frozenset(sizes[sizes.duplicated(keep=False)].index)
    found = [
        (key, _content(rows)) for key, rows in pieces(frame, "source", "file") if key in as_large
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
    lists = [str(c) for c in plain if plain[c].dtype == object]
    plain = plain.assign(**{c: plain[c].map(str) for c in lists})
    return plain.sort_values(list(plain.columns), kind="stable", ignore_index=True)

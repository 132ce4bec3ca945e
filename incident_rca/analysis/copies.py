"""Files that a case holds twice, under two names: their rows are evidence once."""

from __future__ import annotations

from collections import Counter
from itertools import combinations
from typing import TYPE_CHECKING

from incident_rca.analysis.frames import pieces, sizes
from incident_rca.tables import TABLE_NAMES, Tables

if TYPE_CHECKING:
    import pandas as pd


_File = tuple[str, str]


def without_copies(tables: Tables) -> Tables:
    """The tables without the rows of a file that are, line by line, those of another file.

    The one whose source and path sort first stays. Counts of requests have neither ids nor
    milliseconds, and are the same of two nodes with one health check a second each: a file of
    requests is a copy only if both its counts and its failures are.
    """
    frames = {name: getattr(tables, name) for name in TABLE_NAMES}
    same = {name: _same(frame) for name, frame in frames.items()}
    counted = _files(frames["gateway"]) if same["failures"] else set()
    both = same["gateway"] & same["failures"]
    same["failures"] = both | {pair for pair in same["failures"] if counted.isdisjoint(pair)}
    same["gateway"] = both
    return Tables(**{name: _without(frame, same[name]) for name, frame in frames.items()})


def _same(frame: pd.DataFrame) -> set[tuple[_File, _File]]:
    """The pairs of files whose rows are the same, in their order."""
    times = Counter(sizes(frame, "source", "file"))
    if max(times.values(), default=0) < 2:
        return set()
    found = [
        ((source, file), _content(rows))
        for (source, file), rows in pieces(frame, "source", "file")
        if times[len(rows)] > 1
    ]
    return {
        (one, later)
        for (one, rows), (later, others) in combinations(found, 2)
        if rows.equals(others)
    }


def _files(frame: pd.DataFrame) -> set[_File]:
    origins = frame[["source", "file"]].drop_duplicates()
    return set(zip(origins["source"], origins["file"], strict=True))


def _without(frame: pd.DataFrame, same: set[tuple[_File, _File]]) -> pd.DataFrame:
    if not same:
        return frame
    copies = {later for _, later in same}
    origins = zip(frame["source"], frame["file"], strict=True)
    return frame[[origin not in copies for origin in origins]]


def _content(rows: pd.DataFrame) -> pd.DataFrame:
    """The rows but for where they are from, in an order of their own; lists as texts."""
    plain = rows.drop(columns=["source", "file"])
    lists = [str(c) for c in plain if plain[c].dtype == "number_lists"]
    plain = plain.assign(**{c: list(map(str, plain[c])) for c in lists})
    return plain.sort_values(list(plain.columns), kind="stable", ignore_index=True)

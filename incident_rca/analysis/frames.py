"""Frames cut into pieces, with keys whose type a reader knows."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd


def pieces(frame: pd.DataFrame, *columns: str) -> Iterator[tuple[tuple[Any, ...], pd.DataFrame]]:
    """The rows of `frame` by distinct values of `columns`, sorted; rows with nulls are left out."""
    for key, rows in frame.groupby(list(columns), sort=True):
        yield tuple(part.item() if hasattr(part, "item") else part for part in key), rows


def sums(frame: pd.DataFrame, column: str, value: str) -> dict[Any, float]:
    """The sum of `value` for each distinct value of `column`, sorted."""
    return {key[0]: float(rows[value].sum()) for key, rows in pieces(frame, column)}


def values(frame: pd.DataFrame, *columns: str) -> Iterator[tuple[Any, ...]]:
    """The rows of some columns as plain Python values, nulls as None."""
    import pandas as pd

    plain = (
        [None if missing else value for value, missing in zip(cells, pd.isna(cells), strict=True)]
        for cells in (frame[column].tolist() for column in columns)
    )
    yield from zip(*plain, strict=True)


def distinct(frame: pd.DataFrame, column: str) -> tuple[Any, ...]:
    """The distinct values of a column that are not null, sorted."""
    return tuple(sorted(set(frame[column].dropna())))

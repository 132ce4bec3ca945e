"""Frames cut into pieces, with keys whose type a reader knows."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray


def pieces(frame: pd.DataFrame, *columns: str) -> Iterator[tuple[tuple[Any, ...], pd.DataFrame]]:
    """The rows of `frame` by distinct values of `columns`, sorted; rows with nulls are left out."""
    for key, rows in frame.groupby(list(columns), sort=True, observed=True):
        yield tuple(part.item() if hasattr(part, "item") else part for part in key), rows


def sums(frame: pd.DataFrame, column: str, value: str) -> dict[Any, float]:
    """The sum of `value` for each distinct value of `column`, sorted; nulls count as nothing."""
    added = frame.groupby(column, sort=True)[value].sum()
    return dict(zip(added.index.tolist(), map(float, added), strict=True))


def values(frame: pd.DataFrame, *columns: str) -> Iterator[tuple[Any, ...]]:
    """The rows of some columns as plain Python values, nulls as None."""
    plain = (frame[column].astype(object).where(frame[column].notna(), None) for column in columns)
    yield from zip(*(cells.tolist() for cells in plain), strict=True)


def distinct(frame: pd.DataFrame, column: str) -> tuple[Any, ...]:
    """The distinct values of a column that are not null, sorted."""
    return tuple(sorted(frame[column].dropna().unique().tolist()))


def seconds_of(instants: pd.Series) -> NDArray[np.float64]:
    """Instants as seconds since 1970, right to a microsecond; NaN where one is null."""
    import numpy as np

    whole = instants.dt.tz_localize(None) if instants.dt.tz is not None else instants
    exact = whole.to_numpy(dtype="datetime64[us]")
    found = exact.astype("int64") / 1e6
    return np.where(np.isnat(exact), np.nan, found)


def flat(lists: pd.Series) -> NDArray[np.int64]:
    """The whole numbers of a column of lists, one list after the other."""
    import numpy as np

    cells = lists.to_list()
    return np.concatenate(cells).astype(np.int64) if cells else np.empty(0, dtype=np.int64)

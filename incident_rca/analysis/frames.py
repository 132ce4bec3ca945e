"""Frames cut into pieces, with keys whose type a reader knows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from itertools import pairwise
from math import prod
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray


def pieces(frame: pd.DataFrame, *columns: str) -> Iterator[tuple[tuple[Any, ...], pd.DataFrame]]:
    """The rows of `frame` by distinct values of `columns`, sorted; rows with nulls are left out.

    One piece at a time, so that no more than the largest is ever there beside the frame.
    """
    for places in _places(frame, columns):
        rows = frame if len(places) == len(frame) else frame.iloc[places]
        key = (rows[column].iloc[0] for column in columns)
        yield tuple(part.item() if hasattr(part, "item") else part for part in key), rows


def sizes(frame: pd.DataFrame, *columns: str) -> list[int]:
    """How many rows each piece has, in their order."""
    found: Counter[tuple[Any, ...]] = Counter()
    for start in range(0, len(frame), _AT_A_TIME):
        for key, rows in pieces(frame[list(columns)].iloc[start : start + _AT_A_TIME], *columns):
            found[key] += len(rows)
    return [size for _, size in sorted(found.items())]


def chosen(frame: pd.DataFrame, is_chosen: pd.Series[bool]) -> pd.DataFrame:
    """The chosen rows; where they lie together, as those of a table by time do, none is copied."""
    number = int(is_chosen.sum())
    first = int(is_chosen.to_numpy().argmax()) if number else 0
    if is_chosen.iloc[first : first + number].all():
        return frame.iloc[first : first + number]
    return frame[is_chosen]


def places(
    frame: pd.DataFrame, is_chosen: pd.Series[bool], *columns: str
) -> Iterator[tuple[tuple[str | None, ...], NDArray[np.int32]]]:
    """Where the chosen rows are by their repeated texts, nulls as None, each time in their order.

    A place takes far less than a row: what is read of millions of rows is kept so.
    """
    import numpy as np

    found: dict[tuple[str, ...], list[NDArray[np.int32]]] = {}
    for start in range(0, len(frame), _AT_A_TIME):
        where = start + np.flatnonzero(is_chosen.iloc[start : start + _AT_A_TIME])
        texts = frame[list(columns)].iloc[where]
        named = texts.assign(**{c: renamed(texts[c], str, missing=_NULL) for c in columns})
        for inside in _places(named, columns):
            key = tuple(str(named[column].iloc[inside[0]]) for column in columns)
            found.setdefault(key, []).append(where[inside].astype(np.int32))
    for key, rows in sorted(found.items()):
        yield tuple(None if part == _NULL else part for part in key), np.concatenate(rows)


# So many rows are cut at once: what is made of all rows on the way would be as large as they are.
_AT_A_TIME = 1 << 18
# Sorts before any text, and no source has it: PostgreSQL and JSON's texts in it come without it.
_NULL = "\0"


def _places(frame: pd.DataFrame, columns: tuple[str, ...]) -> Iterator[NDArray[np.intp]]:
    """Where the rows of each piece are, in their order."""
    import numpy as np

    groups = _groups(frame, columns)
    ends = np.cumsum(np.bincount(groups.astype(np.intp) + 1, minlength=1))
    # Of numbers so small NumPy's stable sort is a radix sort.
    is_small = len(ends) < np.iinfo(np.int16).max
    order = np.argsort(groups.astype(np.int16) if is_small else groups, kind="stable")
    for first, end in pairwise(ends):
        if end > first:
            yield order[first:end]


def _groups(frame: pd.DataFrame, columns: tuple[str, ...]) -> NDArray[Any]:
    """The number of each row's group, by the sorted values of `columns`; -1 where one is null.

    Of categories, which are sorted, the codes say it, and few of them fit into small numbers.
    """
    import numpy as np
    import pandas as pd

    held = [frame[column].array for column in columns]
    categories = [column for column in held if isinstance(column, pd.Categorical)]
    number = prod(len(column.categories) for column in categories)
    if len(categories) < len(held) or number >= np.iinfo(np.int16).max:
        groups = frame.groupby(list(columns), sort=True, observed=True).ngroup()
        return groups.fillna(-1).to_numpy(dtype=np.int64)
    numbers = np.zeros(len(frame), dtype=np.int16)
    is_null = np.zeros(len(frame), dtype=bool)
    for column in categories:
        numbers *= np.int16(len(column.categories))
        numbers += column.codes
        is_null |= column.codes < 0
    numbers[is_null] = -1
    return numbers


def sums(frame: pd.DataFrame, column: str, value: str) -> dict[Any, float]:
    """The sum of `value` for each distinct value of `column`, sorted; nulls count as nothing."""
    added = frame.groupby(column, sort=True)[value].sum()
    return dict(zip(added.index.tolist(), map(float, added), strict=True))


def values(frame: pd.DataFrame, *columns: str) -> Iterator[tuple[Any, ...]]:
    """The rows of some columns as plain Python values, nulls as None."""
    yield from zip(*(_cells(frame[column]) for column in columns), strict=True)


def _cells(column: pd.Series[Any]) -> list[Any]:
    cells, missing = column.tolist(), column.isna().tolist()
    return [None if gone else cell for cell, gone in zip(cells, missing, strict=True)]


def distinct(frame: pd.DataFrame, column: str) -> tuple[Any, ...]:
    """The distinct values of a column that are not null, sorted."""
    return tuple(sorted(frame[column].drop_duplicates().dropna().tolist()))


def renamed(texts: pd.Series[Any], rename: Callable[[str], str], missing: str | None = None) -> Any:
    """Repeated texts, each called another way; null ones are `missing`. They sort as they read."""
    import numpy as np
    import pandas as pd

    held = texts.astype("category").cat
    names = [rename(text) for text in held.categories]
    known = sorted({*names, *(() if missing is None else (missing,))})
    codes = {name: code for code, name in enumerate(known)}
    # The last one is that of code -1, which is null.
    renumbered = np.array(
        [*(codes[name] for name in names), codes.get(missing or "", -1)],
        dtype=np.min_scalar_type(-len(known) - 1),
    )
    if missing is None:
        renumbered[-1] = -1
    return pd.Categorical.from_codes(renumbered[held.codes], pd.Index(known, dtype="str"))


def seconds_of(instants: pd.Series) -> NDArray[np.float64]:
    """Instants as seconds since 1970, right to a microsecond; NaN where one is null."""
    import numpy as np

    whole = instants.dt.tz_localize(None) if instants.dt.tz is not None else instants
    exact = whole.to_numpy(dtype="datetime64[us]")
    found = exact.astype("int64") / 1e6
    return np.where(np.isnat(exact), np.nan, found)


def flat(lists: pd.Series) -> NDArray[np.int64]:
    """The whole numbers of a column of lists, one list after the other."""
    from incident_rca.number_lists import NumberLists

    assert isinstance(lists.array, NumberLists)
    return lists.array.flat

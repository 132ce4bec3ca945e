"""Frames with the columns of a table in their pandas types."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from incident_rca.tables import NEVER_NULL, REPEATED, SCHEMAS

if TYPE_CHECKING:
    import pandas as pd

_PANDAS_TYPES: Mapping[str, Any] = {
    "VARCHAR": "str",
    "INTEGER": "Int64",
    "BIGINT": "Int64",
    "DOUBLE": "float64",
}
WHOLE_NUMBERS: Mapping[str, str] = {"INTEGER": "int32", "BIGINT": "int64"}


def as_schema(frame: pd.DataFrame, table: str) -> pd.DataFrame:
    """`frame` with exactly the columns and types of `table`; columns it lacks are null."""
    import pandas as pd

    columns: dict[str, Any] = {}
    for column, duckdb_type in SCHEMAS[table].items():
        values = frame[column] if column in frame else pd.Series([None] * len(frame))
        if column in NEVER_NULL.get(table, ()):
            columns[column] = values.to_numpy(dtype=WHOLE_NUMBERS[duckdb_type])
        else:
            is_repeated = column in REPEATED.get(table, ())
            columns[column] = _typed(values, duckdb_type, is_repeated).array
    # Not copied: a copy puts columns of one type together, and holds them twice meanwhile.
    return pd.DataFrame(columns, index=frame.index, copy=False)


def _typed(values: pd.Series[Any], duckdb_type: str, is_repeated: bool) -> pd.Series[Any]:
    import pandas as pd

    from incident_rca.number_lists import NumberListsDtype

    if duckdb_type == "TIMESTAMPTZ":
        return pd.to_datetime(values, utc=True).astype("datetime64[us, UTC]")
    if duckdb_type == "BIGINT[]":
        return values.astype(NumberListsDtype())
    kind = _PANDAS_TYPES[duckdb_type]
    if is_repeated and isinstance(values.dtype, pd.CategoricalDtype):
        known = values.dtype.categories
        if known.dtype == kind and known.is_monotonic_increasing:
            return values
    return pd.Series(once_each(values.astype(kind))) if is_repeated else values.astype(kind)


def once_each(values: pd.Series[Any]) -> pd.Categorical:
    """As categories, which are sorted, so that rows sort by them as by the values."""
    import numpy as np
    import pandas as pd

    known = pd.Index(sorted(values.drop_duplicates().dropna()), dtype=values.dtype)
    kind = np.min_scalar_type(-len(known) - 1)
    codes = np.empty(len(values), dtype=kind)
    for start in range(0, len(values), _AT_A_TIME):
        some = values.iloc[start : start + _AT_A_TIME]
        codes[start : start + _AT_A_TIME] = known.get_indexer(pd.Index(some))
    return pd.Categorical.from_codes(codes, known)


def categories_of(texts: Sequence[str | None]) -> pd.Categorical:
    """A list of texts as sorted categories; raises TypeError where other things are among them."""
    import numpy as np
    import pandas as pd

    known = sorted({text for text in {*texts} if text is not None})
    if not all(isinstance(text, str) for text in known):
        raise TypeError(f"what should be a text is none: {known[0]!r}")
    codes = {text: code for code, text in enumerate(known)} | {None: -1}
    kind = np.min_scalar_type(-len(known) - 1)
    numbers = np.fromiter(map(codes.__getitem__, texts), dtype=kind, count=len(texts))
    return pd.Categorical.from_codes(numbers, pd.Index(known, dtype="str"))


# So many rows are looked up at once, in numbers of eight bytes.
_AT_A_TIME = 1 << 18


def plain(values: pd.Series[Any]) -> pd.Series[Any]:
    """A column with its own value in each row, for what pandas does to no category."""
    import pandas as pd

    if isinstance(values.dtype, pd.CategoricalDtype):
        return values.astype(values.dtype.categories.dtype)
    return values


def with_plain_lists(frame: pd.DataFrame) -> pd.DataFrame:
    """`frame` with each list as an array of its own, as DuckDB reads them."""
    from incident_rca.number_lists import NumberListsDtype

    held = [c for c, kind in frame.dtypes.items() if isinstance(kind, NumberListsDtype)]
    return frame.astype(dict.fromkeys(held, object))

"""The rows of a kept table as a typed frame, column by column, so that no text is ever in a row."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from incident_rca.formats.duckdb_session import define, fetch, run_file
from incident_rca.tables import NEVER_NULL, REPEATED, SCHEMAS
from incident_rca.typed_frames import WHOLE_NUMBERS, as_schema, once_each

if TYPE_CHECKING:
    import duckdb
    import pandas as pd


def kept_rows(
    session: duckdb.DuckDBPyConnection, rows: duckdb.DuckDBPyRelation, table: str
) -> pd.DataFrame:
    """The frame of a table that was written with the types of its schema.

    A relation runs anew for each column, which costs a Parquet file nothing: it is read by columns.
    """
    if table not in REPEATED:
        return as_schema(fetch(rows), table)
    import numpy as np
    import pandas as pd

    columns: dict[str, Any] = {}
    for column, duckdb_type in SCHEMAS[table].items():
        if column in REPEATED[table] and duckdb_type == "VARCHAR":
            columns[column] = _texts(session, rows, column)
        elif duckdb_type == "BIGINT[]":
            columns[column] = _lists(rows, column)
        elif column in NEVER_NULL[table]:
            numbers = rows.project(f'"{column}"').fetchnumpy()[column]
            columns[column] = np.asarray(numbers, dtype=WHOLE_NUMBERS[duckdb_type])
        else:
            values = fetch(rows.project(f'"{column}"'))[column]
            columns[column] = once_each(values) if column in REPEATED[table] else values.array
    return pd.DataFrame(columns, copy=False)


def _texts(
    session: duckdb.DuckDBPyConnection, rows: duckdb.DuckDBPyRelation, column: str
) -> pd.Categorical:
    """The column with each text once; no text of a log ever stands in a query's own text."""
    rows.project(f'"{column}" AS text').create_view("kept_texts", replace=True)
    define(session, "kept_texts_type.sql")
    import pandas as pd

    held = run_file(session, "kept_texts.sql").df()["text"].array
    assert isinstance(held, pd.Categorical)
    # Where no text is there, DuckDB does not say that they would be texts.
    return pd.Categorical.from_codes(held.codes, pd.Index(held.categories, dtype="str"))


def _lists(rows: duckdb.DuckDBPyRelation, column: str) -> Any:
    import numpy as np

    from incident_rca.number_lists import NumberLists

    lengths = rows.project(f'CAST(coalesce(len("{column}"), 0) AS BIGINT) AS n').fetchnumpy()["n"]
    numbers = rows.project(f'unnest("{column}") AS n').fetchnumpy()["n"]
    return NumberLists.of_lengths(np.asarray(numbers, dtype=np.int64), np.asarray(lengths))

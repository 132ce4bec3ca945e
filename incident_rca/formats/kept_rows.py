"""The rows of a kept table as a typed frame, column by column, so that no text is ever in a row."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from incident_rca.formats.duckdb_session import fetch
from incident_rca.tables import NEVER_NULL, REPEATED, SCHEMAS
from incident_rca.typed_frames import WHOLE_NUMBERS, as_schema, once_each

if TYPE_CHECKING:
    import duckdb
    import pandas as pd


def kept_rows(rows: duckdb.DuckDBPyRelation, table: str) -> pd.DataFrame:
    """The frame of a table that was written with the types of its schema.

    A relation runs anew for each column, which costs a Parquet file nothing: it is read by columns.
    """
    if table not in REPEATED:
        return as_schema(fetch(rows), table)
    import numpy as np
    import pandas as pd

    schema = SCHEMAS[table]
    texts = _distinct(rows, [c for c in sorted(REPEATED[table]) if schema[c] == "VARCHAR"])
    columns: dict[str, Any] = {}
    for column, duckdb_type in schema.items():
        if column in texts:
            columns[column] = _texts(rows, column, texts[column])
        elif duckdb_type == "BIGINT[]":
            columns[column] = _lists(rows, column)
        elif column in NEVER_NULL[table]:
            numbers = rows.project(f'"{column}"').fetchnumpy()[column]
            columns[column] = np.asarray(numbers, dtype=WHOLE_NUMBERS[duckdb_type])
        else:
            values = fetch(rows.project(f'"{column}"'))[column]
            columns[column] = once_each(values) if column in REPEATED[table] else values.array
    return pd.DataFrame(columns, copy=False)


def _distinct(rows: duckdb.DuckDBPyRelation, columns: list[str]) -> dict[str, list[str]]:
    """The texts of each column, by code points as Python sorts them."""
    found = rows.aggregate(", ".join(f'list(DISTINCT "{column}")' for column in columns))
    (cells,) = found.fetchall()
    return {
        column: sorted(text for text in cell or () if text is not None)
        for column, cell in zip(columns, cells, strict=True)
    }


def _texts(rows: duckdb.DuckDBPyRelation, column: str, texts: list[str]) -> pd.Categorical:
    import numpy as np
    import pandas as pd

    categories = pd.Index(texts, dtype="str")
    if not texts:
        (count,) = rows.count("*").fetchall()[0]
        return pd.Categorical.from_codes(np.full(count, -1, dtype=np.int8), categories)
    quoted = ", ".join("'{}'".format(text.replace("'", "''")) for text in texts)
    code = f'coalesce(CAST(enum_code(CAST("{column}" AS ENUM({quoted}))) AS INTEGER), -1)'
    codes = rows.project(f"CAST({code} AS {_code_type(len(texts))}) AS code").fetchnumpy()["code"]
    return pd.Categorical.from_codes(np.asarray(codes), categories)


def _code_type(number: int) -> str:
    """The smallest whole number that pandas too would take for so many categories."""
    return "TINYINT" if number < 2**7 else "SMALLINT" if number < 2**15 else "INTEGER"


def _lists(rows: duckdb.DuckDBPyRelation, column: str) -> Any:
    import numpy as np

    from incident_rca.number_lists import NumberLists

    lengths = rows.project(f'CAST(coalesce(len("{column}"), 0) AS BIGINT) AS n').fetchnumpy()["n"]
    numbers = rows.project(f'unnest("{column}") AS n').fetchnumpy()["n"]
    return NumberLists.of_lengths(np.asarray(numbers, dtype=np.int64), np.asarray(lengths))

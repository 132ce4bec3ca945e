"""Frames in the types of their tables: what each row holds, out of memory and out of Parquet."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from incident_rca import case
from incident_rca.case import read_tables, same_rows, write_tables
from incident_rca.number_lists import NumberLists, NumberListsDtype
from incident_rca.pipeline import joined_tables
from incident_rca.tables import NEVER_NULL, REPEATED, SCHEMAS, TABLE_NAMES
from incident_rca.typed_frames import as_schema, plain

TEXTS = st.one_of(st.none(), st.sampled_from(["it's", "a", "B", 'é, "q"', "a b", ""]))
NUMBERS = st.integers(1, 2**31 - 1)
LISTS = st.lists(st.integers(0, 2**40), max_size=4)
WIDTHS = st.one_of(st.none(), st.sampled_from([0.1, 1.0, 10.0, 1e-7]))
START = datetime(2026, 1, 15, tzinfo=UTC)
INSTANTS = st.integers(0, 10**12).map(lambda us: START + timedelta(microseconds=us))

Row = dict[str, Any]


def cell_of(table: str, column: str) -> st.SearchStrategy[Any]:
    """What a column may hold, as a parser gives it."""
    kind = SCHEMAS[table][column]
    if column in ("source", "file"):
        return st.sampled_from(["one", "two's"])
    if column in NEVER_NULL[table]:
        return NUMBERS
    by_kind = {"VARCHAR": TEXTS, "TIMESTAMPTZ": INSTANTS, "BIGINT[]": LISTS, "DOUBLE": WIDTHS}
    return by_kind.get(kind, st.one_of(st.none(), NUMBERS))


def rows_of(table: str) -> st.SearchStrategy[list[Row]]:
    cells = {column: cell_of(table, column) for column in SCHEMAS[table]}
    return st.lists(st.fixed_dictionaries(cells), max_size=8)


def told(frame: pd.DataFrame) -> list[Row]:
    """The rows of a frame as plain values."""

    def value(cell: Any) -> Any:
        if isinstance(cell, np.ndarray):
            return cell.tolist()
        return None if cell is None or cell is pd.NA or cell != cell else cell

    return [
        {str(column): value(cell) for column, cell in zip(frame.columns, cells, strict=True)}
        for cells in frame.itertuples(index=False, name=None)
    ]


@pytest.mark.parametrize("table", sorted(REPEATED))
@given(data=st.data())
def test_a_large_table_holds_what_it_was_given(table: str, data: st.DataObject) -> None:
    rows = data.draw(rows_of(table))
    frame = as_schema(pd.DataFrame(rows, columns=list(SCHEMAS[table]), dtype=object), table)
    assert told(frame) == rows
    for column in REPEATED[table]:
        known = frame[column].cat.categories
        assert list(known) == sorted({row[column] for row in rows} - {None})


@pytest.mark.parametrize("rows_of_a_group", [3, case.ROWS_OF_A_GROUP])
@pytest.mark.parametrize("table", sorted(REPEATED))
def test_a_kept_table_is_read_as_it_was_written(
    table: str, rows_of_a_group: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(case, "ROWS_OF_A_GROUP", rows_of_a_group)

    @settings(max_examples=10, deadline=None)
    @given(data=st.data())
    def check(data: st.DataObject) -> None:
        rows = data.draw(rows_of(table))
        frame = as_schema(pd.DataFrame(rows, columns=list(SCHEMAS[table]), dtype=object), table)
        tables = joined_tables({table: [frame]})
        write_tables(tmp_path, tables, ())
        kept = read_tables(tmp_path)
        for name in TABLE_NAMES:
            one, other = getattr(kept, name), getattr(tables, name)
            assert same_rows(one, other) and one.dtypes.map(str).equals(other.dtypes.map(str))
        ordered = sorted(rows, key=lambda row: (row["source"], row["file"]))
        assert told(getattr(kept, table)) == ordered

    check()


def test_other_rows_of_equal_texts_are_not_the_same() -> None:
    rows = [{"source": "a", "file": "f", "method": m, "requests": 1} for m in ("GET", "PUT")]
    rows = [row | {"line_first": 1, "line_last": 1} for row in rows]
    one, other = (as_schema(pd.DataFrame(r), "gateway") for r in (rows, rows[::-1]))
    assert same_rows(one, one.iloc[:]) and not same_rows(one, other)
    assert same_rows(one.iloc[:1], as_schema(pd.DataFrame(rows[:1]), "gateway"))


@given(lists=st.lists(LISTS, max_size=6), data=st.data())
def test_lists_are_cut_and_joined_as_lists_are(lists: list[list[int]], data: st.DataObject) -> None:
    column = pd.Series(lists, dtype=NumberListsDtype())
    places = data.draw(st.lists(st.integers(0, len(lists) - 1), max_size=8)) if lists else []
    taken = column.iloc[places]
    assert isinstance(taken.array, NumberLists)
    assert taken.array.flat.tolist() == [n for place in places for n in lists[place]]
    again = pd.concat([taken, column], ignore_index=True)
    assert [cell.tolist() for cell in again] == [*(lists[p] for p in places), *lists]
    assert [len(cell) for cell in column.reindex(range(len(lists) + 1))] == [
        *map(len, lists),
        0,
    ]


def test_lists_of_equal_lengths_stay_lists() -> None:
    column = pd.Series([[1, 2], [3, 4]], dtype=NumberListsDtype())
    cells = column.astype(object)
    assert len(cells) == 2 and [cell.tolist() for cell in cells] == [[1, 2], [3, 4]]


def test_plain_texts_are_texts_again() -> None:
    texts = pd.Series(["b", None, "a"], dtype="str")
    assert plain(texts.astype("category")).equals(texts) and plain(texts) is texts

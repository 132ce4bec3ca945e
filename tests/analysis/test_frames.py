"""How frames are cut into pieces, beside plain dictionaries."""

from __future__ import annotations

from typing import Any

import pandas as pd
from hypothesis import given
from hypothesis import strategies as st

from incident_rca.analysis.frames import chosen, distinct, pieces, places, renamed, sizes, values

TEXTS = st.one_of(st.none(), st.sampled_from(["b", "A", "a", "", "é"]))
ROWS = st.lists(st.tuples(TEXTS, TEXTS, st.integers(0, 3)), max_size=20)

Row = tuple[str | None, str | None, int]


def frame_of(rows: list[Row]) -> pd.DataFrame:
    """`one` and `other` once each, `texts` with its own in every row, and a number."""
    frame = pd.DataFrame(rows, columns=["one", "other", "number"])
    texts = frame["other"].astype("str")
    return frame.assign(one=_once(frame["one"]), other=_once(frame["other"]), texts=texts)


def _once(column: Any) -> Any:
    return column.astype("str").astype("category")


@given(rows=ROWS)
def test_pieces_are_the_rows_by_key_in_order(rows: list[Row]) -> None:
    expected: dict[tuple[str, str], list[int]] = {}
    for one, other, number in rows:
        if one is not None and other is not None:
            expected.setdefault((one, other), []).append(number)
    for other in ("other", "texts"):
        found = [(key, cut["number"].tolist()) for key, cut in pieces(frame_of(rows), "one", other)]
        assert found == sorted(expected.items())
        counted = [len(numbers) for _, numbers in sorted(expected.items())]
        assert sizes(frame_of(rows), "one", other) == counted


@given(rows=ROWS)
def test_places_are_those_of_chosen_rows_with_nulls_of_their_own(rows: list[Row]) -> None:
    frame = frame_of(rows)
    expected: dict[tuple[str | None, str | None], list[int]] = {}
    for place, (one, other, number) in enumerate(rows):
        if number:
            expected.setdefault((one, other), []).append(place)
    found = {k: at.tolist() for k, at in places(frame, frame["number"] > 0, "one", "other")}
    assert found == expected


@given(rows=ROWS, first=st.integers(0, 20), number=st.integers(0, 20))
def test_chosen_rows_are_those_together_or_apart(rows: list[Row], first: int, number: int) -> None:
    frame = frame_of(rows)
    for wanted in (
        [first <= place < first + number for place in range(len(rows))],
        [number_of == 1 for _, _, number_of in rows],
    ):
        expected = [row for row, is_wanted in zip(rows, wanted, strict=True) if is_wanted]
        found = chosen(frame, pd.Series(wanted, dtype=bool))
        assert list(values(found, "one", "texts", "number")) == expected


@given(rows=ROWS)
def test_renamed_texts_sort_by_their_new_names(rows: list[Row]) -> None:
    frame = frame_of(rows)
    names = renamed(frame["one"], str.upper, missing="-")
    assert list(names) == ["-" if one is None else one.upper() for one, _, _ in rows]
    assert list(names.categories) == sorted(names.categories)
    kept = renamed(frame["one"], str.upper)
    assert [None if name != name else name for name in kept] == [
        None if one is None else one.upper() for one, _, _ in rows
    ]


@given(rows=ROWS)
def test_values_and_distinct_values_are_plain(rows: list[Row]) -> None:
    frame = frame_of(rows)
    assert list(values(frame, "one", "texts", "number")) == rows
    assert distinct(frame, "one") == tuple(sorted({one for one, _, _ in rows if one is not None}))

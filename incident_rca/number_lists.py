"""A column of lists of whole numbers, for frames with a list in each of a million rows.

As an array of its own each list takes some 150 bytes. Here a row is a place in a store that holds
all numbers one behind the other, and cutting a frame up copies places only.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from pandas.api.extensions import ExtensionArray, ExtensionDtype

if TYPE_CHECKING:
    from builtins import type as type_t

    from numpy.typing import NDArray


class NumberListsDtype(ExtensionDtype):
    """The type of a column of lists. None is ever missing: where nothing is known it is empty."""

    name = "number_lists"
    type = np.ndarray
    na_value = None

    @classmethod
    def construct_array_type(cls) -> type_t[NumberLists]:
        """The array that holds such a column."""
        return NumberLists


class NumberLists(ExtensionArray):
    """Lists of whole numbers: that of row i is `numbers[ends[p] : ends[p + 1]]`, p = places[i]."""

    def __init__(
        self, numbers: NDArray[Any], ends: NDArray[Any], places: NDArray[np.int32]
    ) -> None:
        self._numbers, self._ends, self._places = numbers, ends, places

    @classmethod
    def of_lengths(cls, numbers: NDArray[np.int64], lengths: NDArray[np.int64]) -> NumberLists:
        """One list a length, cut one after the other out of `numbers`."""
        ends = np.zeros(len(lengths) + 1, dtype=np.int64)
        np.cumsum(lengths, out=ends[1:])
        return cls(narrow(numbers), narrow(ends), np.arange(len(lengths), dtype=np.int32))

    @classmethod
    def _from_sequence(
        cls, scalars: Iterable[Any], *, dtype: Any = None, copy: bool = False
    ) -> NumberLists:
        lists = [() if cell is None or cell is np.nan else cell for cell in scalars]
        lengths = np.fromiter(map(len, lists), dtype=np.int64, count=len(lists))
        numbers = np.concatenate([[], *lists]) if len(lists) else np.empty(0)
        return cls.of_lengths(numbers.astype(np.int64), lengths)

    @property
    def dtype(self) -> NumberListsDtype:
        return NumberListsDtype()

    @property
    def nbytes(self) -> int:
        return self._numbers.nbytes + self._ends.nbytes + self._places.nbytes

    @property
    def lengths(self) -> NDArray[np.int64]:
        """How many numbers each list has."""
        found: NDArray[Any] = self._ends[self._places + 1] - self._ends[self._places]
        return found.astype(np.int64)

    @property
    def flat(self) -> NDArray[np.int64]:
        """The numbers of all lists, one list after the other."""
        lengths = self.lengths
        before = np.cumsum(lengths) - lengths
        shifts = np.repeat(self._ends[self._places] - before, lengths)
        found: NDArray[Any] = self._numbers[shifts + np.arange(len(shifts))]
        return found.astype(np.int64)

    def __len__(self) -> int:
        return len(self._places)

    def __getitem__(self, item: Any) -> Any:
        if isinstance(item, int | np.integer):
            place = self._places[item]
            return self._numbers[self._ends[place] : self._ends[place + 1]]
        chosen = np.asarray(item) if not isinstance(item, slice) else item
        return type(self)(self._numbers, self._ends, self._places[chosen])

    def __eq__(self, other: Any) -> Any:
        if not isinstance(other, NumberLists) or len(other) != len(self):
            return NotImplemented
        pairs = zip(self, other, strict=True)
        return np.fromiter((np.array_equal(a, b) for a, b in pairs), dtype=bool, count=len(self))

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        # One cell a list: lists of equal lengths would else become rows of a matrix.
        cells = np.empty(len(self), dtype=object)
        for place, cell in enumerate(self):
            cells[place] = cell
        return cells

    def isna(self) -> NDArray[np.bool_]:
        return np.zeros(len(self), dtype=bool)

    def take(
        self, indices: Any, *, allow_fill: bool = False, fill_value: Any = None
    ) -> NumberLists:
        wanted = np.asarray(indices, dtype=np.intp)
        if not allow_fill or not (wanted < 0).any():
            return type(self)(self._numbers, self._ends, self._places.take(wanted))
        # What is filled in is an empty list, put behind the store.
        ends = np.append(self._ends, self._ends[-1])
        places = np.append(self._places, np.int32(len(ends) - 2))
        return type(self)(self._numbers, ends, places[wanted])

    def copy(self) -> NumberLists:
        return type(self)(self._numbers, self._ends, self._places.copy())

    @classmethod
    def _concat_same_type(cls, to_concat: Sequence[NumberLists]) -> NumberLists:
        return cls.of_lengths(
            np.concatenate([part.flat for part in to_concat]),
            np.concatenate([part.lengths for part in to_concat]),
        )

    def _formatter(self, boxed: bool = False) -> Any:
        return lambda cell: str(list(cell))


def narrow(numbers: NDArray[np.int64]) -> NDArray[Any]:
    """The numbers in as little space as all of them fit into."""
    kind = np.result_type(
        np.int8,
        *(np.min_scalar_type(n) for n in (numbers.min(initial=0), -1 - numbers.max(initial=0))),
    )
    return numbers.astype(kind)

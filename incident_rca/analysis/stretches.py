"""Where a series of scores is high: all its stretches, each with both of its ends."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


def high_stretches(scores: NDArray[np.float64], enough: float) -> tuple[tuple[int, int], ...]:
    """First and last position of each stretch that adds up to `enough`, in order.

    Scores are above zero where the series is high and below where it is usual. A stretch is the one
    with the largest sum of what is left (the epidemic alternative of two changes: Levin and Kline,
    Statistics in Medicine, 1985), so it ends where the rise is best explained; within it nothing
    usual adds up to `enough` as well, for that would be the end of one and the start of another.
    As a CUSUM that is cut off at its alarm, but in passes over arrays: one or two a stretch.

    >>> high_stretches(np.array([-1.0, 1, 1, 1, -1, 1, -1, -1, -1, 1, 1, 1]), 3.0)
    ((1, 3), (9, 11))
    """
    found: list[tuple[int, int]] = []
    ranges = [(0, len(scores))]
    while ranges:
        start, end = ranges.pop()
        first, last, total = _largest_sum(scores[start:end])
        if total < enough:
            continue
        first, last = start + first, start + last
        usual_first, usual_last, fall = _largest_sum(-scores[first : last + 1])
        if fall >= enough:
            ranges += [(start, first + usual_first), (first + usual_last + 1, end)]
        else:
            found.append((first, last))
            ranges += [(start, first), (last + 1, end)]
    return tuple(sorted(found))


def _largest_sum(scores: NDArray[np.float64]) -> tuple[int, int, float]:
    """First and last position of the stretch with the largest sum, and that; 0 where none is up."""
    if not len(scores):
        return 0, 0, 0.0
    sums = np.concatenate([[0.0], np.cumsum(scores)])
    above = sums[1:] - np.minimum.accumulate(sums[:-1])
    last = int(np.argmax(above))
    # Of equal minima the last, so that a stretch does not begin with nothing.
    first = last - int(np.argmin(sums[last::-1]))
    return first, last, max(0.0, float(above[last]))

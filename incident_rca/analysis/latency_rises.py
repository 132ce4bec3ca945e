"""Where a series of latencies rose and fell: each rise with its two ends, by a clipped CUSUM."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from incident_rca.analysis.stretches import high_stretches

if TYPE_CHECKING:
    from numpy.typing import NDArray

# A rise that matters: three times what is usual, and ten median absolute deviations above it.
SHIFT_FACTOR = 3.0
SHIFT_DEVIATIONS = 10.0
# One bucket more or less is no shift, and as many usual ones as make a shift end it. Of buckets
# that overlap (a rate's window is longer than its step) only those that lie apart count: one slow
# call is in each that holds its end.
FEWEST_BUCKETS = 3
FEWEST_BASELINE_BUCKETS = 6
# Half of the rise that matters is the reference value of the CUSUM (Page 1954). A bucket between
# these shares of it belongs to neither side for sure; beyond them a value counts no more, so that
# one slow call is not a shift however slow it was.
HALF = 0.5
UNSURE = (0.25, 0.75)
# What instants and widths lose when they are rounded, in seconds.
_ROUNDED = 0.001


@dataclass(frozen=True, slots=True, eq=False)
class Levels:
    """A series: the start of each known bucket and its end, in seconds, and its value.

    Buckets that are missing are not in it.
    """

    starts: NDArray[np.float64]
    ends: NDArray[np.float64]
    values: NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Rise:
    """Positions of the buckets of one rise, inclusive; its ends lie between unsure and sure."""

    first: int
    last: int
    first_unsure: int
    first_sure: int
    last_sure: int
    last_unsure: int


def rises_of(series: Levels) -> tuple[float, tuple[Rise, ...]]:
    """What is usual, and every rise above it that began after the first buckets.

    The usual value is the median of the first buckets, as many as tell it, then of all before the
    first rise. Without any, or where it is zero, nothing can be a rise.
    """
    levels, quiet = series.values, beginning_of(series)
    if not quiet or np.median(levels[:quiet]) <= 0:
        return 0.0, ()
    shares = _shares(series)
    found = _stretches(levels, shares, quiet)
    before = min((first for first, _ in found if first >= quiet), default=quiet)
    if np.median(levels[:before]) <= 0:
        return 0.0, ()
    if before > quiet:
        found = _stretches(levels, shares, before)
    usual, rise = _usual(levels[:before])
    heights = (levels - usual) / rise
    return usual, tuple(
        _with_edges(heights, first, last)
        for first, last in found
        if first >= quiet
        and np.median(heights[first : last + 1]) >= 1.0
        and len(apart(series, first, last + 1, FEWEST_BUCKETS)) == FEWEST_BUCKETS
    )


def beginning_of(series: Levels) -> int:
    """How many buckets at the beginning tell what is usual; 0 where there are too few."""
    distinct = apart(series, 0, len(series.starts), FEWEST_BASELINE_BUCKETS)
    return distinct[-1] + 1 if len(distinct) == FEWEST_BASELINE_BUCKETS else 0


def apart(series: Levels, start: int, end: int, most: int) -> list[int]:
    """Positions of the first buckets that lie apart, so that no call is in two of them."""
    found: list[int] = []
    while start < end and len(found) < most:
        found.append(start)
        free = series.ends[start] - _ROUNDED
        start = max(start + 1, int(np.searchsorted(series.starts, free)))
    return found


def _usual(levels: NDArray[np.float64]) -> tuple[float, float]:
    """The median, and the rise above it that matters."""
    usual = float(np.median(levels))
    deviation = float(np.median(np.abs(levels - usual)))
    return usual, max((SHIFT_FACTOR - 1.0) * usual, SHIFT_DEVIATIONS * deviation)


def _stretches(
    levels: NDArray[np.float64], shares: NDArray[np.float64], quiet: int
) -> tuple[tuple[int, int], ...]:
    usual, rise = _usual(levels[:quiet])
    low, high = UNSURE
    heights = ((levels - usual) / rise - low) / (high - low)
    scores = shares * (np.clip(heights, 0.0, 1.0) - HALF)
    # Windows that overlap reach one whole window beyond the start of the last one.
    enough = HALF * (FEWEST_BUCKETS - 1 + float(np.median(shares)))
    return high_stretches(scores, enough * (1.0 - 1e-9))


def _shares(series: Levels) -> NDArray[np.float64]:
    """Which share of each bucket is in none before it: 1 unless a rate's window overlaps."""
    widths = series.ends - series.starts
    shares = np.ones(len(widths))
    new = np.diff(series.ends) / np.maximum(widths[1:], _ROUNDED)
    shares[1:] = np.clip(new, 0.0, 1.0)
    return shares


def _with_edges(heights: NDArray[np.float64], first: int, last: int) -> Rise:
    low, high = UNSURE
    first_unsure, first_sure, last_sure, last_unsure = first, first, last, last
    while first_unsure and heights[first_unsure - 1] > low:
        first_unsure -= 1
    while first_sure < last and heights[first_sure] < high:
        first_sure += 1
    while last_sure > first_sure and heights[last_sure] < high:
        last_sure -= 1
    while last_unsure + 1 < len(heights) and heights[last_unsure + 1] > low:
        last_unsure += 1
    return Rise(first, last, first_unsure, first_sure, last_sure, last_unsure)

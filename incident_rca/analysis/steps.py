"""Counts, gauges and intervals laid on an axis of equal steps; what no row tells is NaN."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import numpy as np

from incident_rca.model import TimeWindow

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Flags = NDArray[np.bool_]

# Steps that people read without counting; each next one holds whole ones of some before it.
WIDTHS = (1.0, 2.0, 5.0, 10.0, 15.0, 30.0, 60.0, 120.0, 300.0, 600.0, 900.0, 1800.0, 3600.0)
# What a step's end loses when it is rounded, in steps.
_ROUNDED = 1e-6


@dataclass(frozen=True, slots=True)
class Axis:
    """`number` steps of `width` seconds, the first of which starts at `start` (seconds of 1970)."""

    start: float
    width: float
    number: int

    def at(self, position: int) -> datetime:
        """When a step starts."""
        return datetime.fromtimestamp(self.start + position * self.width, UTC)

    def nothing(self) -> Floats:
        """No value at any step."""
        return np.full(self.number, np.nan)

    def inside(self, instants: Floats) -> NDArray[np.int64]:
        """The position of each instant; below zero or from `number` on where it is outside."""
        return np.floor((instants - self.start) / self.width).astype(np.int64)


def axis_of(window: TimeWindow, most: int) -> Axis:
    """The finest axis over a window of no more than `most` steps, at whole multiples of a step.

    >>> from datetime import timedelta
    >>> zero = datetime(2026, 1, 15, 14, tzinfo=UTC)
    >>> axis_of(TimeWindow(zero, zero + timedelta(minutes=45)), 1500)
    Axis(start=1768485600.0, width=2.0, number=1350)
    """
    days = math.ceil(window.seconds / most / WIDTHS[-1])
    widths = (*WIDTHS, WIDTHS[-1] * max(1, days))
    width = next(w for w in widths if window.seconds / w <= most)
    start = math.floor(window.start.timestamp() / width) * width
    return Axis(start, width, math.ceil((window.end.timestamp() - start) / width))


def highest(axis: Axis, starts: Floats, widths: Floats, values: Floats) -> Floats:
    """At each step the highest value of the buckets that reach into it, NaN where none does."""
    found = axis.nothing()
    known = np.isfinite(values) & np.isfinite(starts)
    starts, widths, values = starts[known], widths[known], values[known]
    first = axis.inside(starts)
    ends = (starts + np.maximum(widths, 0.0) - axis.start) / axis.width
    last = np.maximum(first, np.ceil(ends - _ROUNDED).astype(np.int64) - 1)
    for further in range(int((last - first).max(initial=-1)) + 1):
        at = first + further
        reaches = (at <= last) & (at >= 0) & (at < axis.number)
        np.fmax.at(found, at[reaches], values[reaches])
    return found


def rate(axis: Axis, starts: Floats, widths: Floats, counts: Floats) -> Floats:
    """How many a second there were at each step, those of a bucket wider than a step evenly."""
    added = np.zeros(axis.number)
    first = axis.inside(starts)
    share = np.maximum(1, np.rint(widths / axis.width).astype(np.int64))
    for further in range(int(share.max(initial=0))):
        at = first + further
        reaches = (further < share) & (at >= 0) & (at < axis.number)
        np.add.at(added, at[reaches], (counts / share)[reaches])
    return added / axis.width


def most_at_once(axis: Axis, starts: Floats, ends: Floats) -> Floats:
    """The most intervals that held at one moment of each step."""
    begun = np.searchsorted(np.sort(starts), _edges(axis), side="right")
    over = np.searchsorted(np.sort(ends), _edges(axis), side="right")
    found = (begun - over).astype(np.float64)[: axis.number]
    # Those that begin as others end hold at once, as in the peak of a lock episode.
    moments = np.concatenate([starts, ends])
    change = np.concatenate([np.ones(len(starts)), -np.ones(len(ends))])
    order = np.lexsort((-change, moments))
    holding = np.cumsum(change[order])
    at = axis.inside(moments[order])
    reaches = (at >= 0) & (at < axis.number)
    np.maximum.at(found, at[reaches], holding[reaches])
    return found


def _edges(axis: Axis) -> Floats:
    return axis.start + np.arange(axis.number + 1, dtype=np.float64) * axis.width


def covered(axis: Axis, stretches: Iterable[TimeWindow]) -> Flags:
    """The steps that these stretches reach into."""
    found = np.zeros(axis.number, dtype=bool)
    for stretch in stretches:
        first = (stretch.start.timestamp() - axis.start) / axis.width
        end = (stretch.end.timestamp() - axis.start) / axis.width
        low, high = math.floor(first + _ROUNDED), math.ceil(end - _ROUNDED)
        found[max(0, low) : max(0, high)] = True
    return found


def stretches_of(axis: Axis, chosen: Flags) -> tuple[TimeWindow, ...]:
    """The chosen steps as stretches of time."""
    edges = np.flatnonzero(np.diff(chosen.astype(np.int8), prepend=0, append=0))
    pairs = edges.reshape(-1, 2).tolist()
    return tuple(TimeWindow(axis.at(first), axis.at(end)) for first, end in pairs)

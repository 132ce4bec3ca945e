"""A pool's gauges -> the stretches in which it was exhausted, each with spans of its two ends."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import numpy as np

from incident_rca.analysis.evidence import instant
from incident_rca.analysis.frames import seconds_of
from incident_rca.analysis.latency_rises import (
    FEWEST_BUCKETS,
    Levels,
    Rise,
    beginning_of,
    rises_of,
)
from incident_rca.model import ErrorBurst, Span

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, eq=False)
class FullStretch:
    """The rows of its full buckets, and when it began and ended.

    A bucket holds the most of its time, so a pool is full from some instant after the last bucket
    that is known not to be full to one in the first that is, whatever was lost between them.
    """

    rows: pd.DataFrame
    begun: Span
    until: Span


def full_stretches(
    used: pd.DataFrame,
    pending: pd.DataFrame,
    size: int,
    step: timedelta,
    quiet_until: datetime | None = None,
) -> tuple[FullStretch, ...]:
    """The stretches of `used` at the limit, by time; `pending` are the callers that waited.

    A busy pool touches its limit by chance while all is well. Where it does, it was exhausted only
    while the demand, the connections in use and the callers that wait for one, stood in a rise.
    What is usual must lie before `quiet_until`, when requests began to fail: else no rise is known.
    """
    buckets = used.groupby("at", sort=True)["value"].max()
    if buckets.empty:
        return ()
    waiting = pending.groupby("at")["value"].max().reindex(buckets.index).fillna(0.0)
    in_use = buckets.to_numpy(dtype=float)
    starts = seconds_of(buckets.index.to_series())
    width = step.total_seconds()
    levels = Levels(starts, starts + width, in_use + waiting.to_numpy(dtype=float))
    is_full = in_use >= size
    # Fewer buckets than make a rise may be lost within one stretch.
    gaps = np.diff(starts) > (FEWEST_BUCKETS + 0.5) * width
    runs = _runs(is_full, gaps)
    quiet = beginning_of(levels)
    is_quiet = quiet_until is None or levels.ends[quiet - 1] <= quiet_until.timestamp()
    rises = rises_of(levels)[1] if quiet and is_quiet else ()
    busy = [r for r in rises if is_full[r.first : r.last + 1].any()]
    if busy and any(_is_by_chance(run, busy) for run in runs):
        runs = [part for run in runs for rise in rises if (part := _within(run, rise)) is not None]
    full = used[used["value"] >= size] if runs else used
    return tuple(_stretch(full, buckets.index, step, run) for run in runs)


@dataclass(frozen=True, slots=True)
class _Run:
    """Positions of full buckets, inclusive, and those that are sure to be of an exhausted pool."""

    first: int
    last: int
    first_sure: int
    last_sure: int


def _runs(is_full: NDArray[np.bool_], gaps: NDArray[np.bool_]) -> list[_Run]:
    runs: list[_Run] = []
    for place in np.flatnonzero(is_full).tolist():
        if runs and runs[-1].last == place - 1 and not gaps[place - 1]:
            first = runs[-1].first
            runs[-1] = _Run(first, place, first, place)
        else:
            runs.append(_Run(place, place, place, place))
    return runs


def _is_by_chance(run: _Run, rises: list[Rise]) -> bool:
    """Whether it was full before anything rose, or in its first bucket, for which nothing tells."""
    first = min(rise.first_unsure for rise in rises)
    return run.last < first or (run.first == 0 and run.first < first)


def _within(run: _Run, rise: Rise) -> _Run | None:
    """The part of a run in a rise, with the bucket before: callers queue only once it is full."""
    if run.last < rise.first_unsure or run.first > rise.last_unsure:
        return None
    first, last = max(run.first, rise.first_unsure - 1), min(run.last, rise.last_unsure)
    begun = min(last, max(first, rise.first_sure))
    return _Run(first, last, begun, max(begun, min(last, rise.last_sure)))


def _stretch(full: pd.DataFrame, times: pd.Index[Any], step: timedelta, run: _Run) -> FullStretch:
    first, last = _at(times, run.first), _at(times, run.last)
    why = f"a {step.total_seconds():g} s bucket of the gauge"
    after = _at(times, run.first - 1) + step if run.first else first
    before = _at(times, run.last + 1) if run.last + 1 < len(times) else last + step
    # A long silence was not seen full.
    if before - last > FEWEST_BUCKETS * step:
        before = last + step
    begun = Span(min(after, first), _at(times, run.first_sure) + step, why)
    if first - after >= step:
        begun = Span(after, begun.hi, f"{why}, and those before it that are missing")
    rows = full[(full["at"] >= first) & (full["at"] <= last)]
    return FullStretch(rows, begun, Span(_at(times, run.last_sure), before, why))


def _at(times: pd.Index[Any], position: int) -> datetime:
    found = instant(times[position])
    assert found is not None
    return found


def of_outage(stretches: tuple[FullStretch, ...], outage: ErrorBurst | None) -> FullStretch | None:
    """The longest stretch, one that meets the outage before any other."""

    def worth(stretch: FullStretch) -> tuple[bool, int]:
        end = outage.end.lo if outage else None
        if outage is None or end is None or stretch.until.hi is None:
            return False, len(stretch.rows)
        meets = stretch.until.hi > outage.start.first and stretch.begun.first <= end
        return meets, len(stretch.rows)

    return max(stretches, key=worth, default=None)

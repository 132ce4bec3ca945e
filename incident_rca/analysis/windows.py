"""Counts in windows that overlap -> counts in which each event is there once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from incident_rca.analysis.frames import seconds_of

if TYPE_CHECKING:
    import pandas as pd

_SERIES = ["metric", "owner", "service", "method", "status"]
# What instants and widths lose when they are rounded, in seconds.
_ROUNDED = 0.001


def each_once(counted: pd.DataFrame) -> pd.DataFrame:
    """Rows of `metrics` with counts, each cut to the part of its bucket that no earlier one has.

    A rate's window is longer than its step, so a call is in several windows of its series: of each
    the part behind the end of the one before counts, with that share of its value, as if the calls
    in it came evenly. `at`, `bucket_seconds` and `value` are those of that part; buckets that lie
    apart stay as they are.
    """
    import pandas as pd

    if counted.empty:
        return counted
    series = counted.groupby(_SERIES, dropna=False, sort=False).ngroup().to_numpy()
    starts = seconds_of(counted["at"])
    widths = counted["bucket_seconds"].to_numpy(dtype=float)
    order = np.lexsort((starts, series))
    first, ends = starts[order], (starts + widths)[order]
    before = np.concatenate([[-np.inf], ends[:-1]])[: len(ends)]
    before[np.diff(series[order], prepend=-1) != 0] = -np.inf
    own = np.empty_like(starts)
    own[order] = np.clip(np.where(before - first > _ROUNDED, before, first), first, ends)
    if np.array_equal(own, starts):
        return counted
    left = starts + widths - own
    share = np.divide(left, widths, out=np.ones_like(left), where=widths > 0)
    stamps = pd.to_datetime(np.round(own * 1e6).astype(np.int64), unit="us", utc=True)
    return counted.assign(at=stamps, bucket_seconds=left, value=counted["value"] * share)

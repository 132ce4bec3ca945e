"""How slow the calls of a latency shift were, and since when, where a histogram hides it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from statistics import median
from typing import TYPE_CHECKING

from incident_rca.model import Span
from incident_rca.model.episodes import PlateauBasis
from incident_rca.typed_frames import plain

if TYPE_CHECKING:
    import pandas as pd

# Values that differ by no more than a float's last digits are the same.
_SAME = 1e-9


@dataclass(frozen=True, slots=True)
class Bucket:
    """One bucket of a series; at the ceiling of its histogram the value is "at least"."""

    start: datetime
    value: float
    width: timedelta
    is_at_ceiling: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Level:
    """The level of a plateau and what it rests on; `stood_at` is where its own values stood.

    `first_average_ms` is the average beside the first bucket, `ceiling_ms` its histogram's end.
    """

    plateau_ms: float
    peak_ms: float
    stood_at: float
    basis: PlateauBasis
    censored: bool
    first_average_ms: float | None = None
    ceiling_ms: float | None = None


def level_of(high: Sequence[Bucket], rows: pd.DataFrame, averages: pd.DataFrame) -> Level:
    """The level of the buckets above the threshold, which `rows` hold, beside their averages.

    A percentile that stands at the top bound of its histogram, or the same to the digit in each
    bucket (all calls ended within one bucket of it, whose interpolation point it is: Prometheus,
    histogram_quantile), tells nothing of how long calls took above or within: averages do.
    """
    stood_at, peak = median(b.value for b in high), max(b.value for b in high)
    is_flat = peak - min(b.value for b in high) <= _SAME * peak
    ceilings = rows["ceiling"].dropna()
    ceiling = float(plain(ceilings).max()) if len(ceilings) else None
    if ceiling is not None and stood_at >= ceiling:
        basis: PlateauBasis = "ceiling"
    else:
        basis = "interpolation" if is_flat and ceiling is not None else "values"
    average = float(averages["value"].median()) if len(averages) else None
    beside = averages.loc[averages["at"] == rows["at"].min(), "value"]
    is_told = average is not None and (
        basis == "interpolation" or (basis == "ceiling" and average > stood_at)
    )
    return Level(
        plateau_ms=average if is_told and average is not None else stood_at,
        peak_ms=float(averages["value"].max()) if is_told else peak,
        stood_at=stood_at,
        basis="average" if is_told else basis,
        # Real latencies jitter: equal to the digit they are a histogram's ceiling, or an
        # interpolation point of it, whichever bounds it has.
        censored=is_flat or any(b.is_at_ceiling for b in high),
        first_average_ms=float(beside.iloc[0]) if is_told and len(beside) else None,
        ceiling_ms=ceiling,
    )


def onset_of(first: Bucket, aggregate: str, level: Level) -> Span:
    """When the calls of the first slow bucket began: each is recorded when it ends."""
    end = first.start + first.width
    if level.basis == "interpolation":
        longest = timedelta(milliseconds=round(level.ceiling_ms or first.value))
        why = "its calls ended within one bucket of their histogram, which hides how long they took"
        return Span(first.start - longest, end, why)
    average = level.first_average_ms or 0.0
    lasted = max(first.value, average) if first.is_at_ceiling else average or first.value
    lag = timedelta(milliseconds=round(lasted))
    seconds = f"{lag.total_seconds():g} s"
    if first.is_at_ceiling:
        told = "on average" if average >= first.value else "its histogram's end, or longer"
        return Span(None, end - lag, f"its calls lasted {seconds}, {told}")
    if aggregate == "avg":
        why = (
            f"an average ({seconds}), which fast calls dilute: slow ones began earlier, if not then"
        )
        return Span(None, end - lag, why)
    why = f"a {first.width.total_seconds():g} s bucket, set back by {seconds} of lag"
    return Span(first.start - lag, end - lag, why)

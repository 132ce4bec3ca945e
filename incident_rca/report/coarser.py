"""Aligned series with fewer and longer steps, for pictures and screens that cannot show all."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

from incident_rca.model import AlignedSeries, Lane, Series


def coarser(aligned: AlignedSeries, most: int) -> AlignedSeries:
    """The series with as many steps joined as leaves no more than `most`.

    Of joined steps a lane of rates has the mean of what is recorded, any other the highest.
    """
    joined = max(1, math.ceil(aligned.steps / most))
    return replace(
        aligned,
        step_seconds=aligned.step_seconds * joined,
        steps=math.ceil(aligned.steps / joined),
        lanes=tuple(_lane(lane, joined) for lane in aligned.lanes),
    )


def _lane(lane: Lane, joined: int) -> Lane:
    series = (_series(s, joined, is_rate=lane.is_rate) for s in lane.series)
    return replace(lane, series=tuple(series))


def _series(series: Series, joined: int, *, is_rate: bool) -> Series:
    parts = [series.values[n : n + joined] for n in range(0, len(series.values), joined)]
    return replace(
        series,
        values=tuple(_value(part, is_rate=is_rate) for part in parts),
        at_least=tuple(sorted({position // joined for position in series.at_least})),
    )


def _value(part: Sequence[float | None], *, is_rate: bool) -> float | None:
    known = [value for value in part if value is not None]
    if not known:
        return None
    return sum(known) / len(known) if is_rate else max(known)

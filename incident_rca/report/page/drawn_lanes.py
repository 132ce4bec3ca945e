"""The aligned series as marks of a drawing, whose unit is a step across and a hundredth down.

A browser stretches the drawing to the room it has and zooms by showing a part of it, so what stands
here is drawn once, and also where no script runs.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from incident_rca.model import AlignedSeries, Episode, Evidence, Lane, LaneName, Series, Span
from incident_rca.report.coarser import coarser
from incident_rca.report.numbers import grouped, optional, rounded
from incident_rca.report.wording import Clock

TITLES = {
    LaneName.CHANGES: "Changes",
    LaneName.LOCK_WAITERS: "Sessions waiting for locks",
    LaneName.LATENCY: "Latency of calls",
    LaneName.POOL: "Connection pool",
    LaneName.FAILURES: "Failed requests",
    LaneName.REQUESTS: "Requests",
    LaneName.ERROR_TYPES: "Failures by type",
}
# The whole of a rate is read in so many points: finer ones show noise and hide the level.
COARSE_POINTS = 180
_ROUND = (1.0, 1.2, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0, 6.0, 8.0)
# The room above the highest value.
_HEADROOM = 8.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """A series as paths: its line, broken where nothing is recorded, and the area below it.

    `coarse` is the line of the joined steps, "" where each step is shown as it is.
    """

    name: str
    path: str
    area: str
    coarse: str
    at_least: str
    limit: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """An episode: `start` and `end` are where it may have begun and ended, each from and to."""

    title: str
    start: tuple[float, float]
    end: tuple[float, float]
    y: float
    height: float
    evidence: tuple[Evidence, ...]

    @property
    def sure_width(self) -> float:
        """How long it surely lasted; a hair where it may have ended when it began."""
        return width(self.start[1], self.end[0])

    @property
    def most_width(self) -> float:
        """How long it may have lasted."""
        return width(self.start[0], self.end[1])


@dataclass(frozen=True, slots=True, kw_only=True)
class DrawnLane:
    """One lane: `top` is what its highest line of the grid stands for, `gaps` are not recorded.

    Seen from afar `every` so many steps are joined.
    """

    name: LaneName
    title: str
    unit: str
    top: str
    every: int
    lines: tuple[Line, ...]
    bars: tuple[Bar, ...]
    gaps: tuple[tuple[float, float], ...]
    left_out: tuple[str, ...]
    is_recorded: bool


@dataclass(frozen=True, slots=True)
class Tick:
    """A time on the axis; a tick of a finer `level` is shown where the coarser ones are too few."""

    at: float
    label: str
    level: int


def place(series: AlignedSeries, instant: datetime) -> float:
    """Where an instant stands, in steps from the start; never outside."""
    steps = (instant - series.start).total_seconds() / series.step_seconds
    return rounded(min(max(0.0, steps), float(series.steps)))


def places(series: AlignedSeries, span: Span) -> tuple[float, float]:
    """Where a span begins and ends; an open end is that of the drawing."""
    lo = 0.0 if span.lo is None else place(series, span.lo)
    hi = float(series.steps) if span.hi is None else place(series, span.hi)
    return lo, hi


def width(start: float, end: float) -> float:
    """How wide a mark from one place to another is: a hair at least, else nothing is drawn."""
    return max(0.01, rounded(end - start))


def drawn_lanes(series: AlignedSeries) -> tuple[DrawnLane, ...]:
    """The lanes that hold anything, and those that say that nothing was recorded."""
    rough = coarser(series, COARSE_POINTS)
    every = round(rough.step_seconds / series.step_seconds)
    return tuple(
        _drawn(series, lane, means if lane.is_rate else lane, every if lane.is_rate else 1)
        for lane, means in zip(series.lanes, rough.lanes, strict=True)
    )


def _drawn(series: AlignedSeries, lane: Lane, rough: Lane, every: int) -> DrawnLane:
    known = [v for s in lane.series for v in (*s.values, s.limit) if v is not None]
    top = nice_top(max(known, default=0.0))
    return DrawnLane(
        name=lane.name,
        title=TITLES[lane.name],
        unit=lane.unit,
        top=grouped(top) if lane.series else "",
        every=every,
        lines=tuple(
            _line(one, means, top, every)
            for one, means in zip(lane.series, rough.series, strict=True)
        ),
        bars=tuple(_bars(series, lane)),
        gaps=tuple(
            (place(series, gap.start), rounded(place(series, gap.end) - place(series, gap.start)))
            for gap in lane.not_recorded
        ),
        left_out=lane.left_out,
        is_recorded=bool(lane.series or lane.episodes or not lane.not_recorded),
    )


def nice_top(highest: float) -> float:
    """A round number, the smallest that `highest` does not pass by much.

    >>> nice_top(30_040), nice_top(11), nice_top(0.0)
    (30000.0, 12.0, 1.0)
    """
    if highest <= 0:
        return 1.0
    power = 10.0 ** (len(str(int(highest))) - 1) if highest >= 1 else 0.01
    while True:
        for times in _ROUND:
            if highest <= times * power * 1.005:
                return times * power
        power *= 10


def _line(one: Series, rough: Series, top: float, every: int) -> Line:
    bounds = set(one.at_least)
    bounded = [v if n in bounds else None for n, v in enumerate(one.values)]
    return Line(
        name=one.name,
        path=path_of(one.values, top),
        area=path_of(rough.values, top, every, is_closed=True),
        coarse=path_of(rough.values, top, every) if every > 1 else "",
        at_least=path_of(bounded, top),
        limit=None if one.limit is None else _down(one.limit, top),
    )


def path_of(
    values: Sequence[float | None], top: float, every: int = 1, *, is_closed: bool = False
) -> str:
    """The values as steps of an SVG path; each recorded stretch is closed to the ground if asked.

    >>> path_of([1.0, 1.0, 2.0, None, 2.0], 2.0)
    'M0 54H2V8H3M4 8H5'
    """
    parts: list[str] = []
    start, previous = 0, None
    for number, value in enumerate([*values, None]):
        if value == previous:
            continue
        x = number * every
        if previous is not None:
            parts.append(f"H{x}")
            if value is None and is_closed:
                parts.append(f"V100H{start}Z")
        if value is not None:
            y = rounded(round(_down(value, top), 1))
            parts.append(f"M{x} {y}" if previous is None else f"V{y}")
            start = x if previous is None else start
        previous = value
    return "".join(parts)


def _down(value: float, top: float) -> float:
    return rounded(100 - (100 - _HEADROOM) * value / top)


def _bars(series: AlignedSeries, lane: Lane) -> Iterator[Bar]:
    """The episodes; those of a lane without lines stand in rows, so that each can be seen."""
    shown = [e for e in lane.episodes if _touches(series, e)]
    rows = 0 if lane.series else max(1, min(len(shown), 4))
    for number, episode in enumerate(shown):
        height = (100 - _HEADROOM) / rows if rows else 100.0
        yield Bar(
            title=episode.title,
            start=places(series, episode.start),
            end=places(series, episode.end),
            y=rounded(_HEADROOM / 2 + height * (number % rows)) if rows else 0.0,
            height=rounded(height * 0.7 if rows else height),
            evidence=episode.evidence,
        )


def _touches(series: AlignedSeries, episode: Episode) -> bool:
    window = series.window
    begins = episode.start.lo is None or episode.start.lo < window.end
    return begins and (episode.end.hi is None or episode.end.hi >= window.start)


# Steps of a clock's face, in seconds.
_STEPS = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 21600, 43200, 86400)
_TICKS = (5, 9, 18, 45, 90, 180, 400)


def ticks(series: AlignedSeries, clock: Clock) -> tuple[Tick, ...]:
    """Times on the axis in levels, each with about twice as many as the one before."""
    seconds = series.window.seconds
    levels = [next((s for s in _STEPS if seconds / s <= most), _STEPS[-1]) for most in _TICKS]
    return tuple(
        Tick(place(series, at), clock.time(at), level)
        for level, step in enumerate(dict.fromkeys(levels))
        for at in _multiples(series, step)
    )


def _multiples(series: AlignedSeries, step: int) -> Iterator[datetime]:
    window = series.window
    midnight = window.start.replace(hour=0, minute=0, second=0, microsecond=0)
    passed = (window.start - midnight).total_seconds()
    at = midnight + timedelta(seconds=-(-passed // step) * step)
    while at < window.end:
        yield at
        at += timedelta(seconds=step)


def values_of(series: AlignedSeries, drawn: Sequence[DrawnLane]) -> list[dict[str, Any]]:
    """The values that a reader who points at a step is told, in the order of the drawn lines."""
    return [
        {
            "every": shown.every,
            "at_least": list(one.at_least),
            "values": [optional(value) for value in one.values],
        }
        for lane, shown in zip(series.lanes, drawn, strict=True)
        for one in lane.series
    ]

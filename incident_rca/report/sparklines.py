"""The series of an incident as lines of characters on one axis, for a terminal of any width."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from math import log10

from rich.cells import cell_len, set_cell_size

from incident_rca.model import AlignedSeries, Analysis, Lane, LaneName, Series
from incident_rca.redact import plain
from incident_rca.report.coarser import coarser
from incident_rca.report.numbers import grouped

# The lowest is zero, or what is less than can be shown; the others share what is above it.
BARS, ASCII_BARS = "▁▂▃▄▅▆▇█", "_.:-=+*#"
UNKNOWN = "?"
_LANES = (
    LaneName.LOCK_WAITERS,
    LaneName.LATENCY,
    LaneName.POOL,
    LaneName.FAILURES,
    LaneName.REQUESTS,
)
_NAMES = {
    LaneName.LOCK_WAITERS: "waiting for locks",
    LaneName.LATENCY: "latency",
    LaneName.POOL: "pool",
    LaneName.FAILURES: "failed requests",
    LaneName.REQUESTS: "requests",
}
_BEFORE_NAME = {LaneName.LOCK_WAITERS: "waiting: ", LaneName.POOL: "pool ", LaneName.REQUESTS: ""}
_MOST_NAME, _HIGHEST, _FEWEST_BARS = 34, 11, 10


@dataclass(frozen=True, slots=True)
class _Row:
    name: str
    bars: str
    highest: str


def sparklines(analysis: Analysis, width: int, *, is_ascii: bool = False) -> tuple[str, ...]:
    """A line for the first series of each lane, or for all failures, and the outages below them.

    They fit `width` columns; there are none without series. Where nothing is recorded a line has
    question marks.
    """
    own = analysis.series_of(1)
    if own is None:
        return ()
    names = min(_MOST_NAME, max(12, width // 3))
    bars = max(_FEWEST_BARS, width - names - _HIGHEST - 2)
    shown = coarser(own, bars)
    alphabet = ASCII_BARS if is_ascii else BARS
    rows = [_row(shown, shown.lane(name), alphabet) for name in _LANES]
    rows.append(_Row("outage", "".join(_outages(analysis, shown, alphabet)), ""))
    lines = [_line(row, names, shown.steps) for row in rows]
    ends = f"{shown.start:%H:%M:%S}", f"{own.window.end:%H:%M:%S}"
    axis = ends[0] + ends[1].rjust(shown.steps - len(ends[0]))
    if shown.steps < len(ends[0]) + len(ends[1]) + 1:
        axis = ends[0]
    unknown = any(UNKNOWN in row.bars for row in rows)
    key = (f"{UNKNOWN} not recorded",) if unknown else ()
    return (*lines, f"{'UTC'.ljust(names)} {axis}", *key)


def _line(row: _Row, names: int, steps: int) -> str:
    name = row.name
    if cell_len(name) > names:
        name = f"{set_cell_size(name, names - 1).rstrip()}~"
    return f"{set_cell_size(name, names)} {row.bars.ljust(steps)} {row.highest}".rstrip()


def _row(aligned: AlignedSeries, lane: Lane, alphabet: str) -> _Row:
    if not lane.series:
        return _Row(_NAMES[lane.name], UNKNOWN * aligned.steps, "")
    series = lane.series[0]
    name = f"{_BEFORE_NAME.get(lane.name, '')}{plain(series.name, 100)}"
    if lane.name is LaneName.FAILURES:
        series, name = _together(lane), _NAMES[lane.name]
    known = [value for value in series.values if value is not None]
    top = max([*known, series.limit or 0.0])
    is_log = lane.name is LaneName.LATENCY
    bars = "".join(_bar(value, top, alphabet, is_log=is_log) for value in series.values)
    return _Row(name, bars, _highest(lane, series, max(known, default=0.0)))


def _together(lane: Lane) -> Series:
    """The sum of all series of a lane, where any is known."""
    columns = zip(*(series.values for series in lane.series), strict=True)
    sums = (
        sum(v for v in column if v is not None) if any(v is not None for v in column) else None
        for column in columns
    )
    return Series(name="", values=tuple(sums))


def _bar(value: float | None, top: float, alphabet: str, *, is_log: bool) -> str:
    if value is None:
        return UNKNOWN
    if is_log:
        value, top = log10(max(value, 1.0)), log10(max(top, 10.0))
    if value <= 0 or top <= 0:
        return alphabet[0]
    return alphabet[max(1, min(len(alphabet) - 1, round(value / top * (len(alphabet) - 1))))]


def _highest(lane: Lane, series: Series, value: float) -> str:
    """The highest value with its unit, in as many columns as there are."""
    sign = ">=" if series.at_least and lane.name is LaneName.LATENCY else ""
    if lane.name is LaneName.LATENCY:
        text = f"{grouped(round(value))} ms"
    elif lane.is_rate:
        text = f"{grouped(round(value, 1))}/s"
    else:
        limit = "" if series.limit is None else f" of {series.limit:g}"
        text = f"{grouped(round(value))}{limit}"
    return (sign + text)[:_HIGHEST]


def _outages(analysis: Analysis, aligned: AlignedSeries, alphabet: str) -> Iterator[str]:
    """Which steps an outage reaches into."""
    outages = (analysis.outage_of(n) for n in range(1, 2 + len(analysis.other_incidents)))
    spans = [(o.onset.middle, o.end.first) for o in outages if o is not None]
    for position in range(aligned.steps):
        start, end = aligned.moment(position), aligned.moment(position + 1)
        yield alphabet[-1] if _reaches(spans, start, end) else " "


def _reaches(spans: Sequence[tuple[datetime, datetime]], start: datetime, end: datetime) -> bool:
    return any(first < end and last >= start for first, last in spans)

"""One lane of a picture: a heading, the lines of its series, and the stretches behind them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from math import floor, log10

from incident_rca.model import AlignedSeries, Lane, LaneName, Series
from incident_rca.report.charts.canvas import (
    BLACK,
    DARK,
    LEFT,
    RIGHT,
    SMALL,
    STROKES,
    Row,
    Spec,
    Stroke,
    at,
    fitting,
    marks,
    rule,
    text,
    width_of,
)
from incident_rca.report.charts.stretches import Place, background, outage_lines
from incident_rca.report.charts.time_axis import milliseconds

TITLE, LEGEND = 18.0, 15.0
_SAMPLE, _BETWEEN_NAMES = 18.0, 14.0
_BETWEEN_TRIANGLES = 16.0
_LIMIT = Stroke(DARK, 0.8, (4, 3))


def lane_marks(
    place: Place,
    aligned: AlignedSeries,
    lane: Lane,
    ends: Sequence[datetime],
    highest: float | None,
) -> list[Spec]:
    """The lines of a lane up to `highest`, and the stretches behind them; `ends` are the outages'.

    No more lines than can be told apart.
    """
    shown = lane.series[: len(STROKES)]
    is_log = lane.name is LaneName.LATENCY
    y = _vertical(place, highest, is_log=is_log)
    lowest = 1.0 if is_log else 0.0
    return [
        *background(place, lane.episodes, lane.not_recorded),
        _axis(y, highest, is_log=is_log),
        *_limits(y, shown),
        *(_line(place, y, aligned, s, k, lowest) for s, k in zip(shown, STROKES, strict=False)),
        *_lower_bounds(place, y, aligned, shown),
        outage_lines(place, ends),
    ]


def highest_of(lane: Lane) -> float | None:
    """The highest value or limit of the series that are drawn, None where nothing is known."""
    drawn = lane.series[: len(STROKES)]
    known = [v for s in drawn for v in (*s.values, s.limit) if v is not None]
    return max(known, default=None)


def _vertical(place: Place, highest: float | None, *, is_log: bool) -> Spec:
    """The vertical place of a value: from zero, or on a logarithmic scale from one."""
    top = highest or 1.0
    powers = floor(log10(max(top, 10.0))) + 1
    scale = {
        "type": "log" if is_log else "linear",
        "domain": [1, 10**powers] if is_log else [0, top * 1.08],
        "range": [place.bottom, place.top],
        "nice": False,
        "clamp": True,
    }
    return {"field": "value", "type": "quantitative", "scale": scale, "axis": None}


def _axis(y: Spec, highest: float | None, *, is_log: bool) -> Spec:
    """The names of a few values; every mark of a lane has the same scale, and one of them these."""
    ticks: Spec = {"values": []} if highest is None else {"tickCount": 3}
    if is_log and highest is not None:
        powers = range(round(log10(y["scale"]["domain"][1])) + 1)
        ticks["values"] = [10**n for n in powers][:: 2 if len(powers) > 3 else 1]
        in_seconds = "datum.value / 1000 + ' s'"
        ticks["labelExpr"] = f"datum.value >= 1000 ? {in_seconds} : datum.value + ' ms'"
    axis = {
        "orient": "left",
        # From the left edge of the picture to that of the lanes.
        "offset": -LEFT,
        "title": None,
        "grid": False,
        "ticks": False,
        "domain": False,
        "labelFontSize": SMALL,
        "labelColor": DARK,
        "labelPadding": 5,
        **ticks,
    }
    return marks([{"value": 1}], {"type": "point", "opacity": 0}, {"y": y | {"axis": axis}})


def _line(
    place: Place, y: Spec, aligned: AlignedSeries, series: Series, stroke: Stroke, lowest: float
) -> Spec:
    mark = {
        "type": "line",
        "interpolate": "step-after",
        "invalid": "break-paths-show-path-domains",
        **stroke.spec,
    }
    order = {"field": "at", "type": "quantitative"}
    rows = _steps(aligned, series, lowest)
    return marks(rows, mark, {"x": place.axis.x(), "y": y, "order": order})


def _steps(aligned: AlignedSeries, series: Series, lowest: float) -> Iterator[Row]:
    """A row a step that differs from the one before, and one where what is recorded ends.

    A step lasts to its end, so that a value between two gaps is a line and not a dot. A logarithmic
    scale has no zero: what is less than `lowest` is drawn there.
    """
    before: float | None = None
    for position, value in enumerate((*series.values, None)):
        at_ms = milliseconds(aligned.moment(position))
        if value is None and before is not None:
            yield {"at": at_ms, "value": _digits(max(before, lowest))}
            # Behind the last one, because equal places have no order.
            yield {"at": at_ms + 1, "value": None}
        elif value is not None and value != before:
            yield {"at": at_ms, "value": _digits(max(value, lowest))}
        before = value


def _digits(value: float) -> float:
    """A value with as many digits as a picture can show."""
    return float(f"{value:.5g}")


def _limits(y: Spec, shown: Sequence[Series]) -> Iterator[Spec]:
    limits = sorted({s.limit for s in shown if s.limit is not None})
    if limits:
        across = {"x": at(LEFT), "x2": at(RIGHT), "y": y}
        yield marks(({"value": v} for v in limits), {"type": "rule", **_LIMIT.spec}, across)


def _lower_bounds(
    place: Place, y: Spec, aligned: AlignedSeries, shown: Sequence[Series]
) -> Iterator[Spec]:
    """A triangle that points upwards where a value is at least so high; not one a step."""
    for series, stroke in zip(shown, STROKES, strict=False):
        rows: list[Row] = []
        reached = -_BETWEEN_TRIANGLES
        for position in series.at_least:
            value = series.values[position]
            dot = position * aligned.step_seconds / place.axis.seconds_a_dot
            if value is not None and dot - reached >= _BETWEEN_TRIANGLES:
                reached = dot
                middle = milliseconds(aligned.moment(position)) + aligned.step_seconds * 500
                rows.append({"at": middle, "value": _digits(value)})
        if rows:
            mark = {"type": "point", "shape": "triangle-up", "size": 30, "filled": True}
            look = {"opacity": 1, "color": stroke.colour}
            yield marks(rows, mark | look, {"x": place.axis.x(), "y": y})


# --- headings -------------------------------------------------------------------------------------


def heading(y: float, title: str, told: str) -> Iterator[Spec]:
    """A title in bold, and beside it what is told."""
    shown = fitting(title, RIGHT / 2, bold=True)
    yield text(8, y, shown, bold=True)
    x = 8 + width_of(shown, bold=True) + 8
    if told:
        yield text(x, y, fitting(told, RIGHT - x), colour=DARK)


def legend(y: float, shown: Sequence[Series]) -> Iterator[Spec]:
    """Which line is what: side by side, each cut to its share where they do not fit."""
    names = [_named(series) for series in shown[: len(STROKES)]]
    beside = _SAMPLE + 4 + _BETWEEN_NAMES
    widths = [width_of(name, SMALL) + beside for name in names]
    if sum(widths) > RIGHT - LEFT:
        widths = [(RIGHT - LEFT) / len(names)] * len(names)
    x = float(LEFT)
    for name, stroke, width in zip(names, STROKES, widths, strict=False):
        yield rule(x, y, x + _SAMPLE, y, stroke)
        said = fitting(name, width - beside + 1, SMALL)
        yield text(x + _SAMPLE + 4, y, said, size=SMALL, colour=BLACK)
        x += width


def _named(series: Series) -> str:
    return series.name if series.limit is None else f"{series.name}, limit {series.limit:g}"

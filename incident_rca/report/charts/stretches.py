"""Stretches of time in a lane: what lasted, between which bounds it began, what is not recorded."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from incident_rca.model import Episode, Span, TimeWindow
from incident_rca.report.charts.canvas import (
    BLACK,
    DARK,
    LEFT,
    LIGHT,
    MIDDLE,
    PALE,
    RIGHT,
    SMALL,
    Spec,
    Stroke,
    at,
    marks,
    rule,
    width_of,
)
from incident_rca.report.charts.time_axis import TimeAxis, milliseconds

NOT_RECORDED = "not recorded"
# What is shorter than so many dots is drawn as wide as that.
_NARROWEST = 2.0
_HATCH = 7.0
_EDGE = "#bdbdbd"
_TICK, _BASE = Stroke(LIGHT, 0.7), Stroke(MIDDLE, 0.8)
_OUTAGE = Stroke(BLACK, 1.0, (2, 3))


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a lane is drawn: its lines from `top` to `bottom`, its heading above."""

    axis: TimeAxis
    top: float
    bottom: float


def background(
    place: Place, lasting: Sequence[Episode], unknown: Iterable[TimeWindow]
) -> Iterator[Spec]:
    """What lasted, pale, with the bounds of its ends, darker; ticks; hatched what is not known."""
    axis = place.axis
    whole = (_drawn(axis, e.start.first, e.end.hi or e.end.first) for e in lasting)
    edges = (_bounds(axis, span) for e in lasting for span in (e.start, e.end))
    yield from _rectangles(place, whole, {"color": PALE})
    yield instants(place, axis.ticks(), _TICK)
    yield from _rectangles(place, edges, {"color": _EDGE})
    yield from _not_recorded(place, unknown)
    yield rule(LEFT, place.bottom, RIGHT, place.bottom, _BASE)


def outage_lines(place: Place, ends: Iterable[datetime]) -> Spec:
    """A dotted line in each lane where failures began, and where they ended."""
    window = place.axis.window
    return instants(place, [end for end in ends if window.start <= end <= window.end], _OUTAGE)


def instants(place: Place, moments: Iterable[datetime], stroke: Stroke) -> Spec:
    """A vertical line at each of these moments."""
    rows = ({"at": milliseconds(moment)} for moment in moments)
    places = {"x": place.axis.x(), "y": at(place.top), "y2": at(place.bottom)}
    return marks(rows, {"type": "rule", **stroke.spec}, places)


def _bounds(axis: TimeAxis, span: Span) -> TimeWindow | None:
    """The bounds of an instant; None where one is open or none is drawn."""
    return None if span.lo is None or span.hi is None else _drawn(axis, span.lo, span.hi)


def _drawn(axis: TimeAxis, start: datetime, end: datetime) -> TimeWindow | None:
    """A stretch as wide as can be seen, as far as it is drawn."""
    narrowest = timedelta(seconds=axis.seconds_a_dot * _NARROWEST)
    beside = max(timedelta(0), narrowest - (end - start)) / 2
    return axis.within(TimeWindow(start - beside, end + beside))


def _rectangles(place: Place, stretches: Iterable[TimeWindow | None], look: Spec) -> Iterator[Spec]:
    rows = [
        {"at": milliseconds(s.start), "until": milliseconds(s.end)}
        for s in stretches
        if s is not None
    ]
    if rows:
        places = {"y": at(place.top), "y2": at(place.bottom)}
        across = {"x": place.axis.x(), "x2": {"field": "until"}}
        yield marks(rows, {"type": "rect", **look}, across | places)


# --- what is not recorded -------------------------------------------------------------------------


def _not_recorded(place: Place, stretches: Iterable[TimeWindow]) -> Iterator[Spec]:
    """Hatched, with its name where there is room for it."""
    found = [part for s in stretches if (part := place.axis.within(s)) is not None]
    if not found:
        return
    dashed = {"stroke": MIDDLE, "strokeWidth": 0.8, "strokeDash": [3, 2]}
    yield from _rectangles(place, found, {"color": "white", **dashed})
    rising = {"field": "y", "type": "quantitative", "scale": None, "axis": None}
    yield marks(
        (line for part in found for line in _hatch(place, part)),
        {"type": "rule", **_BASE.spec},
        {"x": place.axis.x(), "x2": {"field": "until"}, "y": rising, "y2": {"field": "to"}},
    )
    a_dot = place.axis.seconds_a_dot
    room = width_of(NOT_RECORDED, SMALL) + 10
    middles = [p.start + (p.end - p.start) / 2 for p in found if p.seconds >= room * a_dot]
    half = timedelta(seconds=room * a_dot / 2)
    height = (place.top + place.bottom) / 2
    line = Place(axis=place.axis, top=height - 7, bottom=height + 7)
    yield from _rectangles(
        line, (TimeWindow(m - half, m + half) for m in middles), {"color": "white"}
    )
    yield marks(
        ({"at": milliseconds(middle)} for middle in middles),
        {"type": "text", "text": NOT_RECORDED, "fontSize": SMALL, "color": DARK},
        {"x": place.axis.x(), "y": at(height)},
    )


def _hatch(place: Place, stretch: TimeWindow) -> Iterator[dict[str, float]]:
    """Lines that rise to the right at 45 degrees, cut where the stretch begins and ends."""
    height, a_dot = place.bottom - place.top, place.axis.seconds_a_dot
    width = stretch.seconds / a_dot
    foot = _HATCH - height
    while foot < width:
        left, right = max(0.0, foot), min(width, foot + height)
        yield {
            "at": milliseconds(stretch.start + timedelta(seconds=left * a_dot)),
            "until": milliseconds(stretch.start + timedelta(seconds=right * a_dot)),
            "y": round(place.bottom - (left - foot), 2),
            "to": round(place.bottom - (right - foot), 2),
        }
        foot += _HATCH

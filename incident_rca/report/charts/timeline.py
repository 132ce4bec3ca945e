"""The aligned timeline: what each system recorded, below each other on one axis of time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime

from incident_rca.model import AlignedSeries, Analysis, Lane, LaneName
from incident_rca.report.charts import words
from incident_rca.report.charts.canvas import (
    DARK,
    LARGE,
    LEFT,
    RIGHT,
    SMALL,
    STROKES,
    WIDTH,
    Spec,
    fitting,
    picture,
    text,
)
from incident_rca.report.charts.chart import Chart
from incident_rca.report.charts.lane import LEGEND, TITLE, heading, highest_of, lane_marks, legend
from incident_rca.report.charts.stretches import Place
from incident_rca.report.charts.time_axis import TimeAxis, time_names
from incident_rca.report.coarser import coarser
from incident_rca.window import format_duration

LANES = (
    LaneName.CHANGES,
    LaneName.LOCK_WAITERS,
    LaneName.LATENCY,
    LaneName.POOL,
    LaneName.FAILURES,
    LaneName.REQUESTS,
)
_HEIGHT, _HEIGHT_OF_CHANGES = 62.0, 10.0
_BETWEEN, _HEAD, _FOOT = 9.0, 38.0, 26.0
# Steps of two dots: shorter ones cannot be told apart. Arrivals scatter, so lines through few of
# them cover each other: theirs are longer.
MOST_STEPS = (RIGHT - LEFT) // 2
_MOST_STEPS_OF_REQUESTS = (RIGHT - LEFT) // 8
_MOST_PICTURES = 4
KEY = "pale: while it lasted · grey: bounds of its start and end · hatched: not recorded"
_KEY = f"{KEY} · ▲ at least · dashed: limit · dotted: failures began, ended"


def timelines(analysis: Analysis) -> Iterator[Chart]:
    """A picture of the largest incident, and of each other one that lies outside of it."""
    known: list[AlignedSeries] = []
    for number in range(1, 2 + len(analysis.other_incidents)):
        own = analysis.series_of(number)
        if own is None or any(_is_within(own, other) for other in known):
            continue
        if any(words.is_recorded(own, lane) for lane in own.lanes):
            known.append(own)
    drawn = known[:_MOST_PICTURES]
    more = len(known) - len(drawn)
    rest = (f"{more} more outages of the window have no picture",) if more else ()
    for number, own in enumerate(drawn, start=1):
        name = "timeline" if number == 1 else f"timeline-{number}"
        yield _timeline(analysis, own, name, rest if number == 1 else ())


def _is_within(one: AlignedSeries, other: AlignedSeries) -> bool:
    return one.window.start >= other.window.start and one.window.end <= other.window.end


def _timeline(analysis: Analysis, own: AlignedSeries, name: str, rest: tuple[str, ...]) -> Chart:
    axis = TimeAxis(own.window)
    lanes = [lane for lane in own.lanes if _is_drawn(lane)]
    ends = outage_ends(analysis)
    marks: list[Spec] = []
    top = _HEAD
    for lane in lanes:
        title, told = words.TITLES[lane.name], words.told(analysis, own, lane)
        marks += heading(top + TITLE / 2, title, told)
        top += TITLE
        if lane.series:
            marks += legend(top + LEGEND / 2, lane.series)
            top += LEGEND
        bottom = top + (_HEIGHT_OF_CHANGES if lane.name is LaneName.CHANGES else _HEIGHT)
        aligned, drawn = _drawn(own, lane)
        place = Place(axis=axis, top=top, bottom=bottom)
        marks += lane_marks(place, aligned, drawn, ends, highest_of(drawn))
        top = bottom + _BETWEEN
    window = words.window_words(own)
    opening = f"All systems on one axis of time, {window}."
    said = words.in_words(analysis, own, lanes, opening)
    named = fitting(f"{analysis.case.id}: {window}", WIDTH - 20, LARGE, bold=True)
    layers = [
        text(8, 12, named, size=LARGE, bold=True),
        text(8, 28, fitting(_KEY, WIDTH - 16, SMALL), size=SMALL, colour=DARK),
        *marks,
        *time_names(axis, top + 4),
    ]
    return Chart(
        name=name,
        alt=said,
        notes=(*_cut(analysis, own), *words.left_out(lanes, len(STROKES)), *rest),
        evidence=words.evidence_of(lanes),
        spec=picture(layers, top - _BETWEEN + _FOOT, said),
    )


def _is_drawn(lane: Lane) -> bool:
    """Whether a lane has anything to show: that nothing is recorded is something."""
    return bool(lane.episodes) if lane.name is LaneName.CHANGES else lane.name in LANES


def _drawn(own: AlignedSeries, lane: Lane) -> tuple[AlignedSeries, Lane]:
    """The lane with steps that can be told apart, and the series that have these steps."""
    is_arrivals = lane.name is LaneName.REQUESTS
    only = replace(own, lanes=(lane,))
    aligned = coarser(only, _MOST_STEPS_OF_REQUESTS if is_arrivals else MOST_STEPS)
    return aligned, aligned.lane(lane.name)


def outage_ends(analysis: Analysis) -> list[datetime]:
    """When failures began and ended, of each outage."""
    outages = (analysis.outage_of(n) for n in range(1, 2 + len(analysis.other_incidents)))
    return [at for o in outages if o for at in (o.onset.middle, o.end.hi) if at is not None]


def _cut(analysis: Analysis, own: AlignedSeries) -> tuple[str, ...]:
    """A note where the picture does not show the whole window."""
    if own.incident is None:
        return ()
    shown, whole = (format_duration(s) for s in (own.window.seconds, analysis.case.window.seconds))
    return (f"{shown} of a window of {whole} are drawn",)

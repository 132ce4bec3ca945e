"""Failures over time, each type of error in a lane of its own: no stack to be told apart by hue."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace

from incident_rca.model import Analysis, LaneName, Series
from incident_rca.report.charts import words
from incident_rca.report.charts.canvas import (
    DARK,
    LARGE,
    SMALL,
    WIDTH,
    Spec,
    fitting,
    picture,
    text,
)
from incident_rca.report.charts.chart import Chart
from incident_rca.report.charts.lane import TITLE, heading, lane_marks
from incident_rca.report.charts.stretches import Place
from incident_rca.report.charts.time_axis import TimeAxis, time_names
from incident_rca.report.charts.timeline import KEY, MOST_STEPS, outage_ends
from incident_rca.report.coarser import coarser
from incident_rca.report.numbers import grouped, percent

_HEIGHT, _BETWEEN, _HEAD, _FOOT = 34.0, 7.0, 38.0, 26.0
_KEY = f"failed requests a second, all on one scale · {KEY}"


def error_types(analysis: Analysis) -> Chart | None:
    """The types of the largest outage over its time; None where nothing failed."""
    own = analysis.series_of(1)
    if own is None or not own.lane(LaneName.ERROR_TYPES).series:
        return None
    aligned = coarser(own, MOST_STEPS)
    axis = TimeAxis(aligned.window)
    lane = aligned.lane(LaneName.ERROR_TYPES)
    highest = max(v for s in lane.series for v in s.values if v is not None)
    outage = "the largest outage" if analysis.other_incidents else "the outage"
    counted = {s.name: _counted(s, _counts(analysis), outage) for s in lane.series}
    marks: list[Spec] = []
    top = _HEAD
    for series in lane.series:
        marks += heading(top + TITLE / 2, series.name, counted[series.name])
        place = Place(axis=axis, top=top + TITLE, bottom=top + TITLE + _HEIGHT)
        of_type = replace(lane, series=(series,))
        marks += lane_marks(place, aligned, of_type, outage_ends(analysis), highest)
        top = place.bottom + _BETWEEN
    window = words.window_words(own)
    listed = "; ".join(f"{words.named(name)}: {number}" for name, number in counted.items())
    said = words.cut(f"Failed requests a second by type of error, {window}. {listed}.")
    named = fitting(f"{analysis.case.id}: types of error, {window}", WIDTH - 20, LARGE, bold=True)
    layers = [
        text(8, 12, named, size=LARGE, bold=True),
        text(8, 28, fitting(_KEY, WIDTH - 16, SMALL), size=SMALL, colour=DARK),
        *marks,
        *time_names(axis, top + 4),
    ]
    return Chart(
        name="error-types",
        alt=said,
        notes=words.left_out([lane], len(lane.series)),
        evidence=tuple(dict.fromkeys(e.evidence[0] for e in analysis.error_types)),
        spec=picture(layers, top - _BETWEEN + _FOOT, said),
    )


def _counts(analysis: Analysis) -> Mapping[str, int]:
    """How many requests failed so in the largest outage, whatever the status."""
    counts: Counter[str] = Counter()
    for each in analysis.error_types:
        counts[each.type] += each.count
    return counts


def _counted(series: Series, counts: Mapping[str, int], outage: str) -> str:
    number = counts.get(series.name, 0)
    if not number:
        return f"none in {outage}"
    share = percent(number / sum(counts.values()))
    return f"{grouped(number)}, {share} of those that failed in {outage}"

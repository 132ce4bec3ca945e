"""The timelines of the page: drawn lanes, and what a reader who points at an instant is told."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import Any

from jinja2.utils import htmlsafe_json_dumps
from markupsafe import Markup

from incident_rca.model import AlignedSeries, Analysis, Event, Phase, Span
from incident_rca.redact import plain
from incident_rca.report.numbers import rounded
from incident_rca.report.page.drawn_lanes import (
    DrawnLane,
    Tick,
    drawn_lanes,
    place,
    places,
    ticks,
    values_of,
    width,
)
from incident_rca.report.wording import Clock

# What stands in the data of a script is cut and cleaned here: no template sees it again.
TITLE_LIMIT = 200


@dataclass(frozen=True, slots=True)
class Placed:
    """A name from one place to another, in steps of the drawing."""

    name: str
    kind: str
    start: float
    end: float

    @property
    def width(self) -> float:
        """How wide its mark is."""
        return width(self.start, self.end)


@dataclass(frozen=True, slots=True, kw_only=True)
class Chart:
    """One timeline: `data` is what its script reads."""

    id: str
    title: str
    steps: int
    step_seconds: float
    lanes: tuple[DrawnLane, ...]
    ticks: tuple[Tick, ...]
    phases: tuple[Placed, ...]
    events: tuple[Placed, ...]
    outage: Placed | None
    data: Markup

    def percent(self, at: float) -> float:
        """Where a step stands in the whole drawing, in percent of its width."""
        return rounded(100 * at / self.steps)


def charts(analysis: Analysis) -> tuple[Chart, ...]:
    """The whole window, then each incident that fills only a part of it."""
    return tuple(
        _chart(analysis, number, series) for number, series in enumerate(analysis.series, start=1)
    )


def _chart(analysis: Analysis, number: int, series: AlignedSeries) -> Chart:
    clock = Clock.of(analysis)
    is_whole = series.incident is None
    drawn = Chart(
        id=f"chart-{number}",
        title="The whole window" if is_whole else f"Around outage {series.incident}",
        steps=series.steps,
        step_seconds=series.step_seconds,
        lanes=drawn_lanes(series),
        ticks=ticks(series, clock),
        phases=tuple(_phase(series, p) for p in analysis.phases if series.incident in (None, 1)),
        events=tuple(_event(series, e) for e in analysis.timeline if _is_in(series, e.at)),
        outage=_outage(analysis, series),
        data=Markup(),
    )
    return _with_data(analysis, series, drawn)


def _phase(series: AlignedSeries, phase: Phase) -> Placed:
    end = series.window.end if phase.end is None else phase.end
    name = phase.name.replace("_", "-")
    return Placed(name, phase.name, place(series, phase.start), place(series, end))


def _event(series: AlignedSeries, event: Event) -> Placed:
    start, end = places(series, event.at)
    return Placed(plain(event.title, TITLE_LIMIT), event.system.value, start, end)


def _outage(analysis: Analysis, series: AlignedSeries) -> Placed | None:
    found = analysis.outage_of(series.incident or 1)
    if found is None:
        return None
    return Placed("outage", "outage", places(series, found.start)[0], places(series, found.end)[1])


def _is_in(series: AlignedSeries, span: Span) -> bool:
    window = series.window
    begins = span.lo is None or span.lo < window.end
    return begins and (span.hi is None or span.hi >= window.start)


def _with_data(analysis: Analysis, series: AlignedSeries, drawn: Chart) -> Chart:
    evidence = [e for e in analysis.evidence if _is_in(series, e.at)]
    data: dict[str, Any] = {
        "start_ms": int(series.start.timestamp() * 1000),
        "day": f"{Clock.of(analysis).day}",
        "step_seconds": series.step_seconds,
        "steps": series.steps,
        "phases": [[p.name, p.start, p.end] for p in drawn.phases],
        "events": [[e.name, e.start, e.end] for e in drawn.events],
        "evidence": [[analysis.evidence_ids[e.digest], *places(series, e.at)] for e in evidence],
        "lines": values_of(series, drawn.lanes),
        "begin": drawn.outage.start if drawn.outage else series.steps / 2,
    }
    text = htmlsafe_json_dumps(data, dumps=json.dumps, separators=(",", ":"), sort_keys=True)
    return replace(drawn, data=text)

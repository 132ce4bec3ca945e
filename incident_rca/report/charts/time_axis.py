"""The axis of time that all lanes of a picture share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from incident_rca.model import TimeWindow
from incident_rca.report.charts.canvas import DARK, LEFT, RIGHT, SMALL, Spec, at, marks, text

# Seconds between two ticks: what people count in.
_TICKS = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 21600, 43200, 86400)
_MOST_TICKS = 9
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class TimeAxis:
    """The window that is drawn, from LEFT to RIGHT."""

    window: TimeWindow

    @property
    def seconds_a_dot(self) -> float:
        return self.window.seconds / (RIGHT - LEFT)

    def x(self, field: str = "at") -> Spec:
        """A field of milliseconds as the horizontal place."""
        scale = {
            "type": "utc",
            "domain": [milliseconds(self.window.start), milliseconds(self.window.end)],
            "range": [LEFT, RIGHT],
            "nice": False,
            "clamp": True,
        }
        return {"field": field, "type": "temporal", "scale": scale, "axis": None}

    def within(self, window: TimeWindow) -> TimeWindow | None:
        """The part of `window` that is drawn, None where there is none."""
        start, end = max(window.start, self.window.start), min(window.end, self.window.end)
        return TimeWindow(start, end) if start < end else None

    def ticks(self) -> list[datetime]:
        """The instants to name, at whole multiples of what is between two of them."""
        step = next((s for s in _TICKS if self.window.seconds / s <= _MOST_TICKS), None)
        if step is None:
            step = _TICKS[-1] * -(-int(self.window.seconds) // (_TICKS[-1] * _MOST_TICKS))
        first = -(-int(self.window.start.timestamp()) // step) * step
        last = int(self.window.end.timestamp())
        return [datetime.fromtimestamp(s, UTC) for s in range(first, last + 1, step)]


def milliseconds(instant: datetime) -> int:
    """The instant as JavaScript counts it, without the error of a fraction."""
    return (instant - _EPOCH) // timedelta(milliseconds=1)


def time_names(axis: TimeAxis, y: float) -> list[Spec]:
    """What time it is at each tick, below all lanes."""
    ticks = axis.ticks()
    rows = (
        {"at": milliseconds(tick), "name": name}
        for tick, name in zip(ticks, _names(ticks), strict=True)
    )
    mark = {"type": "text", "fontSize": SMALL, "color": DARK, "baseline": "middle"}
    name = {"field": "name", "type": "nominal"}
    return [
        marks(rows, mark, {"x": axis.x(), "y": at(y), "text": name}),
        text(8, y, "UTC", size=SMALL, colour=DARK),
    ]


def _names(ticks: Sequence[datetime]) -> list[str]:
    """The time of day, with seconds where any tick has some; the date where a day begins."""
    form = "%H:%M:%S" if any(t.second for t in ticks) else "%H:%M"
    is_midnight = [len(ticks) > 1 and not (t.hour or t.minute or t.second) for t in ticks]
    return [
        f"{t:%m-%d}" if begins else f"{t:{form}}"
        for t, begins in zip(ticks, is_midnight, strict=True)
    ]

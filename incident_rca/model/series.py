"""What was measured over time: a lane for each system, all on one axis of equal steps."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from incident_rca.model.evidence import Evidence
from incident_rca.model.instants import Span, TimeWindow


class LaneName(StrEnum):
    """The lanes, in the order in which they stand below each other."""

    CHANGES = "changes"
    LOCK_WAITERS = "lock_waiters"
    LATENCY = "latency"
    POOL = "pool"
    FAILURES = "failures"
    REQUESTS = "requests"
    ERROR_TYPES = "error_types"


_RATES = frozenset({LaneName.FAILURES, LaneName.REQUESTS, LaneName.ERROR_TYPES})


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """One line of a lane: a value a step, None where it is not recorded (which is not zero).

    `at_least` are the positions, sorted, whose value is a lower bound: the ceiling of a histogram,
    calls that a deadline cut off, counts beside a gap. `limit` is what it cannot exceed (the size
    of a pool), where that is known. `evidence` is that of the episode in it, if there is one.
    """

    name: str
    values: tuple[float | None, ...]
    at_least: tuple[int, ...] = ()
    limit: float | None = None
    evidence: tuple[Evidence, ...] = ()


@dataclass(frozen=True, slots=True)
class Episode:
    """What lasted from `start` to `end` in a lane; an open end is one that was not seen."""

    title: str
    start: Span
    end: Span
    evidence: tuple[Evidence, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Lane:
    """The series of one system with a common `unit`, the most telling first, and its episodes.

    `not_recorded` are the stretches of which no series of it tells anything. `left_out` names the
    series that are recorded and not among these, the most telling first.
    """

    name: LaneName
    unit: str
    series: tuple[Series, ...] = ()
    episodes: tuple[Episode, ...] = ()
    not_recorded: tuple[TimeWindow, ...] = ()
    left_out: tuple[str, ...] = ()

    @property
    def is_rate(self) -> bool:
        """Whether it counts by the second: joined steps have the mean then, else the highest."""
        return self.name in _RATES


@dataclass(frozen=True, slots=True, kw_only=True)
class AlignedSeries:
    """All lanes over `steps` steps of `step_seconds` from `start` on, in the order of LaneName.

    `incident` is the outage whose time it is about (1 is the largest), None for the whole window.
    """

    incident: int | None
    start: datetime
    step_seconds: float
    steps: int
    lanes: tuple[Lane, ...]

    @property
    def window(self) -> TimeWindow:
        """From the start of the first step to the end of the last one."""
        return TimeWindow(self.start, self.moment(self.steps))

    def moment(self, position: int) -> datetime:
        """When a step starts."""
        return self.start + timedelta(seconds=self.step_seconds * position)

    def lane(self, name: LaneName) -> Lane:
        """The lane of that name: each is there, if only to say that it is not recorded."""
        return next(lane for lane in self.lanes if lane.name is name)

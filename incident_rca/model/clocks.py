"""What is known of the clocks that the sources were written by."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from incident_rca.model.words import System

Bounds = tuple[float, float]


class ClockBasis(StrEnum):
    """What bounds rest on: a measurement, ids that two systems share, or nothing but a setting."""

    MEASURED = "measured"
    SHARED_IDS = "shared_ids"
    ASSUMED = "assumed"


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceClock:
    """The clock of one source: its reading minus the true time lies within `bounds`, in seconds.

    `moved_seconds` was taken off all its times before anything was compared, in whole seconds.
    """

    source: str
    system: System
    bounds: Bounds
    basis: ClockBasis
    moved_seconds: int = 0

    @property
    def left(self) -> Bounds:
        """The bounds of what is still wrong with its times."""
        return self.bounds[0] - self.moved_seconds, self.bounds[1] - self.moved_seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class ClockLink:
    """Ids of requests that PostgreSQL and the gateway share, and how they tie the two clocks.

    `bounds` are those of the server's clock minus the gateway's, in seconds; an end that no id
    bounds is infinite. They are None where the ids contradict each other or what was measured, and
    `note` says so.
    """

    requests: int
    bounds: Bounds | None
    note: str = ""

    def moved(self, seconds: float) -> Bounds | None:
        """The bounds once so many seconds were taken off the difference."""
        return self.bounds and (self.bounds[0] - seconds, self.bounds[1] - seconds)


@dataclass(frozen=True, slots=True)
class Clocks:
    """The clocks of all sources that told something, and the link between two of them, if any."""

    sources: tuple[SourceClock, ...] = ()
    link: ClockLink | None = None

    def of(self, source: str) -> SourceClock | None:
        """The clock of a source by its name; None where it told nothing."""
        return next((c for c in self.sources if c.source == source), None)

"""What `doctor` found out about a server: its checks, and which past it could still show."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from incident_rca.model.instants import TimeWindow


class CheckState(StrEnum):
    """How a check ended, the worst first; `unknown` is a check that could not be made."""

    PROBLEM = "problem"
    WARNING = "warning"
    UNKNOWN = "unknown"
    OK = "ok"


class WouldShow(StrEnum):
    """Whether a source holds the window that was asked for; `unknown` where it cannot be told."""

    YES = "yes"
    PARTLY = "partly"
    NO = "no"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Check:
    """One line of the check-up; `cure` is what to run or to do, empty where nothing is.

    A cure of several steps has a line for each. All text of the server in it is printable.
    """

    name: str
    state: CheckState
    found: str
    cure: str = ""


@dataclass(frozen=True, slots=True)
class PastSource:
    """A place where the past may survive; `covered` is what it holds, None where that is unknown.

    `exists` is False for what this server does not have at all.
    """

    source: str
    would_show: WouldShow
    why: str
    covered: TimeWindow | None = None
    exists: bool = True


@dataclass(frozen=True, slots=True)
class Checkup:
    """A server's checks and its past-window sources; `server` never holds a password."""

    server: str
    checks: tuple[Check, ...]
    past_window: tuple[PastSource, ...]
    reachable: bool

    def of(self, name: str) -> Check | None:
        """The check of that name, None where it was not made."""
        return next((check for check in self.checks if check.name == name), None)

    def in_state(self, state: CheckState) -> tuple[Check, ...]:
        """The checks that ended in this state, in their order."""
        return tuple(check for check in self.checks if check.state is state)


def window_covered(covered: Sequence[TimeWindow], window: TimeWindow) -> WouldShow:
    """How much of `window` these intervals hold together: all of it, some of it or nothing."""
    reached = window.start
    touched = False
    for part in sorted(covered, key=lambda part: part.start):
        touched = touched or (part.start < window.end and part.end > window.start)
        if part.start <= reached:
            reached = max(reached, part.end)
    if reached >= window.end:
        return WouldShow.YES
    return WouldShow.PARTLY if touched else WouldShow.NO

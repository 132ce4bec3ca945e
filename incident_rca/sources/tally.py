"""What the fetching of one source has cost so far, and how long it may still take."""

from __future__ import annotations

from dataclasses import dataclass

from incident_rca.errors import Unreachable
from incident_rca.sources.clock import Clock

# The longest that one request may hold up a source that has more time than that.
REQUEST_SECONDS = 20.0
# What one source may take, and all together, unless a person says otherwise: an engineer at night
# waits a few minutes for a report, not an hour.
USUAL_SECONDS = 300.0
USUAL_TOTAL_SECONDS = 900.0


@dataclass(slots=True)
class Tally:
    """Counts that a source keeps while it is fetched, by itself or by threads of its own.

    `rows` are events, points or lines; `pages` answers of the service, `throttled` those that asked
    to slow down. `begun` and `ended` are instants of `clock`; so is `until`, when its time is over.
    `again` tells a person how to go on after that.
    """

    clock: Clock
    until: float = float("inf")
    rows: int = 0
    pages: int = 0
    throttled: int = 0
    stopped: bool = False
    begun: float | None = None
    ended: float | None = None
    again: str = "collect again"

    def begin(self, seconds: float) -> None:
        """Begins the source's time, of which it has so many seconds."""
        self.begun = self.clock.monotonic()
        self.until = self.begun + seconds

    def end(self) -> None:
        """Ends it."""
        self.ended = self.clock.monotonic()

    def took_seconds(self) -> float:
        """How long it took, or has been going on."""
        if self.begun is None:
            return 0.0
        return (self.clock.monotonic() if self.ended is None else self.ended) - self.begun

    def check(self) -> None:
        """Raises Unreachable once the time is over: called before each request and pause."""
        if self.stopped:
            raise Unreachable("interrupted", hint=f"{self.again}: it goes on where it stopped")
        if self.left() <= 0:
            raise Unreachable(
                f"its time was over after {self.pages} answers",
                hint=f"{self.again}: it goes on where it stopped; --timeout gives it longer",
            )

    def left(self) -> float:
        """The seconds that are left."""
        return self.until - self.clock.monotonic()

    def request_seconds(self) -> float:
        """How long the next request may take: never beyond the end of the source's time."""
        return max(0.1, min(REQUEST_SECONDS, self.left()))

    def pause(self, seconds: float) -> None:
        """Waits before the next request, at most as long as there is time left."""
        self.check()
        self.clock.sleep(max(0.0, min(seconds, self.left())))
        self.check()

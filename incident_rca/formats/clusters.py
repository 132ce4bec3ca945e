"""Where the rows of a file lie in time, when some of them lie far from the others.

One line with a wrong year makes the span of a log one of years, which says nothing of the log.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import pairwise
from typing import TYPE_CHECKING

from incident_rca.formats.parsed import Parsed
from incident_rca.model import Cluster, TimeWindow

if TYPE_CHECKING:
    import pandas as pd

# As long as a window may be unless one insists.
APART = timedelta(days=1)
_TICK = timedelta(microseconds=1)
# Where they have rows, these hold every request: `failures` has some of them a second time.
_REQUESTS = ("gateway", "load_balancer")


class Days:
    """Counts instants day by day, with the first and the last of each day.

    >>> from datetime import UTC
    >>> days = Days()
    >>> for day in (1, 2, 9):
    ...     days.add(datetime(2026, 1, day, tzinfo=UTC))
    >>> [cluster.rows for cluster in days.clusters()]
    [2, 1]
    """

    def __init__(self) -> None:
        self._days: dict[int, tuple[datetime, datetime, int]] = {}

    def add(self, at: datetime, last: datetime | None = None, number: int = 1) -> None:
        """Counts so many instants from `at` to `last`, which are of one day."""
        day, last = at.toordinal(), last or at
        known = self._days.get(day)
        if known is not None:
            at, last, number = min(known[0], at), max(known[1], last), known[2] + number
        self._days[day] = at, last, number

    def bounds(self) -> Iterator[datetime]:
        """The first and the last instant of each day."""
        for first, last, _ in self._days.values():
            yield from (first, last)

    def clusters(self) -> tuple[Cluster, ...]:
        """The instants that lie within a day of each other, in the order of time."""
        days = [
            Cluster(TimeWindow(first, last + _TICK), number)
            for _, (first, last, number) in sorted(self._days.items())
        ]
        return together(days)


def together(clusters: list[Cluster]) -> tuple[Cluster, ...]:
    """Clusters of which those are one that lie within a day of each other."""
    found: list[Cluster] = []
    for cluster in sorted(clusters, key=lambda c: (c.window.start, c.window.end)):
        if found and cluster.window.start - found[-1].window.end <= APART:
            last = found.pop()
            end = max(last.window.end, cluster.window.end)
            cluster = Cluster(TimeWindow(last.window.start, end), last.rows + cluster.rows)
        found.append(cluster)
    return tuple(found)


def clusters_of(parsed: Parsed) -> tuple[Cluster, ...]:
    """The clusters of a file, none where all of its rows lie within a day of each other.

    What was asked for is no stray, however much of it is empty.
    """
    covered, asked = parsed.covered, parsed.asked
    if covered is None or covered.end - covered.start <= APART:
        return ()
    if asked and asked.start <= covered.start and covered.end <= asked.end:
        return ()
    found = parsed.clusters or _of_tables(parsed)
    return found if len(found) > 1 else ()


def _of_tables(parsed: Parsed) -> tuple[Cluster, ...]:
    frames = {name: frame for name, frame in parsed.frames.items() if len(frame)}
    named = [name for name in _REQUESTS if name in frames] or list(frames)
    days = Days()
    for name in named:
        for first, last, number in _by_day(frames[name]):
            days.add(first, last, number)
    step = max(timedelta(seconds=parsed.resolution_seconds or 0.0), timedelta(seconds=1))
    found = list(days.clusters())
    # A row by the second, or of a bucket, tells of all of it.
    ends = [
        min(cluster.window.end - _TICK + step, following.window.start)
        for cluster, following in pairwise(found)
    ]
    return tuple(
        Cluster(TimeWindow(cluster.window.start, end), cluster.rows)
        for cluster, end in zip(found, [*ends, *(c.window.end for c in found[-1:])], strict=True)
    )


def _by_day(frame: pd.DataFrame) -> Iterator[tuple[datetime, datetime, int]]:
    """The first and last instant of each day, and its requests, else rows."""
    column = "second" if "second" in frame else "at"
    if column not in frame:
        return
    instants = frame[column].dropna()
    counted = frame["requests"] if "requests" in frame else instants.notna().astype("int64")
    of_day = instants.dt.floor("D")
    whole = instants.groupby(of_day, observed=True).agg(["min", "max"])
    numbers = counted.loc[instants.index].groupby(of_day, observed=True).sum()
    for (first, last), number in zip(whole.itertuples(index=False), numbers, strict=True):
        yield first.to_pydatetime(), last.to_pydatetime(), int(number)

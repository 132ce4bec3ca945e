"""What was recorded in each interval: cumulative points differenced, series merged into buckets.

Temporality and resets are those of OpenTelemetry's "Metrics Data Model": a later start is a new
count from zero. A series that first appears when others of its resource were exported before has
counted since that export.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from incident_rca.formats.histograms import Histogram, minus, plus
from incident_rca.formats.otlp_points import Point

# Buckets that are written only once this many newer ones have begun: exporters are not in step.
_OPEN_BUCKETS = 3


class Interval(NamedTuple):
    """What one series recorded over (start_ns, end_ns]; `value` None where it recorded nothing."""

    start_ns: int
    end_ns: int
    value: float | Histogram | None
    max: float | None


@dataclass(slots=True)
class Differences:
    """The last point of each cumulative series, and when its stream was exported before."""

    last: dict[Hashable, Point] = field(default_factory=dict)
    exports: dict[Hashable, tuple[int, int]] = field(default_factory=dict)

    def interval(self, stream: Hashable, series: Hashable, point: Point) -> Interval | None:
        """What a point adds to the one before, None for one that only is a basis.

        Raises ValueError for a point out of order, and for one that has counted down.
        """
        if point.kind == "delta":
            if not 0 < point.start_ns < point.time_ns:
                raise ValueError("a delta without its start")
            return Interval(point.start_ns, point.time_ns, point.value, point.max)
        exported = self._exported_before(stream, point.time_ns)
        before = self.last.get((stream, series))
        if before is not None and point.time_ns <= before.time_ns:
            raise ValueError("a point that is not later than the one before")
        if point.value is None:
            start = before.time_ns if before else exported
            return Interval(start, point.time_ns, None, None) if start else None
        self.last[stream, series] = point
        if before is None and not exported:
            return None
        if before is None or point.start_ns > before.start_ns:
            start = max(point.start_ns, before.time_ns if before else exported)
            # A start that is the point's own time says that the true one is not known.
            known = start < point.time_ns
            return Interval(start, point.time_ns, point.value, None) if known else None
        return Interval(before.time_ns, point.time_ns, _difference(point, before), None)

    def _exported_before(self, stream: Hashable, time_ns: int) -> int:
        """When the stream was last exported before this time, 0 where it was not."""
        before, latest = self.exports.get(stream, (0, 0))
        if time_ns > latest:
            before, latest = latest, time_ns
            self.exports[stream] = (before, latest)
        return before if time_ns == latest else 0


def _difference(point: Point, before: Point) -> float | Histogram:
    if isinstance(point.value, Histogram) and isinstance(before.value, Histogram):
        return minus(point.value, before.value)
    if isinstance(point.value, float) and isinstance(before.value, float):
        if point.value < before.value:
            raise ValueError("a count that went down without a new start")
        return point.value - before.value
    raise ValueError("a series of two kinds")


@dataclass(slots=True)
class Bucket:
    """The intervals that fell into one step of a group; `by_status` are counts of calls."""

    row: int
    start_ns: int
    end_ns: int
    whole: Histogram | None = None
    by_status: dict[str | None, float | None] = field(default_factory=dict)
    max: float | None = None


@dataclass(slots=True)
class Buckets:
    """The open buckets of one group, in steps as long as its first interval and in its phase.

    Series of one process fall into the same steps exactly; those of several are merged, and the
    bucket spans all of their intervals.
    """

    first_end_ns: int
    step_ns: int
    open: dict[int, Bucket] = field(default_factory=dict)

    def add(self, row: int, status: str | None, interval: Interval) -> Iterator[Bucket]:
        """Adds an interval and gives the buckets that are closed by it."""
        number = round((interval.end_ns - self.first_end_ns) / self.step_ns)
        bucket = self.open.get(number)
        if bucket is None:
            bucket = Bucket(row, interval.start_ns, interval.end_ns)
            self.open[number] = bucket
        bucket.start_ns = min(bucket.start_ns, interval.start_ns)
        bucket.end_ns = max(bucket.end_ns, interval.end_ns)
        _merge(bucket, status, interval)
        for old in sorted(n for n in self.open if n < number - _OPEN_BUCKETS):
            yield self.open.pop(old)

    def rest(self) -> Iterator[Bucket]:
        """The buckets that are still open."""
        yield from (self.open[number] for number in sorted(self.open))


def _merge(bucket: Bucket, status: str | None, interval: Interval) -> None:
    value = interval.value
    if isinstance(value, Histogram):
        bucket.whole = value if bucket.whole is None else plus(bucket.whole, value)
    if interval.max is not None:
        bucket.max = max(interval.max, bucket.max if bucket.max is not None else interval.max)
    number = float(value.count) if isinstance(value, Histogram) else value
    known = bucket.by_status.get(status)
    if number is None:
        bucket.by_status.setdefault(status, None)
    else:
        bucket.by_status[status] = number + (known or 0.0)

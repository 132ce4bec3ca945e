"""Data points of OTLP JSON as plain values: numbers that are strings, and what proto3 leaves out.

Field names and meanings: opentelemetry-proto, metrics.proto, and the "OTLP JSON encoding". A field
that is missing has proto3's default, zero, except for those that the schema calls optional.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from incident_rca.formats.histograms import Histogram, checked
from incident_rca.formats.parsed import END_SECOND, FIRST_SECOND
from incident_rca.redact import told

_NO_RECORDED_VALUE = 1
_TEMPORALITIES: Mapping[Any, str] = {
    1: "delta",
    2: "cumulative",
    "AGGREGATION_TEMPORALITY_DELTA": "delta",
    "AGGREGATION_TEMPORALITY_CUMULATIVE": "cumulative",
}
_FIRST_NS, _END_NS = FIRST_SECOND * 10**9, END_SECOND * 10**9


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """One data point: over (start_ns, time_ns]; `value` is None where nothing was recorded.

    `kind`: `gauge`, `delta` or `cumulative`. `max` is the largest observation since the start.
    """

    kind: str
    start_ns: int
    time_ns: int
    attributes: Mapping[str, str]
    value: float | Histogram | None
    max: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """The points of one metric of one resource; `broken` of them could not be read."""

    metric: str
    unit: str
    resource: Mapping[str, str]
    scope: str
    points: Sequence[Point]
    broken: int


def series_of(document: Mapping[str, Any]) -> Iterator[Series]:
    """The metrics of one export request; raises ValueError where it is none."""
    for resource_metrics in _objects(document["resourceMetrics"]):
        resource = resource_metrics.get("resource")
        attributes = attributes_of(resource.get("attributes") if isinstance(resource, dict) else ())
        for scope in _objects(resource_metrics.get("scopeMetrics")):
            for metric in _objects(scope.get("metrics")):
                yield _series(metric, attributes, _scope_name(scope))


def _objects(value: Any) -> Iterator[Mapping[str, Any]]:
    if value is not None and not isinstance(value, list):
        raise ValueError(f"a list was expected, not {told(value)}")
    for item in value or ():
        if not isinstance(item, dict):
            raise ValueError(f"an object was expected, not {told(item)}")
        yield item


def _scope_name(scope: Mapping[str, Any]) -> str:
    named = scope.get("scope")
    return str(named.get("name", "")) if isinstance(named, dict) else ""


def _series(metric: Mapping[str, Any], resource: Mapping[str, str], scope: str) -> Series:
    points: list[Point] = []
    summary = metric.get("summary")
    summaries = summary.get("dataPoints") if isinstance(summary, dict) else None
    # Quantiles of a summary cannot be merged nor differenced: they are counted as not read.
    broken = len(summaries) if isinstance(summaries, list) else 0
    for field, read in _READERS.items():
        data = metric.get(field)
        given = data.get("dataPoints") if isinstance(data, dict) else None
        for point in given if isinstance(given, list) else ():
            try:
                points.append(_point(data, point, read))
            except (AttributeError, KeyError, TypeError, ValueError, OverflowError):
                broken += 1
    name, unit = metric.get("name"), metric.get("unit")
    return Series(
        metric=name if isinstance(name, str) else "",
        unit=unit if isinstance(unit, str) else "",
        resource=resource,
        scope=scope,
        points=points,
        broken=broken,
    )


def _point(data: Any, point: Any, read: Any) -> Point:
    kind = "gauge"
    if read is not _number_of or "aggregationTemporality" in data:
        kind = _TEMPORALITIES[data["aggregationTemporality"]]
        if read is _number_of and data.get("isMonotonic") is not True:
            kind = "gauge"  # what goes up and down is a level, whatever its temporality
    start, time = integer(point.get("startTimeUnixNano", 0)), integer(point["timeUnixNano"])
    # A start of zero says that it is not known.
    if not _FIRST_NS <= time < _END_NS or (start and not _FIRST_NS <= start <= time):
        raise ValueError(f"a point from {start} to {time}")
    recorded = not integer(point.get("flags", 0)) & _NO_RECORDED_VALUE
    largest = point.get("max")
    return Point(
        kind=kind,
        start_ns=start,
        time_ns=time,
        attributes=attributes_of(point.get("attributes")),
        value=read(point) if recorded else None,
        max=None if largest is None or not recorded else number(largest),
    )


def _number_of(point: Mapping[str, Any]) -> float | None:
    """The value of a number's point; one of its two fields is there unless nothing was recorded."""
    if "asInt" in point:
        return float(integer(point["asInt"]))
    given = point.get("asDouble")
    value = None if given is None else number(given)
    return None if value is None or not math.isfinite(value) else value


def _histogram_of(point: Mapping[str, Any]) -> Histogram:
    total = point.get("sum")
    return checked(
        Histogram(
            count=integer(point.get("count", 0)),
            sum=None if total is None else number(total),
            bounds=tuple(number(bound) for bound in point.get("explicitBounds") or ()),
            counts=tuple(integer(n) for n in point.get("bucketCounts") or ()),
        )
    )


def _exponential_of(point: Mapping[str, Any]) -> Histogram:
    total = point.get("sum")
    if any(integer(n) for n in (point.get("negative") or {}).get("bucketCounts") or ()):
        raise ValueError("durations below zero")
    positive = point.get("positive") or {}
    offset = integer(positive.get("offset", 0))
    numbers = [integer(n) for n in positive.get("bucketCounts") or ()]
    return checked(
        Histogram(
            count=integer(point.get("count", 0)),
            sum=None if total is None else number(total),
            scale=integer(point.get("scale", 0)),
            exponents={offset + i: n for i, n in enumerate(numbers) if n},
            zeros=integer(point.get("zeroCount", 0)),
            zero_threshold=number(point.get("zeroThreshold", 0.0)),
        )
    )


_READERS = {
    "gauge": _number_of,
    "sum": _number_of,
    "histogram": _histogram_of,
    "exponentialHistogram": _exponential_of,
}


def integer(value: Any) -> int:
    """A whole number, as a number or as the text that JSON needs for 64 bits; else ValueError.

    >>> integer("1768486800000000000"), integer(4)
    (1768486800000000000, 4)
    """
    if isinstance(value, str) and len(value) <= 20:
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or abs(value) >= 2**64:
        raise ValueError(f"no whole number of 64 bits: {told(value)}")
    return value


def number(value: Any) -> float:
    """A number, as a number or as a text (`"NaN"`, `"Infinity"`); else ValueError."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise ValueError(f"no number: {told(value)}")
    return float(value)


def attributes_of(given: Any) -> Mapping[str, str]:
    """Attributes as texts; arrays and maps are left out, as no name or code is one."""
    found: dict[str, str] = {}
    for item in given if isinstance(given, list) else ():
        value = item.get("value") if isinstance(item, dict) else None
        if isinstance(value, dict) and isinstance(item.get("key"), str):
            for field in ("stringValue", "intValue", "doubleValue", "boolValue"):
                if isinstance(value.get(field), str | int | float):
                    found[item["key"]] = str(value[field])
    return found

"""OTLP metrics as JSON, one export request a line (the collector's file exporter) or one document.

Histograms give p50, p95 and p99 of each export interval by interpolation, with the histogram's
ceiling, and counts of calls by status; counters give counts, levels stay as they are. Where a
percentile is its histogram's ceiling the average (sum by count) and the largest call, where they
are recorded, say more.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, NamedTuple

from incident_rca.errors import BadInput
from incident_rca.formats.histograms import Histogram, quantile
from incident_rca.formats.lines import Truncated, document_of, lines_of, object_of
from incident_rca.formats.metric_names import known, labels_of, without_doubles
from incident_rca.formats.metric_units import Unit, ceiling_of, is_at_ceiling, is_time, unit_of
from incident_rca.formats.otlp_intervals import Bucket, Buckets, Differences
from incident_rca.formats.otlp_points import Point, Series, series_of
from incident_rca.formats.parsed import Format, Head, Parsed, RawInput, frame_of
from incident_rca.model import System, TimeWindow

if TYPE_CHECKING:
    import pandas as pd

Row = dict[str, Any]

QUANTILES = {"p50": 0.5, "p95": 0.95, "p99": 0.99}
# Rows are turned into a frame in such lots: as plain rows they take ten times the memory.
_ROWS_OF_A_LOT = 20_000
_STATE_KEYS = ("state", "db.client.connection.state")


class _Group(NamedTuple):
    """Series that are merged: what a row of the table tells apart, and the histogram's bounds."""

    metric: str
    owner: str | None
    service: str | None
    method: str | None
    shape: tuple[float, ...] | None
    unit: str


@dataclass(slots=True)
class _Reading:
    """What is gathered while the points go by."""

    raw: RawInput
    differences: Differences = field(default_factory=Differences)
    groups: dict[_Group, Buckets] = field(default_factory=dict)
    units: dict[tuple[Hashable, ...], tuple[Unit, str] | None] = field(default_factory=dict)
    levels: dict[tuple[Hashable, ...], tuple[int, Row]] = field(default_factory=dict)
    refused: dict[str, BadInput] = field(default_factory=dict)
    lot: list[Row] = field(default_factory=list)
    frames: list[pd.DataFrame] = field(default_factory=list)
    points: int = 0
    unparsed: int = 0
    first_ns: int = 0
    last_ns: int = 0
    steps_ns: set[int] = field(default_factory=set)

    def put(self, rows: Iterable[Row]) -> None:
        self.lot.extend(rows)
        if len(self.lot) >= _ROWS_OF_A_LOT:
            self.close_lot()

    def close_lot(self) -> None:
        self.frames.append(frame_of("metrics", self.lot, self.raw))
        self.lot = []


def recognises(head: Head) -> bool:
    """Whether the first line, or the whole document, is an export request of metrics."""
    if head.lines and head.lines[0].lstrip().startswith(b'{"resourceMetrics":'):
        return True  # an export may be one line of several megabytes
    document = head.document or (object_of(head.lines[0]) if head.lines else None) or {}
    return isinstance(document.get("resourceMetrics"), list)


def parse(raw: RawInput) -> Parsed:
    """The rows of each interval, numbered by the line of their first point (of one document: by
    the point); torn lines and broken points are unparsed.

    Raises BadInput where there is no export request in it, and where the unit of every metric is
    unknown.
    """
    reading = _Reading(raw)
    damage = _read(reading)
    for group, buckets in reading.groups.items():
        for bucket in buckets.rest():
            reading.put(_rows(reading, group, bucket))
    reading.put(row for _, row in reading.levels.values())
    reading.close_lot()
    if reading.refused and not reading.points:
        raise next(iter(reading.refused.values()))
    blind = [f"{error.message} ({error.hint})" for error in reading.refused.values()]
    frame, doubles = _without_doubles(_joined(reading.frames))
    blind += [f"{name} is left out: it measures the same calls as another" for name in doubles]
    return Parsed(
        frames={"metrics": frame},
        rows=reading.points,
        unparsed=reading.unparsed,
        covered=_covered(reading),
        resolution_seconds=min(reading.steps_ns, default=0) / 1e9 or None,
        query=raw.query,
        damage=damage,
        blind="; ".join(blind),
    )


def _read(reading: _Reading) -> str:
    """Reads all lines, or the one document; what is damaged at the file's end, "" if nothing."""
    raw = reading.raw
    whole = 0
    try:
        for number, line in enumerate(lines_of(raw.path), start=1):
            if not line.strip():
                continue
            whole += _read_request(reading, object_of(line), line=number)
    except Truncated as error:
        if not whole:
            raise BadInput(f"{raw.file}: {error}", hint="fetch or copy the file again") from error
        return str(error)
    if not whole:
        reading.unparsed = 0  # its lines are none of their own
        whole += _read_request(reading, document_of(raw.path), line=None)
    if not whole:
        raise BadInput(
            f"{raw.file}: holds no OTLP metrics",
            hint="write it by the collector's file exporter with `format: json`",
        )
    return ""


def _read_request(reading: _Reading, document: Mapping[str, Any] | None, line: int | None) -> bool:
    """Reads one export request; False, and one more unparsed, where it is none."""
    try:
        series = list(series_of(document or {}))
    except (KeyError, ValueError):
        reading.unparsed += 1
        return False
    for one in series:
        reading.unparsed += one.broken
        for point in one.points:
            try:
                _read_point(reading, one, point, line)
            except (ValueError, OverflowError):
                reading.unparsed += 1
    return True


def _read_point(reading: _Reading, series: Series, point: Point, line: int | None) -> None:
    """One point into its bucket; levels are rows at once."""
    tags = {**series.resource, **point.attributes}
    row = line or reading.points + 1
    resource = tuple(sorted(series.resource.items()))
    stream = (series.metric, series.scope, resource)
    if point.kind == "gauge":
        key = (*stream, *sorted(point.attributes.items()))
        reading.put(_held_level(reading, key, point, _level(reading, series, point, tags, row)))
        _count(reading, point.time_ns, point.time_ns)
        return
    labels = labels_of(series.metric, tags)
    shape = point.value.shape if isinstance(point.value, Histogram) else ()
    if isinstance(point.value, Histogram) and _unit(reading, series, shape) is None:
        reading.unparsed += 1
        return
    interval = reading.differences.interval(stream, (*sorted(point.attributes.items()),), point)
    if interval is None:
        reading.points += 1
        return
    group = _Group(series.metric, labels.owner, labels.service, labels.method, shape, series.unit)
    step = interval.end_ns - interval.start_ns
    buckets = reading.groups.setdefault(group, Buckets(interval.end_ns, step))
    _instant(interval.start_ns)
    for closed in buckets.add(row, labels.status, interval):
        reading.put(_rows(reading, group, closed))
    reading.steps_ns.add(buckets.step_ns)
    _count(reading, interval.start_ns, interval.end_ns)


def _count(reading: _Reading, start_ns: int, end_ns: int) -> None:
    reading.points += 1
    reading.first_ns = min(reading.first_ns or start_ns, start_ns)
    reading.last_ns = max(reading.last_ns, end_ns)


def _with_state(metric: str, tags: Mapping[str, str]) -> str:
    """The name of a level with the state that it counts, as `idle` and `used` connections are two.

    >>> _with_state("db.client.connection.count", {"state": "idle"})
    'db.client.connection.count.idle'
    """
    state = next((tags[key] for key in _STATE_KEYS if tags.get(key)), "")
    is_usage = state == "used" and metric.endswith("usage")
    return f"{metric}.{state}" if state and not is_usage else metric


def _unit(
    reading: _Reading, series: Series, shape: tuple[float, ...] | None
) -> tuple[Unit, str] | None:
    """The unit of a histogram and its name in the table; None where it is unknown, and refused."""
    key = (series.metric, series.unit, shape)
    if key in reading.units:
        return reading.units[key]
    raw = reading.raw
    is_named = raw.metric == series.metric or not series.unit
    found: tuple[Unit, str] | None
    try:
        setting = raw.reading.get("unit", "") if is_named else ""
        unit = unit_of(series.metric, setting=setting, payload=series.unit, bounds=shape)
        found = (unit, "ms")
    except BadInput as error:
        # Sizes and the like are no latencies: they keep the unit that they state.
        is_other = bool(series.unit) and not known(series.metric)
        found = (Unit(1.0, "payload"), series.unit) if is_other else None
        if not is_other:
            reading.refused.setdefault(series.metric, error)
    reading.units[key] = found
    return found


# --- rows -----------------------------------------------------------------------------------------


def _level(
    reading: _Reading, series: Series, point: Point, tags: Mapping[str, str], row: int
) -> Row:
    labels = labels_of(series.metric, tags)
    unit = unit_of(series.metric, payload=series.unit) if is_time(series.unit) else None
    value = point.value if isinstance(point.value, float) else None
    return {
        "row": row,
        "at": _instant(point.time_ns),
        "bucket_seconds": 0.0,
        "metric": _with_state(series.metric, tags),
        "aggregate": "last",
        "unit": "ms" if unit else _counted(series.unit),
        "unit_basis": unit.basis if unit else "payload" if series.unit else None,
        "owner": labels.owner,
        "service": labels.service,
        "method": labels.method,
        "status": labels.status,
        "value": None if value is None else value * (unit.factor_to_ms if unit else 1.0),
    }


def _held_level(
    reading: _Reading, key: tuple[Hashable, ...], point: Point, row: Row
) -> Iterator[Row]:
    """The level before this one, which stood until now: its bucket is as long as that."""
    before = reading.levels.get(key)
    if before is not None:
        time_ns, earlier = before
        if point.time_ns <= time_ns:
            raise ValueError("a point that is not later than the one before")
        row["bucket_seconds"] = (point.time_ns - time_ns) / 1e9
        reading.steps_ns.add(point.time_ns - time_ns)
        yield earlier | {"bucket_seconds": row["bucket_seconds"]}
    reading.levels[key] = (point.time_ns, row)


def _counted(stated: str) -> str:
    """The unit of a number of things: annotations in braces and `1` are none (UCUM)."""
    return "count" if stated in ("", "1") or stated.startswith("{") else stated


def _rows(reading: _Reading, group: _Group, bucket: Bucket) -> Iterator[Row]:
    """The rows of one bucket: percentiles of all calls together, counts by status."""
    common = {
        "row": bucket.row,
        "at": _instant(bucket.start_ns),
        "bucket_seconds": (bucket.end_ns - bucket.start_ns) / 1e9,
        "metric": group.metric,
        "owner": group.owner,
        "service": group.service,
        "method": group.method,
    }
    of_what = _counted(group.unit) if bucket.whole is None else "count"
    for status, number in bucket.by_status.items():
        yield common | {"aggregate": "count", "unit": of_what, "status": status, "value": number}
    known_unit = reading.units.get((group.metric, group.unit, group.shape))
    if bucket.whole is None or known_unit is None:
        return
    unit, name = known_unit
    said = common | {"unit": name, "unit_basis": unit.basis}
    for aggregate, value, ceiling in _aggregates(bucket.whole, bucket.max):
        yield said | {
            "aggregate": aggregate,
            "value": None if value is None else value * unit.factor_to_ms,
            "ceiling": None if ceiling is None else ceiling * unit.factor_to_ms,
        }


def _aggregates(
    whole: Histogram, largest: float | None
) -> Iterator[tuple[str, float | None, float | None]]:
    """(aggregate, value, ceiling) in the metric's unit; the average beside what is a ceiling."""
    ceiling = ceiling_of(whole.bounds)
    has_buckets = bool(whole.bounds) or whole.scale is not None
    needs_average = not has_buckets
    for aggregate, share in QUANTILES.items() if has_buckets else ():
        value = quantile(whole, share)
        yield aggregate, value, ceiling
        if value is not None and is_at_ceiling(value, whole.bounds, quantile=share):
            needs_average = True
    if needs_average and whole.count and whole.sum is not None:
        yield "avg", whole.sum / whole.count, None
    if largest is not None:
        yield "max", largest, None


# --- the frame ------------------------------------------------------------------------------------


def _joined(frames: list[pd.DataFrame]) -> pd.DataFrame:
    import pandas as pd

    whole = pd.concat([f for f in frames if len(f)] or frames[:1], ignore_index=True)
    return whole.sort_values("row", kind="stable", ignore_index=True)


def _without_doubles(frame: pd.DataFrame) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """The rows without those of calls that the same owner records under a preferred name too."""
    metrics: dict[tuple[Any, ...], set[str]] = {}
    columns = ["owner", "service", "method", "metric"]
    for *key, metric in frame[columns].drop_duplicates().itertuples(index=False, name=None):
        metrics.setdefault(tuple(str(part) for part in key), set()).add(metric)
    doubles = {
        (*key, metric)
        for key, names in metrics.items()
        for metric in names - set(without_doubles(sorted(names)))
    }
    if not doubles:
        return frame, ()
    keys = zip(*(frame[column].map(str) for column in columns), strict=True)
    keep = [key not in doubles for key in keys]
    return frame[keep].reset_index(drop=True), tuple(sorted({key[-1] for key in doubles}))


def _covered(reading: _Reading) -> TimeWindow | None:
    if not reading.last_ns:
        return None
    start, end = _instant(reading.first_ns), _instant(reading.last_ns)
    return TimeWindow(start, max(end, start + timedelta(microseconds=1)))


def _instant(ns: int) -> datetime:
    """The instant, to the microsecond below; raises ValueError or OverflowError beyond a year."""
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=ns // 1000)


FORMAT = Format(
    kind="otlp_metrics",
    system=System.GRPC_METRICS,
    title="OpenTelemetry metrics as OTLP JSON, as the collector's file exporter writes them",
    recognises=recognises,
    parse=parse,
    cannot_show=(
        "calls that have not ended yet, single calls, instants within an export interval, and what "
        "was counted before the first export in the file"
    ),
)

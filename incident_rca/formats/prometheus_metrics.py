"""Answers of the Prometheus HTTP API (query_range) -> `metrics`.

Collected ones stand in an envelope with their queries, the bounds of their histograms and the units
that the server knows. A bare answer says none of that: its query must be named. Values are texts;
`NaN` (a rate of nothing) is missing and never zero.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

from incident_rca.errors import BadInput
from incident_rca.formats.lines import document_of
from incident_rca.formats.metric_names import labels_of, pool_role
from incident_rca.formats.metric_units import Unit, ceiling_of, unit_of
from incident_rca.formats.parsed import (
    END_SECOND,
    FIRST_SECOND,
    Format,
    Head,
    Parsed,
    RawInput,
    frame_of,
    window_of,
)
from incident_rca.formats.sql_answer import Row, asked_of, is_answer_of, request_of
from incident_rca.model import System
from incident_rca.redact import redact_text

SERVICE = "prometheus"

_QUANTILE = re.compile(r"histogram_quantile\s*\(\s*(0?\.\d+)")
_METRIC = re.compile(
    r'__name__\s*=\s*"(?P<quoted>(?:[^"\\]|\\.)+)"|(?P<bare>[A-Za-z_:][A-Za-z0-9_:]*)\s*(?=[{\[])'
)
_RANGE = re.compile(r"\[(?P<parts>(?:\d+(?:ms|[smhd]))+)[\]:]")
_PART = re.compile(r"(\d+)(ms|[smhd])")
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_LONGEST_COVER_SECONDS = 86_400.0
_TIMES = frozenset({"p50", "p95", "p99", "avg"})

Bounds = Mapping[tuple[tuple[str, str], ...], Sequence[float]]


@dataclass(frozen=True, slots=True)
class _Query:
    """What the values of one answer are: `covers_seconds` before its instant each value tells.

    `role` is what a gauge counts of a connection pool.
    """

    metric: str
    aggregate: str
    text: str = ""
    covers_seconds: float = 0.0
    step_seconds: float = 0.0
    role: str | None = None


@dataclass(slots=True)
class _Reading:
    """What is gathered while the series go by."""

    raw: RawInput
    setting: str
    metrics: Mapping[str, Any]
    bounds: dict[str, Bounds] = field(default_factory=dict)
    units: dict[str, Unit | BadInput] = field(default_factory=dict)
    rows: list[Row] = field(default_factory=list)
    points: int = 0
    unparsed: int = 0
    instants: list[datetime] = field(default_factory=list)
    covers: float = 0.0
    damage: list[str] = field(default_factory=list)
    blind: list[str] = field(default_factory=list)


def recognises(head: Head) -> bool:
    """Whether the document is an envelope of, or a bare, answer of the Prometheus API."""
    document = head.document or {}
    if is_answer_of(document, SERVICE):
        return isinstance(document["response"].get("queries"), list)
    data = document.get("data")
    return isinstance(data, dict) and data.keys() >= {"resultType", "result"}


def parse(raw: RawInput) -> Parsed:
    """One row a series and step, numbered in the file's order; latencies in milliseconds.

    `at` is where the time begins that a value tells of: a rate at t over 30 s begins at t - 30 s.
    Raises BadInput where a bare answer does not say its query and neither does the user, where it
    is no range of values, and where the unit of every metric is unknown.
    """
    document = document_of(raw.path)
    response = document.get("response")
    is_kept = is_answer_of(document, SERVICE) and isinstance(response, dict)
    reading = _Reading(raw, _setting(document, raw), {})
    if is_kept and isinstance(response, dict):
        known = response.get("metrics")
        reading.metrics = known if isinstance(known, dict) else {}
        texts = _read_envelope(reading, response)
    else:
        texts = [_read_bare(reading, document)]
    refused = [unit for unit in reading.units.values() if isinstance(unit, BadInput)]
    if refused and not reading.rows:
        raise refused[0]
    blind = [*reading.blind, *(f"{error.message} ({error.hint})" for error in refused)]
    return Parsed(
        frames={"metrics": frame_of("metrics", reading.rows, raw)},
        rows=reading.points,
        unparsed=reading.unparsed,
        asked=asked_of(document),
        covered=window_of(reading.instants),
        resolution_seconds=reading.covers or None,
        query=" | ".join(dict.fromkeys(texts)),
        damage="; ".join(dict.fromkeys(reading.damage)),
        blind="; ".join(dict.fromkeys(blind)),
    )


# --- envelopes and bare answers -------------------------------------------------------------------


def _setting(document: Mapping[str, Any], raw: RawInput) -> str:
    """The user's unit: of the case, or of the settings with which the answer was collected."""
    asked = request_of(document).get("unit")
    return raw.reading.get("unit", "") or (asked if isinstance(asked, str) else "")


def _read_envelope(reading: _Reading, response: Mapping[str, Any]) -> list[str]:
    given = response.get("queries")
    if not isinstance(given, list):
        raise BadInput(f"{reading.raw.file}: holds no queries", hint="collect it again")
    queries = [one for one in given if isinstance(one, dict)]
    reading.unparsed += len(given) - len(queries)
    _notes(reading, response, queries)
    for one in queries:
        if one.get("aggregate") == "bounds":
            known = reading.bounds.get(str(one.get("metric")), {})
            reading.bounds[str(one.get("metric"))] = {**known, **_bounds(one.get("result"))}
    texts = []
    for one in queries:
        if one.get("aggregate") in ("bounds", "scrapes"):
            continue
        try:
            query = _Query(
                str(one["metric"]),
                str(one["aggregate"]),
                str(one["query"]),
                _duration(one["covers_seconds"]),
                _duration(one["step"]),
                pool_role(one.get("role")),
            )
        except (KeyError, ValueError):
            reading.unparsed += 1
            continue
        texts.append(query.text)
        _read_series(reading, query, one.get("result"))
    return texts


def _notes(reading: _Reading, response: Mapping[str, Any], queries: Sequence[Row]) -> None:
    """What the answer says of its own gaps: errors and warnings make it partial."""
    errors = [(one.get("name"), one.get("error")) for one in queries]
    for name, error in [*errors, ("", response.get("error"))]:
        if isinstance(error, dict):
            what = f"{name}: " if name else ""
            said = f"{what}{error.get('code')}: {error.get('message')}"
            reading.damage.append(redact_text(said))
    warnings = response.get("warnings")
    for warning in warnings if isinstance(warnings, list) else ():
        reading.damage.append(redact_text(f"the server warns: {warning}"))
    for metric, about in reading.metrics.items():
        if isinstance(about, dict) and about.get("omitted"):
            reading.blind.append(f"{metric}: {about['omitted']}")


def _read_bare(reading: _Reading, document: Mapping[str, Any]) -> str:
    """Reads a saved answer by the query that the user names."""
    raw = reading.raw
    data = document.get("data")
    result = data.get("result") if isinstance(data, dict) else None
    if not isinstance(data, dict) or data.get("resultType") != "matrix" or result is None:
        raise BadInput(
            f"{raw.file}: holds no range of values",
            hint="save an answer of /api/v1/query_range, with status success",
        )
    text = raw.query or raw.metric
    named = _METRIC.search(text) or _METRIC.search(f"{text}{{")
    if named is None:
        raise BadInput(
            f"{raw.file}: does not say which query it answers",
            hint="name it: --query 'histogram_quantile(0.99, sum by (le) (rate(x_bucket[1m])))'",
        )
    step = _step_of(result)
    metric = named["bare"] or re.sub(r"\\(.)", r"\1", named["quoted"])
    aggregate = _aggregate_of(text, metric)
    covers = step if aggregate == "last" else _range_of(text) or step
    base = re.sub(r"_(bucket|sum|count)$", "", metric)
    query = _Query(base, aggregate, text, min(covers, _LONGEST_COVER_SECONDS), step)
    _read_series(reading, query, result)
    warnings = document.get("warnings")
    for warning in warnings if isinstance(warnings, list) else ():
        reading.damage.append(redact_text(f"the server warns: {warning}"))
    return text


def _aggregate_of(text: str, metric: str) -> str:
    """What a query makes of its metric.

    >>> _aggregate_of("histogram_quantile(0.99, sum by (le) (rate(x_bucket[1m])))", "x_bucket")
    'p99'
    >>> _aggregate_of("sum(increase(x_total[1m]))", "x_total"), _aggregate_of("pool_max", "x")
    ('count', 'last')
    """
    if quantile := _QUANTILE.search(text):
        return f"p{float(quantile[1]) * 100:.10g}"
    if metric.endswith("_sum") and "_count" in text:
        return "avg"
    if re.search(r"\bincrease\s*\(", text):
        return "count"
    return "rate" if re.search(r"\bi?rate\s*\(", text) else "last"


def _range_of(text: str) -> float:
    """The seconds of the first range in a query, 0 where there is none.

    >>> _range_of("rate(x[1m30s])")
    90.0
    """
    found = _RANGE.search(text)
    parts = _PART.findall(found["parts"]) if found else []
    return sum(int(number[:9]) * _SECONDS[unit] for number, unit in parts)


def _step_of(result: Any) -> float:
    """The smallest step between two values: a series leaves out what it does not have."""
    steps = []
    for one in result if isinstance(result, list) else ():
        values = one.get("values") if isinstance(one, dict) else None
        times = [t for t in map(_time, values if isinstance(values, list) else ()) if t is not None]
        steps += [b - a for a, b in pairwise(sorted(times)) if b > a]
    return min([*steps, _LONGEST_COVER_SECONDS]) if steps else 0.0


# --- series ---------------------------------------------------------------------------------------


def _bounds(result: Any) -> Bounds:
    """The finite bounds of the buckets, by the labels of their series without `le`."""
    found: dict[tuple[tuple[str, str], ...], list[float]] = {}
    for one in result if isinstance(result, list) else ():
        labels = one.get("metric") if isinstance(one, dict) else None
        if not isinstance(labels, dict):
            continue
        try:
            bound = float(labels.get("le", ""))
        except (TypeError, ValueError):
            continue
        if math.isfinite(bound):
            found.setdefault(_identity(labels), []).append(bound)
    return found


def _identity(labels: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    return tuple(sorted((str(k), str(v)) for k, v in labels.items() if k != "le"))


def _read_series(reading: _Reading, query: _Query, result: Any) -> None:
    for one in result if isinstance(result, list) else ():
        labels = one.get("metric") if isinstance(one, dict) else None
        values = one.get("values") if isinstance(one, dict) else None
        if not isinstance(labels, dict) or not isinstance(values, list):
            reading.unparsed += 1
            continue
        unit = _unit(reading, query)
        if unit is None:
            reading.unparsed += len(values)
            continue
        reading.covers = max(reading.covers, query.covers_seconds)
        reading.rows.extend(_rows(reading, query, labels, values, unit))


def _unit(reading: _Reading, query: _Query) -> Unit | None:
    """The unit of a latency, remembered; None where it is unknown, and refused."""
    if not _is_time(query):
        return Unit(1.0, "name")
    if query.metric not in reading.units:
        about = reading.metrics.get(query.metric)
        stated = about.get("unit") if isinstance(about, dict) else None
        bounds = sorted({b for of in reading.bounds.get(query.metric, {}).values() for b in of})
        try:
            reading.units[query.metric] = unit_of(
                query.metric,
                setting=reading.setting,
                payload=stated if isinstance(stated, str) else None,
                bounds=bounds or None,
            )
        except BadInput as error:
            reading.units[query.metric] = error
    unit = reading.units[query.metric]
    return unit if isinstance(unit, Unit) else None


def _is_time(query: _Query) -> bool:
    return query.aggregate in _TIMES or query.aggregate.startswith("p")


def _rows(
    reading: _Reading, query: _Query, labels: Mapping[str, Any], values: list[Any], unit: Unit
) -> Iterator[Row]:
    said = labels_of(query.metric, {str(k): str(v) for k, v in labels.items()})
    is_time = _is_time(query)
    bounds = reading.bounds.get(query.metric, {}).get(_identity(labels), ())
    ceiling = ceiling_of(bounds) if query.aggregate.startswith("p") else None
    common = {
        "bucket_seconds": query.covers_seconds,
        "metric": query.metric,
        "aggregate": query.aggregate,
        "unit": "ms" if is_time else "count/s" if query.aggregate == "rate" else "count",
        "unit_basis": unit.basis if is_time else None,
        "owner": said.owner,
        "service": said.service,
        "method": said.method,
        "status": said.status,
        "role": query.role,
        "ceiling": None if ceiling is None else ceiling * unit.factor_to_ms,
    }
    for pair in values:
        reading.points += 1
        try:
            start, value = _start_and_value(query, pair)
        except (TypeError, ValueError, OverflowError):
            reading.points -= 1
            reading.unparsed += 1
            continue
        end = start + timedelta(seconds=query.covers_seconds)
        reading.instants += [start, end]
        scaled = None if value is None else value * unit.factor_to_ms
        yield {"row": reading.points, "at": start, **common, "value": scaled}


def _start_and_value(query: _Query, pair: Any) -> tuple[datetime, float | None]:
    """Where the time begins that a value tells of, and the value; None for what is no number.

    Calls counted in windows that overlap are shared out over the step, lest they count twice.
    """
    at = _time(pair)
    if at is None or not isinstance(pair[1], str):
        raise ValueError(f"no value of a series: {pair!r}")
    value = float(pair[1])
    start = datetime.fromtimestamp(at, UTC) - timedelta(seconds=query.covers_seconds)
    if not math.isfinite(value):
        return start, None
    if query.aggregate == "count" and 0 < query.step_seconds < query.covers_seconds:
        value *= query.step_seconds / query.covers_seconds
    return start, value


def _time(pair: Any) -> float | None:
    """The instant of a pair in seconds since 1970, None where it is no pair with one."""
    if not isinstance(pair, list) or len(pair) != 2:
        return None
    at = pair[0]
    is_number = isinstance(at, int | float) and not isinstance(at, bool)
    return float(at) if is_number and FIRST_SECOND <= at < END_SECOND else None


def _duration(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"no duration: {value!r}")
    if not 0 <= value <= _LONGEST_COVER_SECONDS:
        raise ValueError(f"no duration: {value!r}")
    return float(value)


FORMAT = Format(
    kind="prometheus_metrics",
    system=System.GRPC_METRICS,
    title="Prometheus range query answer, in its envelope or bare with --query",
    recognises=recognises,
    parse=parse,
    cannot_show=(
        "calls that have not ended yet, single calls, instants within the window of a rate (two "
        "scrapes at least), and what a counter had at its first scrape; counts are extrapolated to "
        "whole windows"
    ),
)

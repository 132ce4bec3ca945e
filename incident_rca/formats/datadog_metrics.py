"""Datadog v2 timeseries answers (POST /api/v2/query/timeseries) -> `metrics`.

The answer names neither its metric nor its query, so it is kept in an envelope with the request; a
bare answer needs `--query`. `times` is the union over all series: a null is missing, never zero.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any

from incident_rca.errors import BadInput
from incident_rca.formats.lines import document_of
from incident_rca.formats.parsed import Format, Head, Parsed, RawInput, frame_of, window_of
from incident_rca.model import System, TimeWindow

Row = dict[str, Any]

_QUERY = re.compile(r"(?P<aggregate>p\d+(?:\.\d+)?|avg|max|min|sum|count):(?P<metric>[\w.]+)\{")
_TAG_KEYS: Mapping[str, tuple[str, ...]] = {
    "service": ("rpc.service", "grpc.service", "grpc_service"),
    "method": ("rpc.method", "grpc.method", "grpc_method", "method"),
    "status": (
        "grpc.status",
        "rpc.grpc.status_code",
        "rpc.response.status_code",
        "grpc_code",
        "status",
    ),
    "owner": ("pool.name", "pool", "service"),
}


@dataclass(frozen=True, slots=True)
class _Query:
    text: str
    metric: str
    aggregate: str


def recognises(head: Head) -> bool:
    """Whether the document is an envelope of, or a bare, v2 timeseries answer."""
    attributes = _attributes(head.document or {})
    return isinstance(attributes, dict) and attributes.keys() >= {"series", "times", "values"}


def parse(raw: RawInput) -> Parsed:
    """One row a bucket and series, numbered series by series, with the unit that the answer states.

    Raises BadInput where the answer does not say its metric and neither does the user.
    """
    document = document_of(raw.path)
    answer = _attributes(document)
    if not isinstance(answer, dict):
        raise BadInput(f"{raw.file}: holds no timeseries", hint="was the query refused?")
    request = document.get("request", {}) if "response" in document else {}
    queries = _queries(request, raw)
    times = [datetime.fromtimestamp(ms / 1000, UTC) for ms in answer["times"]]
    step = _step_seconds(times)
    rows: list[Row] = []
    unparsed = 0
    for number, (series, values) in enumerate(zip(answer["series"], answer["values"], strict=True)):
        if len(values) != len(times):
            unparsed += 1
            continue
        first_row = number * len(times) + 1
        rows.extend(_rows(first_row, series, values, times, step, queries, raw))
    return Parsed(
        frames={"metrics": frame_of("metrics", rows, raw)},
        rows=len(rows),
        unparsed=unparsed,
        asked=_asked(request),
        covered=window_of(times, step_seconds=step),
        resolution_seconds=step,
        query=" | ".join(q.text for q in queries),
    )


def _attributes(document: Mapping[str, Any]) -> Any:
    answer = document.get("response", document)
    data = answer.get("data") if isinstance(answer, dict) else None
    return data.get("attributes") if isinstance(data, dict) else None


def _queries(request: Mapping[str, Any], raw: RawInput) -> Sequence[_Query]:
    """The queries by series' `query_index`: formulas name them, in order, where there are any."""
    try:
        asked = request["body"]["data"]["attributes"]
        by_name = {q["name"]: q["query"] for q in asked["queries"]}
        order = [f["formula"] for f in asked.get("formulas", [])] or list(by_name)
        texts = [by_name[name] for name in order]
    except (KeyError, TypeError):
        texts = [raw.query] if raw.query else [f"avg:{raw.metric}{{*}}"] if raw.metric else []
    queries = [
        _Query(text, m["metric"], m["aggregate"]) for text in texts if (m := _QUERY.search(text))
    ]
    if not queries or len(queries) != len(texts):
        raise BadInput(
            f"{raw.file}: does not say which metric it answers",
            hint="name it: --query 'p99:grpc.client.duration{*} by {rpc.method}'",
        )
    return queries


def _step_seconds(times: Sequence[datetime]) -> float:
    """The bucket's width: the smallest gap, because sparse series leave buckets out."""
    return min(((b - a).total_seconds() for a, b in pairwise(times)), default=10.0)


def _rows(
    first_row: int,
    series: Mapping[str, Any],
    values: Sequence[float | None],
    times: Sequence[datetime],
    step: float,
    queries: Sequence[_Query],
    raw: RawInput,
) -> Iterator[Row]:
    query = queries[series.get("query_index", 0)]
    tags = dict(str(tag).partition(":")[::2] for tag in series.get("group_tags") or ())
    named = {
        column: next((tags[key] for key in keys if key in tags), None)
        for column, keys in _TAG_KEYS.items()
    }
    unit, factor = _unit(series, query, raw)
    for position, (at, value) in enumerate(zip(times, values, strict=True), start=first_row):
        yield {
            "row": position,
            "at": at,
            "bucket_seconds": step,
            "metric": query.metric,
            "aggregate": query.aggregate,
            "unit": unit,
            **named,
            "value": None if value is None else value * factor,
        }


def _unit(series: Mapping[str, Any], query: _Query, raw: RawInput) -> tuple[str, float]:
    """The unit and the factor to it: times become ms by the scale factor that the answer states.

    An unknown unit of a latency is refused, never guessed from the size of the values.
    """
    stated = (series.get("unit") or [None])[0]
    if stated and stated.get("family") == "time":
        return "ms", round(float(stated["scale_factor"]) * 1000, 9)
    if stated:
        return str(stated.get("name")), 1.0
    if query.aggregate.startswith("p"):
        for suffix, factor in (("_ms", 1.0), (".ms", 1.0), ("_seconds", 1000.0), ("_us", 0.001)):
            if query.metric.endswith(suffix):
                return "ms", factor
        raise BadInput(
            f"{raw.file}: the unit of {query.metric} is unknown",
            hint="set the metric's unit in Datadog, or fetch the answer with its unit",
        )
    return "count", 1.0


def _asked(request: Mapping[str, Any]) -> TimeWindow | None:
    try:
        asked = request["body"]["data"]["attributes"]
        start, end = (datetime.fromtimestamp(asked[k] / 1000, UTC) for k in ("from", "to"))
        return TimeWindow(start, end)
    except (KeyError, TypeError, ValueError):
        return None


FORMAT = Format(
    kind="datadog_metrics",
    system=System.GRPC_METRICS,
    title="Datadog v2 timeseries answer, in its envelope or bare with --query",
    recognises=recognises,
    parse=parse,
    cannot_show="calls that have not ended yet, single calls, and instants within a bucket",
)

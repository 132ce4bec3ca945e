"""The answers of Datadog's timeseries endpoints as series of points, however they are kept.

v2 gives `times` for all series of an answer together, v1 a list of points to each series. An
envelope holds one answer, or `slices` with a request and an answer each.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

from incident_rca.errors import BadInput
from incident_rca.formats.parsed import is_sane
from incident_rca.model import TimeWindow

_QUERY = re.compile(
    r"(?P<aggregate>p\d+(?:\.\d+)?|avg|max|min|sum|count):(?P<metric>[\w.]+)\{(?P<rest>.*)"
)
# DogStatsD's percentiles are gauges of their own: what is in the name is what they are.
_PERCENTILE_PART = re.compile(r"\.(?:(?P<number>\d+)percentile|median)$")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Query:
    """A query's text, the metric that it reads, and what its values are of it."""

    text: str
    metric: str
    aggregate: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """One series of one answer; a value of None is missing. `first_row` numbers its first point."""

    query: Query
    tags: Mapping[str, str] = field(hash=False)
    unit: Any
    times: Sequence[datetime]
    values: Sequence[float | None]
    first_row: int
    stated_step: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchange:
    """A request as far as it is known, with its answer, or the error that it got."""

    request: Mapping[str, Any] = field(hash=False)
    response: Any
    error: str = ""

    @property
    def window(self) -> TimeWindow | None:
        """What was asked for, or None where that is not known."""
        try:
            if "body" in self.request:
                asked = self.request["body"]["data"]["attributes"]
                start, end = instant(asked["from"]), instant(asked["to"])
            else:
                params = self.request["params"]
                start, end = (instant(float(params[key]) * 1000) for key in ("from", "to"))
            return TimeWindow(start, end)
        except (ArithmeticError, KeyError, TypeError, ValueError):
            return None

    @property
    def asked_step(self) -> float | None:
        """The bucket that was asked for in seconds."""
        try:
            step = float(self.request["body"]["data"]["attributes"]["interval"]) / 1000
        except (ArithmeticError, KeyError, TypeError, ValueError):
            return None
        return step if 0 < step < 1e9 else None


def instant(milliseconds: float) -> datetime:
    """The instant that so many milliseconds of the epoch are."""
    return _EPOCH + timedelta(milliseconds=milliseconds)


def is_answer(answer: Any) -> bool:
    """Whether a document is an answer of either endpoint."""
    return _v2(answer) is not None or _v1(answer) is not None


def exchanges_of(document: Mapping[str, Any]) -> list[Exchange]:
    """The requests and answers of an envelope, or of a bare answer, whose request is unknown."""
    if "response" not in document:
        return [Exchange(request={}, response=document)]
    response = document["response"]
    slices = response.get("slices") if isinstance(response, dict) else None
    if not isinstance(slices, list):
        return [Exchange(request=_mapping(document.get("request")), response=response)]
    found = []
    for part in slices:
        kept = _mapping(part)
        error = kept.get("error")
        said = str(_mapping(error).get("message") or "refused") if error is not None else ""
        found.append(
            Exchange(
                request=_mapping(kept.get("request")), response=kept.get("response"), error=said
            )
        )
    return found


def series_of(
    exchange: Exchange, file: str, given: str, first_row: int
) -> tuple[list[Series], int, int]:
    """The series of an answer, how many could not be read, and how many points it has in all.

    `given` is the query that the user names for a bare answer. Raises BadInput for an answer that
    is of neither endpoint, or that does not say which metric it answers.
    """
    if (attributes := _v2(exchange.response)) is not None:
        return _v2_series(attributes, queries_of(exchange, file, given), first_row)
    if (series := _v1(exchange.response)) is not None:
        (query, *_) = queries_of(exchange, file, given)
        return _v1_series(series, query, first_row)
    raise BadInput(f"{file}: holds no timeseries", hint="was the query refused?")


def _v2(answer: Any) -> Mapping[str, Any] | None:
    attributes = _mapping(_mapping(_mapping(answer).get("data")).get("attributes"))
    return attributes if attributes.keys() >= {"series", "times", "values"} else None


def _v1(answer: Any) -> Sequence[Any] | None:
    """The series of v1, which states its query; one that is an error has no series to read."""
    kept = _mapping(answer)
    series = kept.get("series")
    if not isinstance(series, list) or kept.get("status") == "error" or "query" not in kept:
        return None
    return series if all("pointlist" in _mapping(one) for one in series) else None


def _v2_series(
    attributes: Mapping[str, Any], queries: Sequence[Query], first_row: int
) -> tuple[list[Series], int, int]:
    times = [instant(milliseconds) for milliseconds in attributes["times"]]
    found: list[Series] = []
    unparsed = 0
    both = list(zip(attributes["series"], attributes["values"], strict=True))
    for number, (series, values) in enumerate(both):
        if len(values) != len(times):
            unparsed += 1
            continue
        found.append(
            Series(
                query=_by_index(queries, series.get("query_index", 0)),
                tags=tags_of(series.get("group_tags")),
                unit=series.get("unit"),
                times=times,
                values=[_number(value) for value in values],
                first_row=first_row + number * len(times),
            )
        )
    return found, unparsed, len(both) * len(times)


def _v1_series(
    series: Sequence[Any], query: Query, first_row: int
) -> tuple[list[Series], int, int]:
    found: list[Series] = []
    unparsed = points = 0
    for one in series:
        pairs = [(instant(at), _number(value)) for at, value in one["pointlist"]]
        interval = one.get("interval")
        found.append(
            Series(
                query=query,
                tags=tags_of(one.get("tag_set")) or tags_of(str(one.get("scope") or "").split(",")),
                unit=one.get("unit"),
                times=[at for at, _ in pairs],
                values=[value for _, value in pairs],
                first_row=first_row + points,
                # In seconds, whatever the client's documentation says of it.
                stated_step=float(interval) if isinstance(interval, int | float) else None,
            )
        )
        points += len(pairs)
    return found, unparsed, points


def _by_index(queries: Sequence[Query], index: Any) -> Query:
    if isinstance(index, bool) or not isinstance(index, int) or index < 0:
        raise ValueError(f"query_index {index!r} is no index")
    return queries[index]


def _number(value: Any) -> float | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"a value that is no number: {str(value)[:40]!r}")
    return float(value)


def tags_of(tags: Any) -> dict[str, str]:
    """`key:value` texts by their key; a value may have colons of its own."""
    return {key: value for tag in tags or () for key, _, value in [str(tag).partition(":")]}


# --- which query ----------------------------------------------------------------------------------


def queries_of(exchange: Exchange, file: str, given: str) -> Sequence[Query]:
    """The queries by the `query_index` of a series: formulas name them where there are any."""
    texts = _texts(exchange) or ([given] if given else [])
    queries = [query for text in texts if (query := query_of(text))]
    if not queries or len(queries) != len(texts):
        raise BadInput(
            f"{file}: does not say which metric it answers",
            hint="name it: --query 'p99:grpc.client.duration{*} by {rpc.method}'",
        )
    return queries


def _texts(exchange: Exchange) -> list[str]:
    try:
        asked = exchange.request["body"]["data"]["attributes"]
        by_name = {q["name"]: q["query"] for q in asked["queries"]}
        order = [f["formula"] for f in asked.get("formulas", [])] or list(by_name)
        return [by_name[name] for name in order]
    except (AttributeError, KeyError, TypeError):
        pass
    params = _mapping(exchange.request.get("params"))
    text = params.get("query") or _mapping(exchange.response).get("query")
    return [text] if isinstance(text, str) and text else []


def query_of(text: Any) -> Query | None:
    """The metric of a query and what its values are; None where it names none.

    >>> query_of("sum:grpc.client.handled{*} by {grpc_code}.as_count()")
    Query(text='sum:grpc.client.handled{*} by {grpc_code}.as_count()', \
metric='grpc.client.handled', aggregate='count')
    """
    match = _QUERY.search(text) if isinstance(text, str) else None
    if match is None:
        return None
    aggregate = match["aggregate"]
    if aggregate == "sum" and ".as_count()" in match["rest"]:
        aggregate = "count"
    if part := _PERCENTILE_PART.search(match["metric"]):
        aggregate = f"p{part['number'] or 50}"
    return Query(text, match["metric"], aggregate)


# --- how wide a bucket is -------------------------------------------------------------------------


def step_seconds(series: Sequence[Series], asked_step: float | None) -> float:
    """The width of the buckets of some series of one metric.

    It is the smallest gap within one series: sparse series leave buckets out, and those of several
    programs need not be recorded at the same instants. What a single point covers is what was
    asked for.
    """
    stated = max((s.stated_step for s in series if s.stated_step), default=0.0)
    known = [
        [at for at, value in zip(s.times, s.values, strict=True) if value is not None]
        for s in series
    ]
    gap = _smallest_gap(known) or _smallest_gap([s.times for s in series])
    # The interval that v1 states is what was rolled up to, even where less was recorded.
    return max(stated, gap.total_seconds() if gap else stated or asked_step or 10.0)


def _smallest_gap(instants: Sequence[Sequence[datetime]]) -> timedelta | None:
    gaps = (b - a for times in instants for a, b in pairwise(filter(is_sane, times)))
    return min((gap for gap in gaps if gap > timedelta(0)), default=None)


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}

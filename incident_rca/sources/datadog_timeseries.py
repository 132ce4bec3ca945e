"""Timeseries of a Datadog account: cut into slices, asked side by side, each kept with its request.

A series has at most 1,500 points (Datadog, "Rollup"), above which its points silently get wider.
The v2 endpoint is asked; v1 where an account, or what stands in for Datadog, does not have it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import pairwise
from threading import Event
from typing import Any

from incident_rca.errors import Unreachable
from incident_rca.formats.datadog_answers import exchanges_of, series_of, step_seconds
from incident_rca.model import TimeWindow
from incident_rca.sources.datadog_client import (
    AT_ONCE,
    METRICS_V1,
    METRICS_V2,
    Connection,
    Refused,
)

MOST_POINTS = 1_500
# A window up to two slices of seconds is asked in seconds, a longer one in tens.
LONGEST_BY_SECOND = 2 * MOST_POINTS
COARSE_STEP_SECONDS = 10
# Of a window that was forced to be longer still the points get wider rather than the slices more.
MOST_SLICES = 12
V2_PATH = "/api/v2/query/timeseries"
V1_PATH = "/api/v1/query"
_NOT_THERE = (404, 410)
_NAMES = "abcdefghijklmnopqrstuvwxyz"


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """Queries that are asked together for one slice, as one request counts against the limits."""

    queries: tuple[str, ...]
    start: int
    end: int
    step: int


Entry = dict[str, Any]


def step_of(window: TimeWindow, recorded_seconds: int | None = None) -> int:
    """The finest bucket in seconds that is worth asking for: never finer than was recorded."""
    fine = 1 if window.seconds <= LONGEST_BY_SECOND else COARSE_STEP_SECONDS
    widest = math.ceil(window.seconds / (MOST_SLICES * MOST_POINTS))
    return max(fine, recorded_seconds or 1, widest)


def requests_of(queries: Sequence[str], window: TimeWindow, step: int) -> list[Request]:
    """The window in slices of at most 1,500 buckets, whose edges are edges of buckets.

    Buckets are aligned to the epoch, so slices are cut at multiples of their length: a bucket that
    turns out wider than was asked is then not cut in two either.
    """
    start = math.floor(window.start.timestamp() / step) * step
    end = math.ceil(window.end.timestamp() / step) * step
    length = MOST_POINTS * step
    edges = [start, end]
    if end - start > length:
        first = (start // length + 1) * length
        edges = [start, *range(first, end, length), end]
    return [
        Request(queries=tuple(queries), start=lo, end=hi, step=step) for lo, hi in pairwise(edges)
    ]


def ask_all(connection: Connection, requests: Sequence[Request]) -> dict[str, Any]:
    """`slices`, each with its `request` and its `response` or `error`; `error` sums those up.

    Raises Unreachable where nothing at all was answered.
    """
    only_v1 = Event()
    refused: list[Unreachable] = []

    def entries_of(request: Request) -> list[Entry]:
        return list(_entries(connection, request, only_v1, refused))

    with ThreadPoolExecutor(AT_ONCE) as pool:
        entries = [entry for part in pool.map(entries_of, requests) for entry in part]
    failed = [entry["error"] for entry in entries if "error" in entry]
    if failed and len(failed) == len(entries):
        raise refused[0]
    response: dict[str, Any] = {"slices": entries}
    if failed:
        said = "; ".join(dict.fromkeys(error["message"] for error in failed))
        message = f"{len(failed)} of {len(entries)} requests failed: {said}"
        response["error"] = {"code": failed[0]["code"], "message": message}
    return response


def got_seconds(response: Mapping[str, Any]) -> float | None:
    """The widest bucket that came in any slice, None where no slice has two points."""
    widths = []
    for exchange in exchanges_of({"response": response}):
        if exchange.error:
            continue
        series, _, _ = series_of(exchange, "the answer", "", 1)
        if any(len(one.times) > 1 for one in series):
            widths.append(step_seconds(series, exchange.asked_step))
    return max(widths, default=None)


def _entries(
    connection: Connection, request: Request, only_v1: Event, refused: list[Unreachable]
) -> Iterator[Entry]:
    """What one request gave: by v2, query by query where all at once are refused, else by v1."""
    asked = _v2_request(request)
    try:
        if not only_v1.is_set():
            yield {"request": asked, "response": _by_v2(connection, asked)}
            return
    except Refused as error:
        if error.status == 400 and len(request.queries) > 1:
            for query in request.queries:
                alone = replace(request, queries=(query,))
                yield from _entries(connection, alone, only_v1, refused)
            return
        if error.status not in _NOT_THERE:
            refused.append(error)
            yield _failure(asked, error)
            return
        only_v1.set()
    except Unreachable as error:
        refused.append(error)
        yield _failure(asked, error)
        return
    for query in request.queries:
        asked = _v1_request(request, query)
        try:
            yield {"request": asked, "response": _by_v1(connection, asked)}
        except Unreachable as error:
            refused.append(error)
            yield _failure(asked, error)


def _v2_request(request: Request) -> dict[str, Any]:
    names = [_NAMES[position] for position in range(len(request.queries))]
    attributes = {
        "from": request.start * 1000,
        "to": request.end * 1000,
        "interval": request.step * 1000,
        "formulas": [{"formula": name} for name in names],
        "queries": [
            {"data_source": "metrics", "name": name, "query": query}
            for name, query in zip(names, request.queries, strict=True)
        ],
    }
    body = {"data": {"type": "timeseries_request", "attributes": attributes}}
    return {"method": "POST", "path": V2_PATH, "body": body}


def _v1_request(request: Request, query: str) -> dict[str, Any]:
    params = {"from": request.start, "to": request.end, "query": query}
    return {"method": "GET", "path": V1_PATH, "params": params}


def _by_v2(connection: Connection, asked: Mapping[str, Any]) -> Mapping[str, Any]:
    answer = connection.ask(METRICS_V2, "query_timeseries_data", body=asked["body"])
    data = answer.get("data")
    attributes = data.get("attributes") if isinstance(data, dict) else None
    kept = attributes if isinstance(attributes, dict) else {}
    lists = [kept.get(key) for key in ("series", "times", "values")]
    if not all(isinstance(part, list) for part in lists):
        errors = answer.get("errors")
        raise _no_answer(connection, V2_PATH, errors if isinstance(errors, list) else ())
    connection.count_rows(_points(lists[2] or ()))
    return answer


def _by_v1(connection: Connection, asked: Mapping[str, Any]) -> Mapping[str, Any]:
    """The answer; v1 tells some errors with status 200."""
    params = asked["params"]
    answer = connection.ask(
        METRICS_V1,
        "query_metrics",
        _from=params["from"],
        to=params["to"],
        query=params["query"],
    )
    series = answer.get("series")
    if answer.get("status") == "error" or not isinstance(series, list):
        said = answer.get("error") or answer.get("errors") or answer.get("message") or ()
        raise _no_answer(connection, V1_PATH, said if isinstance(said, list) else [said])
    pointlists = [one.get("pointlist") for one in series if isinstance(one, dict)]
    values = [
        [p[1] for p in points if isinstance(p, list) and len(p) > 1]
        for points in pointlists
        if isinstance(points, list)
    ]
    connection.count_rows(_points(values))
    return answer


def _points(values: Sequence[Any]) -> int:
    return sum(value is not None for part in values if isinstance(part, list) for value in part)


def _no_answer(connection: Connection, path: str, errors: Sequence[Any]) -> Refused:
    said = "; ".join(str(error) for error in errors if error) or "its answer holds no series"
    return Refused(
        "QueryError",
        f"{connection.name}: {path}: {connection.safe(said)}",
        hint="look at the names and the scope that the settings give for this account",
    )


def _failure(asked: Mapping[str, Any], error: Unreachable) -> Entry:
    code = error.code if isinstance(error, Refused) else "Unfinished"
    return {"request": dict(asked), "error": {"code": code, "message": error.message}}

"""Counts and latency histograms of a Logs Insights answer -> `gateway` rows.

The aliases of the columns are those of `logs_insights.py`.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from incident_rca.formats.error_types import error_types_of
from incident_rca.formats.insights_answer import Answer, bin_seconds_in, bins_in, instant_of
from incident_rca.formats.parsed import window_of
from incident_rca.model import BUCKET_GROWTH, TimeWindow

# As in queries/rollup/access_log.sql.
HIGHEST_BUCKET = 1100
# As queries/rollup/access_log.sql takes them.
STATUSES = range(100, 600)
# Each alias, and the names of the variable itself, which a hand-written query may have kept.
_NAMES: Mapping[str, tuple[str, ...]] = {
    "method": ("method", "httpMethod"),
    "event_type": ("event_type", "eventType"),
    "route": ("route", "resourcePath", "routeKey"),
    "status": ("status",),
    "response_type": ("response_type", "errorResponseType", "error.responseType"),
    "integration_status": ("integration_status", "integrationStatus"),
    "backend_status": ("backend_status", "integration.status"),
    "error_text": ("error_text", "integration.error", "integrationErrorMessage"),
    "authorizer_error": ("authorizer_error", "authorizer.error"),
    "waf": ("waf", "wafResponseCode"),
}
_PROVES = ("response_type", "integration_status", "backend_status", "error_text")
Key = tuple[datetime, str, str, int]


@dataclass(slots=True)
class _Group:
    """What the rows of one second, route, status and type say together."""

    first: int
    last: int = 0
    requests: int = 0
    latencies: Counter[int] = field(default_factory=Counter)


def rows_of(answer: Answer, role: str, work: Path) -> tuple[list[dict[str, Any]], int, int]:
    """The `gateway` rows, how many requests could not be placed, and how many there are in all.

    Of a `latency` answer `requests` is 0, since the counts stand in another.
    """
    counted = "requests_in_bucket" if role == "latency" else "requests"
    placed: list[tuple[int, Key, int, Mapping[str, str]]] = []
    unplaced = total = 0
    for position, cells in enumerate(answer.results, start=1):
        count = count_of(cells, counted)
        total += count or 0
        key = key_of(cells) if count is not None else None
        if key is None or count is None or (role == "latency" and _bound_ms(cells) is None):
            unplaced += max(count or 0, 1)
            continue
        placed.append((position, key, count, cells))
    types = _types(answer, placed, work) if role == "counts" else [None] * len(placed)
    groups: dict[tuple[Key, str | None], _Group] = {}
    for (position, key, count, cells), kind in zip(placed, types, strict=True):
        group = groups.setdefault((key, kind), _Group(first=position))
        group.last = position
        if role == "latency":
            group.latencies[_bound_ms(cells) or 0] += count
        else:
            group.requests += count
    ordered = sorted(groups.items(), key=lambda item: (*item[0][0], item[0][1] or ""))
    return [_row(key, kind, group) for (key, kind), group in ordered], unplaced, total


def _row(key: Key, kind: str | None, group: _Group) -> dict[str, Any]:
    second, method, route, status = key
    bounds = sorted(group.latencies)
    return {
        "second": second,
        "method": method,
        "route": route,
        "status": status,
        "error_type": kind,
        "requests": group.requests,
        "latency_ms_bounds": bounds,
        "latency_ms_counts": [group.latencies[bound] for bound in bounds],
        "line_first": group.first,
        "line_last": group.last,
    }


def key_of(cells: Mapping[str, str]) -> Key | None:
    """When, what and with which status; None where the row does not say."""
    bin_name = "second" if "second" in cells else next((n for n, _ in bins_in(cells)), "")
    method, route = method_and_route(cells)
    status = _whole(value_of(cells, "status"))
    try:
        second = instant_of(cells.get(bin_name, ""))
    except ValueError:
        return None
    if method is None or route is None or status is None or status not in STATUSES:
        return None
    return second, method, route, status


def count_of(cells: Mapping[str, str], alias: str = "requests") -> int | None:
    """How many requests a row stands for; None where it does not say."""
    return _whole(cells.get(alias) or cells.get("n") or cells.get("count(*)"))


def method_and_route(cells: Mapping[str, str]) -> tuple[str | None, str | None]:
    """What a row's requests asked for; the key of a route may have both, a WebSocket has `WS`.

    >>> method_and_route({"routeKey": "GET /items/{id}"})
    ('GET', '/items/{id}')
    """
    method, route = value_of(cells, "method"), value_of(cells, "route")
    verb, blank, path = (route or "").partition(" ")
    is_key = bool(blank) and path.startswith("/") and verb.isupper()
    if method in (None, "-"):
        known = "WS" if value_of(cells, "event_type") else is_key and verb
        method = known or method
    return method, path if is_key else route


def value_of(cells: Mapping[str, str], alias: str) -> str | None:
    """A column by its alias or its variable's own name; None where it is absent or `-`."""
    found = next((cells[name] for name in _NAMES[alias] if name in cells), None)
    return None if found == "-" and alias not in ("method", "route") else found


def _whole(text: str | None) -> int | None:
    """A whole number; Logs Insights writes one as `5`, `5.0` or `1.0E7`."""
    try:
        number = float(text) if text is not None else math.nan
    except ValueError:
        return None
    return int(number) if number.is_integer() and abs(number) < 2**53 else None


def bucket_of(cells: Mapping[str, str]) -> int | None:
    """The number of a latency bucket; None where it is none."""
    bucket = _whole(cells.get("latency_bucket"))
    return bucket if bucket is not None and 0 <= bucket <= HIGHEST_BUCKET else None


def _bound_ms(cells: Mapping[str, str]) -> int | None:
    """The upper bound of a latency bucket."""
    bucket = bucket_of(cells)
    return None if bucket is None else math.floor(BUCKET_GROWTH**bucket)


def _types(
    answer: Answer, placed: list[tuple[int, Key, int, Mapping[str, str]]], work: Path
) -> list[str | None]:
    """The error type of each row by the taxonomy; a column that no row has proves nothing."""
    present = {name for cells in answer.results for name in cells}
    knows = {
        fact: any(n in present or f" as {n}" in answer.query for n in _NAMES[fact])
        for fact in _PROVES
    }
    facts = ("response_type", "integration_status", "backend_status", "authorizer_error", "waf")
    rows = [
        {
            "status": key[3],
            "message": value_of(cells, "error_text") or ("" if knows["error_text"] else None),
            **{fact: value_of(cells, fact) for fact in facts},
        }
        for _, key, _, cells in placed
    ]
    return error_types_of(rows, work, knows=knows)


def bin_seconds_of(rows: Iterable[Mapping[str, Any]], answer: Answer) -> float | None:
    """How wide the widest time bin is, in seconds; None where there is no row."""
    rows = list(rows)
    if rows and "until" in rows[0]:
        return float(max((row["until"] - row["at"]).total_seconds() for row in rows))
    if not rows:
        return None
    widths = {seconds for cells in answer.results for _, seconds in bins_in(cells)}
    said = answer.bin_seconds or bin_seconds_in(answer.query) or 1
    return float(max(widths, default=said))


def span_of(rows: Iterable[Mapping[str, Any]], answer: Answer) -> TimeWindow | None:
    """From the first bin's start to the last one's end; None where there is no row."""
    rows = list(rows)
    width = timedelta(seconds=bin_seconds_of(rows, answer) or 0)
    starts = [row["at"] if "at" in row else row["second"] for row in rows]
    ends = [row["until"] if "until" in row else row["second"] + width for row in rows]
    return window_of([*starts, *ends])

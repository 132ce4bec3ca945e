"""The gateway's log and the metrics as raw files, and what the real formats read of them.

Tables are quicker to make; a share of the cases goes this way, so that the score also holds for
what a format makes of a file. What both give is the same, which a test holds.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from incident_rca.formats import access_log, datadog_metrics
from incident_rca.formats.parsed import RawInput
from score.gateway_view import written
from score.trace import Served
from score.world import Route

if TYPE_CHECKING:
    import pandas as pd

Row = Mapping[str, Any]
MILLISECONDS = [{"family": "time", "name": "millisecond", "scale_factor": 0.001}, None]
TAGS = {"owner": "service", "service": "rpc.service", "method": "rpc.method", "status": "status"}
POOL_TAGS = {"owner": "pool.name"}


def from_access_log(
    requests: Sequence[Served],
    routes: Sequence[Route],
    seconds: float,
    clock: Callable[[float], datetime],
    folder: Path,
) -> Mapping[str, pd.DataFrame]:
    """What the format of access logs reads of these requests."""
    path = folder / "access.ndjson"
    with path.open("w", encoding="utf-8") as file:
        for number, request in enumerate(written(requests, seconds), start=1):
            file.write(json.dumps(_line(number, request, routes[request.route], clock)) + "\n")
    return access_log.parse(raw_input("gateway", path)).frames


def _line(
    number: int, request: Served, route: Route, clock: Callable[[float], datetime]
) -> Mapping[str, str]:
    at = clock(request.arrival)
    ms = round(1000 * (request.ended - request.arrival))
    failed = request.status >= 500
    backend = str(request.status) if not failed or request.error_type == "backend_5xx" else "-"
    response = {
        "integration_network": "INTEGRATION_FAILURE",
        "integration_timeout": "INTEGRATION_TIMEOUT",
    }.get(request.error_type, "-")
    return {
        "requestTimeEpoch": str(round(at.timestamp() * 1000)),
        "requestTime": f"{at:%d/%b/%Y:%H:%M:%S} +0000",
        "requestId": f"r{number}",
        "httpMethod": route.method,
        "resourcePath": route.path,
        "status": str(request.status),
        "integrationStatus": backend,
        "integration.status": backend,
        "integrationLatency": str(max(0, ms - 2)),
        "responseLatency": str(ms),
        "errorResponseType": response,
        "errorMessage": "-",
        "integrationErrorMessage": "-",
    }


def from_datadog(rows: Iterable[Row], width: float, folder: Path) -> list[pd.DataFrame]:
    """What the format of Datadog's answers reads of them: one answer a metric and aggregate."""
    by_query: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        by_query.setdefault((row["metric"], row["aggregate"]), []).append(row)
    frames = []
    for number, ((metric, aggregate), of_query) in enumerate(by_query.items()):
        path = folder / f"answer-{number}.json"
        answer = _answer(f"{aggregate}:{metric}{{*}}", of_query, width)
        path.write_text(json.dumps(answer), encoding="utf-8")
        frames.append(datadog_metrics.parse(raw_input("metrics", path)).frames["metrics"])
    return frames


def _answer(query: str, rows: Sequence[Row], width: float) -> Mapping[str, Any]:
    """The envelope of a v2 answer: one list of times for all series, null where one has none."""
    times = sorted({row["at"] for row in rows})
    places = {at: n for n, at in enumerate(times)}
    series: dict[tuple[str, ...], list[float | None]] = {}
    for row in rows:
        names = TAGS if row.get("method") else POOL_TAGS
        tags = tuple(f"{tag}:{row[name]}" for name, tag in names.items() if row.get(name))
        series.setdefault(tags, [None] * len(times))[places[row["at"]]] = row["value"]
    unit = MILLISECONDS if rows[0]["unit"] == "ms" else None
    attributes = {
        "series": [{"group_tags": list(t), "query_index": 0, "unit": unit} for t in series],
        "times": [round(at.timestamp() * 1000) for at in times],
        "values": list(series.values()),
    }
    asked = {
        "from": round(times[0].timestamp() * 1000),
        "to": round((times[-1].timestamp() + width) * 1000),
        "interval": round(width * 1000),
        "formulas": [{"formula": "a"}],
        "queries": [{"data_source": "metrics", "name": "a", "query": query}],
    }
    request = {"data": {"type": "timeseries_request", "attributes": asked}}
    return {
        "service": "datadog",
        "request": {"method": "POST", "path": "/api/v2/query/timeseries", "body": request},
        "response": {"data": {"type": "timeseries_response", "attributes": attributes}},
    }


def raw_input(name: str, path: Path = Path(".")) -> RawInput:
    """A source's file as formats get it."""
    return RawInput(path=path, file=f"raw/{name}", source=name, work=path.parent)

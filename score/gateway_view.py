"""What the gateway's access log shows of a trace, as rows of `gateway` and `failures`."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from score.trace import Served
from score.world import Route

Row = dict[str, Any]


def written(requests: Iterable[Served], seconds: float) -> list[Served]:
    """The requests that ended in the window; a line is written when one ends, so in that order."""
    return sorted((r for r in requests if r.ended < seconds), key=lambda r: (r.ended, r.arrival))


def log_rows(
    requests: Sequence[Served],
    routes: Sequence[Route],
    seconds: float,
    clock: Callable[[float], datetime],
) -> tuple[list[Row], list[Row]]:
    """The rows of `gateway` and of `failures`: each request at its arrival by the clock."""
    latencies: Mapping[tuple[Any, ...], Counter[int]] = defaultdict(Counter)
    lines: dict[tuple[Any, ...], tuple[int, int]] = {}
    failures: list[Row] = []
    for line, request in enumerate(written(requests, seconds), start=1):
        at, route = clock(request.arrival), routes[request.route]
        kind = request.error_type or None
        key = (at.replace(microsecond=0), route.method, route.path, request.status, kind)
        ms = round(1000 * (request.ended - request.arrival))
        latencies[key][ms] += 1
        lines[key] = (lines.get(key, (line, line))[0], line)
        if request.status >= 500:
            failures.append(_failure(line, at, route, request, ms))
    gateway = [
        {
            "second": second,
            "method": method,
            "route": path,
            "status": status,
            "error_type": kind,
            "requests": sum(counts.values()),
            "latency_ms_bounds": sorted(counts),
            "latency_ms_counts": [counts[ms] for ms in sorted(counts)],
            "line_first": lines[key][0],
            "line_last": lines[key][1],
        }
        for key, counts in sorted(latencies.items(), key=lambda item: lines[item[0]])
        for second, method, path, status, kind in [key]
    ]
    return gateway, failures


def _failure(line: int, at: datetime, route: Route, request: Served, ms: int) -> Row:
    return {
        "line": line,
        "at": at,
        "request_id": f"r{line}",
        "method": route.method,
        "route": route.path,
        "status": request.status,
        "error_type": request.error_type,
        "latency_ms": float(ms),
        "integration_status": str(request.status) if request.error_type == "backend_5xx" else None,
        "seen_in": "access",
    }

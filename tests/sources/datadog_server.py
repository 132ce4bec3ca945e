"""A local server that answers as Datadog's API does, in v1 and v2, or fails in its known ways.

It computes what a query asks for from series that a test gives it: filter, groups, rollup aligned
to the epoch, at most 1,500 points a series.
"""

from __future__ import annotations

import json
import re
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

API_KEY = "a1b2c3d4e5f60718293a4b5c6d7e8f90"
APP_KEY = "0f9e8d7c6b5a4938271605f4e3d2c1b0a9f8e7d6"
KEYS = {"DD_API_KEY": API_KEY, "DD_APP_KEY": APP_KEY}
V2 = "/api/v2/query/timeseries"
V1 = "/api/v1/query"
EVENTS = "/api/v2/events"
VALIDATE = "/api/v1/validate"
MS = {"family": "time", "name": "millisecond", "short_name": "ms", "scale_factor": 0.001, "id": 10}
_QUERY = re.compile(
    r"(?P<aggregate>[a-z0-9.]+?):(?P<metric>[\w.]+)\{(?P<scope>[^}]*)\}"
    r"(?: by \{(?P<by>[^}]*)\})?(?P<rest>.*)"
)
_WIDTHS = (1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 3600)


@dataclass(frozen=True)
class Reply:
    """One answer in the place of the usual one; `stalls` are seconds before it."""

    body: Any = None
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    breaks: bool = False
    is_cut: bool = False
    stalls: float = 0.0


def throttled(reset: str | None = "2", name: str = "timeseries_query") -> Reply:
    """Too many requests, with the headers that say when the limit resets."""
    headers = {"X-RateLimit-Limit": "10", "X-RateLimit-Remaining": "0", "X-RateLimit-Name": name}
    headers |= {"X-RateLimit-Reset": reset} if reset is not None else {}
    return Reply({"errors": ["Rate limit of 10 requests in 10 seconds reached"]}, 429, headers)


@dataclass(frozen=True)
class Stored:
    """One series as it was recorded: values by second of the epoch, for one aggregate."""

    metric: str
    aggregate: str
    tags: Mapping[str, str]
    points: Mapping[int, float | None]


@dataclass
class Described:
    """What the account knows of a metric; without `is_configured` it has no tag configuration."""

    type: str = "distribution"
    percentiles: bool = True
    unit: str | None = "millisecond"
    answers_unit: Any = field(default_factory=lambda: MS)
    interval: int | None = None
    is_configured: bool = True


@dataclass(frozen=True)
class Heard:
    """A request as it came."""

    method: str
    path: str
    params: Mapping[str, str]
    body: Any
    headers: Mapping[str, str]
    target: str


@dataclass
class Service:
    """The account: what it holds, how it fails, and what it was asked."""

    url: str = ""
    metrics: dict[str, Described] = field(default_factory=dict)
    series: list[Stored] = field(default_factory=list)
    events: list[dict[str, Any]] = field(default_factory=list)
    page_events: int = 1000
    latency_seconds: float = 0.0
    clock_ahead_seconds: float = 0.0
    quota: Mapping[str, str] = field(default_factory=dict)
    heard: list[Heard] = field(default_factory=list)
    faults: dict[str, list[Reply]] = field(default_factory=dict)
    most_at_once: int = 0
    _at_once: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def hold(self, metric: str, described: Described, *stored: Stored) -> None:
        """Takes a metric with its series."""
        self.metrics[metric] = described
        self.series += stored

    def fail(self, path: str, *replies: Reply, always: bool = False) -> None:
        """Answers so to a path, one reply a request, before it answers as usual again."""
        self.faults[path] = [*replies, *([replies[-1]] * 1000 if always else [])]

    def asked(self, path: str) -> list[Heard]:
        return [heard for heard in self.heard if heard.path == path]

    # --- what it answers --------------------------------------------------------------------------

    def reply(self, heard: Heard) -> Reply:
        with self.lock:
            self.heard.append(heard)
            left = self.faults.get(heard.path)
            if left:
                return left.pop(0)
        keys = (heard.headers.get("dd-api-key"), heard.headers.get("dd-application-key"))
        if heard.path == VALIDATE and keys[0] == API_KEY:
            return Reply({"valid": True})
        if keys != (API_KEY, APP_KEY):
            return Reply({"status": "error", "code": 403, "errors": ["Forbidden"]}, 403)
        if heard.path == V2:
            found = self._timeseries(heard.body["data"]["attributes"])
            return Reply(found.body, found.status, self.quota)
        if heard.path == V1:
            return self._v1(heard.params)
        if heard.path == EVENTS:
            return self._events(heard.params)
        if heard.path == "/api/v1/metrics":
            return Reply({"from": heard.params["from"], "metrics": sorted(self.metrics)})
        return self._of_metric(heard.path)

    def _of_metric(self, path: str) -> Reply:
        missing = Reply({"errors": ["Metric not found"]}, 404)
        match = re.fullmatch(r"/api/(v1|v2)/metrics/([^/]+)(?:/(tags|all-tags))?", path)
        described = self.metrics.get(match[2]) if match else None
        if match is None or described is None:
            return missing
        name = match[2]
        keys = sorted({key for s in self.series if s.metric == name for key in s.tags})
        if match[1] == "v1":
            kind = described.type if described.type != "distribution" else "distribution"
            told = {"type": kind, "unit": described.unit, "per_unit": None}
            return Reply({**told, "statsd_interval": described.interval, "description": None})
        if match[3] == "all-tags":
            return Reply({"data": {"id": name, "type": "metrics", "attributes": {"tags": keys}}})
        if not described.is_configured:
            return missing
        attributes = {
            "metric_type": described.type,
            "include_percentiles": described.percentiles,
            "tags": keys,
        }
        return Reply({"data": {"id": name, "type": "manage_tags", "attributes": attributes}})

    def _timeseries(self, asked: Mapping[str, Any]) -> Reply:
        names = [formula["formula"] for formula in asked["formulas"]]
        texts = {query["name"]: query["query"] for query in asked["queries"]}
        start, end = asked["from"] // 1000, asked["to"] // 1000
        found: list[tuple[dict[str, Any], dict[int, float | None]]] = []
        for index, name in enumerate(names):
            said = self._evaluated(texts[name], start, end, asked.get("interval", 1000) // 1000)
            if isinstance(said, str):
                return Reply({"errors": [said]}, 400)
            for tags, points, unit, _ in said:
                told = None if unit is None else [unit, None]
                series = {"group_tags": tags, "query_index": index, "unit": told}
                found.append((series, points))
        times = sorted({at for _, points in found for at in points})
        attributes = {
            "series": [series for series, _ in found],
            "times": [at * 1000 for at in times],
            "values": [[points.get(at) for at in times] for _, points in found],
        }
        return Reply({"data": {"type": "timeseries_response", "attributes": attributes}})

    def _v1(self, params: Mapping[str, str]) -> Reply:
        start, end = int(params["from"]), int(params["to"])
        said = self._evaluated(params["query"], start, end, 1)
        if isinstance(said, str):
            return Reply({"status": "error", "error": said, "series": []})
        series = [
            {
                "metric": params["query"],
                "scope": ",".join(tags),
                "tag_set": tags,
                "interval": width,
                "unit": None if unit is None else [unit, None],
                "pointlist": [[at * 1000.0, value] for at, value in sorted(points.items())],
            }
            for tags, points, unit, width in said
        ]
        head = {"status": "ok", "query": params["query"], "from_date": start * 1000}
        return Reply({**head, "to_date": end * 1000, "series": series})

    def _evaluated(
        self, text: str, start: int, end: int, interval: int
    ) -> list[tuple[list[str], dict[int, float | None], Any, int]] | str:
        match = _QUERY.fullmatch(text)
        if match is None:
            return f"Error parsing query: unable to parse {text}"
        aggregate, metric = match["aggregate"], match["metric"]
        described = self.metrics.get(metric)
        if described is None:
            return []
        if re.fullmatch(r"p\d+", aggregate) and not described.percentiles:
            return f"percentile aggregations are not enabled for {metric}"
        rollup = re.search(r"\.rollup\((?:\w+, )?(\d+)\)", match["rest"])
        wanted = max(interval, int(rollup[1]) if rollup else 1)
        width = next(w for w in _WIDTHS if w >= wanted and (end - start) / w <= 1500)
        scope = {tag for tag in match["scope"].split(",") if tag != "*"}
        keys = [key for key in (match["by"] or "").split(",") if key]
        groups: dict[tuple[str, ...], list[Stored]] = {}
        for stored in self.series:
            said = {f"{key}:{value}" for key, value in stored.tags.items()}
            if (stored.metric, stored.aggregate) == (metric, aggregate) and scope <= said:
                group = tuple(f"{k}:{stored.tags.get(k, 'n/a')}".lower() for k in sorted(keys))
                groups.setdefault(group, []).append(stored)
        # A count has no unit of time, though the metric has one.
        unit = None if aggregate in ("count", "sum") else described.answers_unit
        return [
            (list(group), _rolled_up(parts, aggregate, start, end, width), unit, width)
            for group, parts in sorted(groups.items())
        ]

    def _events(self, params: Mapping[str, str]) -> Reply:
        start = int(params.get("page[cursor]") or 0)
        found = [
            event
            for event in self.events
            if params["filter[from]"] <= event["attributes"]["timestamp"] < params["filter[to]"]
        ]
        page = found[start : start + self.page_events]
        after = start + self.page_events
        meta = {"page": {"after": str(after)}} if after < len(found) else {}
        return Reply({"data": page, "meta": {"status": "done", **meta}, "links": {}})


def _rolled_up(
    parts: Sequence[Stored], aggregate: str, start: int, end: int, width: int
) -> dict[int, float | None]:
    buckets: dict[int, list[float | None]] = {}
    for stored in parts:
        for at, value in stored.points.items():
            if start <= at < end:
                buckets.setdefault(at // width * width, []).append(value)
    rolled: dict[int, float | None] = {}
    for at, values in buckets.items():
        known = [value for value in values if value is not None]
        if not known:
            rolled[at] = None
        elif aggregate in ("count", "sum"):
            rolled[at] = sum(known)
        else:
            rolled[at] = sum(known) / len(known) if aggregate == "avg" else max(known)
    return rolled


def stored_of(envelope: Mapping[str, Any]) -> list[Stored]:
    """The series of a kept v2 answer, so that the server can be asked for them."""
    asked = envelope["request"]["body"]["data"]["attributes"]
    attributes = envelope["response"]["data"]["attributes"]
    found = []
    for series, values in zip(attributes["series"], attributes["values"], strict=True):
        match = _QUERY.fullmatch(asked["queries"][series["query_index"]]["query"])
        assert match is not None
        tags = dict(tag.split(":", 1) for tag in series["group_tags"])
        tags |= dict(tag.split(":", 1) for tag in match["scope"].split(",") if tag != "*")
        seconds = [at // 1000 for at in attributes["times"]]
        points = dict(zip(seconds, values, strict=True))
        found.append(Stored(match["metric"], match["aggregate"], tags, points))
    return found


@contextmanager
def running_service() -> Iterator[Service]:
    """A service on a free port of this machine; asked as a proxy, it answers itself."""
    service = Service()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._answer(None)

        def do_POST(self) -> None:
            data = self.rfile.read(int(self.headers["Content-Length"]))
            self._answer(json.loads(data))

        def _answer(self, body: Any) -> None:
            address = urlsplit(self.path)
            params = {key: values[0] for key, values in parse_qs(address.query).items()}
            headers = {key.lower(): value for key, value in self.headers.items()}
            heard = Heard(self.command, address.path, params, body, headers, self.path)
            with service.lock:
                service._at_once += 1
                service.most_at_once = max(service.most_at_once, service._at_once)
            if service.latency_seconds:
                time.sleep(service.latency_seconds)
            try:
                self._send(service.reply(heard))
            except (BrokenPipeError, ConnectionResetError):
                pass
            finally:
                with service.lock:
                    service._at_once -= 1

        def _send(self, reply: Reply) -> None:
            if reply.stalls:
                time.sleep(reply.stalls)
            if reply.breaks:
                self.close_connection = True
                return
            is_raw = isinstance(reply.body, bytes)
            data = reply.body if is_raw else json.dumps(reply.body).encode()
            self.send_response(reply.status)
            kind = "text/html" if is_raw else "application/json"
            for key, value in {"Content-Type": kind, **reply.headers}.items():
                self.send_header(key, value)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data[: len(data) // 2] if reply.is_cut else data)

        def date_time_string(self, timestamp: float | None = None) -> str:
            return formatdate(time.time() + service.clock_ahead_seconds, usegmt=True)

        def log_message(self, format: str, *arguments: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    service.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.daemon = True
    thread.start()
    try:
        yield service
    finally:
        server.shutdown()
        server.server_close()
        thread.join()

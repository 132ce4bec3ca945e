"""A local server that answers as CloudWatch Logs and API Gateway do, or badly, over DuckDB.

It keeps to the bounds of each action (FilterLogEvents: both ends inclusive, in milliseconds;
StartQuery: both inclusive, in seconds), to pages (10,000 events or 1 MB; 10,000 rows), to limits
and quotas, and has a plan of faults for each action. A query or pattern that it cannot read is
refused: nothing is ignored.
"""

from __future__ import annotations

import base64
import json
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import duckdb
import pandas as pd

from tests.sources.logs_query_language import (
    Malformed,
    Statement,
    literal,
    read_pattern,
    read_query,
)

TARGET = "Logs_20140328."
LIMIT = 100_000
SECONDS_BEFORE_RUNNING = 0.5
PAGE = 10_000
EVENT = ("timestamp", "ingestionTime", "eventId", "logStreamName", "message")


@dataclass(frozen=True)
class Fault:
    """What one call gets in place of its answer, or `page`: how its page is bent.

    `empty`: no events, and a token for the same place; `stuck`: the same, with the token that was
    sent; `again`: the events, and a token for the same events once more.
    """

    status: int = 0
    body: Any = None
    content_type: str = "application/x-amz-json-1.1"
    breaks: bool = False
    stall_seconds: float = 0.0
    page: str = ""


def refused(code: str, message: str = "no", status: int = 400) -> Fault:
    """An error in the shape of the protocol."""
    return Fault(status=status, body={"__type": code, "message": message})


THROTTLED = refused("ThrottlingException", "Rate exceeded")
HTML = Fault(status=200, body=b"<html><b>503 from a proxy</b></html>", content_type="text/html")
BROKEN = Fault(breaks=True)


class Refused(Exception):
    """An answer that is an error."""

    def __init__(self, code: str, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.code, self.status = code, status


@dataclass
class Query:
    """A query that was started: it is under way for so many polls."""

    rows: list[list[dict[str, str]]]
    statistics: dict[str, float]
    polls: int
    status: str = ""
    stopped: bool = False
    work: threading.Thread | None = None
    is_over: bool = False


@dataclass
class Service:
    """The service; `calls` are the actions with their parameters as they came.

    `unanswered` are polls of queries that this machine, not the test, let run on for longer.
    """

    database: duckdb.DuckDBPyConnection
    url: str = ""
    groups: set[str] = field(default_factory=set)
    stages: dict[str, dict[str, Any]] = field(default_factory=dict)
    calls: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    unanswered: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    faults: dict[str, list[Fault | None]] = field(default_factory=dict)
    queries: dict[str, Query] = field(default_factory=dict)
    page_events: int = PAGE
    page_bytes: int = 1_000_000
    page_rows: int = PAGE
    seconds_a_call: float = 0.0
    calls_per_second: float = 0.0
    polls: int = 0
    most_queries: int = 100
    now_ms: int | None = None
    clock_ahead_seconds: float = 0.0
    throttled: int = 0
    tokens: dict[str, tuple[float, float]] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def put(self, group: str, events: Sequence[tuple[int, str]], ingested_ms: int = 0) -> None:
        """Adds events (time in ms, message) to a group; those not ingested yet are not seen."""
        self.groups.add(group)
        if not events:
            return
        with self.lock:
            count = len(self.database.table("events"))
        rows = [
            (group, at, ingested_ms or at, f"{count + n:056d}", f"stream-{n % 3}", message)
            for n, (at, message) in enumerate(events)
        ]
        with self.lock:
            self.database.append("events", pd.DataFrame(rows, columns=self._columns()))

    def _columns(self) -> list[str]:
        return self.database.table("events").columns

    def plan(self, action: str, *faults: Fault | None) -> None:
        """What the next calls of an action get; None is a whole answer."""
        self.faults.setdefault(action, []).extend(faults)

    def count(self, action: str) -> int:
        return sum(1 for name, _ in self.calls if name == action)

    def asked(self, action: str) -> list[dict[str, Any]]:
        return [body for name, body in self.calls if name == action]

    def begin(self, action: str, body: dict[str, Any]) -> Fault | None:
        """Notes a call; the fault that it gets, if any."""
        with self.lock:
            self.calls.append((action, body))
            planned = self.faults.get(action)
            if planned:
                return planned.pop(0)
            if self.calls_per_second and not self._has_token(action):
                self.throttled += 1
                return THROTTLED
        return None

    def _has_token(self, action: str) -> bool:
        now = time.monotonic()
        left, at = self.tokens.get(action, (self.calls_per_second, now))
        left = min(self.calls_per_second, left + (now - at) * self.calls_per_second)
        self.tokens[action] = (left - 1 if left >= 1 else left, now)
        return left >= 1

    def answer(self, action: str, body: dict[str, Any], bend: str = "") -> dict[str, Any]:
        with self.lock:
            if action == "FilterLogEvents":
                return self._filter_log_events(body, bend)
            if action == "StartQuery":
                return self._start_query(body)
            if action == "GetQueryResults":
                return self._get_query_results(body)
            if action == "StopQuery":
                self.queries[body["queryId"]].stopped = True
                return {"success": True}
            if action == "DescribeLogGroups":
                prefix = body.get("logGroupNamePrefix", "")
                names = sorted(name for name in self.groups if name.startswith(prefix))
                return {"logGroups": [{"logGroupName": name} for name in names]}
        raise Refused("UnknownOperationException", action)

    def _where(self, group: str, start_ms: int, end_ms: int) -> str:
        if group not in self.groups:
            said = "The specified log group does not exist."
            raise Refused("ResourceNotFoundException", said)
        seen = "true" if self.now_ms is None else f"ingested <= {self.now_ms}"
        return (
            f"log_group = {literal(group)} AND at_ms >= {start_ms} AND at_ms <= {end_ms} AND {seen}"
        )

    def _filter_log_events(self, body: dict[str, Any], bend: str) -> dict[str, Any]:
        where = self._where(body["logGroupName"], body["startTime"], body["endTime"])
        try:
            pattern = read_pattern(body.get("filterPattern", ""))
        except Malformed as error:
            raise Refused("InvalidParameterException", f"Invalid filter pattern: {error}") from None
        token = body.get("nextToken", "")
        at, event, nonce = json.loads(base64.b64decode(token)) if token else (-1, "", 0)
        after = f"(at_ms > {at} OR (at_ms = {at} AND id > {literal(event)}))"
        found = (
            self.database.table("events")
            .filter(f"{where} AND {after} AND ({pattern})")
            .project("at_ms, ingested, id, stream, message")
            .order("at_ms, id")
            .limit(self.page_events + 1)
            .fetchall()
        )
        kept: list[tuple[Any, ...]] = []
        size = 0
        for row in found[: self.page_events]:
            size += len(row[4].encode()) + 26
            if kept and size > self.page_bytes:
                break
            kept.append(row)
        events = [dict(zip(EVENT, row, strict=True)) for row in kept]
        here = token or _token(-1, "", 0)
        if bend == "stuck":
            return {"events": [], "searchedLogStreams": [], "nextToken": here}
        if bend == "empty":
            return {
                "events": [],
                "searchedLogStreams": [],
                "nextToken": _token(at, event, nonce + 1),
            }
        if bend == "again":
            return {"events": events, "searchedLogStreams": [], "nextToken": here}
        answer: dict[str, Any] = {"events": events, "searchedLogStreams": []}
        if len(kept) < len(found):
            answer["nextToken"] = _token(kept[-1][0], kept[-1][2], 0)
        return answer

    def _start_query(self, body: dict[str, Any]) -> dict[str, Any]:
        running = [q for q in self.queries.values() if not q.is_over and not q.stopped]
        if len(running) >= self.most_queries:
            raise Refused("LimitExceededException", "too many concurrent queries")
        limit = body.get("limit", PAGE)
        if not 1 <= limit <= LIMIT or body["endTime"] < body["startTime"]:
            raise Refused("InvalidParameterException", "limit or time range")
        (group,) = body["logGroupNames"]
        where = self._where(group, body["startTime"] * 1000, body["endTime"] * 1000 + 999)
        try:
            statement = read_query(body["queryString"])
        except Malformed as error:
            raise Refused("MalformedQueryException", str(error)) from None
        query_id = f"query-{len(self.queries)}"
        query = self.queries[query_id] = Query([], {}, self.polls)
        most = min(limit, statement.limit or limit)
        query.work = threading.Thread(target=self._run, args=(query, statement, where, most))
        query.work.start()
        query.work.join(SECONDS_BEFORE_RUNNING)
        return {"queryId": query_id}

    def _run(self, query: Query, statement: Statement, where: str, most: int) -> None:
        """Fills in the answer: beside the other calls, as it takes its time."""
        with self.database.cursor() as database:
            events = database.table("events").filter(where)
            found = statement.answer(statement.rows(events))
            names = found.columns[:-1]
            rows = found.fetchall()
            totals = events.aggregate("count(*), coalesce(sum(strlen(message)), 0)").fetchall()[0]
        query.rows = [
            [
                {"field": name, "value": _shown(value)}
                for name, value in zip(names, row[:-1], strict=True)
                if value is not None
            ]
            for row in rows[:most]
        ]
        query.statistics = {
            "recordsMatched": float(sum(row[-1] for row in rows)),
            "recordsScanned": float(totals[0]),
            "bytesScanned": float(totals[1]),
        }

    def _get_query_results(self, body: dict[str, Any]) -> dict[str, Any]:
        query = self.queries.get(body["queryId"])
        if query is None:
            raise Refused("ResourceNotFoundException", "no such query")
        if query.work is not None and query.work.is_alive():
            self.unanswered.append(("GetQueryResults", body))
            return {"status": "Running", "results": [], "statistics": {}}
        if query.status or query.polls > 0:
            query.polls -= 1
            status = query.status or ("Scheduled" if query.polls else "Running")
            # A running query shows what it has so far.
            part = query.rows[:1] if status == "Running" else []
            return {"status": status, "results": part, "statistics": query.statistics}
        query.is_over = True
        start = int(body.get("nextToken", "0"))
        end = start + min(body.get("maxItems", PAGE), self.page_rows)
        answer: dict[str, Any] = {
            "status": "Complete",
            "results": query.rows[start:end],
            "statistics": query.statistics,
        }
        if end < len(query.rows):
            answer["nextToken"] = str(end)
        return answer

    def gateway(self, path: str) -> tuple[str, dict[str, Any]]:
        """The action of a path of API Gateway, with what was put there."""
        action = "GetStage" if "/stages/" in path else path.rpartition("/")[2]
        if path not in self.stages:
            raise Refused("NotFoundException", "Invalid stage identifier specified", 404)
        return action, self.stages[path]


def _token(at: int, event: str, nonce: int) -> str:
    return base64.b64encode(json.dumps([at, event, nonce]).encode()).decode()


def _shown(value: Any) -> str:
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() else repr(value)
    return str(value)


@contextmanager
def running_service(database: Path | None = None) -> Iterator[Service]:
    """A service on a free port of this machine, its events in memory or in a file."""
    connection = duckdb.connect(str(database) if database else ":memory:")
    connection.execute(
        "CREATE TABLE IF NOT EXISTS events (log_group VARCHAR, at_ms BIGINT, ingested BIGINT, "
        "id VARCHAR, stream VARCHAR, message VARCHAR)"
    )
    service = Service(connection)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            data = self.rfile.read(int(self.headers["Content-Length"]))
            action = self.headers["X-Amz-Target"].removeprefix(TARGET)
            self._reply(action, json.loads(data))

        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            path = unquote(parts.path)
            action = "GetStage" if "/stages/" in path else path.rpartition("/")[2]
            body = {name: values[0] for name, values in parse_qs(parts.query).items()}
            self._reply(action, body | {"path": path}, is_gateway=True)

        def _reply(self, action: str, body: dict[str, Any], is_gateway: bool = False) -> None:
            fault = service.begin(action, body)
            if service.seconds_a_call:
                time.sleep(service.seconds_a_call)
            if fault is not None and not fault.page:
                self._fail(fault)
                return
            try:
                if is_gateway:
                    _, answer = service.gateway(body["path"])
                else:
                    answer = service.answer(action, body, fault.page if fault else "")
            except Refused as error:
                said = {"__type": error.code, "message": str(error)}
                self._send(error.status, said, error.code)
                return
            self._send(200, answer)

        def _fail(self, fault: Fault) -> None:
            if fault.stall_seconds:
                time.sleep(fault.stall_seconds)
            if fault.breaks or not fault.status:
                self.close_connection = True
                return
            code = fault.body.get("__type", "") if isinstance(fault.body, dict) else ""
            self._send(fault.status, fault.body, code, fault.content_type)

        def _send(
            self,
            status: int,
            body: Any,
            code: str = "",
            content_type: str = "application/x-amz-json-1.1",
        ) -> None:
            data = body if isinstance(body, bytes) else json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Type", content_type)
            if code:
                self.send_header("x-amzn-ErrorType", code)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            try:
                self.wfile.write(data)
            except OSError:
                self.close_connection = True

        def date_time_string(self, timestamp: float | None = None) -> str:
            now = time.time() if timestamp is None else timestamp
            return super().date_time_string(int(now + service.clock_ahead_seconds))

        def log_message(self, format: str, *arguments: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    service.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield service
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
        for query in service.queries.values():
            if query.work is not None:
                query.work.join()
        connection.close()

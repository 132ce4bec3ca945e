"""A local server that answers as the Prometheus HTTP API does, or badly."""

from __future__ import annotations

import json
import re
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

START = datetime(2026, 1, 15, 14, 0, tzinfo=UTC)


@dataclass
class FakeClock:
    """A clock that waits at once, and remembers for how long."""

    at: float = 0.0
    slept: list[float] = field(default_factory=list)
    real: bool = False

    def now(self) -> datetime:
        return START + timedelta(seconds=self.monotonic())

    def monotonic(self) -> float:
        return time.monotonic() if self.real else self.at

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.at += seconds


@dataclass(frozen=True)
class Reply:
    """One answer: a status with a body, or what goes wrong in its place."""

    body: Any = None
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    breaks: str = ""  # `before` any answer, or `within` its body
    stalls: bool = False  # sends the head, and then nothing until the test is over


@dataclass(frozen=True)
class Asked:
    """One request as it came."""

    method: str
    path: str
    parameters: Mapping[str, str]
    headers: Mapping[str, str]
    target: str
    body: bytes


def success(data: Any, **more: Any) -> Reply:
    return Reply({"status": "success", "data": data, **more})


def refusal(kind: str, message: str, status: int = 400, **headers: str) -> Reply:
    body = {"status": "error", "errorType": kind, "error": message}
    return Reply(body, status, {k.replace("_", "-"): v for k, v in headers.items()})


@dataclass
class Service:
    """`answer` is asked first, and the stored metrics where it has no reply (None)."""

    url: str = ""
    asked: list[Asked] = field(default_factory=list)
    answer: Callable[[Asked], Reply | None] = lambda asked: None
    names: tuple[str, ...] = ("grpc_client_handling_seconds_bucket", "grpc_client_handled_total")
    labels: tuple[str, ...] = ("__name__", "le", "job", "instance", "grpc_service", "grpc_method")
    interval: float = 15.0
    metadata: Mapping[str, Any] = field(default_factory=dict)
    value: str = "0.5"
    bounds: tuple[str, ...] = ("0.5", "1", "+Inf")
    warnings: tuple[str, ...] = ()
    over: threading.Event = field(default_factory=threading.Event)
    clock_ahead_seconds: float = 0.0

    def paths(self) -> list[str]:
        return [one.path.rpartition("/api/v1/")[2] for one in self.asked]

    def ranges(self) -> list[Asked]:
        return [one for one in self.asked if one.path.endswith("/query_range")]

    def reply(self, asked: Asked) -> Reply:
        self.asked.append(asked)
        return self.answer(asked) or self._stored(asked)

    def _stored(self, asked: Asked) -> Reply:
        parameters = asked.parameters
        match asked.path.rpartition("/api/v1/")[2]:
            case "label/__name__/values":
                wanted = re.search(r'__name__=~"([^"]*)"', parameters["match[]"])
                pattern = wanted[1] if wanted else ""
                return success([name for name in self.names if re.fullmatch(pattern, name)])
            case "labels":
                labels = self.labels
                if "handled_total" in parameters["match[]"]:
                    labels = (*labels, "grpc_code")
                return success(labels)
            case "metadata":
                return success(self.metadata)
            case "query":
                return success(self._instant(parameters))
            case "query_range":
                return success(self._range(parameters), warnings=list(self.warnings))
        return Reply(b"404 page not found", 404, {"Content-Type": "text/plain"})

    def _instant(self, parameters: Mapping[str, str]) -> Mapping[str, Any]:
        result: list[Mapping[str, Any]]
        at, query = float(parameters["time"]), parameters["query"]
        series = {"job": "orders", "grpc_service": "inv.Inv", "grpc_method": "Reserve"}
        if query.startswith("topk"):
            return {"resultType": "vector", "result": [{"metric": series, "value": [at, "4"]}]}
        if query.startswith("count by"):
            result = [{"metric": series | {"le": le}, "value": [at, "1"]} for le in self.bounds]
            return {"resultType": "vector", "result": result}
        values = [[at - n * self.interval, str(n)] for n in range(9, -1, -1)]
        return {"resultType": "matrix", "result": [{"metric": series, "values": values}]}

    def _range(self, parameters: Mapping[str, str]) -> Mapping[str, Any]:
        start, end, step = (float(parameters[key]) for key in ("start", "end", "step"))
        series = {"job": "orders", "grpc_service": "inv.Inv", "grpc_method": "Reserve"}
        if "grpc_code" in parameters["query"]:
            series["grpc_code"] = "DeadlineExceeded"
        points = round((end - start) / step) + 1
        values = [[start + n * step, self.value] for n in range(points)]
        return {"resultType": "matrix", "result": [{"metric": series, "values": values}]}


@contextmanager
def running_service() -> Iterator[Service]:
    """A service on a free port of this machine."""
    service = Service()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._answer(b"")

        def do_POST(self) -> None:
            self._answer(self.rfile.read(int(self.headers["Content-Length"])))

        def _answer(self, data: bytes) -> None:
            parts = urlsplit(self.path)
            given = dict(parse_qsl(parts.query + data.decode("latin-1"), keep_blank_values=True))
            headers = dict(self.headers.items())
            reply = service.reply(Asked(self.command, parts.path, given, headers, self.path, data))
            self.close_connection = True
            if reply.breaks == "before":
                return
            body = reply.body if isinstance(reply.body, bytes) else json.dumps(reply.body).encode()
            self.send_response(reply.status)
            for name, value in reply.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if reply.stalls:
                self.wfile.flush()
                service.over.wait(10)
                return
            self.wfile.write(body[: len(body) // 2] if reply.breaks == "within" else body)

        def date_time_string(self, timestamp: float | None = None) -> str:
            return formatdate(time.time() + service.clock_ahead_seconds, usegmt=True)

        def log_message(self, format: str, *arguments: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    service.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield service
    finally:
        service.over.set()
        server.shutdown()
        server.server_close()
        thread.join()

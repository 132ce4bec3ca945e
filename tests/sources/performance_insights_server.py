"""A local server that answers as RDS Performance Insights does, in JSON 1.1, or badly."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

TARGET = "PerformanceInsightsv20180227.GetResourceMetrics"


@dataclass(frozen=True)
class Reply:
    """One answer: a status with a body, or a connection that breaks before any."""

    body: Any = None
    status: int = 200
    content_type: str = "application/x-amz-json-1.1"
    breaks: bool = False


def page(*series: Mapping[str, Any], token: str | None = None) -> Reply:
    """A page of series; every page says the aligned window."""
    body: dict[str, Any] = {
        "AlignedStartTime": 1768486800.0,
        "AlignedEndTime": 1768486804.0,
        "Identifier": "db-LAB",
        "MetricList": list(series),
    }
    return Reply(body | ({"NextToken": token} if token else {}))


def series(values: Sequence[float | None], **dimensions: str) -> dict[str, Any]:
    """A series of points, one a second from the aligned start; `__` in a name is a dot."""
    key: dict[str, Any] = {"Metric": "db.load.avg"}
    if dimensions:
        key["Dimensions"] = {f"db.{k.replace('__', '.')}": v for k, v in dimensions.items()}
    points = [{"Timestamp": 1768486800.0 + n, "Value": value} for n, value in enumerate(values)]
    return {"Key": key, "DataPoints": points}


def refused(code: str, message: str = "no", status: int = 400) -> Reply:
    """An error in the shape of the protocol."""
    return Reply({"__type": code, "Message": message}, status)


@dataclass
class Service:
    """What the server answers to each group, one reply after the other; the last one stays."""

    url: str = ""
    replies: dict[str, list[Reply]] = field(default_factory=dict)
    asked: list[dict[str, Any]] = field(default_factory=list)
    targets: set[str] = field(default_factory=set)

    def answer(self, group: str, *replies: Reply) -> None:
        self.replies[group] = list(replies)

    def next_reply(self, target: str, body: dict[str, Any]) -> Reply:
        self.asked.append(body)
        self.targets.add(target)
        left = self.replies.get(body["MetricQueries"][0]["GroupBy"]["Group"], [page(series([]))])
        return left.pop(0) if len(left) > 1 else left[0]


@contextmanager
def running_service() -> Iterator[Service]:
    """A service on a free port of this machine."""
    service = Service()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            data = self.rfile.read(int(self.headers["Content-Length"]))
            reply = service.next_reply(self.headers["X-Amz-Target"], json.loads(data))
            if reply.breaks:
                self.close_connection = True
                return
            body = reply.body if isinstance(reply.body, bytes) else json.dumps(reply.body).encode()
            self.send_response(reply.status)
            self.send_header("Content-Type", reply.content_type)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *arguments: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    service.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield service
    finally:
        server.shutdown()
        server.server_close()
        thread.join()

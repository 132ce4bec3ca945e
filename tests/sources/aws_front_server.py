"""One local address for all services of an AWS account: each request goes on to its own server."""

from __future__ import annotations

import http.client
import re
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

from tests.sources.cloudwatch_logs_server import Service
from tests.sources.cloudwatch_metrics_server import CloudWatch, running_cloudwatch
from tests.sources.gateway_scene import running_stage
from tests.sources.s3_server import Bucket, running_bucket

_OF_REST_API = re.compile(r"/restapis/[^/]+")
_DROPPED = ("connection", "transfer-encoding", "content-length")


@dataclass
class Account:
    """The services behind `url`, with one REST stage in the logs."""

    url: str
    logs: Service
    metrics: CloudWatch
    bucket: Bucket

    def clear(self) -> None:
        """Forgets what the services hold, did wrong and were asked; the stage stays."""
        self.metrics.clear()
        self.bucket.clear()
        self.logs.calls.clear()
        self.logs.faults.clear()
        self.logs.clock_ahead_seconds = 0.0
        with self.logs.lock:
            self.logs.database.execute("DELETE FROM events")

    def behind(self, path: str, target: str) -> str:
        if target.startswith("Logs_"):
            return self.logs.url
        if target.startswith("Granite") or _OF_REST_API.fullmatch(path):
            return self.metrics.url
        is_gateway = path.startswith(("/restapis/", "/v2/apis/"))
        return self.logs.url if is_gateway else self.bucket.url


@contextmanager
def running_account(database: Path | None = None) -> Iterator[Account]:
    """All services on free ports of this machine."""
    with ExitStack() as stack:
        logs = stack.enter_context(running_stage(database=database))
        metrics = stack.enter_context(running_cloudwatch())
        bucket = stack.enter_context(running_bucket())
        account = Account("", logs, metrics, bucket)

        class Handler(BaseHTTPRequestHandler):
            disable_nagle_algorithm = True

            def do_GET(self) -> None:
                self._pass(b"")

            def do_POST(self) -> None:
                self._pass(self.rfile.read(int(self.headers["Content-Length"])))

            def _pass(self, body: bytes) -> None:
                target = self.headers.get("X-Amz-Target", "")
                place = urlsplit(account.behind(urlsplit(self.path).path, target)).netloc
                connection = http.client.HTTPConnection(place, timeout=10)
                self.close_connection = True
                try:
                    headers = dict(self.headers.items())
                    connection.request(self.command, self.path, body or None, headers)
                    reply = connection.getresponse()
                    data = reply.read()
                except (http.client.HTTPException, OSError):
                    return
                finally:
                    connection.close()
                self.send_response_only(reply.status)
                for name, value in reply.headers.items():
                    if name.lower() not in _DROPPED:
                        self.send_header(name, value)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, format: str, *arguments: object) -> None:
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        account.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        try:
            yield account
        finally:
            server.shutdown()
            server.server_close()
            thread.join()

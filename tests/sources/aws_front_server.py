"""One local address for all services of an AWS account: each request goes on to its own server."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from tests.sources.cloudwatch_logs_server import Service
from tests.sources.cloudwatch_metrics_server import CloudWatch, running_cloudwatch
from tests.sources.gateway_scene import running_stage
from tests.sources.local_server import LocalHandler, serving
from tests.sources.s3_server import Bucket, running_bucket

_OF_REST_API = re.compile(r"/restapis/[^/]+")


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

        class Handler(LocalHandler):
            def do_GET(self) -> None:
                self.do_POST()

            def do_POST(self) -> None:
                target = self.headers.get("X-Amz-Target", "")
                self.pass_on(account.behind(urlsplit(self.path).path, target), self.body())

        account.url = stack.enter_context(serving(Handler))
        yield account

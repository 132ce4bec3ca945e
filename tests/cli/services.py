"""INC-2847 as the services would serve it: Datadog, CloudWatch Logs and metrics, API Gateway.

Everything comes from the raw files of the sample, so that its own report is the truth for what the
command line makes of the services' answers.
"""

from __future__ import annotations

import gzip
import http.client
import json
import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import MappingProxyType
from typing import Any
from urllib.parse import urlsplit

import pandas as pd

from tests.cli.running import Ran, environment
from tests.sources import cloudwatch_logs_server as logs_server
from tests.sources import cloudwatch_metrics_server as metrics_server
from tests.sources import datadog_server

RAW = Path(__file__).parents[2] / "samples" / "inc-2847" / "raw"
WINDOW = ("--from", "2026-01-15T14:10:00Z", "--to", "2026-01-15T14:55:00Z")
# Well after the window, so that nothing is provisional any more.
ASKED_AT = datetime(2026, 1, 15, 15, 30, tzinfo=UTC)
ACCESS = "/aws/apigateway/shop-prod-access"
POSTGRES = "/aws/rds/instance/inventory-db/postgresql"
API_NAME = "shop"
LOG_LINE_PREFIX = "%m:%r:%u@%d:[%p]:%c:%a "
# The variables of the sample's access log, by their keys in its lines.
KEYS = {
    "requestTimeEpoch": "requestTimeEpoch",
    "requestTime": "requestTime",
    "requestId": "requestId",
    "extendedRequestId": "extendedRequestId",
    "httpMethod": "httpMethod",
    "resourcePath": "resourcePath",
    "status": "status",
    "integrationStatus": "integrationStatus",
    "integration.status": "integration.status",
    "integrationLatency": "integrationLatency",
    "responseLatency": "responseLatency",
    "errorResponseType": "error.responseType",
    "errorMessage": "error.message",
    "integrationErrorMessage": "integrationErrorMessage",
    "sourceIp": "identity.sourceIp",
}
SECRETS = {
    "DD_API_KEY": datadog_server.API_KEY,
    "DD_APP_KEY": datadog_server.APP_KEY,
    "AWS_ACCESS_KEY_ID": "AKIDSHOPREADER01",
    "AWS_SECRET_ACCESS_KEY": "wJalrXUtnFEMIK7MDENGbPxRfiCYsecretkey",
    "AWS_SESSION_TOKEN": "FwoGZXIvYXdzEtokenOfTheSession",
}
TOPOLOGY = """
[clock_offset_seconds]
postgres = [-0.05, 0.05]
grpc_metrics = [-1.0, 1.0]
gateway = [-0.5, 0.5]
changes = [-1.0, 1.0]

[services.inventory]
grpc = ["inventory.Inventory/Reserve"]
tables = ["public.stock_reservations"]
pool_size = 100

[services.payments]
grpc = ["payments.Payments/CreateIntent"]

[[routes]]
method = "POST"
path = "/api/orders"
calls = ["inventory.Inventory/Reserve"]
timeout_seconds = 60

[[routes]]
method = "GET"
path = "/api/inventory/{sku}"
calls = ["inventory.Inventory/Reserve"]
timeout_seconds = 29

[[routes]]
method = "POST"
path = "/api/payments/intent"
calls = ["payments.Payments/CreateIntent"]
follows = ["POST /api/orders"]
timeout_seconds = 29

[[routes]]
method = "GET"
path = "/api/orders/{id}"
timeout_seconds = 29
"""


@dataclass
class Front:
    """The one address of an AWS account: it hands each request to the service that answers it.

    `holds` makes the services named in it answer nothing until it is empty again.
    """

    url: str = ""
    clock_ahead_seconds: float = 0.0
    holds: set[str] = field(default_factory=set)
    released: threading.Event = field(default_factory=threading.Event)
    headers: list[dict[str, str]] = field(default_factory=list)

    def hold(self, *services: str) -> None:
        self.released.clear()
        self.holds |= set(services)

    def release(self) -> None:
        self.holds.clear()
        self.released.set()


@dataclass
class Services:
    """All of them, and how to ask them by the command line."""

    datadog: datadog_server.Service
    logs: logs_server.Service
    metrics: metrics_server.CloudWatch
    aws: Front
    recordings: Path
    clock: Path

    def settings(
        self, folder: Path, *, without: Sequence[str] = (), more: str = "", **endpoints: str
    ) -> Path:
        """Writes the settings that name all but some of them, perhaps at other addresses."""
        urls = {"datadog": self.datadog.url, "aws": self.aws.url} | endpoints
        tables = {
            "datadog": f'[[datadog]]\nendpoint = "{urls["datadog"]}"\nscope = "env:prod"\n',
            "aws": (
                f'[[aws]]\nname = "shop"\nregion = "eu-west-1"\nendpoint = "{urls["aws"]}"\n'
                f'stages = ["rest:a1b2c3/prod"]\npostgres_logs = ["{POSTGRES}"]\n'
            ),
        }
        named = [text for name, text in tables.items() if name not in without]
        path = folder / "incident-rca.toml"
        postgres = (
            f'[postgres]\nrecordings = "{self.recordings}"\nlog_line_prefix = "{LOG_LINE_PREFIX}"\n'
        )
        path.write_text("\n".join([postgres, *named, more, TOPOLOGY]), encoding="utf-8")
        return path

    def set_clock(self, now: datetime) -> None:
        """All clocks show this instant from now on; what is ingested later is not seen yet."""
        ahead = (now - datetime.now(UTC)).total_seconds()
        self.datadog.clock_ahead_seconds = self.aws.clock_ahead_seconds = ahead
        self.logs.now_ms = int(now.timestamp() * 1000)
        part = self.clock.with_suffix(".part")
        part.write_text(str(ahead), encoding="utf-8")
        part.replace(self.clock)

    def command(self, *words: object) -> list[str]:
        """The words of a process whose clock is that of the services."""
        return [sys.executable, "-m", "tests.cli.other_time", str(self.clock), *map(str, words)]

    def environment(self, folder: Path, changed: Mapping[str, str | None]) -> dict[str, str]:
        """The environment of a user who has all keys; None takes a variable away."""
        root = str(Path(__file__).parents[2])
        of_aws = {
            "AWS_CONFIG_FILE": str(folder / "no-config"),
            "AWS_SHARED_CREDENTIALS_FILE": str(folder / "no-credentials"),
            "AWS_EC2_METADATA_DISABLED": "true",
        }
        found: dict[str, str | None] = {
            **environment(folder), "PYTHONPATH": root, **SECRETS, **of_aws, **changed
        }  # fmt: skip
        return {name: value for name, value in found.items() if value is not None}

    def run(
        self,
        folder: Path,
        *words: object,
        environ: Mapping[str, str | None] = MappingProxyType({}),
    ) -> Ran:
        """Runs a command in a folder to its end."""
        done = subprocess.run(
            self.command(*words),
            cwd=folder,
            env=self.environment(folder, environ),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
            timeout=60,
        )
        ran = Ran(done.returncode, done.stdout.decode(), done.stderr.decode())
        assert "Traceback" not in ran.out + ran.err, ran.err
        return ran

    @contextmanager
    def started(self, folder: Path, *words: object) -> Iterator[subprocess.Popen[str]]:
        """A command that is under way; killed at the end if it still is."""
        process = subprocess.Popen(
            self.command(*words),
            cwd=folder,
            env=self.environment(folder, {}),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        try:
            yield process
        finally:
            process.kill()
            process.communicate()

    def asked(self) -> list[str]:
        """Every request so far, as text that tells one from another; no poll that got no answer."""
        answered = list(self.logs.calls)
        for poll in self.logs.unanswered:
            answered.remove(poll)
        heard = [f"datadog {h.method} {h.target} {json.dumps(h.body)}" for h in self.datadog.heard]
        calls = [f"{action} {json.dumps(body, sort_keys=True)}" for action, body in answered]
        points = [f"GetMetricData {json.dumps(body)}" for body in self.metrics.asked]
        return [*heard, *calls, *points]

    def forget(self) -> None:
        """No faults and no requests any more, and it is ASKED_AT again."""
        self.set_clock(ASKED_AT)
        self.aws.release()
        self.aws.headers.clear()
        self.datadog.heard.clear()
        self.datadog.faults.clear()
        self.datadog.latency_seconds = 0.0
        self.logs.calls.clear()
        self.logs.unanswered.clear()
        self.logs.faults.clear()
        self.logs.seconds_a_call = 0.0
        self.metrics.asked.clear()
        self.metrics.paths.clear()
        self.metrics.faults.clear()


@contextmanager
def running_services(folder: Path) -> Iterator[Services]:
    """All services, empty; their clocks and that of the command line show ASKED_AT."""
    with ExitStack() as stack:
        datadog = stack.enter_context(datadog_server.running_service())
        logs = stack.enter_context(logs_server.running_service())
        metrics = stack.enter_context(metrics_server.running_cloudwatch())
        front = stack.enter_context(_running_front(logs.url, metrics.url))
        services = Services(datadog, logs, metrics, front, folder / "recordings", folder / "clock")
        services.set_clock(ASKED_AT)
        yield services


@contextmanager
def incident(folder: Path) -> Iterator[Services]:
    """All services with what they hold of INC-2847."""
    with running_services(folder) as services:
        put_datadog(services.datadog)
        put_stage(services)
        put_access_log(services, RAW / "access.ndjson.gz")
        put_day_before(services.logs)
        put_postgres_log(services.logs)
        put_recording(services.recordings)
        yield services


# --- what they hold -------------------------------------------------------------------------------


def put_datadog(service: datadog_server.Service) -> None:
    """The series and changes of the sample, all of them of env:prod."""
    latency = datadog_server.Described(interval=10)
    gauge = datadog_server.Described(type="gauge", unit=None, answers_unit=None, interval=10)
    for name in ("grpc-p99", "grpc-count", "pool"):
        envelope = json.loads((RAW / f"{name}.datadog.json").read_text(encoding="utf-8"))
        for stored in datadog_server.stored_of(envelope):
            tagged = datadog_server.Stored(
                stored.metric, stored.aggregate, {**stored.tags, "env": "prod"}, stored.points
            )
            service.hold(stored.metric, gauge if name == "pool" else latency, tagged)
    changes = json.loads((RAW / "changes.datadog.json").read_text(encoding="utf-8"))
    service.events = changes["response"]["data"]


def put_stage(services: Services) -> None:
    """The stage, with the format of the sample's access log and its routes' time-outs."""
    arn = f"arn:aws:logs:eu-west-1:123456789012:log-group:{ACCESS}"
    text = json.dumps({key: f"$context.{name}" for key, name in KEYS.items()})
    services.logs.stages["/restapis/a1b2c3/stages/prod"] = {
        "stageName": "prod",
        "accessLogSettings": {"destinationArn": arn, "format": text},
        "methodSettings": {"*/*": {"loggingLevel": "OFF"}},
    }
    timeouts = {"orders": 60_000, "inventory": 29_000}
    services.logs.stages["/restapis/a1b2c3/resources"] = {
        "item": [
            {
                "id": name,
                "path": f"/api/{name}",
                "resourceMethods": {"ANY": {"methodIntegration": {"timeoutInMillis": limit}}},
            }
            for name, limit in timeouts.items()
        ]
    }
    services.logs.groups |= {ACCESS, POSTGRES}
    services.metrics.api_names["a1b2c3"] = API_NAME
    services.metrics.dimensions = {"ApiName": API_NAME, "Stage": "prod"}
    services.metrics.units = {
        "5XXError": "Count",
        "4XXError": "Count",
        "Count": "Count",
        "Latency": "Milliseconds",
        "IntegrationLatency": "Milliseconds",
    }


def put_access_log(services: Services, path: Path) -> None:
    """The lines as events of the instant in which each request ended, and what they count to."""
    put_requests(services, gzip.decompress(path.read_bytes()).decode().splitlines())


def put_requests(services: Services, lines: list[str]) -> None:
    """Lines of the access log; one that is no JSON was written when the one before was."""
    events: list[tuple[int, str]] = []
    samples = services.metrics.samples
    for line in lines:
        row = object_of(line)
        if row is None:
            events.append((events[-1][0], line))
            continue
        arrived_ms, status = int(row["requestTimeEpoch"]), int(row["status"])
        latency_ms = int(row["responseLatency"])
        events.append((arrived_ms + latency_ms, line))
        at = (arrived_ms + latency_ms) / 1000
        samples.setdefault("Count", []).append((at, 1.0))
        samples.setdefault("5XXError", []).append((at, float(status >= 500)))
        samples.setdefault("4XXError", []).append((at, float(400 <= status < 500)))
        samples.setdefault("Latency", []).append((at, float(latency_ms)))
        if row["integrationLatency"] != "-":
            measured = float(row["integrationLatency"])
            samples.setdefault("IntegrationLatency", []).append((at, measured))
    services.logs.put(ACCESS, events)


def object_of(line: str) -> dict[str, Any] | None:
    try:
        found = json.loads(line)
    except ValueError:
        return None
    return found if isinstance(found, dict) else None


def day_before() -> pd.DataFrame:
    """The requests of the 24 hours before, spread evenly over the hour in which each was counted.

    Columns: at_ms, method, route, status.
    """
    document = json.loads((RAW / "baseline-24h.insights.json").read_text(encoding="utf-8"))
    start_ms, end_ms = (
        int(document["request"][key]) * 1000 + more
        for key, more in (("startTime", 0), ("endTime", 1000))
    )
    parts = []
    for result in document["response"]["results"]:
        cells = {cell["field"]: cell["value"] for cell in result}
        hour = datetime.fromisoformat(cells["bin(1h)"]).replace(tzinfo=UTC)
        first = int(hour.timestamp() * 1000)
        begin, end = max(first, start_ms), min(first + 3_600_000, end_ms)
        count = int(cells["requests"])
        at_ms = [begin + (end - begin) * n // count for n in range(count)]
        method, route = cells["httpMethod"], cells["resourcePath"]
        status = cells["status"]
        parts.append(
            pd.DataFrame({"at_ms": at_ms, "method": method, "route": route, "status": status})
        )
    return pd.concat(parts, ignore_index=True)


def put_day_before(service: logs_server.Service) -> None:
    """The lines of the 24 hours before; of their keys only those that a count needs."""
    rows = day_before()
    messages = (
        '{"requestTimeEpoch":"'
        + rows["at_ms"].astype(str)
        + '","httpMethod":"'
        + rows["method"]
        + '","resourcePath":"'
        + rows["route"]
        + '","status":"'
        + rows["status"]
        + '"}'
    )
    frame = pd.DataFrame(
        {
            "log_group": ACCESS,
            "at_ms": rows["at_ms"],
            "ingested": rows["at_ms"],
            "id": "d" + rows.index.astype(str),
            "stream": "stream-0",
            "message": messages,
        }
    )
    service.database.append("events", frame)


def put_postgres_log(service: logs_server.Service) -> None:
    """The lines of the server's log as RDS publishes them: text, an event for each record."""
    lines = gzip.decompress((RAW / "postgresql.jsonlog.gz").read_bytes()).decode().splitlines()
    events = []
    for row in map(json.loads, lines):
        at = datetime.fromisoformat(row["timestamp"].replace(" UTC", "+00:00"))
        events.append((round(at.timestamp() * 1000), in_stderr_format(row)))
    service.put(POSTGRES, events)


def in_stderr_format(row: Mapping[str, Any]) -> str:
    """A record of jsonlog as stderr has it with LOG_LINE_PREFIX."""
    host = f"{row['remote_host']}({row['remote_port']})" if "remote_host" in row else ""
    prefix = (
        f"{row['timestamp']}:{host}:{row.get('user', '')}@{row.get('dbname', '')}:[{row['pid']}]:"
        f"{row['session_id']}:{row.get('application_name', '')} "
    )
    parts = {row["error_severity"]: "message", "DETAIL": "detail", "HINT": "hint",
             "CONTEXT": "context", "STATEMENT": "statement"}  # fmt: skip
    return "\n".join(
        prefix + f"{label}:  {row[key]}".replace("\n", "\n\t")
        for label, key in parts.items()
        if key in row
    )


def put_recording(folder: Path) -> None:
    """The lock recording as the recorder would have left it: a segment of one server."""
    path = folder / "inventory-db" / "locks-20260115T141000Z.ndjson"
    path.parent.mkdir(parents=True)
    path.write_bytes(gzip.decompress((RAW / "locks.recording.ndjson.gz").read_bytes()))
    last = datetime(2026, 1, 15, 14, 55, tzinfo=UTC).timestamp()
    os.utime(path, (last, last))


# --- the front ------------------------------------------------------------------------------------


@contextmanager
def _running_front(logs_url: str, metrics_url: str) -> Iterator[Front]:
    front = Front()
    urls = {"logs": logs_url, "apigateway": logs_url, "cloudwatch": metrics_url}

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            # One server has the stages, the other the names of the APIs.
            is_name = re.fullmatch(r"/restapis/[^/]+", urlsplit(self.path).path)
            self._hand_on("cloudwatch" if is_name else "apigateway", b"")

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            is_log = self.headers["X-Amz-Target"].startswith(logs_server.TARGET)
            self._hand_on("logs" if is_log else "cloudwatch", body)

        def _hand_on(self, service: str, body: bytes) -> None:
            front.headers.append(dict(self.headers))
            if service in front.holds:
                front.released.wait(60)
                self.close_connection = True
                return
            address = urlsplit(urls[service]).netloc
            connection = http.client.HTTPConnection(address, timeout=60)
            try:
                connection.request(self.command, self.path, body or None, dict(self.headers))
                answer = connection.getresponse()
                data = answer.read()
            except (OSError, http.client.HTTPException):
                self.close_connection = True
                return
            finally:
                connection.close()
            self.send_response(answer.status)
            for name, value in answer.getheaders():
                if name.lower() not in ("date", "server", "connection", "transfer-encoding"):
                    self.send_header(name, value)
            self.end_headers()
            try:
                self.wfile.write(data)
            except OSError:
                self.close_connection = True

        def date_time_string(self, timestamp: float | None = None) -> str:
            return formatdate(time.time() + front.clock_ahead_seconds, usegmt=True)

        def log_message(self, format: str, *arguments: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    front.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield front
    finally:
        front.release()
        server.shutdown()
        server.server_close()
        thread.join()

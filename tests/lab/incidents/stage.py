"""One scene from its first request to its case folder: load, actor, evidence, report."""

from __future__ import annotations

import gzip
import json
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg

from tests.lab.incidents.load import Basket, Rush, schedule, send_all, usual_basket
from tests.lab.incidents.recordings import SETTINGS, TRUTH
from tests.lab.incidents.stack import ROOT, Build, Stack, post, recorder, running_stack
from tests.lab.incidents.truth import DATABASE, Expected, Measured, as_json

# Quiet seconds before the actor does anything: what is usual is read from them.
LEAD_SECONDS = 9.0
METRICS = {
    "grpc-p99": (
        "p99:grpc.client.duration{*} by {service,rpc.service,rpc.method}",
        "p99:grpc.server.duration{*} by {service,rpc.service,rpc.method}",
    ),
    "grpc-count": (
        "sum:grpc.client.handled{*} by {service,grpc.service,grpc.method,grpc.code}.as_count()",
    ),
    "pool": (
        "max:db.client.connections.usage{state:used} by {pool.name}",
        "max:db.client.connections.max{*} by {pool.name}",
        "max:db.client.connections.pending_requests{*} by {pool.name}",
    ),
}
TEMPLATE = """# The lab runs twenty times as fast as production: its gateway waits 1.5 s, not 29 s.
[analysis]
plausible_deadline_seconds = 0.5

# All programs read the clock of one machine; metrics are kept by the second.
[clock_offset_seconds]
postgres = [-0.05, 0.05]
grpc_metrics = [-0.05, 0.05]
gateway = [{low}, {high}]
changes = [-0.05, 0.05]

[services.inventory]
grpc = ["inventory.Inventory/Reserve", "inventory.Inventory/GetStock"]
tables = ["public.stock", "public.stock_reservations"]
pool_size = {pool_size}

[services.payments]
grpc = ["payments.Payments/CreateIntent"]

[[routes]]
method = "POST"
path = "/api/orders"
calls = ["inventory.Inventory/Reserve"]
timeout_seconds = {limit}

[[routes]]
method = "GET"
path = "/api/inventory/{{sku}}"
calls = ["inventory.Inventory/GetStock"]
timeout_seconds = {limit}

[[routes]]
method = "POST"
path = "/api/payments/intent"
calls = ["payments.Payments/CreateIntent"]
timeout_seconds = {limit}

[[routes]]
method = "GET"
path = "/api/orders/{{id}}"
timeout_seconds = {limit}
"""


@dataclass
class Stage:
    """What an actor has: the programs, the second of the scene, and notes of what is true."""

    stack: Stack
    began: float
    measured: Measured = field(default_factory=Measured)
    sessions: list[psycopg.Connection] = field(default_factory=list)

    @property
    def second(self) -> float:
        """The second of the scene."""
        return time.monotonic() - self.began

    def until(self, second: float) -> None:
        """Returns at a second of the scene."""
        time.sleep(max(0.0, second - self.second))

    def session(self, application: str) -> psycopg.Connection:
        """A session of the actor, in autocommit mode."""
        made = self.stack.server.connect(DATABASE, application_name=application)
        self.sessions.append(made)
        return made

    def beginning(self, name: str) -> AbstractContextManager[None]:
        """Notes that a cause began within this block."""
        return _noted(self.measured.began, name)

    def ending(self, name: str) -> AbstractContextManager[None]:
        """Notes that a cause ended within this block."""
        return _noted(self.measured.ended, name)


@contextmanager
def _noted(notes: dict[str, tuple[str, str]], name: str) -> Iterator[None]:
    before = rfc3339(datetime.now(UTC))
    yield
    notes[name] = (before, rfc3339(datetime.now(UTC)))


Script = Callable[[Stage], None]
USUAL = Build()


@dataclass(frozen=True)
class Scene:
    """A scene: what is true of it, how long it is, how it is set up, and what its actor does."""

    script: Script
    expected: Expected
    seconds: float
    build: Build = USUAL
    rushes: tuple[Rush, ...] = ()
    basket: Basket = usual_basket
    gateway_clock: tuple[float, float] = (-0.05, 0.05)
    symptom: str = "Orders fail"

    @property
    def name(self) -> str:
        return self.script.__name__

    @property
    def about(self) -> str:
        """The first line of what its script says of itself."""
        return (self.script.__doc__ or "").partition("\n")[0]


def rfc3339(at: datetime) -> str:
    """As the product writes instants."""
    return at.isoformat().replace("+00:00", "Z")


def run(scene: Scene, case: Path) -> dict[str, Any]:
    """Plays a scene and leaves its case in a new folder, with its truth, settings and report.

    Returns the report.
    """
    with tempfile.TemporaryDirectory(prefix="incident-rca-lab-") as temporary:
        work = Path(temporary)
        with running_stack(scene.build, work) as stack:
            start, end, measured = _play(scene, stack)
            files = list(_evidence(scene.build, stack, start, end))
        settings = work / SETTINGS
        settings.write_text(_settings(scene), encoding="utf-8")
        window = ["--from", rfc3339(start), "--to", rfc3339(end), "--config", str(settings)]
        command("import", case, *files, *window, "--title", scene.symptom)
        shutil.copyfile(settings, case / SETTINGS)
    truth = as_json(scene.name, scene.about, scene.expected, measured)
    (case / TRUTH).write_text(json.dumps(truth, indent=1) + "\n", encoding="utf-8")
    return report_of(case)


def _settings(scene: Scene) -> str:
    low, high = scene.gateway_clock
    build = scene.build
    return TEMPLATE.format(pool_size=build.pool_size, limit=build.limit_seconds, low=low, high=high)


def report_of(case: Path) -> dict[str, Any]:
    """The report of a case, made by the command line."""
    command("report", case)
    made: dict[str, Any] = json.loads((case / "report.json").read_text(encoding="utf-8"))
    return made


def command(*words: object) -> None:
    """Runs a command of the product, which must succeed."""
    line = [sys.executable, "-m", "incident_rca", *map(str, words), "--quiet"]
    done = subprocess.run(line, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{words[0]} ended with {done.returncode}: {done.stderr}"


def _play(scene: Scene, stack: Stack) -> tuple[datetime, datetime, Measured]:
    """Load and actor side by side; the window from the first request to the last answer."""
    stop = threading.Event()
    planned = schedule(scene.seconds, scene.rushes, scene.basket)
    with ExitStack() as ending:
        if scene.build.is_recorded:
            ending.enter_context(recorder(stack))
            time.sleep(1.5)
        time.sleep(1.0 - time.time() % 1.0)
        start, stage = datetime.now(UTC).replace(microsecond=0), Stage(stack, time.monotonic())
        port = stack.gateway_port
        sender = threading.Thread(target=send_all, args=(port, planned, stage.began, stop))
        sender.start()
        try:
            scene.script(stage)
            sender.join()
        finally:
            stop.set()
            sender.join()
            for session in stage.sessions:
                session.close()
        time.sleep(2.0 - time.time() % 1.0)
    end = datetime.now(UTC).replace(microsecond=0)
    # A gateway whose clock is behind has its requests before the first was sent.
    start += timedelta(seconds=min(0.0, scene.build.gateway_ahead_seconds))
    return start, end, stage.measured


def _evidence(build: Build, stack: Stack, start: datetime, end: datetime) -> Iterator[Path]:
    """The files that a user would have: logs as they were written, answers in their envelopes."""
    yield _packed(stack.folder / "access.ndjson")
    if build.has_server_log:
        log = stack.folder / "postgresql.jsonlog"
        log.write_bytes((stack.server.logs / "postgresql.json").read_bytes())
        yield _packed(log)
    for path in sorted((stack.folder / "recordings").rglob("*.ndjson")):
        named = stack.folder / "locks.recording.ndjson"
        named.write_bytes(path.read_bytes())
        yield _packed(named)
    port = stack.programs["agent"].ports["http"]
    for name, queries in METRICS.items():
        envelope = _asked(port, queries, start, end)
        path = stack.folder / f"{name}.datadog.json"
        path.write_text(json.dumps(envelope, separators=(",", ":")), encoding="utf-8")
        yield path


def _packed(path: Path) -> Path:
    packed = path.with_name(f"{path.name}.gz")
    packed.write_bytes(gzip.compress(path.read_bytes(), mtime=0))
    return packed


def _asked(port: int, queries: tuple[str, ...], start: datetime, end: datetime) -> dict[str, Any]:
    """An answer of the agent with its request, in the envelope that a collected answer has."""
    names = [chr(ord("a") + position) for position in range(len(queries))]
    attributes = {
        "from": int(start.timestamp()) * 1000,
        "to": int(end.timestamp()) * 1000,
        "interval": 1000,
        "formulas": [{"formula": name} for name in names],
        "queries": [
            {"data_source": "metrics", "name": name, "query": query}
            for name, query in zip(names, queries, strict=True)
        ],
    }
    path = "/api/v2/query/timeseries"
    body = {"data": {"type": "timeseries_request", "attributes": attributes}}
    asked_at = rfc3339(datetime.now(UTC).replace(microsecond=0))
    return {
        "service": "datadog",
        "request": {"method": "POST", "path": path, "body": body},
        "asked_at": asked_at,
        "response": post(port, path, body),
    }

"""All programs of the lab, running: server, services, gateway, agent and recorder."""

from __future__ import annotations

import json
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.lab.incidents.truth import DATABASE
from tests.lab.servers import Server, running_server

ROOT = Path(__file__).resolve().parents[3]
PROGRAMS = "tests.lab.incidents.services"
PROBE_INTERVAL = "1s"
LONGEST = "5m"  # a recorder ends by itself where nobody is left to end it
END_SECONDS = 10

TABLES = """
CREATE TABLE stock (sku text PRIMARY KEY, quantity int NOT NULL);
CREATE TABLE stock_reservations (id bigint GENERATED ALWAYS AS IDENTITY, sku text, cart int);
CREATE TABLE warehouse_shipments (id bigint GENERATED ALWAYS AS IDENTITY, sku text, parcels int);
INSERT INTO stock SELECT 'sku-' || n, 1000000 FROM generate_series(0, 1999) AS n;
INSERT INTO stock_reservations (sku, cart) SELECT 'sku-0', n FROM generate_series(1, 20000) AS n;
INSERT INTO warehouse_shipments (sku, parcels) SELECT 'sku-0', n FROM generate_series(1, 5000) AS n;
ANALYZE;
"""


@dataclass(frozen=True)
class Build:
    """How the programs of a scene are set up; durations of production, one to twenty."""

    pool_size: int = 6
    patience_seconds: float = 1.2  # how long a caller waits for a connection
    workers: int = 64  # calls that the inventory works on at a time
    limit_seconds: float = 1.5  # the gateway's time-out: 29 s there
    gateway_ahead_seconds: float = 0.0
    lock_timeout_ms: int = 0  # of the inventory's sessions; 0 is none
    is_recorded: bool = True
    has_server_log: bool = True


@dataclass
class Program:
    """One running program: its process, where it serves, and how it was started."""

    name: str
    process: subprocess.Popen[str]
    ports: dict[str, int]
    options: dict[str, Any]


@dataclass
class Stack:
    """The programs by name, and the folder of what they write."""

    build: Build
    server: Server
    folder: Path
    programs: dict[str, Program] = field(default_factory=dict)

    @property
    def dsn(self) -> str:
        return self.server.dsn_of(DATABASE)

    @property
    def gateway_port(self) -> int:
        return self.programs["proxy"].ports["http"]

    @property
    def timings(self) -> int:
        return self.programs["agent"].ports["timings"]

    def tell(self, name: str, **options: Any) -> None:
        """Tells a program what to do from now on."""
        post(self.programs[name].ports["side"], "/control", options)

    def launch(self, *started: tuple[str, dict[str, Any]]) -> None:
        """Starts programs side by side, and returns when all of them serve."""
        under_way = [(name, options, _started(name, options)) for name, options in started]
        for name, options, process in under_way:
            assert process.stdout is not None
            line = process.stdout.readline()
            assert line, f"{name} did not start"
            self.programs[name] = Program(name, process, json.loads(line), options)
            if name in ("inventory", "orders"):
                ports = self.programs[name].ports
                scraped = {"name": f"{name}-service", "port": ports["side"]}
                post(self.programs["agent"].ports["http"], "/scrape", scraped)

    def kill(self, name: str) -> None:
        """Ends a program as a crash does."""
        process = self.programs[name].process
        process.kill()
        process.wait(END_SECONDS)

    def start_again(self, name: str) -> None:
        """Starts a program that was killed, at the port where its callers look for it."""
        program = self.programs[name]
        self.launch((name, {**program.options, "port": program.ports["grpc"]}))

    def close(self) -> None:
        """Ends every program that still runs."""
        for program in reversed(list(self.programs.values())):
            program.process.terminate()
        for program in self.programs.values():
            try:
                program.process.wait(END_SECONDS)
            except subprocess.TimeoutExpired:
                program.process.kill()
                program.process.wait(END_SECONDS)


def post(port: int, path: str, body: Any) -> Any:
    """What a program answers to a JSON request."""
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}{path}",
        json.dumps(body).encode(),
        {"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=10) as answer:
        return json.load(answer)


def _started(name: str, options: dict[str, Any]) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", f"{PROGRAMS}.{name}", json.dumps(options)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


@contextmanager
def running_stack(build: Build, folder: Path) -> Iterator[Stack]:
    """Everything but the recorder, serving; ended at the end."""
    with ExitStack() as end:
        server = end.enter_context(running_server(18))
        with server.connect() as connection:
            connection.execute(f"CREATE DATABASE {DATABASE}".encode())
        with server.connect(DATABASE) as connection:
            connection.execute(TABLES.encode())
        stack = Stack(build, server, folder)
        end.callback(stack.close)
        stack.launch(("agent", {}))
        inventory = {
            "dsn": f"{stack.dsn}?options=-c%20lock_timeout%3D{build.lock_timeout_ms}",
            "pool_size": build.pool_size,
            "patience_seconds": build.patience_seconds,
            "workers": build.workers,
            "port": 0,
            "timings": stack.timings,
        }
        stack.launch(("inventory", inventory), ("payments", {"timings": stack.timings}))
        services = {
            "inventory.Inventory": stack.programs["inventory"].ports["grpc"],
            "payments.Payments": stack.programs["payments"].ports["grpc"],
        }
        stack.launch(("orders", {"services": services, "timings": stack.timings}))
        gateway = {
            "log": str(folder / "access.ndjson"),
            "port": stack.programs["orders"].ports["http"],
            "limit_seconds": build.limit_seconds,
            "ahead_seconds": build.gateway_ahead_seconds,
        }
        stack.launch(("proxy", gateway))
        yield stack


@contextmanager
def recorder(stack: Stack) -> Iterator[None]:
    """`incident-rca record` beside the server, ended by SIGTERM as a service manager does."""
    command = [sys.executable, "-m", "incident_rca", "record", "--quiet"]
    command += ["--dsn", stack.dsn, "--to", str(stack.folder / "recordings")]
    command += ["--interval", PROBE_INTERVAL, "--for", LONGEST]
    process = subprocess.Popen(command, cwd=ROOT)
    try:
        yield
    finally:
        process.terminate()
        process.wait(END_SECONDS)

"""What the flight recorder costs: processor time, the server's part of a snapshot, and memory.

All on a real server in which sessions wait for an index build that holds its table.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from statistics import median
from typing import Any

import psycopg

from bench.figures import Figure
from incident_rca.sources import postgres
from incident_rca.sources.lock_snapshots import Known, snapshot
from tests.lab.servers import Server, running_server
from tests.sources.blocked import in_transaction, until, waiters

WAITERS = 100
WAITERS_OF_SNAPSHOTS = (100, 300, 500)
SECONDS = 20
ROUNDS = 40
PGBENCH_ROUNDS = 3
PGBENCH_SECONDS = 4
SNAPSHOTS = (600, 3600)
MEMORY = Path(__file__).with_name("recorder_memory.py")
# What an engineer would ask by hand.
BARE = (
    b"SELECT * FROM pg_locks",
    b"SELECT pid, pg_blocking_pids(pid) FROM pg_stat_activity WHERE wait_event_type = 'Lock'",
)


def measure_recorder(folder: Path, seed: int) -> list[Figure]:
    """Processor time of recorder and backend at 1 Hz, and pgbench with and without it."""
    with _blocked_server(WAITERS) as server:
        with _recorder(server, folder) as pids:
            # Start and first statements are over; what follows is what it costs all the time.
            time.sleep(3)
            before, start = processor_seconds(pids), time.monotonic()
            time.sleep(SECONDS)
            used, took = processor_seconds(pids) - before, time.monotonic() - start
        server.run("pgbench", "-i", "-q", "-s", "5", *address(server))
        rates = []
        for _ in range(PGBENCH_ROUNDS):
            without = _pgbench(server)
            with _recorder(server, folder):
                rates.append(_pgbench(server) / without)
    return [
        Figure(f"recorder and its backend, {WAITERS} waiters", 100 * used / took, "% core", "<= 1"),
        Figure("pgbench with the recorder over without", median(rates), "x tps"),
    ]


def measure_snapshots(folder: Path, seed: int) -> list[Figure]:
    """The backend's processor time for a snapshot, in turn with the bare pair of statements.

    Elapsed time would count how fast the client reads, and other work on the machine.
    """
    figures = []
    for count in WAITERS_OF_SNAPSHOTS:
        with (
            _blocked_server(count) as server,
            postgres.connect(server.dsn) as ours,
            postgres.connect(server.dsn) as bare,
        ):
            facts, known = postgres.server_facts(ours), Known()

            def ask(connection: psycopg.Connection[Any] = bare) -> None:
                for statement in BARE:
                    connection.execute(statement).fetchall()

            def record(
                connection: psycopg.Connection[Any] = ours,
                facts: postgres.ServerFacts = facts,
                known: Known = known,
            ) -> None:
                snapshot(connection, facts, known)

            times = [(_cpu_of(ours, record), _cpu_of(bare, ask)) for _ in range(ROUNDS)]
        # The first rounds plan the statements and learn the names.
        ratio = median(a / b for a, b in times[ROUNDS // 4 :])
        name = f"server side of a snapshot over the bare pair, {count} waiters"
        figures.append(Figure(name, ratio, "x time", "<= 1.5"))
    return figures


def measure_recorder_memory(folder: Path, seed: int) -> list[Figure]:
    """The memory of a recorder after few and after many snapshots, without a pause in between."""
    with _blocked_server(WAITERS) as server:
        words = [sys.executable, str(MEMORY), server.dsn, str(folder), *map(str, SNAPSHOTS)]
        done = subprocess.run(words, capture_output=True, encoding="utf-8", check=False)
    if done.returncode:
        raise RuntimeError(f"{MEMORY.name} ended with {done.returncode}: {done.stderr}")
    few, many = map(int, done.stdout.split())
    first, last = (f"{count:,}" for count in SNAPSHOTS)
    return [
        Figure(f"recorder, {last} over {first} snapshots", many / few, "x memory", "<= 1.05"),
        Figure(f"recorder, {last} snapshots", many / 2**20, "MiB"),
    ]


@contextmanager
def _blocked_server(count: int) -> Iterator[Server]:
    settings = {"max_connections": str(count + 30), "log_statement": "none"}
    with running_server(18, settings) as server:
        with server.connect() as setup:
            setup.execute("CREATE TABLE stock (sku int PRIMARY KEY, n int)")
        with (
            in_transaction(server, "CREATE INDEX i ON stock (n)", "SELECT 1"),
            waiters(server, count, "INSERT INTO stock VALUES (1)"),
        ):
            yield server


def _recorder(server: Server, folder: Path) -> AbstractContextManager[list[int]]:
    """The command as a user runs it."""
    words = ["-m", "incident_rca", "record", "--quiet", "--dsn", server.dsn]
    return recording(server, *words, "--to", str(folder / "recordings"))


@contextmanager
def recording(server: Server, *words: str) -> Iterator[list[int]]:
    """Python with these words, which records; the process ids of it and of its backend."""
    process = subprocess.Popen([sys.executable, *words])
    query = "SELECT pid FROM pg_stat_activity WHERE application_name = %s AND state = 'idle'"
    try:
        with server.connect() as look:

            def backends() -> list[int]:
                found = look.execute(query, [postgres.APPLICATION_NAME]).fetchall()
                return [pid for (pid,) in found]

            until(lambda: len(backends()) == 1)
            yield [process.pid, *backends()]
    finally:
        process.send_signal(signal.SIGTERM)
        if process.wait(30):
            raise RuntimeError(f"the recorder ended with {process.returncode}")


def processor_seconds(pids: Sequence[int]) -> float:
    """The seconds of processor time that these processes used so far, by utime and stime."""
    fields = [
        Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
        for pid in pids
    ]
    return sum(int(f[11]) + int(f[12]) for f in fields) / os.sysconf("SC_CLK_TCK")


def _cpu_of(connection: psycopg.Connection[Any], task: Callable[[], object]) -> float:
    """The nanoseconds of processor time that a task takes in the connection's backend."""
    path = Path(f"/proc/{connection.info.backend_pid}/schedstat")

    def spent() -> int:
        # Counted once the backend sleeps again, a moment after its answer.
        time.sleep(0.002)
        return int(path.read_text(encoding="utf-8").split()[0])

    before = spent()
    task()
    return spent() - before


def address(server: Server) -> list[str]:
    """Where the server's own programs find it."""
    return ["-h", "127.0.0.1", "-p", str(server.port), "-U", "postgres", "postgres"]


def _pgbench(server: Server) -> float:
    """Transactions a second of two clients on tables that nobody blocks."""
    seconds = str(PGBENCH_SECONDS)
    said = server.run("pgbench", "-n", "-c", "2", "-T", seconds, *address(server))
    found = re.search(r"^tps = ([0-9.]+)", said, re.MULTILINE)
    if found is None:
        raise RuntimeError(f"pgbench said no tps: {said}")
    return float(found[1])

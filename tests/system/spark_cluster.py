"""Spark's own standalone cluster on this machine: a master and two workers, ended by their ids."""

from __future__ import annotations

import json
import os
import re
import subprocess
import time
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

_INSTALLED = find_spec("pyspark")
assert _INSTALLED is not None and _INSTALLED.origin is not None, "make test-system installs it"
HOME = Path(_INSTALLED.origin).parent
WORKERS = 2
# Java starts slowly on a busy machine.
LONGEST_START_SECONDS = 400
# Java that runs for a minute has no use for its best compiler.
JAVA = "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC"
# Each application has one core of each worker, and executors of the least memory: two fit in.
DEFAULTS = f"""
spark.driver.bindAddress 127.0.0.1
spark.driver.host 127.0.0.1
spark.driver.memory 512m
spark.driver.extraJavaOptions {JAVA}
spark.executor.extraJavaOptions {JAVA}
spark.executor.memory 512m
spark.cores.max {WORKERS}
spark.executor.cores 1
spark.sql.shuffle.partitions {WORKERS}
spark.ui.enabled false
"""


@dataclass(frozen=True)
class Cluster:
    """A running cluster; `environ` is what a driver needs to have."""

    master: str
    page: str
    environ: Mapping[str, str]

    def state(self) -> Any:
        """What the master says of its workers and applications."""
        with urllib.request.urlopen(f"{self.page}/json/", timeout=10) as answer:
            return json.load(answer)


@contextmanager
def running_cluster(folder: Path) -> Iterator[Cluster]:
    """A master and its workers on free ports of this machine."""
    (folder / "spark-defaults.conf").write_text(DEFAULTS)
    environ = {
        "SPARK_CONF_DIR": str(folder),
        "SPARK_LOCAL_IP": "127.0.0.1",
        "SPARK_HOME": str(HOME),
        "SPARK_DAEMON_JAVA_OPTS": JAVA,
        "SPARK_DAEMON_MEMORY": "256m",
    }
    place = ("--host", "127.0.0.1", "--port", "0", "--webui-port", "0")
    with ExitStack() as stack:
        log = stack.enter_context(_running("master.Master", place, folder / "master.log", environ))
        port = _said(log, r"service 'sparkMaster' on port (\d+)")
        page = _said(log, r"service 'MasterUI' on port (\d+)")
        cluster = Cluster(f"spark://127.0.0.1:{port}", f"http://127.0.0.1:{page}", environ)
        for number in range(WORKERS):
            own = folder / f"worker-{number}"
            what = (*place, "--cores", "2", "--memory", "1200m", "--work-dir", str(own))
            stack.enter_context(
                _running("worker.Worker", (*what, cluster.master), own.with_suffix(".log"), environ)
            )
        for number in range(WORKERS):
            _said(folder / f"worker-{number}.log", r"(registered) with master")
        yield cluster


@contextmanager
def _running(
    kind: str, arguments: tuple[str, ...], log: Path, environ: Mapping[str, str]
) -> Iterator[Path]:
    """One server of the cluster, and the file that it logs to."""
    command = [str(HOME / "bin" / "spark-class"), f"org.apache.spark.deploy.{kind}", *arguments]
    with log.open("wb") as out:
        # spark-class becomes java itself, so the id is that of the server.
        server = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=out, stderr=out, env={**os.environ, **environ}
        )
        try:
            yield log
        finally:
            server.terminate()
            try:
                server.wait(20)
            except subprocess.TimeoutExpired:
                server.kill()
                server.wait()


def _said(log: Path, pattern: str) -> str:
    """What the log says, once it does."""
    until = time.monotonic() + LONGEST_START_SECONDS
    while time.monotonic() < until:
        if found := re.search(pattern, log.read_text(errors="replace")):
            return found[1]
        time.sleep(0.1)
    raise AssertionError(
        f"{log}: {pattern} did not come:\n{log.read_text(errors='replace')[-3000:]}"
    )

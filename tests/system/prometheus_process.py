"""A real Prometheus on a free port, over data of ours, for as long as a test runs."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

READY_SECONDS = 30.0


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def with_blocks(folder: Path, openmetrics: str) -> Path:
    """A data folder with blocks made of back-dated samples in the OpenMetrics text format."""
    text = folder / "samples.om"
    text.write_text(openmetrics)
    data = folder / "data"
    data.mkdir()
    subprocess.run(
        ["promtool", "tsdb", "create-blocks-from", "openmetrics", str(text), str(data)],
        check=True,
        capture_output=True,
        timeout=60,
    )
    return data


@contextmanager
def running(folder: Path, data: Path, *, target: str = "", interval: str = "1s") -> Iterator[str]:
    """The URL of a server over `data`, which scrapes `target` (`host:port`) if there is one."""
    port = free_port()
    config = folder / "prometheus.yml"
    scrape = (
        f"scrape_configs: [{{job_name: orders, scrape_interval: {interval}, "
        f"scrape_timeout: {interval}, static_configs: [{{targets: ['{target}']}}]}}]\n"
    )
    config.write_text(scrape if target else "{}\n")
    binary = shutil.which("prometheus")
    assert binary is not None
    with (folder / "prometheus.log").open("wb") as log:
        process = subprocess.Popen(
            [
                binary,
                f"--config.file={config}",
                f"--storage.tsdb.path={data}",
                "--storage.tsdb.retention.time=50y",
                f"--web.listen-address=127.0.0.1:{port}",
            ],
            cwd=folder,
            env={"PATH": os.environ["PATH"]},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
        try:
            _await_ready(f"http://127.0.0.1:{port}", process, folder / "prometheus.log")
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()
            try:
                process.wait(timeout=20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _await_ready(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    until = time.monotonic() + READY_SECONDS
    while time.monotonic() < until:
        if process.poll() is not None:
            break
        try:
            with urllib.request.urlopen(f"{url}/-/ready", timeout=1) as answer:
                if answer.status == 200:
                    return
        except urllib.error.HTTPError as error:
            error.close()
        except OSError:
            pass
        time.sleep(0.05)
    raise AssertionError(f"Prometheus did not become ready:\n{log.read_text()[-2000:]}")

"""The rules of Envoy's documentation, which our model follows, seen in a running Envoy."""

from __future__ import annotations

import json
import socket
import subprocess
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import pairwise
from pathlib import Path

import pytest

from incident_rca.whatif.envoy import EnvoyOptions
from incident_rca.whatif.exports import FORMATS
from incident_rca.whatif.protection import Protection
from tests.oracle.envoy_server import PROGRAM, bootstrap
from tests.oracle.libraries import BESIDE_MODULES, run

FAILURES, INTERVAL_SECONDS, BASE_SECONDS = 3, 0.5, 1.0
FAST = EnvoyOptions(
    consecutive_5xx=FAILURES,
    interval_ms=int(INTERVAL_SECONDS * 1000),
    base_ejection_time_ms=int(BASE_SECONDS * 1000),
    max_ejection_percent=100,
    healthy_panic_percent=0,
    update_merge_window_ms=0,
)
PAUSE_SECONDS = 0.05
# Long enough for three ejections, of 1, 2 and 3 s, on a machine with much else to do.
LONGEST_SECONDS = 30.0


class _Failing(BaseHTTPRequestHandler):
    """A backend that answers everything with 500."""

    def do_GET(self) -> None:
        self.send_response(500)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        pass


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def _envoy(tmp_path: Path, options: EnvoyOptions) -> Iterator[str]:
    """A running Envoy in front of a failing backend: its address."""
    backend = ThreadingHTTPServer(("127.0.0.1", 0), _Failing)
    threading.Thread(target=backend.serve_forever, daemon=True).start()
    text = FORMATS["envoy"](Protection(breaker=options, deadline_ms=2_000), "stock")
    (exported,) = json.loads(run("read_yaml.cjs", BESIDE_MODULES, given=text))
    port = _free_port()
    path = tmp_path / "envoy.json"
    path.write_text(
        json.dumps(bootstrap(exported, listens_on=port, calls=backend.server_address[1]))
    )
    words = [
        str(PROGRAM),
        "--config-path",
        str(path),
        "--use-dynamic-base-id",
        "--concurrency",
        "1",
    ]
    with (tmp_path / "envoy.log").open("w") as log:
        process = subprocess.Popen([*words, "--log-level", "warning"], stdout=log, stderr=log)
        try:
            _wait_for(port, process)
            yield f"http://127.0.0.1:{port}/"
        finally:
            process.terminate()
            process.wait(timeout=30)
            backend.shutdown()
            backend.server_close()


def _wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    for _ in range(300):
        assert process.poll() is None, "Envoy ended"
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.1)
    pytest.fail("Envoy does not listen")


def _answer(address: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(address, timeout=5) as answer:
            return int(answer.status), answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


def _failing_calls(address: str, number: int) -> list[float]:
    """When calls reached the backend, until `number` did; all others were refused by Envoy."""
    called: list[float] = []
    started = time.monotonic()
    while len(called) < number and time.monotonic() - started < LONGEST_SECONDS:
        now = time.monotonic()
        status, text = _answer(address)
        if status == 500:
            called.append(now)
        else:
            assert (status, text) == (503, "no healthy upstream")
        time.sleep(PAUSE_SECONDS)
    assert len(called) == number
    return called


def test_envoy_ejects_refuses_and_returns_by_the_rules_that_we_follow(tmp_path: Path) -> None:
    with _envoy(tmp_path, FAST) as address:
        called = _failing_calls(address, 3 * FAILURES)
    apart = [later - earlier for earlier, later in pairwise(called)]
    away = [apart[FAILURES - 1], apart[2 * FAILURES - 1]]
    together = [gap for gap in apart if gap not in away]
    # Three calls in a row, then away for the base time, then for twice as long, to the next sweep.
    assert max(together) < BASE_SECONDS
    assert away[0] > BASE_SECONDS
    assert away[1] > 2 * BASE_SECONDS


def test_envoy_tells_of_an_ejection_late_where_another_change_was_just_told(tmp_path: Path) -> None:
    """Its merge window of a second: the second ejection is not felt at once, as in our model."""
    with _envoy(tmp_path, replace(FAST, update_merge_window_ms=1_000)) as address:
        called = _failing_calls(address, 2 * FAILURES + 1)
    apart = [later - earlier for earlier, later in pairwise(called)]
    assert apart[FAILURES - 1] > BASE_SECONDS
    assert max(apart[FAILURES:]) < BASE_SECONDS


def test_envoy_in_panic_goes_on_calling_what_it_ejected(tmp_path: Path) -> None:
    calm = EnvoyOptions(
        consecutive_5xx=FAILURES, max_ejection_percent=100, base_ejection_time_ms=30_000
    )
    with _envoy(tmp_path, calm) as address:
        assert [_answer(address)[0] for _ in range(4 * FAILURES)] == [500] * 4 * FAILURES


def test_envoy_ejects_no_single_host_by_default(tmp_path: Path) -> None:
    alone = EnvoyOptions(consecutive_5xx=FAILURES, healthy_panic_percent=0)
    with _envoy(tmp_path, alone) as address:
        assert [_answer(address)[0] for _ in range(4 * FAILURES)] == [500] * 4 * FAILURES

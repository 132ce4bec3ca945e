"""A real Prometheus: from its scrapes and blocks to the table, against numbers made by hand."""

from __future__ import annotations

import json
import math
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from incident_rca.formats.parsed import Parsed
from incident_rca.model import TimeWindow
from incident_rca.model.services import PrometheusServer
from incident_rca.sources import prometheus as source
from incident_rca.sources.answers import Absent
from incident_rca.sources.tally import Tally
from tests.formats.builders import kind_of, parse, rows
from tests.system.prometheus_process import running, with_blocks

# client_golang's DefBuckets, which go-grpc-prometheus uses.
BOUNDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
START = datetime(2026, 1, 15, 14, 0, tzinfo=UTC)
SCRAPE_SECONDS = 15
SCRAPES = 81  # 14:00:00 to 14:20:00
CALLS_A_SCRAPE = 30  # two a second
BEGINS = 40  # the scrape at 14:10:00 is the last one of the quiet time
WINDOW = TimeWindow(START, START + timedelta(minutes=20))


class HostClock:
    """The clock of this machine."""

    def now(self) -> datetime:
        return datetime.now(UTC)

    def monotonic(self) -> float:
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)


def openmetrics() -> str:
    """Calls of 20 ms each until 14:10:00 and of exactly 30 s after it, all of them OK."""
    series = 'grpc_service="inventory.Inventory",grpc_method="Reserve",grpc_type="unary"'
    histogram = ["# TYPE grpc_client_handling_seconds histogram"]
    handled = ["# TYPE grpc_client_handled counter"]
    gauges = ["# TYPE hikaricp_connections_active gauge"]
    for bound in (*BOUNDS, math.inf):
        le = "+Inf" if math.isinf(bound) else str(bound)
        for scrape in range(SCRAPES):
            fast = CALLS_A_SCRAPE * min(scrape, BEGINS)
            slow = CALLS_A_SCRAPE * max(0, scrape - BEGINS)
            number = (fast if bound >= 0.02 else 0) + (slow if bound >= 30 else 0)
            at = f"{START.timestamp() + scrape * SCRAPE_SECONDS:.0f}"
            histogram.append(
                f'grpc_client_handling_seconds_bucket{{{series},job="orders",le="{le}"}} '
                f"{number} {at}"
            )
    for scrape in range(SCRAPES):
        fast = CALLS_A_SCRAPE * min(scrape, BEGINS)
        slow = CALLS_A_SCRAPE * max(0, scrape - BEGINS)
        at = f"{START.timestamp() + scrape * SCRAPE_SECONDS:.0f}"
        total = f'{{{series},job="orders"}}'
        histogram.append(
            f"grpc_client_handling_seconds_sum{total} {0.02 * fast + 30.0 * slow:.2f} {at}"
        )
        histogram.append(f"grpc_client_handling_seconds_count{total} {fast + slow} {at}")
        handled.append(
            f'grpc_client_handled_total{{{series},job="orders",grpc_code="OK"}} {fast + slow} {at}'
        )
        used = 4 if scrape <= BEGINS else min(100, 4 + 30 * (scrape - BEGINS))
        gauges.append(f'hikaricp_connections_active{{pool="orders-db",instance="a"}} {used} {at}')
        gauges.append(f'hikaricp_connections_active{{pool="orders-db",instance="b"}} 3 {at}')
    return "\n".join([*histogram, *handled, *gauges, "# EOF", ""])


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("prometheus")
    with running(folder, with_blocks(folder, openmetrics())) as address:
        yield address


def table(answer: Any, folder: Path) -> Parsed:
    assert not isinstance(answer, Absent), answer
    path = folder / "prometheus.json"
    path.write_text(json.dumps(answer))
    assert kind_of(path) == "prometheus_metrics"
    parsed = parse("prometheus_metrics", path)
    assert (parsed.damage, parsed.unparsed) == ("", 0)
    return parsed


def asked(what: Any, server: PrometheusServer, window: TimeWindow = WINDOW) -> Any:
    tally = Tally(HostClock())
    return what(server, window, asked_at=datetime.now(UTC), tally=tally, environ={})


def test_latency_at_its_ceiling_is_at_least_that_and_the_average_tells_it(
    url: str, tmp_path: Path
) -> None:
    parsed = table(asked(source.latency, PrometheusServer(url=url)), tmp_path)
    found = rows(parsed, "metrics")
    assert {(r["service"], r["method"], r["owner"], r["status"]) for r in found} == {
        ("inventory.Inventory", "Reserve", "orders", None)
    }
    assert {(r["unit"], r["unit_basis"]) for r in found} == {("ms", "name")}
    # A window of two scrapes: from 14:10:00 on only slow calls are in it.
    assert parsed.resolution_seconds == 2 * SCRAPE_SECONDS
    after = START + timedelta(seconds=BEGINS * SCRAPE_SECONDS)
    p99 = {r["at"]: r["value"] for r in found if r["aggregate"] == "p99"}
    average = {r["at"]: r["value"] for r in found if r["aggregate"] == "avg"}
    slow = [at for at in p99 if at >= after]
    assert len(slow) == SCRAPES - 1 - BEGINS - 1
    assert {p99[at] for at in slow} == {10_000.0}
    assert {r["ceiling"] for r in found if r["aggregate"] == "p99"} == {10_000.0}
    assert all(average[at] == pytest.approx(30_000.0, rel=1e-9) for at in slow)
    before = after - timedelta(seconds=2 * SCRAPE_SECONDS)
    quiet = [at for at in p99 if at <= before]
    # All in (10 ms, 25 ms]: the interpolation point, and the true average beside it.
    assert quiet and all(p99[at] == pytest.approx(10 + 0.99 * 15) for at in quiet)
    assert all(average[at] == pytest.approx(20.0) for at in quiet)
    assert parsed.covered == WINDOW
    assert {r["ceiling"] for r in found if r["aggregate"] == "avg"} == {None}


def test_calls_are_counted_once_and_by_status(url: str, tmp_path: Path) -> None:
    parsed = table(asked(source.counts, PrometheusServer(url=url)), tmp_path)
    by_status = [r for r in rows(parsed, "metrics") if r["status"] is not None]
    assert {(r["metric"], r["status"], r["aggregate"]) for r in by_status} == {
        ("grpc_client_handled_total", "OK", "count")
    }
    starts = [r["at"] for r in by_status]
    steps = {(b - a).total_seconds() for a, b in pairwise(starts)}
    assert steps == {2.0 * SCRAPE_SECONDS} == {r["bucket_seconds"] for r in by_status}
    # What the counter itself says: 80 scrape intervals of 30 calls.
    assert sum(r["value"] for r in by_status) == pytest.approx((SCRAPES - 1) * CALLS_A_SCRAPE)


def test_a_pool_is_that_of_its_fullest_instance(url: str, tmp_path: Path) -> None:
    server = PrometheusServer(url=url, pool={"used": "hikaricp_connections_active"})
    found = rows(table(asked(source.pool, server), tmp_path), "metrics")
    assert {(r["metric"], r["owner"], r["unit"]) for r in found} == {
        ("hikaricp_connections_active", "orders-db", "count")
    }
    first_full = next(r["at"] for r in found if r["value"] == 100)
    # 4 + 30 n >= 100 at the fourth slow scrape, which is seen in the step that ends with it.
    assert first_full == START + timedelta(seconds=(BEGINS + 3) * SCRAPE_SECONDS)
    assert found[0]["value"] == 4


def test_matchers_and_names_that_fit_nothing_are_absent(url: str) -> None:
    nothing = PrometheusServer(url=url, matchers='{job="a\\"}b"}')
    absent = asked(source.latency, nothing)
    assert isinstance(absent, Absent) and "latency" in absent.hint
    absent = asked(source.latency, PrometheusServer(url=url, latency=('odd"} or vector(1',)))
    assert isinstance(absent, Absent)
    later = TimeWindow(START + timedelta(days=1), START + timedelta(days=1, hours=1))
    assert isinstance(asked(source.counts, PrometheusServer(url=url), later), Absent)


def test_the_clocks_of_one_machine_are_one(url: str) -> None:
    lo, hi = asked(source.latency, PrometheusServer(url=url))["clock_offset_seconds"]
    assert lo <= 0.0 <= hi <= lo + 2.5


@contextmanager
def endpoint() -> Iterator[str]:
    """An exporter whose calls took 0.7 s each; every scrape finds ten more of them."""
    scraped = [0]

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            scraped[0] += 1
            n = 10 * scraped[0]
            series = 'rpc_service="billing.Billing",rpc_method="Charge"'
            lines = ["# TYPE rpc_client_duration histogram"]
            for le, number in (("500", 0), ("1000", n), ("+Inf", n)):
                lines.append(f'rpc_client_duration_bucket{{{series},le="{le}"}} {number}')
            lines += [f"rpc_client_duration_sum{{{series}}} {700 * n}"]
            lines += [f"rpc_client_duration_count{{{series}}} {n}", ""]
            body = "\n".join(lines).encode()
            self.send_response(200)
            self.send_header("Content-Type", "text/plain; version=0.0.4")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *arguments: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def test_a_target_that_is_scraped_now(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with endpoint() as target, running(tmp_path, data, target=target, interval="500ms") as url:
        until = time.monotonic() + 30
        found: list[dict[str, Any]] = []
        while len(found) < 3 and time.monotonic() < until:
            time.sleep(0.5)
            end = datetime.now(UTC)
            window = TimeWindow(end - timedelta(seconds=20), end)
            answer = asked(source.latency, PrometheusServer(url=url), window)
            if not isinstance(answer, Absent) and any(
                q["result"] for q in answer["response"]["queries"]
            ):
                parsed = table(answer, tmp_path)
                found = [r for r in rows(parsed, "metrics") if r["aggregate"] == "avg"]
                found = [r for r in found if r["value"] is not None]
    assert {round(r["value"], 6) for r in found} == {700.0}
    assert {(r["service"], r["method"]) for r in found} == {("billing.Billing", "Charge")}
    p99 = [r for r in rows(parsed, "metrics") if r["aggregate"] == "p99" and r["value"]]
    # All calls in (500 ms, 1000 ms], the top finite bucket.
    assert {round(r["value"], 6) for r in p99} == {500 + 0.99 * 500}
    assert {(r["ceiling"], r["unit"]) for r in p99} == {(1000.0, "ms")}

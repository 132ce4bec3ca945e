"""What fetching gateway logs costs: time within the quota, calls of a push-down, and memory.

All against the local CloudWatch of the tests, over real HTTP.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from unittest.mock import patch

from bench.figures import Figure
from bench.gateway_memory import WallClock
from incident_rca.model import TimeWindow
from incident_rca.sources import cloudwatch_logs as source
from incident_rca.sources.tally import Tally
from tests.sources.cloudwatch_logs_server import Service
from tests.sources.gateway_scene import (
    FORMAT,
    GROUP,
    STAGE,
    account,
    no_way_out,
    rest_stage,
    running_stage,
    shared,
)

CALLS_PER_SECOND = 5.0
SECONDS_A_PAGE = 0.05
PAGES = 160
EVENTS_OF_A_PAGE = 250
INCIDENT_LINES = 2_000_000
MEMORY_EVENTS = 1_000_000
START = datetime(2026, 1, 15, 14, 0, tzinfo=UTC)
WINDOW = TimeWindow(START, START + timedelta(minutes=30))
MEMORY = Path(__file__).with_name("gateway_memory.py")
# Made by the database: two million lines do not fit into a list of Python.
LINES = """
INSERT INTO events
SELECT
    $log_group, $start_ms + i * $spread_ms // $count, $start_ms + i * $spread_ms // $count,
    lpad(i::VARCHAR, 56, '0'), 'stream-' || i % 8,
    format(
        '{{"requestId":"{}","requestTimeEpoch":"{}","httpMethod":"{}","resourcePath":"/api/{}",'
        || '"status":"{}","responseLatency":"{}","type":"{}","agent":"{}"}}',
        uuid(), $start_ms + i * $spread_ms // $count, if(route < 4, 'POST', 'GET'), route,
        if(route < $failing, 502 + 2 * (dice % 2), 200), (20 * exp(2 * random()))::INTEGER,
        if(route < $failing, 'INTEGRATION_FAILURE', '-'), repeat('x', $padding)
    )
FROM (
    SELECT i, hash(i + $seed) AS dice, hash(i + $seed + 1) % 8 AS route
    FROM range($count) AS numbers(i)
)
"""


def measure_gateway_fetch(folder: Path, seed: int) -> list[Figure]:
    """Time and throttling at the usual quota, calls of a push-down, and peak memory."""
    environment: dict[str, str] = {}
    no_way_out(environment.__setitem__, folder)
    with patch.dict(os.environ, environment):
        return [
            *_within_quota(folder / "quota", seed),
            *_push_down(folder / "incident.duckdb", seed),
            *_memory(folder / "memory", seed),
        ]


def _within_quota(folder: Path, seed: int) -> list[Figure]:
    """The failed lines of an incident, page by page, from a service that keeps its quota."""
    count = PAGES * EVENTS_OF_A_PAGE
    with _stage(None) as service:
        _put(service, GROUP, count, seed, failing=8, padding=50)
        service.page_events = EVENTS_OF_A_PAGE
        service.seconds_a_call = SECONDS_A_PAGE
        service.calls_per_second = CALLS_PER_SECOND
        tally = Tally(WallClock())
        start = time.perf_counter()
        source.errors(shared(), account(service), STAGE, WINDOW, tally=tally, spool=folder)
        took = time.perf_counter() - start
        if tally.rows != count + 1:
            raise RuntimeError(f"{tally.rows} rows, not {count} and one count")
        return [
            Figure(
                f"fetch of {PAGES} pages over what 5 calls a second allow",
                took / (PAGES / CALLS_PER_SECOND),
                "x time",
                "<= 1.15",
            ),
            Figure("calls throttled in that fetch", service.throttled, "calls", "<= 3"),
        ]


def _push_down(database: Path, seed: int) -> list[Figure]:
    """Counts and latencies of an incident; the raw lines are counted in the fewest full pages."""
    with _stage(database) as service:
        _put(service, GROUP, INCIDENT_LINES, seed, failing=2, padding=290)
        tally = Tally(WallClock())
        known = shared()
        for ask in (source.counts, source.latency):
            answer = ask(known, account(service), STAGE, WINDOW, tally=tally)
            if not isinstance(answer, Mapping) or "error" in answer["response"]:
                raise RuntimeError("the push-down gave no whole answer")
            matched = answer["response"]["statistics"]["recordsMatched"]
            if matched != INCIDENT_LINES:
                raise RuntimeError(f"{matched} records matched")
        size = service.database.table("events").aggregate("sum(strlen(message) + 26)")
        pages = max(
            size.fetchall()[0][0] / service.page_bytes, INCIDENT_LINES / service.page_events
        )
        return [
            Figure(
                f"calls for {INCIDENT_LINES:,} raw lines over those by push-down",
                pages / len(service.calls),
                "x calls",
                ">= 50",
            ),
            Figure("calls by push-down", len(service.calls), "calls"),
        ]


def _memory(folder: Path, seed: int) -> list[Figure]:
    """The peak of a process that fetches a million events."""
    with _stage(folder.with_suffix(".duckdb")) as service:
        _put(service, GROUP, MEMORY_EVENTS, seed, failing=8, padding=1)
        words = [service.url, GROUP, WINDOW.start.isoformat(), WINDOW.end.isoformat(), str(folder)]
        done = subprocess.run(
            [sys.executable, str(MEMORY), *words], capture_output=True, text=True, check=True
        )
        peak, rows = map(int, done.stdout.split())
        if rows != MEMORY_EVENTS:
            raise RuntimeError(f"{rows} events came")
    return [Figure(f"fetch of {MEMORY_EVENTS:,} events", peak / 1024, "MiB", "< 300")]


@contextmanager
def _stage(database: Path | None) -> Iterator[Service]:
    with running_stage(database=database) as service:
        service.stages["/restapis/a1b2c3/stages/prod"] = rest_stage(FORMAT)
        yield service


def _put(
    service: Service, group: str, count: int, seed: int, *, failing: int, padding: int
) -> None:
    """Lines spread evenly over the window; the requests of `failing` routes of eight failed."""
    service.database.execute("SELECT setseed(0.5)").fetchall()
    service.database.execute(
        LINES,
        {
            "log_group": group,
            "start_ms": int(START.timestamp() * 1000),
            "spread_ms": int(WINDOW.seconds * 1000),
            "count": count,
            "seed": seed,
            "failing": failing,
            "padding": padding,
        },
    ).fetchall()

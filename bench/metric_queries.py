"""How long several metric queries take over one, against a service that takes its time."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random

from bench.figures import Figure, in_turn, ratio
from incident_rca.cli.clock import SystemClock
from incident_rca.model import TimeWindow
from incident_rca.model.services import DatadogAccount
from incident_rca.sources import datadog
from incident_rca.sources.datadog_client import Connection, access_of
from incident_rca.sources.datadog_timeseries import ask_all, requests_of
from incident_rca.sources.tally import Tally
from tests.sources.datadog_server import KEYS, V2, Described, Service, Stored, running_service

LATENCY_SECONDS = 0.5
QUERIES = 8
ROUNDS = 3
ROUNDS_OF_ALL = 2
START = datetime(2026, 1, 15, 14, 10, tzinfo=UTC)
WINDOW = TimeWindow(START, START + timedelta(minutes=25))


def measure_metric_queries(folder: Path, seed: int) -> list[Figure]:
    """One query in turn with eight, each answer 500 ms away; alone, and as a source asks them."""
    random = Random(seed)
    names = [f"calls.of.service{number}.latency_ms" for number in range(QUERIES)]
    with running_service() as service:
        for name in names:
            values = {
                int(START.timestamp()) + second: random.expovariate(0.1)
                for second in range(int(WINDOW.seconds))
            }
            tags = {"service": "orders", "rpc.method": "Reserve"}
            stored = (Stored(name, aggregate, tags, values) for aggregate in ("avg", "max"))
            service.hold(name, Described("gauge", answers_unit=None), *stored)
        service.latency_seconds = LATENCY_SECONDS
        _ask(service, names[:1])  # loads the client, untimed
        queries = [f"max:{name}{{*}} by {{service}}.rollup(max, 1)" for name in names]
        alone = in_turn(
            ROUNDS, lambda: _query(service, queries[:1]), lambda: _query(service, queries)
        )
        whole = in_turn(
            ROUNDS_OF_ALL, lambda: _ask(service, names[:1]), lambda: _ask(service, names)
        )
        asked = len(service.asked(V2))
    if asked != 1 + (ROUNDS + ROUNDS_OF_ALL) * (1 + QUERIES):
        raise RuntimeError(f"{asked} queries were asked, not one for each metric")
    both = f"{QUERIES} metric queries over one, 500 ms each"
    return [
        Figure(both, ratio(alone, 1, 0), "x time", "<= 1.5"),
        Figure(f"{both}, with what is asked first", ratio(whole, 1, 0), "x time", "<= 1.5"),
    ]


def _query(service: Service, queries: list[str]) -> None:
    account = DatadogAccount(endpoint=service.url)
    tally = Tally(SystemClock())
    requests = [r for query in queries for r in requests_of([query], WINDOW, 1)]
    with Connection("bench", access_of(account, KEYS), tally) as connection:
        ask_all(connection, requests)
    if tally.rows != len(queries) * int(WINDOW.seconds):
        raise RuntimeError(f"{tally.rows} points of {len(queries)} queries came")


def _ask(service: Service, names: list[str]) -> None:
    account = DatadogAccount(endpoint=service.url, latency=tuple(names))
    (latency, *_) = datadog.asked_of(account, environ=KEYS, clock=SystemClock())
    latency.ask(WINDOW)
    if latency.tally.rows != len(names) * 2 * int(WINDOW.seconds):
        raise RuntimeError(f"{latency.tally.rows} points of {len(names)} metrics came")

"""The metrics agent: takes DogStatsD, scrapes Prometheus text each second, answers as Datadog does.

A duration belongs to the second in which it came, a scraped value to that of the scrape; of a
counter the increase since the scrape before is kept, also where it is zero, as the OpenMetrics
check does. A second without a value has none.
"""

from __future__ import annotations

import json
import re
import socket
import threading
import time
import urllib.request
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.lab.incidents.services.process import (
    QuietHandler,
    announce,
    given,
    serving,
    wait_for_end,
)

Tags = tuple[tuple[str, str], ...]
MS = {"family": "time", "name": "millisecond", "short_name": "ms", "scale_factor": 0.001, "id": 10}
# What the OpenMetrics check is told to call what it scrapes.
NAMES = {
    "grpc_client_handled_total": "grpc.client.handled",
    "grpc_server_handled_total": "grpc.server.handled",
    "db_client_connections_usage": "db.client.connections.usage",
    "db_client_connections_max": "db.client.connections.max",
    "db_client_connections_pending_requests": "db.client.connections.pending_requests",
}
_SAMPLE = re.compile(r"(?P<name>\w+)\{(?P<labels>[^}]*)\} (?P<value>\S+)")
_LABEL = re.compile(r'(\w+)="([^"]*)"')
_QUERY = re.compile(
    r"(?P<aggregate>p99|max|avg|sum):(?P<metric>[\w.]+)\{(?P<scope>[^}]*)\}"
    r"(?: by \{(?P<by>[^}]*)\})?(?:\.as_count\(\))?"
)


@dataclass
class Store:
    """Values by metric, tags and second."""

    points: dict[tuple[str, Tags], dict[int, list[float]]] = field(
        default_factory=lambda: defaultdict(lambda: defaultdict(list))
    )
    distributions: set[str] = field(default_factory=set)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, metric: str, tags: Mapping[str, str], value: float) -> None:
        with self.lock:
            self.points[metric, tuple(sorted(tags.items()))][int(time.time())].append(value)

    def answer(self, attributes: Mapping[str, Any]) -> dict[str, Any]:
        """The attributes of a v2 answer to queries in buckets of one second."""
        start, end = attributes["from"] // 1000, attributes["to"] // 1000
        times = range(start, end)
        series, values = [], []
        for index, query in enumerate(attributes["queries"]):
            for tags, points, is_time in self._evaluated(query["query"]):
                unit = [MS, None] if is_time else None
                series.append({"group_tags": tags, "query_index": index, "unit": unit})
                values.append([points.get(second) for second in times])
        return {"series": series, "times": [second * 1000 for second in times], "values": values}

    def _evaluated(self, text: str) -> Iterator[tuple[list[str], dict[int, float], bool]]:
        asked = _QUERY.fullmatch(text)
        assert asked is not None, text
        scope = {tag for tag in asked["scope"].split(",") if tag != "*"}
        keys = [key for key in (asked["by"] or "").split(",") if key]
        groups: dict[tuple[str, ...], dict[int, list[float]]] = {}
        with self.lock:
            for (metric, tags), points in self.points.items():
                known = dict(tags)
                if metric != asked["metric"] or not scope <= {f"{k}:{v}" for k, v in tags}:
                    continue
                # Datadog keeps tags in lower case.
                name = tuple(f"{key}:{known.get(key, 'n/a')}".lower() for key in keys)
                group = groups.setdefault(name, defaultdict(list))
                for second, some in points.items():
                    group[second] += some
        is_time = asked["metric"] in self.distributions
        for name, group in sorted(groups.items()):
            rolled = {second: _rolled(asked["aggregate"], some) for second, some in group.items()}
            yield list(name), rolled, is_time


def _rolled(aggregate: str, values: Sequence[float]) -> float:
    """One value of those of a second; a percentile by its rank.

    >>> _rolled("p99", [3.0, 1.0, 2.0]), _rolled("sum", [1.0, 2.0])
    (3.0, 3.0)
    """
    if aggregate == "sum":
        return sum(values)
    if aggregate == "avg":
        return sum(values) / len(values)
    ranked = sorted(values)
    return ranked[-1] if aggregate == "max" else ranked[round(0.99 * (len(ranked) - 1))]


def listen(store: Store, incoming: socket.socket) -> None:
    """Takes DogStatsD datagrams for as long as the process lives."""
    while True:
        text = incoming.recv(65_536).decode()
        head, _, tags = text.partition("|#")
        name, value = head.removesuffix("|d").split(":")
        store.distributions.add(name)
        store.add(name, dict(tag.split(":", 1) for tag in tags.split(",")), float(value))


@dataclass
class Scraper:
    """One program's endpoint, and what its counters stood at."""

    name: str
    port: int
    before: dict[tuple[str, Tags], float] | None = None

    def scrape(self, store: Store) -> None:
        """Adds what the endpoint says now; a program that does not answer says nothing."""
        try:
            url = f"http://127.0.0.1:{self.port}/metrics"
            with urllib.request.urlopen(url, timeout=0.8) as answer:
                text = answer.read().decode()
        except OSError:
            return
        kinds = dict(re.findall(r"# TYPE (\w+) (\w+)", text))
        now: dict[tuple[str, Tags], float] = {}
        for sample in _SAMPLE.finditer(text):
            labels = dict(_LABEL.findall(sample["labels"]))
            name, value = sample["name"], float(sample["value"])
            tags = {key.replace("_", "."): text for key, text in labels.items()}
            tags["service"] = self.name
            if kinds[name] == "gauge":
                store.add(NAMES[name], tags, value)
                continue
            key = (name, tuple(sorted(tags.items())))
            now[key] = value
            if self.before is not None:
                store.add(NAMES[name], tags, _increase(value, self.before.get(key, 0.0)))
        self.before = now


def _increase(value: float, before: float) -> float:
    """By how much a counter rose; one that fell began again with its program."""
    return value - before if value >= before else value


def scrape_all(store: Store, scrapers: list[Scraper]) -> None:
    """Scrapes each endpoint in the middle of each second."""
    while True:
        time.sleep(1.0 - (time.time() - 0.5) % 1.0)
        for scraper in list(scrapers):
            scraper.scrape(store)


def handler_of(store: Store, scrapers: list[Scraper]) -> type[QuietHandler]:
    """What answers queries, and is told of endpoints."""

    class Handler(QuietHandler):
        def do_POST(self) -> None:
            said = self.said()
            if self.path == "/scrape":
                scrapers[:] = [s for s in scrapers if s.name != said["name"]]
                scrapers.append(Scraper(said["name"], said["port"]))
                body: dict[str, Any] = {}
            else:
                attributes = store.answer(said["data"]["attributes"])
                body = {"data": {"type": "timeseries_response", "attributes": attributes}}
            self.answer(200, json.dumps(body).encode())

    return Handler


def main() -> None:
    given()
    store, scrapers = Store(), list[Scraper]()
    incoming = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    incoming.bind(("127.0.0.1", 0))
    threading.Thread(target=listen, args=(store, incoming), daemon=True).start()
    threading.Thread(target=scrape_all, args=(store, scrapers), daemon=True).start()
    port = serving(handler_of(store, scrapers))
    announce(http=port, timings=incoming.getsockname()[1])
    wait_for_end()


if __name__ == "__main__":
    main()

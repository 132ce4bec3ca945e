"""The clients of the lab: requests at instants that are fixed before the first is sent."""

from __future__ import annotations

import http.client
import json
import random
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

ORDERS, READS = "POST /api/orders", "GET /api/inventory/{sku}"
PAYMENTS, STATUS = "POST /api/payments/intent", "GET /api/orders/{id}"
# Of each route, in ordinary life.
USUAL_PER_SECOND: Mapping[str, float] = MappingProxyType(
    {ORDERS: 8.0, READS: 5.0, PAYMENTS: 4.0, STATUS: 3.0}
)
ARTICLES = 2_000  # as many as stack.TABLES makes
AT_ONCE = 300
PATIENCE_SECONDS = 20.0

Basket = Callable[[int, float], Sequence[str]]


def usual_basket(number: int, second: float) -> Sequence[str]:
    """One article, another in each order."""
    return [f"sku-{number % ARTICLES}"]


@dataclass(frozen=True)
class Rush:
    """More requests of a route than usual: so many a second between two seconds of the scene."""

    route: str
    start: float
    end: float
    per_second: float


@dataclass(frozen=True, order=True)
class Planned:
    """A request and the second of the scene at which it is sent."""

    second: float
    method: str = field(compare=False)
    path: str = field(compare=False)
    body: Any = field(compare=False)


def schedule(
    seconds: float, rushes: Sequence[Rush] = (), basket: Basket = usual_basket
) -> list[Planned]:
    """Every request of a scene: even, but for a jitter of half a step, the same each time."""
    rng = random.Random(5)
    planned = []
    for route, per_second in USUAL_PER_SECOND.items():
        number = 0
        for second in _instants(route, per_second, seconds, rushes, rng):
            planned.append(_request(route, number, second, basket))
            number += 1
    return sorted(planned)


def _instants(
    route: str, per_second: float, seconds: float, rushes: Sequence[Rush], rng: random.Random
) -> Iterator[float]:
    at = 0.0
    while at < seconds:
        rush = next((r for r in rushes if r.route == route and r.start <= at < r.end), None)
        step = 1.0 / (rush.per_second if rush else per_second)
        yield at + rng.random() * step / 2
        at += step


def _request(route: str, number: int, second: float, basket: Basket) -> Planned:
    method, path = route.split(" ")
    if route == ORDERS:
        return Planned(second, method, path, {"skus": basket(number, second), "cart": number})
    body = {"order": number} if method == "POST" else None
    path = path.replace("{sku}", f"sku-{number % ARTICLES}").replace("{id}", f"o-{number}")
    return Planned(second, method, path, body)


def send_all(port: int, planned: Sequence[Planned], began: float, stop: threading.Event) -> None:
    """Sends each at its second after `began` (monotonic); returns when all are answered."""
    with ThreadPoolExecutor(AT_ONCE) as threads:
        for request in planned:
            if stop.wait(max(0.0, began + request.second - time.monotonic())):
                break
            threads.submit(_send, port, request)


def _send(port: int, request: Planned) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE_SECONDS)
    try:
        body = None if request.body is None else json.dumps(request.body)
        connection.request(request.method, request.path, body)
        connection.getresponse().read()
    except (OSError, http.client.HTTPException):
        pass  # the gateway's log says what came of it
    finally:
        connection.close()

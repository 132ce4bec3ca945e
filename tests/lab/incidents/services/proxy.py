"""The gateway: passes requests on, gives up after its limit, and logs each in API Gateway's JSON.

What it answers and writes where no backend does is what API Gateway does: 504 with
INTEGRATION_TIMEOUT, and 502 with INTEGRATION_FAILURE where the connection is refused or broken.
"""

from __future__ import annotations

import http.client
import json
import threading
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TextIO

from tests.lab.incidents.services.process import (
    QuietHandler,
    announce,
    given,
    serving,
    side_door,
    wait_for_end,
)
from tests.lab.incidents.services.telemetry import Numbers

NETWORK_ERROR = "Network error communicating with endpoint"


@dataclass
class Told:
    """Which port each route's requests go to where it is not the usual one."""

    ports: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Outcome:
    """What came of a request: its status, and what the log says of it."""

    status: int
    integration_status: str = "-"
    response_type: str = "-"
    message: str = "-"
    integration_message: str = "-"


@dataclass(frozen=True)
class Gateway:
    """Where it passes requests on to, and its log; its clock may be ahead of the machine's."""

    port: int
    limit_seconds: float
    ahead_seconds: float
    told: Told
    log: TextIO
    lock: threading.Lock = field(default_factory=threading.Lock)

    def now_ms(self) -> int:
        return round((time.time() + self.ahead_seconds) * 1000)

    def pass_on(self, method: str, path: str, body: bytes, headers: Mapping[str, str]) -> Outcome:
        port = self.told.ports.get(f"{method} {route_of(path)}", self.port)
        backend = http.client.HTTPConnection("127.0.0.1", port, timeout=self.limit_seconds)
        try:
            backend.request(method, path, body or None, dict(headers))
            status = backend.getresponse().status
        except TimeoutError:
            text = "Endpoint request timed out"
            return Outcome(504, "-", "INTEGRATION_TIMEOUT", text, "-")
        except (OSError, http.client.HTTPException):
            return Outcome(502, "-", "INTEGRATION_FAILURE", NETWORK_ERROR, NETWORK_ERROR)
        finally:
            backend.close()
        return Outcome(status, str(status))

    def write(
        self, arrived_ms: int, method: str, path: str, trace: str, took_ms: int, outcome: Outcome
    ) -> None:
        at = datetime.fromtimestamp(arrived_ms / 1000, UTC)
        row = {
            "requestTimeEpoch": str(arrived_ms),
            "requestTime": at.strftime("%d/%b/%Y:%H:%M:%S +0000"),
            "requestId": str(uuid.uuid4()),
            "xrayTraceId": trace,
            "httpMethod": method,
            "resourcePath": route_of(path),
            "status": str(outcome.status),
            "integrationStatus": outcome.integration_status,
            "integration.status": outcome.integration_status,
            "integrationLatency": str(took_ms),
            "responseLatency": str(took_ms + 1),
            "errorResponseType": outcome.response_type,
            "errorMessage": outcome.message,
            "integrationErrorMessage": outcome.integration_message,
        }
        with self.lock:
            self.log.write(json.dumps(row, separators=(",", ":")) + "\n")
            self.log.flush()


def route_of(path: str) -> str:
    """The resource of a path.

    >>> route_of("/api/inventory/sku-7"), route_of("/api/orders")
    ('/api/inventory/{sku}', '/api/orders')
    """
    for prefix, name in (("/api/inventory/", "{sku}"), ("/api/orders/", "{id}")):
        if path.startswith(prefix):
            return prefix + name
    return path


def handler_of(gateway: Gateway) -> type[QuietHandler]:
    """What answers the gateway's clients."""

    class Handler(QuietHandler):
        def do_GET(self) -> None:
            self._pass_on(b"")

        def do_POST(self) -> None:
            self._pass_on(self.body())

        def _pass_on(self, body: bytes) -> None:
            arrived, began = gateway.now_ms(), time.monotonic()
            trace = f"Root=1-{arrived // 1000:08x}-{uuid.uuid4().hex[:24]}"
            headers = {"X-Amzn-Trace-Id": trace, "Content-Type": "application/json"}
            outcome = gateway.pass_on(self.command, self.path, body, headers)
            took = round((time.monotonic() - began) * 1000)
            gateway.write(arrived, self.command, self.path, trace, took, outcome)
            self.answer(outcome.status)

    return Handler


def main() -> None:
    options, told = given(), Told()
    with Path(options["log"]).open("w", encoding="utf-8") as log:
        gateway = Gateway(
            options["port"], options["limit_seconds"], options["ahead_seconds"], told, log
        )
        announce(http=serving(handler_of(gateway)), side=side_door(Numbers(), told))
        wait_for_end()


if __name__ == "__main__":
    main()

"""The order service: HTTP in front, gRPC behind; its client measures what it waits for."""

from __future__ import annotations

import json
import secrets
import select
import socket
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import grpc

from tests.lab.incidents.services.process import (
    QuietHandler,
    announce,
    given,
    serving,
    side_door,
    wait_for_end,
)
from tests.lab.incidents.services.telemetry import Numbers, Timings

LOOKS_EACH_SECONDS = 0.02
# As grpc-gateway turns codes into statuses (runtime/errors.go), where they are a server's fault.
STATUS = {
    grpc.StatusCode.OK: 200,
    grpc.StatusCode.UNAVAILABLE: 503,
    grpc.StatusCode.DEADLINE_EXCEEDED: 504,
}
RETRIED = frozenset({grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED})
# A method by its bytes.
Ask: TypeAlias = "grpc.UnaryUnaryMultiCallable[bytes, bytes]"
# A client that waits seconds before it connects again would outlast a server's restart.
CHANNEL = [("grpc.initial_reconnect_backoff_ms", 100), ("grpc.max_reconnect_backoff_ms", 300)]


@dataclass
class Told:
    """The options of its calls: no deadline and one attempt at first; 0 is none."""

    deadline_seconds: float = 0.0
    attempts: int = 1


@dataclass(frozen=True)
class Client:
    """The calls of the two services, measured by method and code."""

    channels: Mapping[str, grpc.Channel]
    told: Told
    numbers: Numbers
    timings: Timings

    def call(self, path: str, request: Any, trace: str, caller: socket.socket) -> int:
        """The HTTP status that comes of calling a method; 0 where its own caller has hung up."""
        for attempt in range(self.told.attempts):
            code = self._attempt(path, json.dumps(request).encode(), trace, caller)
            if code is grpc.StatusCode.CANCELLED:
                return 0
            if code not in RETRIED or attempt + 1 == self.told.attempts:
                break
        return STATUS.get(code, 500)

    def _attempt(
        self, path: str, request: bytes, trace: str, caller: socket.socket
    ) -> grpc.StatusCode:
        service, method = path.split("/")
        ask: Ask = self.channels[service].unary_unary(f"/{path}")
        metadata = (("traceparent", traceparent(trace)),)
        began = time.monotonic()
        call = ask.future(request, self.told.deadline_seconds or None, metadata)
        while not call.done():
            # The call of a caller that has gone is cancelled, as servers that pass contexts on do.
            if select.select([caller], [], [], LOOKS_EACH_SECONDS)[0] and not _speaks(caller):
                call.cancel()
        code = call.code()
        tags = {"service": "order-service", "rpc.service": service, "rpc.method": method}
        took = (time.monotonic() - began) * 1000
        self.timings.send("grpc.client.duration", took, {**tags, "grpc.status": code.name})
        self.numbers.count(
            "grpc_client_handled_total",
            grpc_service=service,
            grpc_method=method,
            grpc_code=code.name,
        )
        assert isinstance(code, grpc.StatusCode)
        return code


def traceparent(xray: str) -> str:
    """The W3C header of a trace of X-Ray: the same 32 digits, and a span of our own.

    >>> traceparent("Root=1-5759e988-bd862e3fe1be46a994272793")[:36]
    '00-5759e988bd862e3fe1be46a994272793-'
    """
    _, epoch, rest = xray.removeprefix("Root=").split("-")
    return f"00-{epoch}{rest}-{secrets.token_hex(8)}-01"


def _speaks(caller: socket.socket) -> bool:
    try:
        return bool(caller.recv(1, socket.MSG_PEEK))
    except OSError:
        return False


def handler_of(client: Client) -> type[QuietHandler]:
    """What answers the service's four routes."""

    class Handler(QuietHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            name = self.path.rpartition("/")[2]
            if self.path.startswith("/api/inventory/"):
                self._call("inventory.Inventory/GetStock", {"sku": name})
            else:
                self.answer(200)

        def do_POST(self) -> None:
            body = self.said()
            if self.path == "/api/orders":
                self._call("inventory.Inventory/Reserve", body)
            else:
                self._call("payments.Payments/CreateIntent", body)

        def _call(self, path: str, request: Any) -> None:
            trace = self.headers["X-Amzn-Trace-Id"]
            status = client.call(path, request, trace, self.connection)
            if status:
                self.answer(status)
            else:
                self.close_connection = True

    return Handler


def main() -> None:
    options, told, numbers = given(), Told(), Numbers()
    channels = {
        service: grpc.insecure_channel(f"127.0.0.1:{port}", options=CHANNEL)
        for service, port in options["services"].items()
    }
    client = Client(channels, told, numbers, Timings(options["timings"]))
    announce(http=serving(handler_of(client)), side=side_door(numbers, told))
    wait_for_end()


if __name__ == "__main__":
    main()

"""The payment service: no database; it waits for its provider as long as it is told."""

from __future__ import annotations

import time
from dataclasses import dataclass

import grpc

from tests.lab.incidents.services.grpc_service import serve
from tests.lab.incidents.services.process import given
from tests.lab.incidents.services.telemetry import Numbers, Timings


@dataclass
class Told:
    """How long its provider takes."""

    provider_seconds: float = 0.02


def main() -> None:
    options, told, numbers = given(), Told(), Numbers()

    def create_intent(request: bytes, context: grpc.ServicerContext) -> bytes:
        time.sleep(told.provider_seconds)
        return b"{}"

    serve(
        "payments.Payments",
        {"CreateIntent": create_intent},
        owner="payments-service",
        port=0,
        workers=64,
        numbers=numbers,
        timings=Timings(options["timings"]),
        told=told,
    )


if __name__ == "__main__":
    main()

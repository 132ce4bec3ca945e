"""A gRPC service with handlers for bytes, which measures each call as its server sees it."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor

import grpc

from tests.lab.incidents.services.process import announce, side_door, wait_for_end
from tests.lab.incidents.services.telemetry import Numbers, Timings

Work = Callable[[bytes, grpc.ServicerContext], bytes]


class Refused(Exception):
    """What a handler raises to end its call with a code."""

    def __init__(self, code: grpc.StatusCode, details: str) -> None:
        super().__init__(details)
        self.code = code


def serve(
    service: str,
    methods: Mapping[str, Work],
    *,
    owner: str,
    port: int,
    workers: int,
    numbers: Numbers,
    timings: Timings,
    told: object,
) -> None:
    """Serves these methods on a port (0 for any) until whoever started the program has ended."""
    handlers: dict[str, grpc.RpcMethodHandler[bytes, bytes]] = {
        name: grpc.unary_unary_rpc_method_handler(
            _measured(work, service, name, owner, numbers, timings)
        )
        for name, work in methods.items()
    }
    # Without this a port in TIME_WAIT or of a killed process might be shared with another.
    options = [("grpc.so_reuseport", 0)]
    server = grpc.server(ThreadPoolExecutor(workers), options=options)
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, handlers),))
    bound = server.add_insecure_port(f"127.0.0.1:{port}")
    server.start()
    announce(grpc=bound, side=side_door(numbers, told))
    wait_for_end()
    server.stop(None)


def _measured(
    work: Work, service: str, method: str, owner: str, numbers: Numbers, timings: Timings
) -> Work:
    def run(request: bytes, context: grpc.ServicerContext) -> bytes:
        began, code = time.monotonic(), grpc.StatusCode.UNKNOWN
        try:
            answer = work(request, context)
            code = grpc.StatusCode.OK
            return answer
        except Refused as refusal:
            code = refusal.code
            context.abort(code, str(refusal))
        finally:
            tags = {"service": owner, "rpc.service": service, "rpc.method": method}
            took = (time.monotonic() - began) * 1000
            timings.send("grpc.server.duration", took, {**tags, "grpc.status": code.name})
            numbers.count(
                "grpc_server_handled_total",
                grpc_service=service,
                grpc_method=method,
                grpc_code=code.name,
            )

    return run

"""How a program of the lab starts, says its ports, and is told what to do while it runs."""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Callable
from dataclasses import fields
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.lab.incidents.services.telemetry import Numbers


class QuickServer(ThreadingHTTPServer):
    """An HTTP server whose queue holds a surge and whose threads end with the process."""

    request_queue_size = 256
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients that hang up are what incidents are made of: no word of it."""


def given() -> dict[str, Any]:
    """What the program was started with: one JSON object on its command line."""
    options: dict[str, Any] = json.loads(sys.argv[1])
    return options


def announce(**ports: int) -> None:
    """Says on standard output that the program serves, and where."""
    print(json.dumps(ports), flush=True)


def wait_for_end() -> None:
    """Returns when whoever started the program has closed its standard input."""
    sys.stdin.read()


def side_door(numbers: Numbers, told: Any, react: Callable[[], None] = lambda: None) -> int:
    """The port of `GET /metrics` and of `POST /control`, which sets fields of `told`."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._answer(numbers.text().encode(), "text/plain; version=0.0.4; charset=utf-8")

        def do_POST(self) -> None:
            said = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            known = {field.name for field in fields(told)}
            assert said.keys() <= known, said
            for name, value in said.items():
                setattr(told, name, value)
            react()
            self._answer(b"{}", "application/json")

        def _answer(self, body: bytes, kind: str) -> None:
            self.send_response(200)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *arguments: Any) -> None:
            pass

    server = QuickServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server.server_port

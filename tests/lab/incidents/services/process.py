"""How a program of the lab starts, says its ports, and is told what to do while it runs."""

from __future__ import annotations

import json
import sys
import threading
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


class QuietHandler(BaseHTTPRequestHandler):
    """A handler that answers whole documents and writes no log."""

    def said(self) -> Any:
        """The JSON that came with the request."""
        return json.loads(self.body())

    def body(self) -> bytes:
        """The bytes that came with the request."""
        return self.rfile.read(int(self.headers["Content-Length"]))

    def answer(self, status: int, body: bytes = b"{}", kind: str = "application/json") -> None:
        """Sends a whole answer."""
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *arguments: Any) -> None:
        pass


def serving(handler: type[BaseHTTPRequestHandler]) -> int:
    """The port on which a new HTTP server serves until the process ends."""
    server = QuickServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server.server_port


def given() -> dict[str, Any]:
    """What the program was started with: one JSON object on its command line."""
    options: dict[str, Any] = json.loads(sys.argv[1])
    return options


def announce(**ports: int) -> None:
    """Says on standard output that the program serves, and where."""
    print(json.dumps(ports), flush=True)


def wait_for_end() -> None:
    """Returns when whoever started the program has ended, and its standard input with it."""
    sys.stdin.read()


def side_door(numbers: Numbers, told: Any) -> int:
    """The port of `GET /metrics` and of `POST /control`, which sets fields of `told`."""

    class Handler(QuietHandler):
        def do_GET(self) -> None:
            self.answer(200, numbers.text().encode(), "text/plain; version=0.0.4; charset=utf-8")

        def do_POST(self) -> None:
            said = self.said()
            known = {field.name for field in fields(told)}
            assert said.keys() <= known, said
            for name, value in said.items():
                setattr(told, name, value)
            self.answer(200)

    return serving(Handler)

"""An HTTP server on this machine that a test asks in place of a service, and its handlers."""

from __future__ import annotations

import http.client
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

# What holds for one connection alone.
_DROPPED = ("connection", "transfer-encoding")


class LocalHandler(BaseHTTPRequestHandler):
    """Takes bodies, sends whole answers, passes requests on, and writes no log."""

    disable_nagle_algorithm = True

    def body(self) -> bytes:
        """What came with the request."""
        return self.rfile.read(int(self.headers.get("Content-Length", 0)))

    def reply(self, status: int, content_type: str, body: bytes) -> None:
        """Sends a whole answer."""
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def pass_on(self, url: str, body: bytes = b"") -> None:
        """Answers as the server at `url` does, broken off where its answer is."""
        connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=10)
        self.close_connection = True
        try:
            connection.request(self.command, self.path, body or None, dict(self.headers.items()))
            answer = connection.getresponse()
            data = answer.read()
        except http.client.IncompleteRead as broken:
            data = broken.partial
        except (http.client.HTTPException, OSError):
            return
        finally:
            connection.close()
        self.send_response_only(answer.status)
        for name, value in answer.headers.items():
            if name.lower() not in _DROPPED:
                self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *arguments: Any) -> None:
        pass


@contextmanager
def serving(handler: type[BaseHTTPRequestHandler]) -> Iterator[str]:
    """The address of a server on a free port, which ends with the block."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()

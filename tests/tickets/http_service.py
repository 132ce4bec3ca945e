"""A local HTTP server that stands for a ticket system: it hears, misbehaves on demand, answers."""

from __future__ import annotations

import email.parser
import email.policy
import json
import re
import ssl
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit


@dataclass(frozen=True)
class Heard:
    """One request as it came."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes

    @property
    def content_type(self) -> str:
        return self.header("Content-Type").partition(";")[0]

    @property
    def document(self) -> Any:
        return json.loads(self.body)

    @property
    def form(self) -> dict[str, str]:
        return dict(parse_qsl(self.body.decode(), keep_blank_values=True))

    def header(self, name: str) -> str:
        return next((v for n, v in self.headers.items() if n.lower() == name.lower()), "")

    def parts(self) -> list[tuple[str, str, bytes]]:
        """The fields of a multipart form as (name, file name, content), by the standard library."""
        head = f"Content-Type: {self.header('Content-Type')}\r\n\r\n".encode()
        message = email.parser.BytesParser(policy=email.policy.HTTP).parsebytes(head + self.body)
        found = []
        for part in message.iter_parts():
            name = part.get_param("name", header="content-disposition")
            content = part.get_payload(decode=True)
            assert isinstance(content, bytes)
            found.append((str(name), part.get_filename() or "", content))
        return found


@dataclass(frozen=True)
class Answer:
    """An answer: a document of JSON, or bytes as they are."""

    body: Any = None
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def data(self) -> bytes:
        if isinstance(self.body, bytes):
            return self.body
        return b"" if self.body is None else json.dumps(self.body).encode()


@dataclass(frozen=True)
class Fault:
    """What happens once, to the next request in whose `METHOD /path` the pattern is found.

    `fine`: nothing. `instead`: it gets `answer`. `unheard`: it is not done, and the connection
    ends. `unanswered`: it is done, and the connection ends. `halved`: it is done, and the answer
    ends in its middle. `stalled`: it is done, and no answer comes.
    """

    happens: str = "instead"
    answer: Answer = Answer()
    of: str = ""


@dataclass
class Service:
    """`answer` does what a request asks for and answers as the system does."""

    answer: Callable[[Heard], Answer] = lambda heard: Answer(status=404)
    url: str = ""
    heard: list[Heard] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    over: threading.Event = field(default_factory=threading.Event)

    def lines(self) -> list[str]:
        """Method and path of each request."""
        return [f"{one.method} {one.path}" for one in self.heard]

    def fault_for(self, heard: Heard) -> Fault | None:
        for number, fault in enumerate(self.faults):
            if re.search(fault.of, f"{heard.method} {heard.path}"):
                return self.faults.pop(number)
        return None


@contextmanager
def running(service: Service, tls: ssl.SSLContext | None = None) -> Iterator[Service]:
    """The service on a free port of this machine, over TLS with a context for that."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _handle(self) -> None:
            parts = urlsplit(self.path)
            heard = Heard(
                self.command,
                parts.path,
                dict(parse_qsl(parts.query, keep_blank_values=True)),
                dict(self.headers.items()),
                self.rfile.read(int(self.headers.get("Content-Length") or 0)),
            )
            service.heard.append(heard)
            fault = service.fault_for(heard)
            happens = fault.happens if fault else ""
            self.close_connection = self.close_connection or bool(fault)
            if happens == "unheard":
                return
            answer = fault.answer if fault and happens == "instead" else service.answer(heard)
            if happens == "unanswered":
                return
            if happens == "stalled":
                service.over.wait(10)
                return
            self._send(answer, half=happens == "halved")

        do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _handle

        def _send(self, answer: Answer, *, half: bool) -> None:
            data = answer.data
            self.send_response(answer.status)
            for name, value in {"Content-Type": "application/json", **answer.headers}.items():
                self.send_header(name, value)
            if answer.status != 204:
                self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data[: len(data) // 2] if half else data)

        def log_message(self, format: str, *arguments: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    if tls is not None:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    scheme = "http" if tls is None else "https"
    service.url = f"{scheme}://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield service
    finally:
        service.over.set()
        server.shutdown()
        server.server_close()
        thread.join()

"""TCP proxies before a real server: one that forwards bytes, and ones that rewrite the greeting."""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

# Body of a message of the server to what the client is to read; by the message's letter.
Rewrite = Callable[[bytes, bytes], bytes]
READY_FOR_QUERY = b"Z"


def other_process(letter: bytes, body: bytes) -> bytes:
    """As PgBouncer does: a process id and a key of its own in BackendKeyData."""
    if letter != b"K":
        return body
    pid, rest = struct.unpack("!I", body[:4])[0], body[4:]
    return struct.pack("!I", pid ^ 0x5A5A) + rest


def version(text: str) -> Rewrite:
    """A server that says to be of this version."""

    def rewrite(letter: bytes, body: bytes) -> bytes:
        if letter == b"S" and body.startswith(b"server_version\0"):
            return b"server_version\0" + text.encode() + b"\0"
        return body

    return rewrite


@contextmanager
def proxy(port: int, rewrite: Rewrite | None = None) -> Iterator[str]:
    """The DSN parts of a proxy before the server at `port`; it ends with its connections."""
    listening = socket.create_server(("127.0.0.1", 0))
    open_sockets: list[socket.socket] = [listening]
    threads: list[threading.Thread] = []

    def run(target: Callable[..., None], *arguments: object) -> None:
        thread = threading.Thread(target=target, args=arguments, daemon=True)
        threads.append(thread)
        thread.start()

    def accept() -> None:
        while True:
            try:
                client, _ = listening.accept()
            except OSError:
                return
            server = socket.create_connection(("127.0.0.1", port))
            open_sockets.extend((client, server))
            run(_forward, client, server, None)
            run(_forward, server, client, rewrite)

    run(accept)
    try:
        ours = listening.getsockname()[1]
        yield f"host=127.0.0.1 port={ours} sslmode=disable gssencmode=disable"
    finally:
        for each in open_sockets:
            # Closing alone does not wake a thread that is reading.
            try:
                each.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            each.close()
        for thread in threads:
            thread.join()


def _forward(source: socket.socket, target: socket.socket, rewrite: Rewrite | None) -> None:
    pending = b""
    try:
        while data := source.recv(65536):
            if rewrite is not None:
                pending += data
                data, pending, is_ready = _rewritten(pending, rewrite)
                rewrite = None if is_ready else rewrite
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)
    except OSError:
        pass


def _rewritten(data: bytes, rewrite: Rewrite) -> tuple[bytes, bytes, bool]:
    """Whole messages rewritten, the rest, and whether the greeting is over."""
    out = b""
    while len(data) >= 5:
        end = 1 + struct.unpack("!I", data[1:5])[0]
        if len(data) < end:
            break
        letter, body, data = data[:1], data[5:end], data[end:]
        body = rewrite(letter, body)
        out += letter + struct.pack("!I", len(body) + 4) + body
        if letter == READY_FOR_QUERY:
            return out + data, b"", True
    return out, data, False

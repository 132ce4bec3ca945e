"""A local server that answers as S3 does (ListObjectsV2, GetObject), or badly."""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import formatdate
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit
from xml.sax.saxutils import escape

from tests.sources.local_server import LocalHandler, serving

NAMESPACE = "http://s3.amazonaws.com/doc/2006-03-01/"


@dataclass(frozen=True)
class Fault:
    """One bad answer: an error, a body cut after so many bytes, or a connection that breaks."""

    code: str = ""
    status: int = 503
    message: str = "no"
    headers: tuple[tuple[str, str], ...] = ()
    cut_after: int | None = None
    swaps_bytes: bool = False
    breaks: bool = False
    html: bool = False


@dataclass
class Stored:
    """An object; `etag` is the MD5, and the `size` that is listed its own, unless given."""

    body: bytes
    modified: datetime
    etag: str = ""
    encryption: str = ""
    size: int = 0

    def __post_init__(self) -> None:
        self.size = self.size or len(self.body)
        self.etag = self.etag or hashlib.md5(self.body, usedforsecurity=False).hexdigest()


@dataclass
class Bucket:
    """A bucket named `logs`, what it does wrong, and what it was asked.

    `faults` has a list by key, "" for listings: each fault is used once, in its order; the last of
    them stays if `stays`.
    """

    url: str = ""
    objects: dict[str, Stored] = field(default_factory=dict)
    page_keys: int = 1000
    faults: dict[str, list[Fault]] = field(default_factory=dict)
    stays: bool = False
    same_token: bool = False
    listed: list[dict[str, str]] = field(default_factory=list)
    got: list[tuple[str, str]] = field(default_factory=list)
    sent_bytes: int = 0
    clock_ahead_seconds: float = 0.0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def clear(self) -> None:
        """Forgets everything but its address."""
        self.objects.clear()
        self.faults.clear()
        self.listed.clear()
        self.got.clear()
        self.page_keys, self.stays, self.same_token, self.sent_bytes = 1000, False, False, 0

    def put(self, key: str, body: bytes, modified: datetime, **given: Any) -> None:
        self.objects[key] = Stored(body, modified, **given)

    def fault(self, key: str) -> Fault | None:
        with self.lock:
            left = self.faults.get(key, [])
            if not left:
                return None
            return left[0] if self.stays and len(left) == 1 else left.pop(0)

    def page(self, asked: dict[str, str]) -> bytes:
        """A page of keys and folders, in the order of bytes."""
        prefix, delimiter = asked.get("prefix", ""), asked.get("delimiter", "")
        entries: dict[str, str] = {}
        for key in sorted(self.objects):
            if key.startswith(prefix):
                head, found, _ = key[len(prefix) :].partition(delimiter or "\0")
                entries[prefix + head + found if found else key] = "folder" if found else "key"
        after = asked.get("continuation-token", "").removeprefix("after:")
        names = [name for name in sorted(entries) if name > after]
        shown, rest = names[: self.page_keys], names[self.page_keys :]
        items = "".join(self._entry(name, entries[name]) for name in shown)
        if rest:
            token = "after:" if self.same_token else f"after:{shown[-1]}"
            items += f"<NextContinuationToken>{escape(token)}</NextContinuationToken>"
        return (
            f'<?xml version="1.0" encoding="UTF-8"?><ListBucketResult xmlns="{NAMESPACE}">'
            f"<Name>logs</Name><Prefix>{escape(prefix)}</Prefix><KeyCount>{len(shown)}</KeyCount>"
            f"<IsTruncated>{'true' if rest else 'false'}</IsTruncated>{items}</ListBucketResult>"
        ).encode()

    def _entry(self, name: str, kind: str) -> str:
        if kind == "folder":
            return f"<CommonPrefixes><Prefix>{escape(name)}</Prefix></CommonPrefixes>"
        stored = self.objects[name]
        return (
            f"<Contents><Key>{escape(name)}</Key><Size>{stored.size}</Size>"
            f"<LastModified>{stored.modified.astimezone(UTC):%Y-%m-%dT%H:%M:%S.000Z}</LastModified>"
            f"<ETag>&quot;{stored.etag}&quot;</ETag></Contents>"
        )


def _handler(bucket: Bucket) -> type[LocalHandler]:
    class Handler(LocalHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            name, _, key = unquote(parts.path).removeprefix("/").partition("/")
            if name != "logs":
                self._error(Fault("NoSuchBucket", 404, "The specified bucket does not exist"))
                return
            fault = bucket.fault(key)
            asked = {k: v[0] for k, v in parse_qs(parts.query).items()}
            with bucket.lock:
                if key:
                    bucket.got.append((key, self.headers.get("Range", "")))
                else:
                    bucket.listed.append(asked)
            if fault is not None and fault.breaks:
                self.close_connection = True
            elif fault is not None and (fault.code or fault.html):
                self._error(fault)
            elif key:
                self._object(key, fault or Fault())
            else:
                self._send(200, bucket.page(asked), {"Content-Type": "application/xml"})

        def _object(self, key: str, fault: Fault) -> None:
            stored = bucket.objects.get(key)
            if stored is None:
                self._error(Fault("NoSuchKey", 404))
                return
            if self.headers.get("If-Match", f'"{stored.etag}"') != f'"{stored.etag}"':
                self._error(Fault("PreconditionFailed", 412))
                return
            asked = (self.headers.get("Range") or "bytes=0-").removeprefix("bytes=")
            first, end = asked.split("-")
            body = stored.body[int(first) : int(end) + 1 if end else None]
            headers = {"ETag": f'"{stored.etag}"', "Content-Type": "application/gzip"}
            if stored.encryption:
                headers["x-amz-server-side-encryption"] = stored.encryption
            if "Range" in self.headers:
                last = int(first) + len(body) - 1
                headers["Content-Range"] = f"bytes {first}-{last}/{len(stored.body)}"
            shown = body[::-1] if fault.swaps_bytes else body
            self._send(206 if "Range" in self.headers else 200, shown, headers, fault.cut_after)

        def _error(self, fault: Fault) -> None:
            said = f"<Code>{fault.code}</Code><Message>{escape(fault.message)}</Message>"
            body = f"<Error>{said}</Error>"
            if fault.html:
                body = "<html><b>a proxy's page</b></html>"
            kind = {"Content-Type": "text/html" if fault.html else "application/xml"}
            self._send(fault.status, body.encode(), kind | dict(fault.headers))

        def _send(
            self, status: int, body: bytes, headers: dict[str, str], cut_after: int | None = None
        ) -> None:
            self.send_response(status)
            for header, value in headers.items():
                self.send_header(header, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            sent = body if cut_after is None else body[:cut_after]
            with bucket.lock:
                bucket.sent_bytes += len(sent) if status in (200, 206) else 0
            self.wfile.write(sent)
            if cut_after is not None:
                self.close_connection = True

        def date_time_string(self, timestamp: float | None = None) -> str:
            return formatdate(time.time() + bucket.clock_ahead_seconds, usegmt=True)

    return Handler


@contextmanager
def running_bucket() -> Iterator[Bucket]:
    """A bucket on a free port of this machine."""
    bucket = Bucket()
    with serving(_handler(bucket)) as bucket.url:
        yield bucket

"""Requests that write: sent once unless it is certain that they did nothing, or shown instead.

A ticket describes each request and what of its answer it reads, and hands both to a `Sender`. One
sends it, the other only keeps it and gives the described answer: so a dry run shows what a real
run sends, by the same code.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from importlib import import_module
from typing import Any
from urllib.parse import urlencode, urlsplit

import msgspec

from incident_rca.errors import Unreachable
from incident_rca.json_text import decode
from incident_rca.redact import plain
from incident_rca.sources import http
from incident_rca.sources.http import Failed, Site
from incident_rca.sources.tally import Tally

# Longer than that nobody waits at a terminal: the answer says when to come back.
LONGEST_WAIT_SECONDS = 60.0
USER_AGENT = "incident-rca"
_LOST = ("connection_broken", "timeout", "too_large")


@dataclass(frozen=True)
class Attachment:
    """A file of the case as it is sent; `name` is its path in the case, with slashes."""

    name: str
    media_type: str
    content: bytes = field(repr=False)

    @property
    def base_name(self) -> str:
        """Its name without folders, for systems that know none."""
        return self.name.rpartition("/")[2]

    @cached_property
    def sha256(self) -> str:
        return hashlib.sha256(self.content).hexdigest()


@dataclass(frozen=True, slots=True)
class Json:
    """A body that is a JSON document."""

    document: Any


@dataclass(frozen=True, slots=True)
class Form:
    """A body of URL-encoded fields."""

    fields: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Upload:
    """A body that is a file: in a multipart field of this name, or with no name as it is."""

    file: Attachment
    field: str = ""


@dataclass(frozen=True, slots=True)
class Text:
    """A body that is Markdown."""

    text: str


Body = Json | Form | Upload | Text


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One request: `what` says it in words, `answer` has what is read of a good answer.

    `repeatable`: sent twice, it does no more than sent once. `is_bare`: no token goes with it.
    """

    what: str
    method: str
    url: str
    body: Body | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    answer: Any = None
    repeatable: bool = True
    is_bare: bool = False


Sender = Callable[[Request], Any]


class Refused(Failed):
    """An answer that says no; `status` is that of HTTP, `is_of_this` if another may still go."""

    def __init__(self, status: int, code: str, message: str, *, hint: str = "") -> None:
        super().__init__(code, message, hint=hint)
        self.status = status
        self.is_of_this = status in (400, 413, 415, 422)
        self.is_gone = status in (404, 410)


class Unsure(Unreachable):
    """A request that must not be repeated and whose answer was lost: it may have arrived."""


@dataclass(frozen=True, slots=True)
class Connection:
    """A site with the time that it may take; `explain` reads what it says of an error.

    `refused` tells an answer that says no although its status is good.
    """

    site: Site
    tally: Tally
    variables: tuple[str, ...]
    explain: Callable[[Any], str]
    refused: Callable[[Request, Any], Refused | None] = lambda request, document: None
    secrets: tuple[str, ...] = field(default=(), repr=False)
    environ: Mapping[str, str] = field(default_factory=dict, repr=False)


def rehearsing(kept: list[Request]) -> Sender:
    """Keeps each request in `kept`, sends nothing and answers as the service would."""

    def rehearse(request: Request) -> Any:
        kept.append(request)
        return request.answer

    return rehearse


def send(connection: Connection, request: Request) -> Any:
    """The JSON document that answers a request, None for an empty answer.

    Waits where it is told to and tries again where that can do no harm, four times at most. Raises
    Refused, Unsure (it may have arrived) or Failed (it did not).
    """
    content_type, data = encoded(request.body)
    with _site_of(connection, request) as site:
        for attempt in range(1, http.MOST_ATTEMPTS + 1):
            is_last = attempt == http.MOST_ATTEMPTS
            connection.tally.check()
            # A connection that is used again may be closed at its other end just when it is.
            site.pool.clear()
            try:
                status, headers, body = http.sent_once(
                    site,
                    request.method,
                    request.url,
                    data,
                    connection.tally,
                    content_type,
                    {"User-Agent": USER_AGENT, **request.headers},
                )
            except Failed as error:
                if request.repeatable and error.code == "connection_broken" and not is_last:
                    connection.tally.pause(2.0 ** (attempt - 1))
                    continue
                raise _masked(connection, request, error) from error
            wait = _told_to_wait_seconds(connection, status, headers, attempt)
            if wait is None and status >= 500 and request.repeatable:
                wait = 2.0 ** (attempt - 1)
            if wait is None or is_last:
                return _answer(connection, request, status, headers, body)
            if wait > min(LONGEST_WAIT_SECONDS, connection.tally.left()):
                raise _too_busy(connection, wait)
            connection.tally.pause(wait)
    raise AssertionError("the last attempt returns or raises")


def encoded(body: Body | None) -> tuple[str, bytes]:
    """The content type and the bytes of a body."""
    match body:
        case Json(document):
            return "application/json; charset=utf-8", msgspec.json.encode(document)
        case Form(fields):
            return "application/x-www-form-urlencoded", urlencode(fields).encode()
        case Text(text):
            return "text/markdown; charset=utf-8", text.encode()
        case Upload(file, ""):
            return "application/octet-stream", file.content
        case Upload(file, name):
            multipart = import_module("urllib3.filepost").encode_multipart_formdata
            content, content_type = multipart(
                {name: (file.base_name, file.content, file.media_type)}
            )
            return content_type, content
        case None:
            return "", b""


@contextmanager
def _site_of(connection: Connection, request: Request) -> Iterator[Site]:
    """The site with its token; for a bare request one without, over TLS as the site is."""
    if not request.is_bare:
        yield connection.site
        return
    here, there = urlsplit(connection.site.url), urlsplit(request.url)
    if there.scheme != "https" and (there.scheme, there.hostname) != (here.scheme, here.hostname):
        raise Failed(
            "not_tls",
            f"{here.netloc} wants files sent to {there.scheme}://{there.netloc}, which is not TLS",
            hint="is it a proxy that answers in its place? Check the url",
        )
    with http.opened(f"{there.scheme}://{there.netloc}", environ=connection.environ) as site:
        yield site


def _told_to_wait_seconds(
    connection: Connection, status: int, headers: Mapping[str, str], attempt: int
) -> float | None:
    """How long to wait before it may be sent again, None where it was not put off.

    GitHub also puts off by 403, and says by x-ratelimit-reset until when ("Rate limits for the REST
    API"); what was put off was not done.
    """
    now = connection.tally.clock.now()
    asked = http.asked_to_wait_seconds(headers, now)
    is_used_up = headers.get("x-ratelimit-remaining", "").strip() == "0"
    if status == 403 and is_used_up and asked is None:
        reset = headers.get("x-ratelimit-reset", "").strip()
        is_time = reset.isascii() and reset.isdigit()
        asked = max(0.0, float(reset[:12]) - now.timestamp()) if is_time else None
    if status == 429 or (status == 403 and (asked is not None or is_used_up)):
        connection.tally.throttled += 1
        return 2.0 ** (attempt - 1) if asked is None else asked
    return None


def _answer(
    connection: Connection, request: Request, status: int, headers: Mapping[str, str], data: bytes
) -> Any:
    """The document of a good answer; raises Refused for any other, Unsure where that is open."""
    host = urlsplit(request.url).netloc
    document, is_json = _document(data)
    if 300 <= status < 400:
        target = urlsplit(headers.get("Location") or "").netloc or "elsewhere"
        message = f"{host} sends us to {target} instead"
        hint = "is it a login page, or was it moved? Check its url and its name"
        raise Refused(status, "redirected", message, hint=hint)
    if status >= 500 and not request.repeatable:
        raise _unsure(request, f"{host} answers with status {status}")
    if status >= 400:
        said = connection.explain(document) if is_json else ""
        words = plain(http.said(connection.site, _without_secrets(connection, said)), 300)
        raise Refused(
            status,
            f"http_{status}",
            f"{host} answers with status {status}{': ' + words if words else ''}",
            hint=_hint(connection, status),
        )
    if error := connection.refused(request, document):
        raise error
    if not (is_json or request.is_bare) or not _fits(document, request.answer):
        what = "HTML" if data.lstrip()[:1] == b"<" else "something else than its API says"
        message = f"{host} answers with {what}"
        if not request.repeatable:
            raise _unsure(request, message)
        hint = "a login page or a proxy may answer in its place: check the url"
        raise Failed("not_its_api", message, hint=hint)
    return document


def _fits(document: Any, shape: Any) -> bool:
    """Whether a document has all that a described answer has; a text there stands for any value."""
    match shape:
        case Mapping():
            is_one = isinstance(document, Mapping)
            return is_one and all(_fits(document.get(key), shape[key]) for key in shape)
        case [inner]:
            return isinstance(document, list) and bool(document) and _fits(document[0], inner)
        case []:
            return isinstance(document, list)
        case True:
            return document is True
    return shape is None or (isinstance(document, str | int) and not isinstance(document, bool))


def _document(data: bytes) -> tuple[Any, bool]:
    """What the JSON of an answer says, and whether it is any; an empty answer is one."""
    if not data.strip():
        return None, True
    try:
        return decode(data), True
    except ValueError:
        return None, False


def _masked(connection: Connection, request: Request, error: Failed) -> Unreachable:
    """The error of a request that got no answer; Unsure where it may have arrived all the same."""
    message = _without_secrets(connection, error.message)
    if error.code in _LOST and not request.repeatable:
        return _unsure(request, message)
    hint = (
        "attach again, perhaps with a longer --timeout" if error.code == "timeout" else error.hint
    )
    return Failed(error.code, message, hint=hint)


def _unsure(request: Request, message: str) -> Unsure:
    return Unsure(
        f"{message}; whether it did `{request.what}` is not known",
        hint="attach again: it looks whether it is there before it sends it again",
    )


def _too_busy(connection: Connection, seconds: float) -> Failed:
    host = urlsplit(connection.site.url).netloc
    message = f"{host} asks us to wait {seconds:,.0f} s"
    return Failed("throttled", message, hint="attach again after that")


def _without_secrets(connection: Connection, text: str) -> str:
    for secret in sorted(filter(None, connection.secrets), key=len, reverse=True):
        text = text.replace(secret, "<secret>")
    return text


def _hint(connection: Connection, status: int) -> str:
    names = " and ".join(connection.variables)
    hints = {
        401: f"check {names}",
        403: f"what {names} names may not do this: see its scopes and permissions",
        404: f"is it there, and may {names} see it?",
        413: "too large for it: put it where it can be linked to",
    }
    return hints.get(status, "attach again later" if status >= 500 else "")

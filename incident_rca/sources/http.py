"""JSON over HTTP for services without a client of their own: bounded in time, size and attempts.

What `ask` sends only reads, so it may be sent again; what writes goes by `tickets/wire.py`. Header
values are secrets: a redirect to another host is never followed, and no message repeats them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime
from importlib import import_module
from typing import Any
from urllib.parse import quote, urlencode, urljoin, urlsplit

from incident_rca.errors import Unreachable
from incident_rca.json_text import decode
from incident_rca.redact import plain, redact_text
from incident_rca.sources.tally import Tally

Parameters = Sequence[tuple[str, str]]
Sign = Callable[[str, str, Mapping[str, str], bytes], Mapping[str, str]]

MOST_ATTEMPTS = 4
LONGEST_RETRY_AFTER_SECONDS = 30.0
MOST_BYTES = 256 * 1024 * 1024
LONGEST_URL = 4_000  # beyond it some proxies refuse: the parameters go into the body
_MOST_REDIRECTS = 3
_CONNECT_SECONDS = 5.0
_CHUNK_BYTES = 64 * 1024
_TRY_AGAIN = frozenset({429, 502, 503, 504})
_REDIRECTS = frozenset({301, 302, 303, 307, 308})


class Failed(Unreachable):
    """A request that brought no answer; `code` is one word for the way in which it failed."""

    def __init__(self, code: str, message: str, *, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.code = code


@dataclass(frozen=True, slots=True)
class Site:
    """Where requests go, and what goes with each; `headers` and `sign` never show."""

    url: str
    pool: Any = field(repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    sign: Sign | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Reply:
    """A JSON answer of any status; `clock_offset_seconds` bounds server clock minus ours."""

    status: int
    document: Any
    clock_offset_seconds: tuple[float, float] | None = None


@contextmanager
def opened(
    url: str,
    *,
    headers: Mapping[str, str] | None = None,
    environ: Mapping[str, str] | None = None,
    sign: Sign | None = None,
) -> Iterator[Site]:
    """The site at `url`, through the proxy that `environ` names; connections are closed at the end.

    `environ`: HTTPS_PROXY, HTTP_PROXY, ALL_PROXY, NO_PROXY (in either case) and SSL_CERT_FILE.
    """
    urllib3 = import_module("urllib3")
    environ = environ or {}
    settings: dict[str, Any] = {"maxsize": 4, "retries": False}
    if environ.get("SSL_CERT_FILE"):
        settings["ca_certs"] = environ["SSL_CERT_FILE"]
    proxy = proxy_of(url, environ)
    if not proxy:
        pool = urllib3.PoolManager(**settings)
    else:
        parts = urlsplit(proxy)
        user = f"{parts.username}:{parts.password or ''}" if parts.username else None
        pool = urllib3.ProxyManager(
            f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}",
            proxy_headers=urllib3.make_headers(proxy_basic_auth=user) if user else None,
            **settings,
        )
    try:
        yield Site(url.rstrip("/"), pool, dict(headers or {}), sign)
    finally:
        pool.clear()


def proxy_of(url: str, environ: Mapping[str, str]) -> str:
    """The proxy for a URL, or ""; raises Unreachable for one that is no HTTP proxy.

    >>> proxy_of("https://prom/x", {"HTTPS_PROXY": "http://p:3128", "NO_PROXY": ".local"})
    'http://p:3128'
    >>> proxy_of("https://prom.local/x", {"HTTPS_PROXY": "http://p:3128", "NO_PROXY": ".local"})
    ''
    """

    def named(name: str) -> str:
        return environ.get(name.lower()) or environ.get(name.upper()) or ""

    parts = urlsplit(url)
    proxy = named(f"{parts.scheme}_proxy") or named("all_proxy")
    bypasses = import_module("urllib.request").proxy_bypass_environment
    if not proxy or bypasses(parts.hostname or "", {"no": named("no_proxy")}):
        return ""
    proxy = proxy if "://" in proxy else f"http://{proxy}"
    if urlsplit(proxy).scheme not in ("http", "https"):
        raise Unreachable(
            f"the proxy for {parts.hostname} is a {urlsplit(proxy).scheme} proxy",
            hint="name an HTTP proxy, or exclude the host by NO_PROXY",
        )
    return proxy


def ask(site: Site, path: str, parameters: Parameters, *, tally: Tally) -> Reply:
    """The JSON answer to a GET, or to a POST of a form where the URL would be too long.

    429, 502, 503, 504 and broken connections are tried again, four times at most, after the
    Retry-After that the service names (30 s at most). Raises Failed where there is no JSON.
    """
    url = f"{site.url}/{path.lstrip('/')}"
    form = urlencode(list(parameters), quote_via=quote)
    with_form = f"{url}?{form}" if form else url
    method, body = ("GET", b"") if len(with_form) <= LONGEST_URL else ("POST", form.encode())
    url = url if body else with_form
    redirects = 0
    attempt = 1
    while True:
        tally.check()
        sent = tally.clock.now()
        try:
            status, headers, data = sent_once(site, method, url, body, tally)
        except Failed as error:
            if error.code != "connection_broken" or attempt >= MOST_ATTEMPTS:
                raise
            tally.pause(0.5 * 2 ** (attempt - 1))
            attempt += 1
            continue
        received = tally.clock.now()
        if status in _REDIRECTS:
            redirects += 1
            url = _redirected(site, url, headers, method, redirects)
            continue
        if status in _TRY_AGAIN and attempt < MOST_ATTEMPTS:
            tally.throttled += status in (429, 503)
            tally.pause(_retry_after(headers, received, attempt))
            attempt += 1
            continue
        tally.pages += 1
        offset = _offset(headers.get("Date"), sent, received)
        return Reply(status, _document(site, status, data), offset)


def said(site: Site, text: str) -> str:
    """A text of the service or of the network, on one line and without any header's value."""
    secrets = {part for value in site.headers.values() for part in (value, *value.split()) if part}
    for secret in sorted(secrets, key=len, reverse=True):
        if len(secret) >= 4:
            text = text.replace(secret, "<secret>")
    return plain(redact_text(text))


def sent_once(
    site: Site,
    method: str,
    url: str,
    body: bytes,
    tally: Tally,
    content_type: str = "application/x-www-form-urlencoded",
    more: Mapping[str, str] | None = None,
) -> tuple[int, Mapping[str, str], bytes]:
    """Status, headers and body of one request, whatever it answers; raises Failed.

    `more` are headers of this request that are no secrets.
    """
    urllib3 = import_module("urllib3")
    broken = urllib3.exceptions
    headers = {"Accept": "application/json", **site.headers, **(more or {})}
    if body:
        headers["Content-Type"] = content_type
    if site.sign is not None:
        headers = {**headers, **site.sign(method, url, headers, body)}
    host = urlsplit(url).netloc
    seconds = tally.request_seconds()
    until = tally.clock.monotonic() + seconds
    timeout = urllib3.Timeout(connect=min(_CONNECT_SECONDS, seconds), read=seconds)
    try:
        reply = site.pool.urlopen(
            method,
            url,
            body=body or None,
            headers=headers,
            timeout=timeout,
            redirect=False,
            preload_content=False,
        )
    except broken.NewConnectionError as error:  # before its base, which is that of time-outs
        raise _unreachable(site, host, error) from error
    except broken.TimeoutError as error:
        raise _too_slow(host, seconds) from error
    except broken.ProtocolError as error:
        raise _broken(site, host, error) from error
    except (broken.HTTPError, ValueError, OSError) as error:
        raise _unreachable(site, host, error) from error
    try:
        return int(reply.status), reply.headers, _body(reply, host, until, seconds, tally)
    except broken.ReadTimeoutError as error:
        raise _too_slow(host, seconds) from error
    except (broken.HTTPError, OSError) as error:
        raise _broken(site, host, error) from error
    finally:
        reply.close()
        reply.release_conn()


def _body(reply: Any, host: str, until: float, seconds: float, tally: Tally) -> bytes:
    """The body, bounded in size and, however slowly it drips, in time."""
    data = bytearray()
    while chunk := reply.read1(_CHUNK_BYTES):
        data += chunk
        if len(data) > MOST_BYTES:
            raise Failed(
                "too_large",
                f"{host} answers with more than {MOST_BYTES // 2**20} MiB",
                hint="narrow the window, or the series by `matchers`",
            )
        if tally.clock.monotonic() > until:
            raise _too_slow(host, seconds)
    return bytes(data)


def _too_slow(host: str, seconds: float) -> Failed:
    return Failed(
        "timeout",
        f"{host} did not answer within {seconds:g} s",
        hint="ask again, with a narrower window or a longer --timeout",
    )


def _unreachable(site: Site, host: str, error: Exception) -> Failed:
    return Failed(
        "unreachable",
        f"{host} cannot be reached: {said(site, str(error))}",
        hint="check its url, the network, and HTTPS_PROXY and NO_PROXY",
    )


def _broken(site: Site, host: str, error: Exception) -> Failed:
    return Failed(
        "connection_broken",
        f"{host} broke off the connection: {said(site, str(error))}",
        hint="ask again; a proxy in between may cut long answers",
    )


def _redirected(site: Site, url: str, headers: Mapping[str, str], method: str, times: int) -> str:
    """Where to go instead, on the same host only; raises Failed."""
    target = urljoin(url, headers.get("Location") or "")
    here, there = urlsplit(url), urlsplit(target)
    if (here.scheme, here.netloc) != (there.scheme, there.netloc):
        raise Failed(
            "redirected",
            f"{here.netloc} redirects to {there.scheme}://{there.netloc}, where its headers must"
            " not go",
            hint="is it a login page? Otherwise set the url to where it leads",
        )
    if times > _MOST_REDIRECTS or method != "GET" or target == url:
        raise Failed(
            "redirected",
            f"{here.netloc} redirects again and again, last to {said(site, there.path)}",
            hint="set the url to where it leads",
        )
    return target


def _retry_after(headers: Mapping[str, str], now: datetime, attempt: int) -> float:
    """Seconds to wait: what Retry-After says, cut, or a doubling."""
    asked = asked_to_wait_seconds(headers, now)
    return min(2.0 ** (attempt - 1) if asked is None else asked, LONGEST_RETRY_AFTER_SECONDS)


def asked_to_wait_seconds(headers: Mapping[str, str], now: datetime) -> float | None:
    """What Retry-After says in either of its forms (RFC 9110), None where it says nothing."""
    text = headers.get("Retry-After", "").strip()
    if text.isascii() and text.isdigit():
        return float(text[:9])
    at = _http_date(text)
    return None if at is None else max(0.0, (at - now).total_seconds())


def _offset(date: str | None, sent: datetime, received: datetime) -> tuple[float, float] | None:
    """Bounds of server clock minus ours; a Date header is cut to whole seconds (RFC 9110)."""
    at = _http_date(date or "")
    if at is None:
        return None
    return (at - received).total_seconds(), (at + timedelta(seconds=1) - sent).total_seconds()


def _http_date(text: str) -> datetime | None:
    try:
        at = parsedate_to_datetime(text)
    except (TypeError, ValueError):
        return None
    return at if at.tzinfo is not None else None


def _document(site: Site, status: int, data: bytes) -> Any:
    """The JSON value of a body; raises Failed with the beginning of what came instead."""
    host = urlsplit(site.url).netloc
    try:
        return decode(data)
    except ValueError as error:
        start = data[:400].decode("utf-8", "replace").strip()
        if start.startswith("<"):
            what, hint = "HTML", "a login page or a proxy answers in its place: check the url"
        elif not start:
            what, hint = "nothing", "check the url"
        else:
            what, hint = "no JSON", "check the url: the API may be below another path"
        code = f"http_{status}" if status >= 400 else "not_json"
        raise Failed(
            code,
            f"{host} answers with status {status} and {what}"
            + (f": {said(site, start)[:120]}" if what == "no JSON" else ""),
            hint=_hint(status) or hint,
        ) from error


def _hint(status: int) -> str:
    if status in (401, 403):
        return "check the variables that `headers` names, and what they may read"
    if status in _TRY_AGAIN:
        return "the service is overloaded or down: ask again later"
    return ""

"""Requests to one Datadog account through its own client, which is told what it leaves out.

By itself the client has no time-out, follows redirects with its keys, sleeps as long as a rate
limit's reset says, ignores proxies of the environment and sends requests without keys.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import import_module
from threading import Lock
from typing import Any
from urllib.parse import unquote, urlsplit

from incident_rca.errors import Unreachable
from incident_rca.model.services import DatadogAccount
from incident_rca.redact import plain, redact_text
from incident_rca.sources.clock_offset import ClockOffset
from incident_rca.sources.tally import Tally

USUAL_SITE = "datadoghq.com"
AT_ONCE = 8
MOST_ATTEMPTS = 4
# A rate limit may reset in an hour: nobody waits for that while an outage is on.
LONGEST_RESET_SECONDS = 30.0
LARGEST_ANSWER_BYTES = 64 * 1024 * 1024
_CHUNK_BYTES = 65_536

# The version and the class of the client's own API modules. `v2.models` takes two seconds to
# import, so no model is made: bodies are plain dictionaries.
METRICS_V1 = ("v1.api.metrics_api", "MetricsApi")
METRICS_V2 = ("v2.api.metrics_api", "MetricsApi")
EVENTS_V2 = ("v2.api.events_api", "EventsApi")
Api = tuple[str, str]


class Refused(Unreachable):
    """A request that got no usable answer.

    `status` is that of HTTP, 0 where none came; `code` names the failure. `may_pass` says whether
    to try again, `reset_seconds` when a rate limit lets requests through again.
    """

    def __init__(
        self,
        code: str,
        message: str,
        *,
        hint: str,
        status: int = 0,
        may_pass: bool = False,
        reset_seconds: float | None = None,
    ) -> None:
        super().__init__(message, hint=hint)
        self.code = code
        self.status = status
        self.may_pass = may_pass
        self.reset_seconds = reset_seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """Where an account is asked and with which keys; its repr shows no secret.

    `site` is that of its pages, "" where an endpoint of one's own takes its place.
    """

    host: str
    variables: tuple[str, str]
    api_key: str = field(repr=False)
    app_key: str = field(repr=False)
    proxy: str = ""
    proxy_user: str = field(default="", repr=False)
    site: str = ""

    @property
    def secrets(self) -> tuple[str, ...]:
        password = self.proxy_user.partition(":")[2]
        return tuple(s for s in (self.api_key, self.app_key, self.proxy_user, password) if s)


def access_of(account: DatadogAccount, environ: Mapping[str, str]) -> Access:
    """The account's address, keys and proxy; `endpoint`, then `site` win over `DD_SITE`.

    Raises Unreachable, naming the variables, where a key is missing or can be none.
    """
    variables = (f"{account.key_prefix}_API_KEY", f"{account.key_prefix}_APP_KEY")
    keys = [environ.get(name, "").strip() for name in variables]
    missing = [name for name, key in zip(variables, keys, strict=True) if not key]
    hint = "an API key and an application key with timeseries_query, metrics_read, events_read"
    if missing:
        raise Unreachable(f"{account.name}: {' and '.join(missing)} not set", hint=f"set {hint}")
    for name, key in zip(variables, keys, strict=True):
        # The client would show the key in its own error about a header.
        if not re.fullmatch(r"[\x21-\x7e]+", key):
            raise Unreachable(f"{account.name}: {name} holds what no key has", hint=f"set {hint}")
    site = account.site or environ.get("DD_SITE", "").strip() or USUAL_SITE
    if not account.endpoint and not re.fullmatch(r"[A-Za-z0-9.-]+", site):
        raise Unreachable(
            f"{account.name}: DD_SITE is no site of Datadog", hint="such as datadoghq.eu"
        )
    host = account.endpoint or f"https://api.{site}"
    proxy, user = _proxy_of(account, host, environ)
    return Access(
        host=host,
        variables=variables,
        api_key=keys[0],
        app_key=keys[1],
        proxy=proxy,
        proxy_user=user,
        site="" if account.endpoint else site,
    )


def _proxy_of(account: DatadogAccount, host: str, environ: Mapping[str, str]) -> tuple[str, str]:
    """The proxy's address and `user:password`; as curl does, small letters win over capitals."""
    address = urlsplit(host)
    named = account.proxy
    if not named:
        around = environ.get("no_proxy") or environ.get("NO_PROXY") or ""
        if _is_bypassed(address.netloc, around):
            return "", ""
        names = (f"{address.scheme}_proxy", "all_proxy")
        spellings = [spelling for name in names for spelling in (name, name.upper())]
        named = next((value for s in spellings if (value := environ.get(s, "").strip())), "")
    if not named:
        return "", ""
    named = named if "://" in named else f"http://{named}"
    user, _, place = urlsplit(named).netloc.rpartition("@")
    scheme = urlsplit(named).scheme
    if scheme not in ("http", "https") or not place:
        raise Unreachable(
            f"{account.name}: the proxy is no http:// or https:// address",
            hint="set `proxy` of the account, or HTTPS_PROXY",
        )
    return f"{scheme}://{place}", unquote(user)


def _is_bypassed(place: str, no_proxy: str) -> bool:
    """Whether NO_PROXY names the host, a domain above it, or all.

    >>> _is_bypassed("api.datadoghq.eu", "localhost, .datadoghq.eu")
    True
    """
    host, place = place.rpartition(":")[0] or place, place.casefold()
    entries = [entry.strip().casefold().lstrip(".") for entry in no_proxy.split(",")]
    return any(
        entry == "*" or entry in (host.casefold(), place) or host.casefold().endswith(f".{entry}")
        for entry in entries
        if entry
    )


@dataclass(slots=True)
class Connection:
    """The requests of one source to one account, from several threads at once.

    `requests` counts all that were sent, those tried again too: each counts against the limits.
    """

    name: str
    access: Access
    tally: Tally
    requests: int = 0
    offset: ClockOffset = field(default_factory=ClockOffset)
    _client: Any = None
    _quiet_until: float = 0.0
    _lock: Lock = field(default_factory=Lock)

    def __enter__(self) -> Connection:
        self._client = client_of(self.name, self.access)
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    def ask(self, api: Api, operation: str, **parameters: Any) -> Mapping[str, Any]:
        """The JSON object that an operation answers, tried a few times where that may help.

        Raises Refused, or Unreachable where the time of the tally is over.
        """
        for attempt in range(1, MOST_ATTEMPTS + 1):
            self._wait()
            try:
                answer = self._once(api, operation, parameters)
            except Refused as refused:
                if not refused.may_pass or attempt == MOST_ATTEMPTS:
                    raise
                self._be_quiet(refused, 2.0 ** (attempt - 1))
            else:
                with self._lock:
                    self.tally.pages += 1
                return answer
        raise AssertionError("the last attempt answers or raises")

    def count_rows(self, rows: int) -> None:
        """Counts what was read into the tally."""
        with self._lock:
            self.tally.rows += rows

    def _wait(self) -> None:
        """Waits until the account lets requests through, whichever request it was that hit it."""
        self.tally.check()
        while (seconds := self._quiet_until - self.tally.clock.monotonic()) > 0:
            self.tally.pause(seconds)

    def _be_quiet(self, refused: Refused, seconds: float) -> None:
        if refused.reset_seconds is not None:
            seconds = min(max(refused.reset_seconds, 0.0), LONGEST_RESET_SECONDS)
        until = self.tally.clock.monotonic() + seconds
        with self._lock:
            self._quiet_until = max(self._quiet_until, until)

    def _once(self, api: Api, operation: str, parameters: Mapping[str, Any]) -> Mapping[str, Any]:
        refused = import_module("datadog_api_client.exceptions").ApiException
        broken = import_module("urllib3.exceptions").HTTPError
        with self._lock:
            self.requests += 1
            # The client knows a time-out only as a setting, which it reads at each request.
            self._client.configuration.request_timeout = self.tally.request_seconds()
        made = getattr(import_module(f"datadog_api_client.{api[0]}"), api[1])(self._client)
        sent = self.tally.clock.now()
        try:
            response = getattr(made, operation)(**parameters)
            data = self._read(response)
        except refused as error:
            raise self._refusal(error, operation) from None
        except broken as error:
            raise self._broken(error) from None
        except UnicodeDecodeError:
            # Of an error the client wants text, before it says which one it is.
            raise self._unreadable("an error that is no text", may_pass=True) from None
        headers = {key.lower(): value for key, value in response.headers.items()}
        # A cache says when it was asked, not what time it is.
        if "age" not in headers:
            self.offset.add(headers.get("date", ""), sent, self.tally.clock.now())
        return self._object(data, headers)

    def _read(self, response: Any) -> bytes:
        """The body, of which each piece may take its time, but not all of them together."""
        chunks, size = [], 0
        try:
            while chunk := response.read1(_CHUNK_BYTES):
                chunks.append(chunk)
                size += len(chunk)
                if size > LARGEST_ANSWER_BYTES:
                    raise self._unreadable(f"more than {LARGEST_ANSWER_BYTES:,} bytes")
                self.tally.check()
        except BaseException:
            response.close()
            raise
        response.release_conn()
        return b"".join(chunks)

    def _object(self, data: bytes, headers: Mapping[str, str]) -> Mapping[str, Any]:
        try:
            answer = json.loads(data)
        except (ValueError, RecursionError):
            kind = headers.get("content-type", "").partition(";")[0] or "something"
            raise self._unreadable(f"{kind} that is no JSON ({len(data)} bytes)") from None
        if not isinstance(answer, dict):
            raise self._unreadable("JSON that is no object")
        return answer

    # --- what went wrong --------------------------------------------------------------------------

    def _unreadable(self, what: str, *, may_pass: bool = False) -> Refused:
        return Refused(
            "Unreadable",
            f"{self.name}: {self.access.host} answered with {what}",
            hint="is it Datadog? A proxy or a page that asks to log in may have answered instead",
            may_pass=may_pass,
        )

    def _broken(self, error: Exception) -> Refused:
        reason = getattr(error, "reason", None) or error
        kind = type(reason).__name__
        where = f" through the proxy {self.access.proxy}" if self.access.proxy else ""
        if "Timeout" in kind:
            said = "did not answer in time"
        else:
            # What urllib3 puts in front is its object's address in memory.
            said = f"{kind}: {self.safe(str(reason).rpartition('>: ')[2])}"
        return Refused(
            kind,
            f"{self.name}: {self.access.host}{where}: {said}",
            hint="check the network, `site` and `proxy` of the account, and ask again",
            may_pass=True,
        )

    def _refusal(self, error: Any, operation: str) -> Refused:
        status = int(error.status or 0)
        headers = {key.lower(): value for key, value in (error.headers or {}).items()}
        said = self.safe(_said(error.body) or str(error.reason or ""))
        if not status:
            return Refused(
                "Certificate",
                f"{self.name}: {self.access.host}: {said}",
                hint="is a proxy in between whose certificate this machine does not trust?",
            )
        message = f"{self.name}: {operation}: HTTP {status}: {said or 'no reason given'}"
        if status == 429:
            return self._throttled(message, headers)
        hint = self._hint(status)
        may_pass = status >= 500 or status == 408
        return Refused(str(status), message, hint=hint, status=status, may_pass=may_pass)

    def _throttled(self, message: str, headers: Mapping[str, str]) -> Refused:
        with self._lock:
            self.tally.throttled += 1
        text = headers.get("x-ratelimit-reset", "")
        reset = float(text) if re.fullmatch(r"\d{1,9}(\.\d+)?", text) else None
        limit = self.safe(headers.get("x-ratelimit-name", "")) or "rate limit"
        when = f"it resets in {reset:g} s" if reset is not None else "it does not say until when"
        return Refused(
            "429",
            f"{message}: {limit} of the organisation is used up, {when}",
            hint="dashboards and other programs share it: ask again when it has reset",
            status=429,
            may_pass=True,
            reset_seconds=reset,
        )

    def _hint(self, status: int) -> str:
        api_key, app_key = self.access.variables
        if status == 401:
            return f"{api_key} or {app_key} is wrong or was revoked"
        if status == 403:
            return (
                f"is {self.access.host} the site of these keys? Another site refuses valid keys. "
                f"Else {app_key} lacks a scope: timeseries_query, metrics_read, events_read"
            )
        if status == 400:
            return "look at the names and the scope that the settings give for this account"
        if 300 <= status < 400:
            return "redirects are not followed, since the keys would go along: check the address"
        return "ask again; status.datadoghq.com says whether Datadog has an outage"

    def safe(self, text: str) -> str:
        """A text of the account's answers on one line, without secrets and the keys above all."""
        for secret in sorted(self.access.secrets, key=len, reverse=True):
            text = text.replace(secret, "<secret>")
        return plain(redact_text(text))


def client_of(name: str, access: Access) -> Any:
    """The client for one account; nothing of it is sent yet, and it tries nothing again itself."""
    configuration = import_module("datadog_api_client").Configuration(
        host=access.host,
        api_key={"apiKeyAuth": access.api_key, "appKeyAuth": access.app_key},
        check_input_type=False,
        # Answers are read and checked here: the models take forty times as long over them.
        preload_content=False,
        # Else urllib3 itself tries three times, and takes the keys along where it is redirected.
        retry_policy=import_module("urllib3").Retry(0, redirect=False),
    )
    if access.proxy:
        configuration.proxy = access.proxy
    if access.proxy_user:
        configuration.proxy_headers = import_module("urllib3").make_headers(
            proxy_basic_auth=access.proxy_user
        )
    client = import_module("datadog_api_client").ApiClient(configuration)
    rest = import_module("datadog_api_client.rest")
    client.rest_client = rest.RESTClientObject(configuration, maxsize=AT_ONCE)
    return client


def _said(body: Any) -> str:
    """The reason in the body of an error: `errors` are texts, or objects with a detail."""
    if isinstance(body, str):
        return "a page instead of JSON" if body.lstrip().startswith("<") else body
    if not isinstance(body, dict):
        return ""
    errors = body.get("errors") or body.get("error") or ""
    if not isinstance(errors, list):
        return str(errors)
    return "; ".join(
        str(e.get("detail") or e.get("title") or e) if isinstance(e, dict) else str(e)
        for e in errors
    )

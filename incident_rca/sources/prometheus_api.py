"""The Prometheus HTTP API as questions, each with its answer or the error that came in its place.

Prometheus, Mimir, Thanos, VictoriaMetrics and Amazon Managed Service for Prometheus speak it
(Prometheus documentation, "HTTP API").
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any

from incident_rca.errors import BadSettings, Unreachable
from incident_rca.model.services import PrometheusServer
from incident_rca.sources.http import Failed, Parameters, Sign, Site, ask, opened, said
from incident_rca.sources.tally import Tally

# Prometheus refuses a range of more than 11,000 points of a series, others fewer.
MOST_POINTS = 10_000
_FEWEST_POINTS = 100
_TOO_MANY_POINTS = ("exceeded maximum resolution", "maxPointsPerTimeseries", "too many points")


@dataclass(slots=True)
class Asking:
    """One server while it is asked: the site, and what its answers said beside their data."""

    server: PrometheusServer
    site: Site
    tally: Tally
    warnings: list[str] = field(default_factory=list)
    offsets: list[tuple[float, float]] = field(default_factory=list)

    def data(self, path: str, parameters: Parameters) -> Any:
        """`data` of an answer; raises Failed with the service's own words where there is none."""
        reply = ask(self.site, f"api/v1/{path}", parameters, tally=self.tally)
        if reply.clock_offset_seconds is not None:
            self.offsets.append(reply.clock_offset_seconds)
        document = reply.document if isinstance(reply.document, dict) else {}
        if reply.status == 200 and document.get("status") == "success" and "data" in document:
            given = document.get("warnings")
            for warning in given if isinstance(given, list) else ():
                text = said(self.site, str(warning))
                if text not in self.warnings:
                    self.warnings.append(text)
            return document["data"]
        raise self._refusal(reply.status, document)

    def result(self, path: str, parameters: Parameters, kind: str) -> list[Any]:
        """The series of an answer of `query` or `query_range`; raises Failed."""
        data = self.data(path, parameters)
        result = data.get("result") if isinstance(data, dict) else None
        if not isinstance(result, list) or data.get("resultType") != kind:
            raise Failed("not_prometheus", f"{self.server.name} answers with no {kind}")
        return result

    def names(self, path: str, parameters: Parameters) -> list[str]:
        """A list of names or values; raises Failed."""
        data = self.data(path, parameters)
        if not isinstance(data, list):
            raise Failed("not_prometheus", f"{self.server.name} answers with no list of names")
        return [str(name) for name in data]

    def clock_offset_seconds(self) -> list[float] | None:
        """The bounds on which all answers agree, or those of the last one where they do not."""
        if not self.offsets:
            return None
        lo = max(offset[0] for offset in self.offsets)
        hi = min(offset[1] for offset in self.offsets)
        return [lo, hi] if lo <= hi else list(self.offsets[-1])

    def _refusal(self, status: int, document: Mapping[str, Any]) -> Failed:
        message = said(self.site, str(document.get("error") or document.get("message") or ""))
        code = str(document.get("errorType") or f"http_{status}")
        where = f"{self.server.name}: status {status}"
        if status in (401, 403):
            hint = "check the variables that `headers` names, or the AWS identity that signs"
        elif status == 404:
            hint = "check `url`: the API may be below a path (Mimir: …/prometheus)"
        elif status == 200:
            code, hint = "not_prometheus", "check `url`: this is no answer of the Prometheus API"
        elif status in (400, 422):
            hint = "narrow the series by `matchers`, or the window"
        else:
            hint = "ask again when the server is calm"
        return Failed(code, f"{where}: {message or 'no reason given'}", hint=hint)


@contextmanager
def asking(
    server: PrometheusServer, *, tally: Tally, environ: Mapping[str, str]
) -> Iterator[Asking]:
    """The server, with the values of its headers out of `environ`.

    Raises BadSettings where a variable is not set, Unreachable where the AWS chain has no
    credentials to sign with.
    """
    missing = sorted({name for name in server.headers.values() if not environ.get(name)})
    if missing:
        raise BadSettings(
            f"{server.name}: {', '.join(missing)} is not set in the environment",
            hint="set it to the value of its header, or take the header out of `headers`",
        )
    headers = {header: environ[name].strip() for header, name in server.headers.items()}
    if any(not value.isprintable() for value in headers.values()):
        raise BadSettings(f"{server.name}: the value of a header has a line break in it")
    sign = _signing(server) if server.sigv4_region else None
    with opened(server.url, headers=headers, environ=environ, sign=sign) as site:
        yield Asking(server, site, tally)


def _signing(server: PrometheusServer) -> Sign:
    """Signature version 4 for the service `aps`, with the AWS chain of credentials."""
    boto_errors = import_module("botocore.exceptions")
    try:
        session = import_module("boto3").Session(profile_name=server.sigv4_profile or None)
        credentials = session.get_credentials()
        frozen = credentials.get_frozen_credentials() if credentials else None
    except boto_errors.BotoCoreError as error:
        raise Unreachable(f"{server.name}: {error}", hint="check `sigv4_profile`") from error
    if frozen is None:
        raise Unreachable(
            f"{server.name}: no AWS credentials to sign with",
            hint="log in to AWS, or name a profile in `sigv4_profile`",
        )
    signer = import_module("botocore.auth").SigV4Auth(frozen, "aps", server.sigv4_region)
    make = import_module("botocore.awsrequest").AWSRequest

    def sign(method: str, url: str, headers: Mapping[str, str], body: bytes) -> Mapping[str, str]:
        request = make(method=method, url=url, data=body, headers=dict(headers))
        signer.add_auth(request)
        return {name: str(value) for name, value in request.headers.items()}

    return sign


def ranges(
    asking: Asking, query: str, *, first: float, last: float, step: float
) -> Iterator[dict[str, Any]]:
    """The answer slice by slice, each with its bounds; a slice that is refused has its `error`.

    `first` and `last` are the instants (seconds since 1970) of the first and last value. A slice
    that holds too many points for the server is halved. Raises Unreachable where time is over.
    """
    count = int((last - first) / step + 1e-6) + 1
    size = MOST_POINTS
    done = 0
    while done < count:
        points = min(size, count - done)
        start, end = first + done * step, first + (done + points - 1) * step
        about = {"start": start, "end": end, "step": step}
        parameters = [
            ("query", query),
            ("start", f"{start:.3f}"),
            ("end", f"{end:.3f}"),
            ("step", f"{step:.3f}"),
        ]
        try:
            result = asking.result("query_range", parameters, "matrix")
        except Failed as error:
            if size > _FEWEST_POINTS and any(text in error.message for text in _TOO_MANY_POINTS):
                size = max(_FEWEST_POINTS, points // 2)
                continue
            yield {**about, "result": [], "error": error_of(error)}
        else:
            asking.tally.rows += sum(len(one.get("values") or ()) for one in _objects(result))
            yield {**about, "result": result}
        done += points


def error_of(error: Unreachable) -> dict[str, str]:
    """An error as an envelope keeps it."""
    code = error.code if isinstance(error, Failed) else "stopped"
    return {"code": code, "message": error.message}


def _objects(values: list[Any]) -> Iterator[dict[str, Any]]:
    return (value for value in values if isinstance(value, dict))

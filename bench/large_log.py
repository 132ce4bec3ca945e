"""A made access log of any size within seconds, and what is true of it.

A block of lines is made once and repeated with shifted times, evenly over five hours: a log of ten
times the size has ten times the rate. Requests fail in one incident and five times a second in
either, as a case keeps a row for each; every ten thousandth line is no request.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

from bench.access_lines import START_MS, access_lines

SPAN_MS = 5 * 3_600_000
BLOCK = 50_000
INCIDENT_MS = (3 * 3_600_000, 3 * 3_600_000 + 1_397_000)
FAILURES_PER_SECOND = 5
UNREADABLE_EVERY = 10_000
# Cut off within a value, no JSON at all, JSON without a request in it.
UNREADABLE = (
    b'{"requestTimeEpoch":"1768485600000","requestTime":"15/Jan/2026:14:00:00 +0000","reque\n',
    b"upstream connect error or disconnect before headers\n",
    b'{"message":"Too Many Requests"}\n',
)
# What our error types call the endings of access_lines.py, by status and errorResponseType.
ERROR_TYPES: Mapping[tuple[int, str], str] = {
    (404, "-"): "backend_4xx",
    (502, "-"): "backend_5xx",
    (502, "INTEGRATION_FAILURE"): "integration_network",
    (504, "INTEGRATION_TIMEOUT"): "integration_timeout",
    (429, "THROTTLED"): "throttled_gateway",
    (500, "AUTHORIZER_FAILURE"): "authorizer_failure",
}

Group = tuple[int, str, str, int, str]


@dataclass(frozen=True, slots=True)
class Truth:
    """What a made log holds.

    `groups` counts requests by epoch second, method, path, status and errorResponseType;
    `latencies_ms` counts the responseLatency of the requests by method and path.
    """

    lines: int
    unreadable: int
    groups: Mapping[Group, int] = field(hash=False)
    latencies_ms: Mapping[tuple[str, str], Mapping[int, int]] = field(hash=False)


@dataclass(frozen=True, slots=True)
class _Request:
    """A line without its times, and what it says."""

    rest: bytes
    kind: tuple[str, str, int, str]
    latency_ms: int


def write_large_log(path: Path, seed: int, lines: int) -> Truth:
    """Writes so many lines, the first of which have the values of `access_lines(seed, …)`."""
    made = [_request(line) for line in access_lines(seed, BLOCK)]
    well = [request for request in made if request.kind[2] < 500]
    failing = [request for request in made if request.kind[2] >= 500]
    groups: Counter[Group] = Counter()
    latencies: dict[tuple[str, str], Counter[int]] = {}
    unreadable = 0
    with path.open("wb") as out:
        for number, at_ms, request in _requests(lines, well, failing):
            if number % UNREADABLE_EVERY == UNREADABLE_EVERY - 1:
                out.write(UNREADABLE[unreadable % len(UNREADABLE)])
                unreadable += 1
                continue
            second = at_ms // 1000
            out.write(b'{"requestTimeEpoch":"%d",%b%b' % (at_ms, _time(second), request.rest))
            method, route, status, kind = request.kind
            groups[second, method, route, status, kind] += 1
            latencies.setdefault((method, route), Counter())[request.latency_ms] += 1
    return Truth(lines, unreadable, groups, latencies)


def _requests(
    lines: int, well: list[_Request], failing: list[_Request]
) -> Iterator[tuple[int, int, _Request]]:
    """The number, the arrival and the rest of each line."""
    next_failure = INCIDENT_MS[0]
    failed = 0
    for number in range(lines):
        since = number * SPAN_MS // lines
        if next_failure <= since < INCIDENT_MS[1]:
            yield number, START_MS + since, failing[failed % len(failing)]
            failed += 1
            next_failure += 1000 // FAILURES_PER_SECOND
        else:
            yield number, START_MS + since, well[number % len(well)]


@cache
def _time(second: int) -> bytes:
    return f'"requestTime":"{datetime.fromtimestamp(second, UTC):%d/%b/%Y:%H:%M:%S} +0000"'.encode()


def _request(line: str) -> _Request:
    fields = json.loads(line)
    kind = (
        fields["httpMethod"],
        fields["resourcePath"],
        int(fields["status"]),
        fields["errorResponseType"],
    )
    times = f'{{"requestTimeEpoch":"{fields["requestTimeEpoch"]}","requestTime":'
    rest = line.removeprefix(f'{times}"{fields["requestTime"]}"')
    return _Request(rest.encode(), kind, int(fields["responseLatency"]))

"""A made access log of any length: the keys of a real one, drawn from a seed."""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import accumulate, islice
from pathlib import Path
from random import Random

START_MS = 1_768_485_600_000  # 2026-01-15T14:00:00Z
MEAN_GAP_MS = 9  # about 110 requests a second
BATCH = 10_000

ROUTES = {  # method, path and status where all is well: how often
    ("GET", "/api/inventory/{sku}", 200): 48,
    ("POST", "/api/orders", 201): 27,
    ("POST", "/api/payments/intent", 201): 15,
    ("GET", "/api/orders/{id}", 200): 10,
}
HEALTHY = (0, "-", "-", "-")
ENDINGS = {  # status, integrationStatus, errorResponseType, errorMessage: how often
    HEALTHY: 970,
    (404, "404", "-", "-"): 10,
    (502, "502", "-", "-"): 8,
    (502, "-", "INTEGRATION_FAILURE", "Network error communicating with endpoint"): 4,
    (504, "504", "INTEGRATION_TIMEOUT", "Endpoint request timed out"): 5,
    (429, "-", "THROTTLED", "Too Many Requests"): 2,
    (500, "-", "AUTHORIZER_FAILURE", "Internal server error"): 1,
}


def access_lines(seed: int, count: int) -> Iterator[str]:
    """`count` requests in the order of their arrival; equal seeds give equal lines."""
    return islice(_endless(Random(seed)), count)


def write_access_log(path: Path, seed: int, count: int) -> Path:
    """A file of such lines, gzipped if its name says so."""
    if path.suffix == ".gz":
        with gzip.GzipFile(path, "wb", compresslevel=1, mtime=0) as packed:
            packed.writelines(line.encode() for line in access_lines(seed, count))
    else:
        with path.open("w", encoding="utf-8", newline="\n") as plain:
            plain.writelines(access_lines(seed, count))
    return path


def _endless(random: Random) -> Iterator[str]:
    routes, endings = list(ROUTES), list(ENDINGS)
    by_route = list(accumulate(ROUTES.values()))
    by_ending = list(accumulate(ENDINGS.values()))
    at_ms = START_MS
    while True:
        for route, ending in zip(
            random.choices(routes, cum_weights=by_route, k=BATCH),
            random.choices(endings, cum_weights=by_ending, k=BATCH),
            strict=True,
        ):
            at_ms += int(random.random() * 2 * MEAN_GAP_MS)
            yield _line(random, at_ms, route, ending)


def _line(
    random: Random, at_ms: int, route: tuple[str, str, int], ending: tuple[int, str, str, str]
) -> str:
    method, path, well = route
    failed, integration, kind, message = ending
    status = failed or well
    integration = integration if failed else str(well)
    latency = 29_000 if failed == 504 else 12 + int(random.lognormvariate(3.0, 0.6))
    request, more = random.getrandbits(128), random.getrandbits(24)
    at = datetime.fromtimestamp(at_ms // 1000, UTC)
    return (
        f'{{"requestTimeEpoch":"{at_ms}","requestTime":"{at:%d/%b/%Y:%H:%M:%S} +0000",'
        f'"requestId":"{request:032x}","extendedRequestId":"{request >> 68:015x}=",'
        f'"httpMethod":"{method}","resourcePath":"{path}","status":"{status}",'
        f'"integrationStatus":"{integration}","integration.status":"{integration}",'
        f'"integrationLatency":"{latency}","responseLatency":"{latency + 2}",'
        f'"errorResponseType":"{kind}","errorMessage":"{message}",'
        f'"integrationErrorMessage":"{message if integration == "-" else "-"}",'
        f'"sourceIp":"198.51.100.{more % 256}","protocol":"HTTP/1.1",'
        f'"responseLength":"{more % 9000}","userAgent":"okhttp/4.12.0 (inventory-web)"}}\n'
    )

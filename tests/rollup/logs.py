"""Access logs of many formats, sound and damaged, for every engine to roll up."""

from __future__ import annotations

import gzip
import itertools
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.formats.builders import Row, request, write
from tests.formats.test_access_log import TYPES
from tests.formats.test_access_log_formats import CLF, CLF_LINE, CSV, CSV_LINE, XML, XML_LINE

NESTED = (
    '{"at": "$context.requestTimeEpoch", "http": {"method": "$context.httpMethod", "route": '
    '"$context.routeKey", "status": $context.status}, "integration": {"status": '
    '"$context.integration.status", "service": "$context.integrationStatus", "error": '
    '"$context.integration.error"}, "took": "$context.responseLatency", "type": '
    '"$context.error.responseType", "said": "$context.error.messageString"}'
)


@dataclass(frozen=True)
class Log:
    """A log's lines, and its stage's format where that is given."""

    lines: tuple[str | bytes, ...]
    format: str = ""

    def written(self, folder: Path, name: str) -> Path:
        return write(folder / f"{name}.log", *self.lines)


def _nested(n: int, *, status: object = 200, route: str = "GET /items/{id}", **said: str) -> str:
    """A line of NESTED as the gateway writes it, `status` bare."""
    at = 1_768_486_200_000 + 137 * n
    values = {
        "service": "200",
        "inner": str(status),
        "error": "-",
        "type": "-",
        "took": "21",
    } | said
    return (
        f'{{"at": "{at}", "http": {{"method": "-", "route": "{route}", "status": {status}}}, '
        f'"integration": {{"status": "{values["inner"]}", "service": "{values["service"]}", '
        f'"error": "{values["error"]}"}}, "took": "{values["took"]}", "type": "{values["type"]}", '
        f'"said": {values.get("quoted", chr(34) + "-" + chr(34))}}}'
    )


_QUOTES_IN_QUOTES = {"quoted": '" "Endpoint request timed out""'}


def _twice(text: str) -> str:
    """A line with another value of its status behind it: the first counts."""
    return f'{text[:-1]}, "status": "404"}}'


_TORN = request(3.0, status="502")[:-40]
VALUES: list[Row] = [
    {"status": 502},
    {"status": "502d"},
    *({"status": status} for status in (100, 599, 600, 999, 99_999, -502, 0, 99)),
    *({"status": status} for status in ("5e2", "+502", "0502", " 502", "502 ", "599", "600")),
    {"status": "-"},
    {"status": ""},
    {"status": None},
    {"httpMethod": "-", "eventType": "MESSAGE", "routeKey": "$default"},
    {"httpMethod": "-", "routeKey": "GET /items/{id}", "resourcePath": None},
    {"httpMethod": None, "routeKey": "POST /x", "resourcePath": None},
    {"resourcePath": "/é/{id}'s\\"},
    {"resourcePath": "/}{/{a}{b}"},
    {"resourcePath": None, "path": "/raw"},
    {"resourcePath": None, "routeKey": "ANY /any", "status": "503", "x": "1"},
    {
        "status": "504",
        "integration_status": "-",
        "integrationStatus": "-",
        "errorMessage": "Internal server error",
        "integrationErrorMessage": "Internal server error",
    },
    {
        "status": "502",
        "integration_status": "-",
        "integrationStatus": "200",
        "errorMessage": "Internal server error",
    },
]
LOGS: Mapping[str, Log] = {
    "types": Log(tuple(request(n * 0.3, **fields) for n, (fields, _) in enumerate(TYPES))),
    "latencies": Log(
        tuple(
            request(n * 0.01, responseLatency=latency, integrationLatency=other)
            for n, (latency, other) in enumerate(
                itertools.product(
                    [*range(0, 260), 999, 29_000, 123_456_789, "-", "12.5", "x", -3, ""],
                    ["-", "40"],
                )
            )
        )
    ),
    "times": Log(
        tuple(
            request(0.0, requestTimeEpoch=epoch, requestTime=clock)
            for epoch, clock in itertools.product(
                [
                    "-",
                    None,
                    -5,
                    32_503_680_000_000,
                    1768486200,
                    1768486200999,
                    "17684862009990",
                    "12",
                    "1768486200000x",
                ],
                [
                    "15/Jan/2026:14:10:00 +0000",
                    "5/Feb/2026:23:59:59 -0330",
                    "29/Feb/2024:00:00:00 +1400",
                    "30/Feb/2024:00:00:00 +0000",
                    "31/Dec/2025:24:00:00 +0000",
                    "31/Dec/1969:23:59:59 +0000",
                    "31/Dec/1999:23:59:59 -0100",
                    "01/Jan/2000:00:59:59 +0100",
                    "31/Dec/2099:23:59:59 +0000",
                    "01/Jan/2100:00:00:01 +0000",
                    "15/Jan/3000:14:10:00 +0000",
                    "-",
                ],
            )
        )
    ),
    "values": Log(tuple(request(n * 0.5, **fields) for n, fields in enumerate(VALUES))),
    "timeouts of an HTTP API": Log(
        tuple(
            request(
                float(n),
                status=status,
                routeKey="GET /slow",
                resourcePath=None,
                responseLatency=latency,
                integrationStatus="-",
                integration_status="-",
            )
            for n, (status, latency) in enumerate(
                itertools.product(["500", "503", "504"], ["29499", "29500", "30001", "-"])
            )
        )
    ),
    "torn": Log((request(1.0), _TORN, "", "   ", "[1]", "7", "garbage 502 ", request(2.0)[:30])),
    "nested": Log(
        tuple(
            _nested(n, status=status, error=error, type=kind)
            for n, (status, error, kind) in enumerate(
                itertools.product(
                    [200, 404, 502, 504],
                    ["-", "Lambda Customer Function Error: 42", "Rate exceeded", "who knows"],
                    ["-", "INTEGRATION_TIMEOUT", "integration_failure"],
                )
            )
        ),
        NESTED,
    ),
    "broken JSON that tells of a failure": Log(
        (
            *(_nested(n) for n in range(5)),
            _nested(6, status=504, **_QUOTES_IN_QUOTES),
            _nested(7, status=504, route="POST /orders", took="-", **_QUOTES_IN_QUOTES),
            _nested(8, status="-"),
        ),
        NESTED,
    ),
    "two objects in a line": Log(
        (
            request(0.0),
            request(1.0, status="503") + request(2.0, status="504"),
            request(1.0) + " " + request(2.0, status="504"),
            request(2.0, status="502")[:-40] + request(2.0, status="504"),
            request(3.0, status="502"),
        )
    ),
    "two objects in a line of a known format": Log(
        (
            _nested(1),
            _nested(2, status=503) + _nested(3, status=504),
            _nested(4) + _nested(5),
            _nested(6, status=504),
        ),
        NESTED,
    ),
    "keys that stand twice": Log(
        (
            *(_twice(request(n * 0.5, status=status)) for n, status in enumerate((200, 502, "-"))),
            request(2.0, status="503").replace('"status"', '"status": "200", "status"'),
            request(3.0, status="504"),
        )
    ),
    "keys that stand twice beside broken JSON that tells of a failure": Log(
        (
            _nested(1).replace('"status": 200', '"status": 503, "status": 200', 1),
            _nested(2, status=502).replace('"at"', '"at": "1768486299000", "at"'),
            _nested(3, status=504, **_QUOTES_IN_QUOTES),
        ),
        NESTED,
    ),
    "CLF": Log(
        (CLF_LINE, CLF_LINE.replace(" 502 ", " 200 "), CLF_LINE[:60], "", CLF_LINE + "  "), CLF
    ),
    "CSV": Log((CSV_LINE, CSV_LINE.replace(",502,", ",-,"), CSV_LINE + ",more"), CSV),
    "XML": Log((XML_LINE, XML_LINE.replace(">502<", ">503<"), XML_LINE[:-9]), XML),
    "console CLF, not given": Log((CLF_LINE,) * 3),
    "uneven line ends": Log((request(1.0) + "\r", request(2.0), request(3.0) + "\r")),
    "other bytes": Log((request(1.0), b'{"status": "5\xff02"}', "\u00e9", request(2.0))),
    "odd JSON": Log(
        (
            request(0.0),
            '{"httpMethod": "GET", "httpMethod": "PUT"}',
            request(1.0) + " x",
            request(2.0) + request(3.0),
            json.dumps({**json.loads(request(4.0)), "status": {"a": 1}}),
            json.dumps({**json.loads(request(4.0)), "status": True}),
            json.dumps({**json.loads(request(5.0)), "responseLatency": 12.50}),
        )
    ),
}


def packed(path: Path) -> Path:
    """A copy of a file, gzipped."""
    out = path.with_name(path.name + ".gz")
    out.write_bytes(gzip.compress(path.read_bytes(), mtime=0))
    return out

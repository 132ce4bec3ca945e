"""Access logs: error types, line numbers, damage, counts and latencies against a plain oracle."""

from __future__ import annotations

import gzip
import itertools
import json
import math
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from incident_rca.formats.parsed import Parsed
from tests.formats.builders import START, START_MS, Row, parse, request, rows, write, write_gzip

NewFolder = Callable[[], Path]


def read(folder: Path, *lines: str | bytes, **how: Any) -> Parsed:
    return parse("access_log", write(folder / "access.ndjson", *lines, **how))


def failed(second: float = 0.0, **given: Any) -> str:
    return request(
        second, **{"status": "502", "integrationStatus": "502", "integration_status": "502"} | given
    )


# --- error types: the tuples of facts/gateway.md ------------------------------------------------

NONE = {"integrationStatus": "-", "integration_status": "-"}
LAMBDA_OK = {"integrationStatus": "200", "integration_status": "-"}


def passed(status: int) -> Row:
    return {"status": status, "integrationStatus": status, "integration_status": status}


def refused(status: int, response_type: str, **given: Any) -> Row:
    return NONE | {"status": status, "errorResponseType": response_type} | given


def said(status: int, message: str, **given: Any) -> Row:
    return NONE | {"status": status, "integrationErrorMessage": message} | given


CONFIGURATION = "Execution failed due to configuration error: "
TYPES: list[tuple[Row, str | None]] = [
    (passed(200), None),
    (passed(302), None),
    (refused(403, "WAF_FILTERED"), "waf_blocked"),
    (NONE | {"status": 403, "wafResponseCode": "WAF_BLOCK"}, "waf_blocked"),
    (refused(403, "ACCESS_DENIED", wafResponseCode="WAF_BLOCK"), "waf_blocked"),
    (refused(401, "UNAUTHORIZED"), "auth"),
    (refused(403, "ACCESS_DENIED"), "auth"),
    (refused(403, "EXPIRED_TOKEN"), "auth"),
    (refused(403, "INVALID_API_KEY"), "auth"),
    (refused(403, "INVALID_SIGNATURE"), "auth"),
    (refused(403, "MISSING_AUTHENTICATION_TOKEN"), "auth"),
    (refused(500, "AUTHORIZER_FAILURE"), "authorizer_failure"),
    (refused(500, "AUTHORIZER_CONFIGURATION_ERROR"), "authorizer_failure"),
    (refused(429, "THROTTLED"), "throttled_gateway"),
    (refused(429, "QUOTA_EXCEEDED"), "throttled_gateway"),
    (NONE | {"status": 429}, "throttled_gateway"),
    (refused(503, "throttled"), "throttled_gateway"),
    (refused(400, "BAD_REQUEST_BODY"), "client_request"),
    (refused(400, "BAD_REQUEST_PARAMETERS"), "client_request"),
    (refused(413, "REQUEST_TOO_LARGE"), "client_request"),
    (refused(415, "UNSUPPORTED_MEDIA_TYPE"), "client_request"),
    (refused(404, "RESOURCE_NOT_FOUND"), "client_request"),
    (refused(400, "DEFAULT_4XX"), "client_request"),
    (refused(504, "INTEGRATION_TIMEOUT"), "integration_timeout"),
    (refused(503, "INTEGRATION_TIMEOUT", integrationStatus="403"), "integration_timeout"),
    (said(504, "Execution failed due to a timeout error"), "integration_timeout"),
    (passed(429), "backend_throttled"),
    (
        said(500, "Lambda invocation failed with status: 429. Lambda request id: 7"),
        "backend_throttled",
    ),
    (said(500, CONFIGURATION + "Rate Exceeded."), "backend_throttled"),
    (refused(500, "INTEGRATION_FAILURE", integrationStatus="429"), "backend_throttled"),
    (said(500, CONFIGURATION + "Invalid permissions on Lambda function"), "backend_permission"),
    (refused(500, "INTEGRATION_FAILURE", integrationStatus="403"), "backend_permission"),
    (refused(500, "API_CONFIGURATION_ERROR", integrationStatus="403"), "backend_permission"),
    (
        said(502, "Lambda execution failed with status 200 due to customer function error: x"),
        "function_error",
    ),
    (LAMBDA_OK | said(502, "Lambda Customer Function Error: boom"), "function_error"),
    (said(502, CONFIGURATION + "Malformed Lambda proxy response"), "malformed_proxy_response"),
    (said(502, "[InvalidResponseContent]"), "malformed_proxy_response"),
    (LAMBDA_OK | {"status": 502}, "malformed_proxy_response"),
    (refused(500, "INTEGRATION_FAILURE"), "integration_network"),
    (refused(502, "INTEGRATION_FAILURE"), "integration_network"),
    (refused(504, "INTEGRATION_FAILURE"), "integration_network"),
    (said(500, "Network error communicating with endpoint"), "integration_network"),
    (
        said(500, CONFIGURATION + "There was an internal error while executing your request"),
        "integration_network",
    ),
    (refused(500, "API_CONFIGURATION_ERROR"), "gateway_config"),
    (
        said(500, CONFIGURATION + "Output mapping refers to an invalid method response"),
        "gateway_config",
    ),
    (passed(500), "backend_5xx"),
    (passed(502), "backend_5xx"),
    (passed(503), "backend_5xx"),
    (passed(504), "backend_5xx"),
    (passed(404), "backend_4xx"),
    (passed(409), "backend_4xx"),
    (NONE | {"status": 460}, "client_abort"),
    (NONE | {"status": 499}, "client_abort"),
    (NONE | {"status": 503}, "gateway_5xx_unexplained"),
    (refused(500, "DEFAULT_5XX"), "gateway_5xx_unexplained"),
    (refused(502, "INTEGRATION_FAILURE", integrationStatus="500"), "gateway_5xx_unexplained"),
]


def test_each_tuple_has_its_type(tmp_path: Path) -> None:
    log = [request(resourcePath=f"/{n}", **fields) for n, (fields, _) in enumerate(TYPES)]
    found = {row["route"]: row["error_type"] for row in rows(read(tmp_path, *log), "gateway")}
    expected = {f"/{n}": (wanted, fields) for n, (fields, wanted) in enumerate(TYPES)}
    assert {route: (found[route], expected[route][1]) for route in expected} == expected


def test_only_5xx_are_failures(tmp_path: Path) -> None:
    log = [request(resourcePath=f"/{n}", **fields) for n, (fields, _) in enumerate(TYPES)]
    failures = rows(read(tmp_path, *log), "failures")
    wanted = [n for n, (fields, _) in enumerate(TYPES, start=1) if fields["status"] >= 500]
    assert [row["line"] for row in failures] == wanted
    assert all(row["seen_in"] == "access" for row in failures)


# --- two objects in a line, two values of a key ---------------------------------------------------

QUOTES_IN_QUOTES = failed(8.0, status="504", m=1).replace(
    '"m": 1', '"m": " "Endpoint request timed out""'
)


@pytest.mark.parametrize("between", ["", " ", "\0\0", ","])
@pytest.mark.parametrize("others", [(), (QUOTES_IN_QUOTES,)], ids=["read by DuckDB", "repaired"])
def test_two_requests_in_a_line_are_one_that_is_counted(
    tmp_path: Path, others: Sequence[str], between: str
) -> None:
    """Two files put together, the first without a last line end: no row is of both."""
    one = [request(n) for n in range(4)] + [failed(4, status="503")]
    two = [failed(5, status="504")] + [request(n) for n in range(6, 8)]
    content = "\n".join(one) + between + "\n".join([*two, *others])
    parsed = read(tmp_path, *content.split("\n"))
    assert (parsed.rows, parsed.unparsed) == (len(one) + len(two) - 2 + len(others), 1)
    assert [row["line"] for row in rows(parsed, "failures")] == [8] * len(others)


@pytest.mark.parametrize("torn_at", range(1, len(failed(status="502")), 7))
def test_half_a_request_gives_another_no_value(tmp_path: Path, torn_at: int) -> None:
    """A writer that was stopped and went on in the same line."""
    line = failed(1, status="502", resourcePath="/torn")[:torn_at] + failed(2, status="504")
    parsed = read(tmp_path, request(0), line, request(3))
    assert (parsed.rows, parsed.unparsed, rows(parsed, "failures")) == (2, 1, [])


@pytest.mark.parametrize("others", [(), (QUOTES_IN_QUOTES,)], ids=["read by DuckDB", "repaired"])
def test_the_first_value_of_a_key_counts_on_every_way(
    tmp_path: Path, others: Sequence[str]
) -> None:
    pairs = [("503", "200"), ("200", "502"), ("200", "-"), ("-", "502"), ("404", "504")]
    log = [
        failed(n, status=first)[:-1] + f', "{key}": "{second}"}}'
        for n, (first, second) in enumerate(pairs)
        for key in ("status", "\\u0073tatus")
    ]
    log[2] = log[2].replace('"status":', '"status"  :')
    parsed = read(tmp_path, *log, *(f'{line[:-1]}, "status": "200"}}' for line in others))
    sound = Counter(int(first) for first, _ in pairs if first.isdigit())
    wanted = sound + sound + Counter({504: len(others)})
    found = Counter[int]()
    for row in rows(parsed, "gateway"):
        found[row["status"]] += row["requests"]
    assert (found, parsed.unparsed) == (wanted, 2)


# --- what one line says -------------------------------------------------------------------------


def test_a_failure_keeps_its_fields(tmp_path: Path) -> None:
    line = failed(
        1.234, integrationErrorMessage="-", errorMessage="Bad gateway for ada@example.com"
    )
    (row,) = rows(read(tmp_path, line), "failures")
    assert (row["line"], row["at"]) == (1, START + timedelta(seconds=1.234))
    assert (row["method"], row["route"], row["status"]) == ("POST", "/api/orders", 502)
    assert (row["request_id"], row["latency_ms"]) == ("x-1=", 33.0)
    assert row["integration_status"] == "502"
    assert row["message"].startswith("Bad gateway") and "ada" not in row["message"]
    assert (row["source"], row["file"]) == ("given", "raw/access.ndjson")


def test_numbers_may_be_numbers_or_strings(tmp_path: Path) -> None:
    as_numbers = failed(
        requestTimeEpoch=START_MS,
        status=502,
        integrationStatus=502,
        integration_status=502,
        responseLatency=33,
    )
    a, b = rows(read(tmp_path, as_numbers, failed()), "failures")
    assert {k: v for k, v in a.items() if k != "line"} == {
        k: v for k, v in b.items() if k != "line"
    }


def test_a_dash_is_absent(tmp_path: Path) -> None:
    line = failed(
        extendedRequestId="-",
        responseLatency="-",
        integrationLatency="-",
        integrationStatus="-",
        integration_status="-",
    )
    (row,) = rows(read(tmp_path, line), "failures")
    assert row["request_id"] == "r-1"
    assert (row["latency_ms"], row["integration_status"], row["message"]) == (None, None, None)


def test_a_request_without_a_latency_is_in_no_bucket(tmp_path: Path) -> None:
    unknown = request(responseLatency="-", integrationLatency="-")
    (row,) = rows(read(tmp_path, unknown, unknown, request(responseLatency="100")), "gateway")
    assert row["requests"] == 3
    assert sum(row["latency_ms_counts"]) == 1
    assert min(row["latency_ms_bounds"]) >= 100


@pytest.mark.parametrize("absent", ["status", "resourcePath", "httpMethod"])
def test_a_line_without_route_or_status_is_unparsed(tmp_path: Path, absent: str) -> None:
    parsed = read(tmp_path, request(), request(0.0, **{absent: None}), failed())
    assert (parsed.rows, parsed.unparsed) == (2, 1)
    assert [row["line"] for row in rows(parsed, "failures")] == [3]


NO_STATUSES = [
    *(
        -502,
        0,
        5,
        99,
        600,
        999,
        99_999,
        502.5,
        "502.0",
        "5e2",
        "+502",
        "0502",
        " 502",
        "502 ",
        "٥٠٢",
    ),
    *("-", "", "0", "600", "-502", None, True),
]


@pytest.mark.parametrize("others", [(), (QUOTES_IN_QUOTES,)], ids=["read by DuckDB", "repaired"])
def test_only_100_to_599_is_a_status(tmp_path: Path, others: Sequence[str]) -> None:
    sound = [100, 199, 200, 404, 499, 500, 599, "502"]
    log = [request(n, status=status) for n, status in enumerate([*sound, *NO_STATUSES])]
    parsed = read(tmp_path, *log, *others)
    assert (parsed.rows, parsed.unparsed) == (len(sound) + len(others), len(NO_STATUSES))
    assert [row["status"] for row in rows(parsed, "failures")] == [
        500,
        599,
        502,
        *[504] * bool(others),
    ]


@pytest.mark.parametrize("others", [(), (QUOTES_IN_QUOTES,)], ids=["read by DuckDB", "repaired"])
def test_a_time_of_another_century_is_damage(tmp_path: Path, others: Sequence[str]) -> None:
    """By the clock alone, and where requestTimeEpoch is another century's as well."""
    clocks = [
        ("31/Dec/1999:23:59:59 +0000", False),
        ("31/Dec/1999:23:59:59 -0100", True),
        ("01/Jan/2000:00:59:59 +0100", False),
        ("15/Jan/2026:14:10:00 +0000", True),
        ("31/Dec/2099:23:59:59 +0000", True),
        ("02/Jan/2100:00:00:00 +0000", False),
        ("31/Dec/1969:23:59:59 +0000", False),
        ("15/Jan/3000:14:10:00 +0000", False),
    ]
    given = list(itertools.product(clocks, ["-", "-5", "32503680000000"]))
    log = [failed(requestTimeEpoch=epoch, requestTime=clock) for (clock, _), epoch in given]
    parsed = read(tmp_path, request(), *log, *others)
    wanted = [line for line, ((_, sound), _) in enumerate(given, start=2) if sound]
    found = [row["line"] for row in rows(parsed, "failures")]
    assert found == wanted + [len(log) + 2] * len(others)
    assert parsed.unparsed == len(log) - len(wanted)


def test_a_line_with_no_time_at_all_is_unparsed(tmp_path: Path) -> None:
    parsed = read(tmp_path, request(), request(requestTimeEpoch="-", requestTime="-"))
    assert (parsed.rows, parsed.unparsed) == (1, 1)


def test_request_time_alone_has_whole_seconds(tmp_path: Path) -> None:
    line = failed(requestTimeEpoch=None, requestTime="15/Jan/2026:16:10:05 +0200")
    parsed = read(tmp_path, line, failed(requestTimeEpoch="-"))
    assert parsed.resolution_seconds == 1.0
    assert [row["at"] for row in rows(parsed, "failures")] == [START + timedelta(seconds=5), START]
    assert parsed.covered is not None
    assert (parsed.covered.start, parsed.covered.seconds) == (START, 6.0)


def test_one_line_without_milliseconds_makes_the_log_coarse(tmp_path: Path) -> None:
    assert read(tmp_path, request(), request(requestTimeEpoch=None)).resolution_seconds == 1.0


def test_milliseconds_are_the_resolution(tmp_path: Path) -> None:
    parsed = read(tmp_path, request(0.5), request(2.25))
    assert parsed.resolution_seconds == 0.001
    assert parsed.covered is not None
    assert parsed.covered.start == START + timedelta(seconds=0.5)
    assert parsed.covered.end == START + timedelta(seconds=2.251)


@pytest.mark.parametrize(
    "given",
    [
        {"requestTimeEpoch": "9223372036854775807", "requestTime": "-"},
        {"requestTimeEpoch": "-9223372036854775807", "requestTime": "-"},
        {"requestTimeEpoch": "1768486200548000000", "requestTime": "-"},
        {"requestTimeEpoch": "1768486200548000", "requestTime": "-"},
        {"responseLatency": "nan"},
        {"responseLatency": "inf"},
        {"responseLatency": "-5"},
        {"responseLatency": "1e300"},
        {"status": "99999999999999999999"},
        {"status": {"code": 502}},
        {"requestTimeEpoch": [1], "requestTime": None},
    ],
    ids=range(11),
)
def test_an_absurd_number_costs_one_line_at_most(tmp_path: Path, given: Row) -> None:
    parsed = read(tmp_path, request(), request(1, **given), failed(2))
    assert parsed.rows + parsed.unparsed == 3
    assert [row["line"] for row in rows(parsed, "failures")] == [3]
    assert parsed.covered is not None and parsed.covered.seconds < 3


# --- line numbers -------------------------------------------------------------------------------

BROKEN: dict[str, list[bytes]] = {
    "cut": [failed().encode()[:100]],
    "no object": [b"[1, 2]", b'"text"', b"7", b"null", b"true"],
    "text": [b"2026-01-15 14:10 ERROR something"],
    "a quote": [b'"', b'{"a": "', b"'"],
    "commas and tabs": [b"a,b;c\td|e", b","],
    "control characters": [b'{"a":"\x01\x02"}', b"\x01", b"\x01\x01\x01"],
    "escaped delimiter": [b'{"a":"C:\\\\x01\\\\x01"}', b"\\x01", b"a\\x01b\\x01c"],
    "NUL": [b"\x00", b'{"a":"\x00"}', b"\x00\x00\x00"],
    "invalid UTF-8": [b"\xff\xfe", b'{"a":"\xc3\x28"}', b"\xed\xa0\x80"],
    "half a line end": [b"a\rb", b'{"a":1}\r{"b":2}'],
    "other line ends": ["a\u2028b\u2029c\x85d".encode(), b"a\x0bb\x0cc"],
    "long": [b'{"a":"' + b"x" * 3_000_000, b"x" * 1_500_000],
    "deep": [b"[" * 100_000, b'{"a":' * 50_000],
}


@pytest.mark.parametrize("kind", BROKEN)
def test_broken_lines_are_counted_and_renumber_nothing(tmp_path: Path, kind: str) -> None:
    broken = BROKEN[kind]
    log = [failed().encode(), *broken, failed(1).encode(), *broken, failed(2).encode()]
    parsed = read(tmp_path, *log)
    wanted = [1, len(broken) + 2, 2 * len(broken) + 3]
    assert [row["line"] for row in rows(parsed, "failures")] == wanted
    assert (parsed.rows, parsed.unparsed) == (3, 2 * len(broken))


@pytest.mark.parametrize("blank", [b"", b" ", b"\t", b"  \r"], ids=repr)
@pytest.mark.parametrize("end", [b"\n", b"\r\n"], ids=repr)
def test_blank_lines_keep_the_numbers_and_count_as_nothing(
    tmp_path: Path, blank: bytes, end: bytes
) -> None:
    one, two, three = (failed(n).encode() for n in range(3))
    parsed = read(tmp_path, blank, one, blank, blank, two, three, blank, end=end)
    assert [row["line"] for row in rows(parsed, "failures")] == [2, 5, 6]
    assert (parsed.rows, parsed.unparsed) == (3, 0)


@pytest.mark.parametrize("end", [b"\n", b"\r\n"], ids=repr)
@pytest.mark.parametrize("last_end", [True, False])
def test_the_last_line_needs_no_end(tmp_path: Path, end: bytes, last_end: bool) -> None:
    log = [failed(n) for n in range(4)]
    parsed = read(tmp_path, *log, end=end, last_end=last_end)
    assert [row["line"] for row in rows(parsed, "failures")] == [1, 2, 3, 4]
    assert parsed.unparsed == 0


def test_line_ends_may_be_mixed(tmp_path: Path) -> None:
    path = tmp_path / "access.ndjson"
    lines = [failed(n).encode() for n in range(4)]
    path.write_bytes(
        lines[0] + b"\r\n" + lines[1] + b"\n" + lines[2] + b"\r\n" + lines[3] + b"\r\n"
    )
    parsed = parse("access_log", path)
    assert [row["line"] for row in rows(parsed, "failures")] == [1, 2, 3, 4]


def test_a_long_good_line_is_no_obstacle(tmp_path: Path) -> None:
    long = request(1, errorMessage="x" * 3_000_000)
    parsed = read(tmp_path, failed(), long, failed(2))
    assert [row["line"] for row in rows(parsed, "failures")] == [1, 3]
    assert parsed.rows + parsed.unparsed == 3


def test_a_valid_text_with_the_delimiters_spelling_is_read(tmp_path: Path) -> None:
    odd = failed(1, errorMessage="C:\\x01 \\u0001 \\t, 'a' | b", requestId="\u0001")
    parsed = read(tmp_path, failed(), odd, failed(2))
    assert parsed.rows == 3
    assert [row["line"] for row in rows(parsed, "failures")] == [1, 2, 3]


def test_a_byte_order_mark_costs_no_line(tmp_path: Path) -> None:
    for blank in ([], [""]):
        parsed = read(tmp_path, b"\xef\xbb\xbf" + failed().encode(), *blank, failed(1))
        assert (parsed.rows, parsed.unparsed) == (2, 0)


def test_escapes_and_other_scripts_are_read(tmp_path: Path) -> None:
    (row,) = rows(read(tmp_path, failed(resourcePath="/größe/\u65e5\U0001f600/\\n")), "failures")
    assert row["route"] == "/größe/\u65e5\U0001f600/\\n"


# --- gzip ---------------------------------------------------------------------------------------


def test_gzip_members_are_one_log(tmp_path: Path) -> None:
    one, two = (failed(n).encode() + b"\n" for n in range(2))
    torn = failed(2).encode() + b"\n"
    path = write_gzip(tmp_path / "access.ndjson.gz", one, two + torn[:40], b"", torn[40:])
    parsed = parse("access_log", path)
    assert [row["line"] for row in rows(parsed, "failures")] == [1, 2, 3]
    assert not parsed.damage


def test_a_truncated_gzip_is_kept_up_to_the_damage(tmp_path: Path) -> None:
    lines = [failed(n / 10, requestId=f"{n:x}" * 9).encode() for n in range(3000)]
    whole = gzip.compress(b"\n".join(lines) + b"\n")
    path = tmp_path / "access.ndjson.gz"
    path.write_bytes(whole[: len(whole) // 2])
    parsed = parse("access_log", path)
    assert parsed.damage
    assert 100 < parsed.rows < 3000
    assert parsed.unparsed <= 1
    assert [row["line"] for row in rows(parsed, "failures")] == [*range(1, parsed.rows + 1)]


def test_a_gzip_without_its_checksum_is_damaged_but_whole(tmp_path: Path) -> None:
    path = tmp_path / "access.ndjson.gz"
    path.write_bytes(gzip.compress(failed().encode() + b"\n" + failed(1).encode() + b"\n")[:-8])
    parsed = parse("access_log", path)
    assert (parsed.rows, parsed.unparsed) == (2, 0)
    assert parsed.damage


def test_a_flipped_byte_is_damage(tmp_path: Path) -> None:
    lines = [failed(n / 10, requestId=f"{n:x}" * 9).encode() for n in range(3000)]
    content = bytearray(gzip.compress(b"\n".join(lines) + b"\n"))
    content[-6] ^= 0xFF
    path = tmp_path / "access.ndjson.gz"
    path.write_bytes(content)
    parsed = parse("access_log", path)
    assert parsed.damage
    assert parsed.rows <= 3000


def test_a_gzip_name_on_a_plain_file_does_not_matter(tmp_path: Path) -> None:
    path = write(tmp_path / "access.ndjson.gz", failed())
    assert parse("access_log", path).rows == 1
    hidden = write_gzip(tmp_path / "access.ndjson", failed().encode() + b"\n")
    assert parse("access_log", hidden).rows == 1


# --- counts and latencies against plain Python --------------------------------------------------

STATUSES = (200, 201, 400, 403, 404, 429, 460, 499, 500, 502, 503, 504)
RESPONSE_TYPES = (
    *("-", "-", "-", "WAF_FILTERED", "EXPIRED_TOKEN", "AUTHORIZER_FAILURE", "QUOTA_EXCEEDED"),
    *("BAD_REQUEST_BODY", "DEFAULT_4XX", "DEFAULT_5XX", "INTEGRATION_TIMEOUT"),
    *("INTEGRATION_FAILURE", "API_CONFIGURATION_ERROR"),
)
MESSAGES = (
    *("-", "-", "Execution failed due to a timeout error", CONFIGURATION + "Rate Exceeded."),
    *("Lambda Customer Function Error: x", "Malformed Lambda proxy response", "Bad Gateway"),
    *(CONFIGURATION + "Invalid permissions on Lambda function", CONFIGURATION + "other"),
    "Network error communicating with endpoint",
)


def expected_type(status: int, kind: str, service: str, backend: str, message: str) -> str | None:
    """The taxonomy of facts/gateway.md read from top to bottom."""
    text = "" if message == "-" else message.lower()
    failure = kind == "INTEGRATION_FAILURE"
    config = kind == "API_CONFIGURATION_ERROR"
    rules: list[tuple[str, bool]] = [
        ("waf_blocked", kind == "WAF_FILTERED"),
        ("auth", kind == "EXPIRED_TOKEN"),
        ("authorizer_failure", kind == "AUTHORIZER_FAILURE"),
        ("throttled_gateway", kind == "QUOTA_EXCEEDED" or (status == 429 and backend == "-")),
        ("client_request", kind in ("BAD_REQUEST_BODY", "DEFAULT_4XX")),
        ("integration_timeout", kind == "INTEGRATION_TIMEOUT" or "timeout error" in text),
        ("backend_throttled", "rate exceeded" in text or service == "429"),
        (
            "backend_permission",
            "invalid permissions" in text or (service == "403" and (failure or config)),
        ),
        ("function_error", "customer function error" in text),
        (
            "malformed_proxy_response",
            "malformed lambda" in text
            or (status == 502 and service == "200" and backend == "-" and not text),
        ),
        ("integration_network", (failure and service == "-") or "network error" in text),
        ("gateway_config", config or "configuration error" in text),
        ("backend_5xx", kind == "-" and backend[0] == "5"),
        ("backend_4xx", kind == "-" and backend[0] == "4"),
        ("client_abort", status in (460, 499)),
        ("gateway_4xx_unexplained", status < 500),
        ("gateway_5xx_unexplained", True),
    ]
    return None if status < 400 else next(name for name, matches in rules if matches)


REQUESTS: st.SearchStrategy[Row] = st.builds(
    dict,
    offset_ms=st.integers(0, 4000),
    method=st.sampled_from(["GET", "POST"]),
    route=st.sampled_from(["/a", "/b/{id}"]),
    status=st.sampled_from(STATUSES),
    kind=st.sampled_from(RESPONSE_TYPES),
    service=st.sampled_from(["-", "200", "403", "429", "500", "502"]),
    backend=st.sampled_from(["-", "200", "404", "500", "503"]),
    message=st.sampled_from(MESSAGES),
    latency=st.integers(1, 60_000),
)
JUNK = st.sampled_from([b"", b" ", b"{", b"[]", b'"', b"\xff", b"\x00", b"a,b", b"\r", b"{}"])


def line_of(r: Row) -> bytes:
    return request(
        r["offset_ms"] / 1000,
        httpMethod=r["method"],
        resourcePath=r["route"],
        status=str(r["status"]),
        errorResponseType=r["kind"],
        integrationStatus=r["service"],
        integration_status=r["backend"],
        integrationErrorMessage=r["message"],
        responseLatency=str(r["latency"]),
    ).encode()


def type_of(r: Row) -> str | None:
    return expected_type(r["status"], r["kind"], r["service"], r["backend"], r["message"])


@settings(deadline=None, max_examples=20)
@given(mix=st.lists(REQUESTS | JUNK, min_size=1, max_size=40), crlf=st.booleans())
def test_a_mix_of_lines_is_counted_as_a_loop_counts_it(
    new_folder: NewFolder, mix: list[Row | bytes], crlf: bool
) -> None:
    lines = [item if isinstance(item, bytes) else line_of(item) for item in mix]
    parsed = read(new_folder(), *lines, end=b"\r\n" if crlf else b"\n")
    good = [(n, r) for n, r in enumerate(mix, start=1) if isinstance(r, dict)]
    assert parsed.rows == len(good)
    assert parsed.unparsed == sum(isinstance(i, bytes) and bool(i.strip()) for i in mix)
    counted = Counter(
        (r["offset_ms"] // 1000, r["method"], r["route"], r["status"], type_of(r)) for _, r in good
    )
    found = {
        (
            int((row["second"] - START).total_seconds()),
            row["method"],
            row["route"],
            row["status"],
            row["error_type"],
        ): row["requests"]
        for row in rows(parsed, "gateway")
    }
    assert found == counted
    assert [
        (row["line"], row["at"], row["status"], row["error_type"], row["latency_ms"])
        for row in rows(parsed, "failures")
    ] == [
        (n, START + timedelta(milliseconds=r["offset_ms"]), r["status"], type_of(r), r["latency"])
        for n, r in good
        if r["status"] >= 500
    ]


def percentile(bounds: Sequence[int], counts: Sequence[int], share: float) -> int:
    """The bound of the bucket in which the nearest-rank percentile lies."""
    rank, seen = math.ceil(share * sum(counts)), 0
    for bound, count in sorted(zip(bounds, counts, strict=True)):
        seen += count
        if seen >= rank:
            return bound
    raise AssertionError("the counts do not add up")


@settings(deadline=None, max_examples=20)
@given(
    latencies=st.lists(
        st.integers(1, 100) | st.integers(1, 60_000) | st.integers(1, 900_000), min_size=1
    ),
    share=st.sampled_from([0.5, 0.9, 0.99, 1.0]),
)
def test_percentiles_are_exact(new_folder: NewFolder, latencies: list[int], share: float) -> None:
    log = [request(responseLatency=str(ms)) for ms in latencies]
    (row,) = rows(read(new_folder(), *log), "gateway")
    got = percentile(row["latency_ms_bounds"], row["latency_ms_counts"], share)
    exact = sorted(latencies)[math.ceil(share * len(latencies)) - 1]
    assert got == exact
    assert sum(row["latency_ms_counts"]) == row["requests"] == len(latencies)


def test_percentiles_of_many_requests_a_second_are_within_one_percent(tmp_path: Path) -> None:
    latencies = [7 + n * n // 60 for n in range(1_200)]
    log = [request(responseLatency=str(ms)) for ms in latencies]
    (row,) = rows(read(tmp_path, *log), "gateway")
    assert len(row["latency_ms_bounds"]) < len(set(latencies)) / 2
    for share in (0.01, 0.5, 0.9, 0.99, 1.0):
        got = percentile(row["latency_ms_bounds"], row["latency_ms_counts"], share)
        exact = sorted(latencies)[math.ceil(share * len(latencies)) - 1]
        assert exact <= got <= exact * 1.01
    assert sum(row["latency_ms_counts"]) == row["requests"] == len(latencies)


def test_lines_of_a_group_are_its_first_and_last(tmp_path: Path) -> None:
    log = [request(), failed(), request(0.5), failed(0.2), "{", failed(0.9), request(1)]
    found = {
        (row["second"], row["status"]): (row["line_first"], row["line_last"], row["requests"])
        for row in rows(read(tmp_path, *log), "gateway")
    }
    later = START + timedelta(seconds=1)
    assert found == {(START, 201): (1, 3, 2), (START, 502): (2, 6, 3), (later, 201): (7, 7, 1)}


def test_a_log_of_other_keys_has_no_rows(tmp_path: Path) -> None:
    parsed = read(tmp_path, json.dumps({"level": "info"}), json.dumps({"level": "warn"}))
    assert (parsed.rows, parsed.unparsed, parsed.covered) == (0, 2, None)
    assert not rows(parsed, "gateway") and not rows(parsed, "failures")

"""Each format an access log may have, from a stage's definition to the tables; truth by hand."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from incident_rca.errors import BadInput
from incident_rca.formats import BY_KIND
from incident_rca.formats.parsed import Parsed, RawInput
from incident_rca.pipeline import parse_raw
from tests.formats.builders import START, START_MS, Row, kind_of, parse, rows, write

NewFolder = Callable[[], Path]
UUID = "0c8c8dd5-a7ba-4c3d-9b4f-00000000000"


def read(folder: Path, format_text: str, *lines: str | bytes, **reading: str) -> Parsed:
    """What is read where the stage's format string is given."""
    work = folder / "work"
    work.mkdir(exist_ok=True)
    raw = RawInput(
        path=write(folder / "log", *lines),
        file="raw/log",
        source="given",
        work=work,
        reading={"access_log_format": format_text, **reading},
    )
    return parse_raw(BY_KIND["access_log"], raw)


def shown(row: Row) -> Row:
    """The part of a failure that the lines of these tests state."""
    names = ("line", "at", "method", "route", "status", "request_id", "error_type", "latency_ms")
    return {name: row[name] for name in names}


def truth(line: int, kind: str, **given: Any) -> Row:
    base: Row = {
        "line": line,
        "at": START,
        "method": "GET",
        "route": "/a/{id}",
        "status": 502,
        "request_id": UUID + "1",
        "error_type": kind,
        "latency_ms": None,
    }
    return base | given


CLF = (
    "$context.identity.sourceIp $context.identity.caller $context.identity.user "
    '[$context.requestTime]"$context.httpMethod $context.resourcePath $context.protocol" '
    "$context.status $context.responseLength $context.requestId $context.extendedRequestId"
)
CLF_LINE = (
    '203.0.113.9 - - [15/Jan/2026:14:10:00 +0000]"GET /a/{id} HTTP/1.1" 502 36 ' + UUID + "1 x="
)
CSV = (
    "$context.identity.sourceIp,$context.identity.caller,$context.identity.user,"
    "$context.requestTime,$context.httpMethod,$context.resourcePath,$context.protocol,"
    "$context.status,$context.responseLength,$context.requestId,$context.extendedRequestId"
)
CSV_LINE = f"203.0.113.9,-,-,15/Jan/2026:14:10:00 +0000,GET,/a/{{id}},HTTP/1.1,502,36,{UUID}1,x="
XML = (
    '<request id="$context.requestId"> <ip>$context.identity.sourceIp</ip> '
    "<requestTime>$context.requestTime</requestTime> <httpMethod>$context.httpMethod</httpMethod> "
    "<resourcePath>$context.resourcePath</resourcePath> <status>$context.status</status> </request>"
)
XML_LINE = (
    f'<request id="{UUID}1"> <ip>203.0.113.9</ip> '
    "<requestTime>15/Jan/2026:14:10:00 +0000</requestTime> <httpMethod>GET</httpMethod> "
    "<resourcePath>/a/{id}</resourcePath> <status>502</status> </request>"
)
JSON_OF_CONSOLE = (
    '{ "requestId":"$context.requestId", "extendedRequestId":"$context.extendedRequestId", '
    '"ip": "$context.identity.sourceIp", "caller":"$context.identity.caller", '
    '"requestTime":"$context.requestTime", "httpMethod":"$context.httpMethod", '
    '"resourcePath":"$context.resourcePath", "status":"$context.status", '
    '"protocol":"$context.protocol", "responseLength":"$context.responseLength" }'
)
JSON_LINE = (
    f'{{ "requestId":"{UUID}1", "extendedRequestId":"x=", "ip": "203.0.113.9", "caller":"-", '
    '"requestTime":"15/Jan/2026:14:10:00 +0000", "httpMethod":"GET", '
    '"resourcePath":"/a/{id}", "status":"502", "protocol":"HTTP/1.1", "responseLength":"36" }'
)
CONSOLE = {
    "CLF": (CLF, CLF_LINE, "x="),
    "CSV": (CSV, CSV_LINE, "x="),
    "XML": (XML, XML_LINE, UUID + "1"),
    "JSON": (JSON_OF_CONSOLE, JSON_LINE, "x="),
}


@pytest.mark.parametrize(
    ("clock", "sound"),
    [
        ("31/Dec/1969:23:59:59 +0000", False),
        ("31/Dec/1999:23:59:59 +0000", False),
        ("01/Jan/2000:00:00:00 +0000", True),
        ("31/Dec/2099:23:59:59 +0000", True),
        ("15/Jan/3000:14:10:00 +0000", False),
    ],
)
def test_a_time_of_another_century_is_damage(tmp_path: Path, clock: str, sound: bool) -> None:
    assert "15/Jan/2026:14:10:00 +0000" in CLF_LINE
    line = CLF_LINE.replace("15/Jan/2026:14:10:00 +0000", clock)
    parsed = read(tmp_path, CLF, CLF_LINE, line)
    assert [row["line"] for row in rows(parsed, "failures")] == [1, 2][: 1 + sound]
    assert parsed.unparsed == (not sound)


@pytest.mark.parametrize("name", CONSOLE)
@pytest.mark.parametrize("is_given", [True, False], ids=["given", "found"])
def test_a_format_of_the_console_is_read(name: str, is_given: bool, tmp_path: Path) -> None:
    text, line, request_id = CONSOLE[name]
    healthy = line.replace(" 502 ", " 200 ").replace(",502,", ",200,").replace(">502<", ">200<")
    lines = ["junk", healthy.replace('"502"', '"200"'), "", line]
    if not is_given:
        assert kind_of(write(tmp_path / "log", *lines)) == "access_log"
    parsed = read(tmp_path, text if is_given else "", *lines)
    assert (parsed.rows, parsed.unparsed, parsed.resolution_seconds) == (2, 1, 1.0)
    (failure,) = rows(parsed, "failures")
    assert shown(failure) == truth(4, "gateway_5xx_unexplained", request_id=request_id)
    assert [(r["status"], r["requests"]) for r in rows(parsed, "gateway")] == [(200, 1), (502, 1)]
    assert "format lacks integration.*: types not separable" in parsed.lacks
    assert any("whole seconds" in lack for lack in parsed.lacks)


def test_a_comma_in_a_value_makes_the_line_unparsed(tmp_path: Path) -> None:
    odd = CSV_LINE.replace("203.0.113.9,-,-", "203.0.113.9,a,b,-")
    parsed = read(tmp_path, CSV, CSV_LINE, odd, CSV_LINE)
    assert (parsed.rows, parsed.unparsed) == (2, 1)
    assert [row["line"] for row in rows(parsed, "failures")] == [1, 3]


# The same request under key names that users chose: each is (format, line).
VALUES = {
    "requestTimeEpoch": str(START_MS + 250),
    "extendedRequestId": "x=",
    "httpMethod": "GET",
    "resourcePath": "/a/{id}",
    "status": "504",
    "integration.status": "-",
    "integration.integrationStatus": "-",
    "integration.error": "-",
    "error.responseType": "INTEGRATION_TIMEOUT",
    "responseLatency": "29003",
}


def rendered(text: str, values: Mapping[str, str] = VALUES) -> str:
    """A line of a format, as the gateway makes it: each variable replaced, nothing quoted."""
    for name in sorted(values, key=len, reverse=True):
        text = text.replace(f"$context.{name}", values[name])
    return text


def keyed(*keys: str) -> str:
    pairs = zip(keys, VALUES, strict=True)
    return "{" + ", ".join(f'"{key}": "$context.{name}"' for key, name in pairs) + "}"


FLAT = keyed(
    *("requestTimeEpoch", "extendedRequestId", "httpMethod", "resourcePath", "status"),
    *("integration.status", "integration.integrationStatus", "integrationError"),
    *("errorResponseType", "responseLatency"),
)
SNAKE = keyed(
    *("request_time_epoch", "extended_request_id", "http_method", "resource_path", "status"),
    *("integration_status", "integration_integrationStatus", "integration_error"),
    *("error_responseType", "response_latency"),
)
NESTED = (
    '{"request": {"requestTimeEpoch": "$context.requestTimeEpoch", "id": "$context.requestId", '
    '"extendedRequestId": "$context.extendedRequestId", "method": "$context.httpMethod", '
    '"resourcePath": "$context.resourcePath"}, "response": {"status": $context.status, '
    '"latency": $context.responseLatency}, "error": {"responseType": '
    '"$context.error.responseType"}, "integration": {"status": "$context.integration.status", '
    '"integrationStatus": "$context.integration.integrationStatus", '
    '"error": "$context.integration.error"}}'
)
NUMBERS = FLAT.replace('"$context.status"', "$context.status").replace(
    '"$context.responseLatency"', "$context.responseLatency"
)
OWN = keyed("t", "x", "verb", "what", "code", "a", "b", "c", "why", "ms")
PIPES = "|".join(f"$context.{name}" for name in VALUES)
WORDS = " ".join(f"{name}=<$context.{name}>" for name in VALUES)


@pytest.mark.parametrize("text", [FLAT, SNAKE, NESTED, NUMBERS, OWN, PIPES, WORDS, FLAT + ";"])
def test_a_format_of_any_names_is_read(text: str, tmp_path: Path) -> None:
    parsed = read(tmp_path, text, rendered(text, VALUES | {"requestId": UUID + "1"}))
    (failure,) = rows(parsed, "failures")
    assert (parsed.rows, parsed.unparsed, parsed.lacks) == (1, 0, ())
    assert parsed.resolution_seconds == 0.001
    assert shown(failure) == truth(
        1,
        "integration_timeout",
        at=START + timedelta(milliseconds=250),
        status=504,
        request_id="x=",
        latency_ms=29003.0,
    )


@pytest.mark.parametrize("text", [FLAT, SNAKE, NESTED, NUMBERS])
def test_names_that_tell_are_found_without_the_format(text: str, tmp_path: Path) -> None:
    line = rendered(text, VALUES | {"requestId": UUID + "1"})
    assert kind_of(write(tmp_path / "log", line)) == "access_log"
    assert rows(read(tmp_path, "", line), "failures") == rows(
        read(tmp_path, text, line), "failures"
    )


def test_names_that_tell_nothing_need_the_format(tmp_path: Path) -> None:
    assert kind_of(write(tmp_path / "log", rendered(OWN))) is None


# --- lines that are no valid JSON -----------------------------------------------------------------

AZUL = (
    '{"requestTimeEpoch": "$context.requestTimeEpoch", "httpMethod": "$context.httpMethod", '
    '"resourcePath": "$context.resourcePath", "status": $context.status, '
    '"error_messageString": " $context.error.messageString", '
    '"integration_latency": $context.integrationLatency, "requestId": "$context.requestId"}'
)
AZUL_VALUES = {
    "requestTimeEpoch": str(START_MS),
    "httpMethod": "GET",
    "resourcePath": "/a/{id}",
    "status": "504",
    "error.messageString": '"Endpoint request timed out"',
    "integrationLatency": "-",
    "requestId": "r-1",
}


@pytest.mark.parametrize("text", [AZUL, ""], ids=["given", "found"])
def test_invalid_json_of_the_known_kinds_is_read(text: str, tmp_path: Path) -> None:
    broken = rendered(AZUL, AZUL_VALUES)
    assert '" "Endpoint request timed out""' in broken and ": -," in broken
    with pytest.raises(json.JSONDecodeError):
        json.loads(broken)
    good = rendered(AZUL, AZUL_VALUES | {"error.messageString": "-", "integrationLatency": "5"})
    parsed = read(tmp_path, text, good, broken, "{torn", broken, good)
    assert (parsed.rows, parsed.unparsed) == (4, 1)
    failures = rows(parsed, "failures")
    assert [row["line"] for row in failures] == [1, 2, 4, 5]
    assert [row["message"] for row in failures] == [
        *(None, "Endpoint request timed out", "Endpoint request timed out", None)
    ]
    assert failures[1]["error_type"] == "integration_timeout"
    assert [row["latency_ms"] for row in failures] == [5.0, None, None, 5.0]


def test_a_message_that_is_json_itself_is_read_by_the_format(tmp_path: Path) -> None:
    text = FLAT.replace("integrationError", "why")
    line = rendered(text, VALUES | {"integration.error": '{"message": "x", "a": [1]}'})
    (failure,) = rows(read(tmp_path, text, line), "failures")
    assert failure["message"] == '{"message": "x", "a": [1]}'
    assert failure["latency_ms"] == 29003.0


# --- HTTP APIs and WebSockets ---------------------------------------------------------------------

HTTP = keyed(
    *("requestTimeEpoch", "requestId", "httpMethod", "routeKey", "status"),
    *("integration.status", "integrationStatus", "integration.error"),
    *("errorResponseType", "responseLatency"),
).replace("$context.resourcePath", "$context.routeKey")


def http(**given: str) -> str:
    values = VALUES | {"routeKey": "GET /a/{id}", "error.responseType": "-"} | given
    return rendered(HTTP.replace("$context.integration.integrationStatus", "-"), values)


def test_the_route_of_an_http_api_is_its_key(tmp_path: Path) -> None:
    parsed = read(tmp_path, "", http(), http(routeKey="$default"), http(httpMethod="-"))
    found = [(row["method"], row["route"]) for row in rows(parsed, "failures")]
    assert found == [("GET", "/a/{id}"), ("GET", "$default"), ("GET", "/a/{id}")]


@pytest.mark.parametrize(
    ("latency", "status", "timeout", "kind"),
    [
        ("29499", "503", "", "gateway_5xx_unexplained"),
        ("29500", "503", "", "integration_timeout"),
        ("30001", "504", "", "integration_timeout"),
        ("30001", "500", "", "gateway_5xx_unexplained"),
        ("-", "503", "", "gateway_5xx_unexplained"),
        ("9500", "503", "10000", "integration_timeout"),
        ("9499", "503", "10000", "gateway_5xx_unexplained"),
    ],
)
def test_a_timeout_of_an_http_api_shows_by_its_latency(
    latency: str, status: str, timeout: str, kind: str, tmp_path: Path
) -> None:
    line = http(status=status, responseLatency=latency)
    parsed = read(tmp_path, "", line, integration_timeout_ms=timeout)
    assert [row["error_type"] for row in rows(parsed, "failures")] == [kind]


def test_a_latency_says_nothing_where_the_backend_answered(tmp_path: Path) -> None:
    line = http(status="503", responseLatency="30001", **{"integration.status": "503"})
    assert rows(read(tmp_path, "", line), "failures")[0]["error_type"] == "backend_5xx"


def test_messages_of_a_websocket_have_the_method_ws(tmp_path: Path) -> None:
    text = (
        '{"requestId":"$context.requestId", "requestTimeEpoch":"$context.requestTimeEpoch", '
        '"eventType":"$context.eventType", "routeKey":"$context.routeKey", '
        '"status":"$context.status", "connectionId":"$context.connectionId"}'
    )
    values = VALUES | {"eventType": "MESSAGE", "routeKey": "sendmessage", "connectionId": "c"}
    line = rendered(text, values | {"requestId": "r-1"})
    for given_text in (text, ""):
        (row,) = rows(read(tmp_path, given_text, line), "failures")
        assert (row["method"], row["route"], row["request_id"]) == ("WS", "sendmessage", "r-1")


# --- what cannot be used --------------------------------------------------------------------------


def test_a_format_without_a_variable_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="names no variable"):
        read(tmp_path, "status $status", CLF_LINE)


def test_a_format_that_fits_no_line_leaves_all_unparsed(tmp_path: Path) -> None:
    parsed = read(tmp_path, CSV, CLF_LINE, CLF_LINE)
    assert (parsed.rows, parsed.unparsed) == (0, 2)


@settings(deadline=None, max_examples=12)
@given(
    lines=st.lists(st.binary(max_size=60).filter(lambda b: b"\n" not in b), max_size=8),
    text=st.sampled_from([CLF, CSV, XML, FLAT, AZUL, PIPES]),
)
def test_any_bytes_are_counted_and_renumber_nothing(
    new_folder: NewFolder, lines: list[bytes], text: str
) -> None:
    good = rendered(text, VALUES | AZUL_VALUES | {"requestTime": "15/Jan/2026:14:10:00 +0000"})
    for name in ("identity.sourceIp", "identity.caller", "identity.user", "protocol"):
        good = good.replace(f"$context.{name}", "-")
    good = good.replace("$context.responseLength", "-")
    junk = [line for line in lines if line.replace(b"\r", b" ").strip(b" \t\x0b\x0c")]
    parsed = read(new_folder(), text, good, *junk, good, *junk)
    assert [row["line"] for row in rows(parsed, "failures")] == [1, len(junk) + 2]
    assert (parsed.rows, parsed.unparsed) == (2, 2 * len(junk))


def test_a_plain_file_of_the_sample_keys_is_found(tmp_path: Path) -> None:
    assert parse("access_log", write(tmp_path / "log", rendered(FLAT))).rows == 1

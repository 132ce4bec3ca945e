"""Execution logs: one failure a request, out of lines that real failures wrote."""

from __future__ import annotations

import random
from datetime import timedelta
from pathlib import Path

import pytest

from incident_rca.formats.parsed import Parsed
from tests.formats.builders import START, instant, kind_of, parse, rows, write


def event(second: float, request_id: str, text: str) -> str:
    at = START + timedelta(seconds=second)
    return f"{at:%Y-%m-%dT%H:%M:%S}.{at.microsecond // 1000:03d}Z ({request_id}) {text}"


def lines_of(request_id: str, status: int, *failure: str, second: float = 0.0) -> list[str]:
    """A request as the gateway logs it, from its start to its status."""
    texts = [
        f"Extended Request Id: X{request_id}=",
        f"Starting execution for request: {request_id}",
        "HTTP Method: POST, Resource Path: /api/orders",
        "Method request body before transformations: {} [TRUNCATED]",
        "Sending request to https://lambda.eu-west-1.amazonaws.com/2015-03-31/functions/f",
        "Received response. Status: 200, Integration latency: 29 ms",
        *failure,
        f"Method completed with status: {status}",
    ]
    return [event(second + n / 1000, request_id, text) for n, text in enumerate(texts)]


def read(folder: Path, *lines: str) -> Parsed:
    return parse("execution_log", write(folder / "execution.log", *lines))


CONFIGURATION = "Execution failed due to configuration error: "
# The lines of real failures, and the type of each.
FAILURES: list[tuple[int, tuple[str, ...], str]] = [
    (504, ("Execution failed due to a timeout error",), "integration_timeout"),
    (502, (CONFIGURATION + "Malformed Lambda proxy response",), "malformed_proxy_response"),
    (
        502,
        (
            "Lambda execution failed with status 200 due to customer function error: x. "
            "Lambda request id: 7",
        ),
        "function_error",
    ),
    (500, (CONFIGURATION + "Invalid permissions on Lambda function",), "backend_permission"),
    (
        500,
        (
            "Lambda invocation failed with status: 429. Lambda request id: 7",
            CONFIGURATION + "Rate Exceeded.",
        ),
        "backend_throttled",
    ),
    (
        500,
        (CONFIGURATION + "There was an internal error while executing your request",),
        "integration_network",
    ),
    (
        500,
        (CONFIGURATION + "Output mapping refers to an invalid method response: 200",),
        "gateway_config",
    ),
]


@pytest.mark.parametrize(("status", "failure", "kind"), FAILURES)
def test_a_failed_request_is_one_row(
    status: int, failure: tuple[str, ...], kind: str, tmp_path: Path
) -> None:
    log = [*lines_of("ok", 200), *lines_of("r-1", status, *failure, second=1)]
    assert kind_of(write(tmp_path / "execution.log", *log)) == "execution_log"
    parsed = read(tmp_path, *log)
    (row,) = rows(parsed, "failures")
    assert (parsed.rows, parsed.unparsed) == (len(log), 0)
    assert row["line"] == len(log) - 1
    assert row["at"] == START + timedelta(seconds=1, milliseconds=1)
    assert (row["request_id"], row["seen_in"]) == ("r-1 Xr-1=", "execution")
    assert (row["method"], row["route"], row["status"]) == ("POST", "/api/orders", status)
    assert (row["error_type"], row["latency_ms"], row["integration_status"]) == (kind, 29, "200")
    assert all(text.partition(":")[0] in row["message"] for text in failure)


def test_a_5xx_that_was_passed_through_has_no_failure_line(tmp_path: Path) -> None:
    log = [line.replace("Status: 200", "Status: 503") for line in lines_of("r-1", 503)]
    (row,) = rows(read(tmp_path, *log), "failures")
    assert (row["error_type"], row["message"], row["line"]) == ("backend_5xx", None, len(log))


def test_the_order_of_lines_does_not_matter(tmp_path: Path) -> None:
    first = lines_of("a", 504, "Execution failed due to a timeout error")
    second = lines_of("b", 502, CONFIGURATION + "Malformed Lambda proxy response")
    log = first + second
    random.Random(7).shuffle(log)
    found = {row["request_id"]: row for row in rows(read(tmp_path, *log), "failures")}
    assert {key: (row["status"], row["error_type"]) for key, row in found.items()} == {
        "a Xa=": (504, "integration_timeout"),
        "b Xb=": (502, "malformed_proxy_response"),
    }
    for row in found.values():
        assert log[row["line"] - 1].startswith(event(0, "", "")[:10])
        assert "failed due to" in log[row["line"] - 1]


def test_a_line_goes_on_in_the_next(tmp_path: Path) -> None:
    failure = "Lambda execution failed with status 200 due to customer function error: first"
    log = lines_of("r-1", 502, failure)
    log.insert(7, "second line of the message")
    log.insert(4, '{"body": "of the request"}')
    parsed = read(tmp_path, *log)
    (row,) = rows(parsed, "failures")
    assert row["message"] == f"{failure} second line of the message"
    assert (parsed.rows, parsed.unparsed) == (len(log), 0)


def test_a_failure_without_its_last_line_has_no_status(tmp_path: Path) -> None:
    (row,) = rows(
        read(tmp_path, event(0, "r-1", "Execution failed due to a timeout error")), "failures"
    )
    assert (row["status"], row["error_type"]) == (None, "integration_timeout")


def test_a_test_invocation_is_read(tmp_path: Path) -> None:
    stamp = "Thu Jan 15 14:10:00 UTC 2026 : "
    log = [
        "Execution log for request test-request",
        stamp + "Starting execution for request: test-invoke-request",
        stamp + "HTTP Method: GET, Resource Path: /a",
        stamp + "Execution failed due to a timeout error",
        stamp + "Method completed with status: 504",
    ]
    assert kind_of(write(tmp_path / "execution.log", *log)) == "execution_log"
    (row,) = rows(read(tmp_path, *log), "failures")
    assert (row["request_id"], row["at"], row["status"]) == ("test-request", START, 504)
    assert (row["route"], row["error_type"]) == ("/a", "integration_timeout")


def test_lines_without_times_are_kept_without(tmp_path: Path) -> None:
    log = [line.partition(" ")[2] for line in lines_of("r-1", 502)]
    assert kind_of(write(tmp_path / "execution.log", *log)) == "execution_log"
    parsed = read(tmp_path, *log)
    assert parsed.covered is None
    assert [row["at"] for row in rows(parsed, "failures")] == [None]


def test_junk_before_the_first_line_is_unparsed(tmp_path: Path) -> None:
    parsed = read(tmp_path, "junk", "", *lines_of("r-1", 502), b"\xff\xfe".decode("latin-1"))
    assert (parsed.rows, parsed.unparsed) == (8, 1)
    assert parsed.covered is not None and parsed.covered.start == instant("14:10")

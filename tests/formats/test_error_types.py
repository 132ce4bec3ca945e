"""The error taxonomy: each rule where it decides, tuples of real logs, and what is not known."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from incident_rca.analysis.gateway_failures import TAXONOMY
from incident_rca.formats.error_types import error_types_of
from incident_rca.queries import load_query

ALL_KNOWN = dict.fromkeys(
    ("response_type", "integration_status", "backend_status", "error_text"), True
)


def type_of(folder: Path, knows: dict[str, bool] | None = None, **fact: Any) -> str | None:
    row = {"message": ""} | fact
    return error_types_of([row], folder, knows=ALL_KNOWN | (knows or {}))[0]


CONFIGURATION = "Execution failed due to configuration error: "
# One rule a row: what decides, and next to it what the later rules would have said.
RULES: list[tuple[str, dict[str, Any]]] = [
    ("waf_blocked", {"status": 403, "waf": "WAF_BLOCK", "response_type": "ACCESS_DENIED"}),
    ("auth", {"status": 403, "response_type": "EXPIRED_TOKEN", "authorizer_error": "boom"}),
    ("authorizer_failure", {"status": 500, "authorizer_error": "The connection timed out"}),
    ("authorizer_failure", {"status": 429, "response_type": "AUTHORIZER_FAILURE"}),
    ("throttled_gateway", {"status": 429}),
    ("throttled_gateway", {"status": 503, "response_type": "THROTTLED", "backend_status": "503"}),
    ("client_request", {"status": 413, "response_type": "REQUEST_TOO_LARGE"}),
    ("client_request", {"status": 500, "response_type": "BAD_REQUEST_BODY"}),
    ("integration_timeout", {"status": 504, "response_type": "INTEGRATION_TIMEOUT"}),
    ("integration_timeout", {"status": 500, "message": "Execution failed due to a timeout error"}),
    ("integration_timeout", {"status": 504, "message": "Endpoint request timed out"}),
    ("backend_throttled", {"status": 500, "message": CONFIGURATION + "Rate Exceeded."}),
    ("backend_throttled", {"status": 429, "integration_status": "429", "backend_status": "429"}),
    (
        "backend_permission",
        {"status": 500, "message": CONFIGURATION + "Invalid permissions on Lambda function"},
    ),
    (
        "backend_permission",
        {"status": 500, "integration_status": "403", "response_type": "INTEGRATION_FAILURE"},
    ),
    (
        "function_error",
        {
            "status": 502,
            "integration_status": "200",
            "message": "Lambda Customer Function Error: boom",
        },
    ),
    (
        "function_error/payload_too_large",
        {
            "status": 502,
            "message": "Lambda execution failed with status 200 due to customer function error: "
            "Response payload size exceeded maximum allowed payload size (6291556 bytes).",
        },
    ),
    ("malformed_proxy_response", {"status": 502, "integration_status": "200"}),
    (
        "malformed_proxy_response",
        {"status": 502, "integration_status": "200", "message": "Internal server error"},
    ),
    (
        "malformed_proxy_response",
        {"status": 502, "message": CONFIGURATION + "Malformed Lambda proxy response"},
    ),
    ("integration_network", {"status": 500, "message": "Connection refused"}),
    ("integration_network", {"status": 500, "message": "SSL handshake failed"}),
    (
        "integration_network",
        {"status": 500, "message": "Network error communicating with endpoint"},
    ),
    ("integration_network", {"status": 502, "response_type": "INTEGRATION_FAILURE"}),
    ("gateway_config", {"status": 500, "response_type": "API_CONFIGURATION_ERROR"}),
    ("gateway_config", {"status": 500, "message": CONFIGURATION + "Output mapping refers to x"}),
    ("backend_5xx", {"status": 502, "integration_status": "502", "backend_status": "502"}),
    ("backend_4xx", {"status": 404, "integration_status": "404", "backend_status": "404"}),
    ("client_abort", {"status": 499}),
    ("gateway_4xx_unexplained", {"status": 404}),
    ("gateway_5xx_unexplained", {"status": 503}),
]


@pytest.mark.parametrize(("kind", "facts"), RULES, ids=lambda value: str(value)[:60])
def test_each_rule_decides(kind: str, facts: dict[str, Any], tmp_path: Path) -> None:
    assert type_of(tmp_path, **facts) == kind


def test_every_type_has_its_test() -> None:
    tested = {kind for kind, _ in RULES} | {"function_error_or_malformed_proxy_response"}
    assert tested == set(TAXONOMY)


def test_the_order_of_the_taxonomy_is_that_of_the_rules() -> None:
    text = load_query("duckdb/error_type.sql").text
    at = [text.index(f"'{kind}'") for kind in TAXONOMY]
    assert at == sorted(at)


@pytest.mark.parametrize("status", [500, 502, 504])
def test_an_integration_failure_is_one_with_any_status(status: int, tmp_path: Path) -> None:
    facts: dict[str, Any] = {"status": status, "response_type": "INTEGRATION_FAILURE"}
    assert type_of(tmp_path, **facts) == "integration_network"
    assert type_of(tmp_path, **facts, integration_status="500") == "gateway_5xx_unexplained"


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
def test_a_status_alone_has_no_type(status: int, tmp_path: Path) -> None:
    nothing = dict.fromkeys(ALL_KNOWN, False)
    unexplained = "gateway_4xx_unexplained" if status < 500 else "gateway_5xx_unexplained"
    assert type_of(tmp_path, nothing, status=status) == unexplained


def test_a_response_type_alone_is_no_network_error(tmp_path: Path) -> None:
    knows = {"integration_status": False, "backend_status": False}
    facts: dict[str, Any] = {"status": 502, "response_type": "INTEGRATION_FAILURE"}
    assert type_of(tmp_path, knows, **facts) == "gateway_5xx_unexplained"


def test_without_an_error_text_two_types_are_one(tmp_path: Path) -> None:
    facts: dict[str, Any] = {"status": 502, "integration_status": "200"}
    knows = {"error_text": False}
    assert type_of(tmp_path, knows, **facts) == "function_error_or_malformed_proxy_response"
    knows["backend_status"] = False
    assert type_of(tmp_path, knows, **facts) == "gateway_5xx_unexplained"


def test_the_status_of_the_service_stands_in_for_that_of_the_code(tmp_path: Path) -> None:
    facts: dict[str, Any] = {"status": 502, "integration_status": "502"}
    assert type_of(tmp_path, **facts) == "gateway_5xx_unexplained"
    assert type_of(tmp_path, {"backend_status": False}, **facts) == "backend_5xx"


def test_without_a_response_type_only_the_same_status_was_passed_through(tmp_path: Path) -> None:
    knows = {"response_type": False}
    assert type_of(tmp_path, knows, status=502, backend_status="502") == "backend_5xx"
    assert type_of(tmp_path, knows, status=500, backend_status="502") == "gateway_5xx_unexplained"


@pytest.mark.parametrize("status", [200, 302, 399])
def test_below_400_there_is_no_error(status: int, tmp_path: Path) -> None:
    assert type_of(tmp_path, status=status, message="Connection refused") is None


def test_a_message_has_a_type_where_the_status_is_not_known(tmp_path: Path) -> None:
    assert type_of(tmp_path, message="Connection refused") == "integration_network"
    assert type_of(tmp_path, message="something") is None

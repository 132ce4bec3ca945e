"""Failures of access logs and execution logs: each request once, its type by both."""

from __future__ import annotations

import random
from typing import Any

import pandas as pd
import pytest

from incident_rca.analysis.gateway_failures import TAXONOMY, levels_in, with_execution_logs
from incident_rca.typed_frames import as_schema


def frame(*rows: dict[str, Any]) -> pd.DataFrame:
    base = {"source": "s", "file": "f", "at": "2026-01-15T14:10:00Z", "status": 502}
    return as_schema(
        pd.DataFrame([base | {"line": n} | row for n, row in enumerate(rows)]), "failures"
    )


def access(request_id: str | None, kind: str | None = None, **given: Any) -> dict[str, Any]:
    return {
        "request_id": request_id,
        "error_type": kind,
        "seen_in": "access",
        "route": "/a",
    } | given


def execution(request_id: str, kind: str | None = None, **given: Any) -> dict[str, Any]:
    return {"request_id": request_id, "error_type": kind, "seen_in": "execution"} | given


def listed(frame: pd.DataFrame) -> list[tuple[Any, ...]]:
    columns = ("request_id", "error_type", "seen_in")
    return [tuple(row) for row in frame[list(columns)].itertuples(index=False)]


def test_without_execution_logs_nothing_changes() -> None:
    failures = frame(access("a", "backend_5xx"), access(None, "backend_5xx"))
    assert with_execution_logs(failures) is failures


def test_a_request_is_counted_once_and_keeps_what_the_access_log_says() -> None:
    failures = frame(
        access("x=", "gateway_5xx_unexplained", message="Internal server error", latency_ms=31.0),
        execution("r x=", "function_error", message="Lambda failed", route="/raw", status=500),
    )
    found = with_execution_logs(failures)
    assert listed(found) == [("x=", "function_error", "access+execution")]
    row = found.iloc[0]
    assert (row["route"], row["status"], row["latency_ms"]) == ("/a", 502, 31.0)
    assert row["message"] == "Internal server error Lambda failed"
    assert list(found.columns) == list(failures.columns)
    assert found.dtypes.equals(failures.dtypes)


@pytest.mark.parametrize("access_id", ["r", "x="])
def test_either_id_joins(access_id: str) -> None:
    found = with_execution_logs(frame(execution("r x=", "auth"), access(access_id)))
    assert listed(found) == [(access_id, "auth", "access+execution")]


def test_an_id_that_a_client_chose_twice_joins_nothing() -> None:
    failures = frame(access("r"), access("r"), execution("r x=", "function_error"))
    found = with_execution_logs(failures)
    assert [row[2] for row in listed(found)] == ["access", "access", "execution"]


def test_a_request_that_no_access_log_has_stays_once() -> None:
    failures = frame(
        access("a", "backend_5xx"),
        execution("r x=", "function_error"),
        execution("r x=", "function_error"),
        execution("s", "integration_timeout", status=None),
    )
    assert listed(with_execution_logs(failures)) == [
        ("a", "backend_5xx", "access"),
        ("x=", "function_error", "execution"),
    ]


def test_a_failure_without_a_status_explains_the_row_that_has_one() -> None:
    failures = frame(access("s"), execution("s", "integration_timeout", status=None))
    (row,) = listed(with_execution_logs(failures))
    assert row == ("s", "integration_timeout", "access+execution")


def test_the_type_is_the_first_of_the_taxonomy_that_either_log_says() -> None:
    chosen = random.Random(3)
    pairs = [(chosen.choice(TAXONOMY), chosen.choice(TAXONOMY)) for _ in range(60)]
    failures = frame(
        *(access(f"r{n}", one) for n, (one, _) in enumerate(pairs)),
        *(execution(f"r{n}", two) for n, (_, two) in enumerate(pairs)),
    )
    found = with_execution_logs(failures)
    order = {kind: place for place, kind in enumerate(TAXONOMY)}
    assert list(found["error_type"]) == [sorted(pair, key=order.__getitem__)[0] for pair in pairs]


def test_levels_are_named_one_by_one() -> None:
    assert levels_in(["access+execution", "execution", "access"]) == ("access", "execution")
    assert levels_in([]) == ()

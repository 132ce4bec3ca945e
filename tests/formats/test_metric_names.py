"""Known metrics in the spellings of every store, and what their tags say."""

from __future__ import annotations

import re
from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from incident_rca.formats.known_metrics import KNOWN
from incident_rca.formats.metric_names import (
    Labels,
    known,
    labels_of,
    method_of,
    names_of,
    status_of,
    suffix_unit,
    without_doubles,
)

# As the projects document them: the name as stored, its unit, and whose calls it measures.
STORED = [
    ("grpc.client.attempt.duration", "s", "attempts of the client"),
    ("grpc_client_attempt_duration_seconds_bucket", "s", "attempts of the client"),
    ("grpc.client.call.duration", "s", "calls of the client"),
    ("grpc_server_call_duration_seconds_sum", "s", "calls of the server"),
    ("rpc.server.duration", "ms", "calls of the server"),
    ("rpc_server_duration_milliseconds_count", "ms", "calls of the server"),
    ("rpc_client_duration_bucket", "ms", "calls of the client"),
    ("rpc.client.call.duration", "s", "calls of the client"),
    ("rpc_server_call_duration_seconds", "s", "calls of the server"),
    ("grpc_client_handling_seconds_bucket", "s", "calls of the client"),
    ("grpc.server.handling_seconds", "s", "calls of the server"),
    ("grpc_server_handled_latency_seconds_sum", "s", "calls of the server"),
    ("grpc_client_processing_duration_seconds_max", "s", "calls of the client"),
    ("grpc.client.processing.duration.95percentile", "ms", "calls of the client"),
    ("grpc.io/client/roundtrip_latency", "ms", "calls of the client"),
    ("grpc_io_client_roundtrip_latency_bucket", "ms", "calls of the client"),
    ("trace.grpc.server", "s", "calls of the server"),
    ("envoy_cluster_upstream_rq_time_bucket", "ms", "requests of a proxy"),
    ("istio_request_duration_milliseconds_bucket", "ms", "requests of a mesh"),
    ("grpc.client.duration", "", "calls of the client"),
]


@pytest.mark.parametrize(("metric", "unit", "measures"), STORED)
def test_a_stored_name_is_known(metric: str, unit: str, measures: str) -> None:
    found = known(metric)
    assert found is not None
    assert (found.kind, found.unit, found.measures) == ("latency", unit, measures)


@pytest.mark.parametrize(
    ("metric", "kind"),
    [
        ("grpc_client_handled_total", "calls"),
        ("grpc.server.handled.count", "calls"),
        ("trace.grpc.client.hits", "calls"),
        ("istio_requests_total", "calls"),
        ("grpc_server_started_total", "started"),
        ("grpc.client.attempt.started", "started"),
    ],
)
def test_a_counter_is_known_and_has_no_unit_of_time(metric: str, kind: str) -> None:
    found = known(metric)
    assert found is not None
    assert (found.kind, found.unit, found.type) == (kind, "", "counter")


@pytest.mark.parametrize(
    "metric", ["", "grpc", "http.server.duration", "hangout.grpc.client.duration", "trace.grpc"]
)
def test_other_names_are_not_known(metric: str) -> None:
    assert known(metric) is None


def test_a_unit_behind_the_name_outweighs_the_unit_of_the_name_without_it() -> None:
    """An OpenTelemetry view may record the old name in seconds; the store writes that behind it."""
    for metric, unit in (
        ("rpc_server_duration_seconds", "s"),
        ("grpc.client.duration_ms", "ms"),
        ("grpc_client_duration_seconds_bucket", "s"),
    ):
        found = known(metric)
        assert found is not None and found.unit == unit == suffix_unit(metric)


def test_every_name_of_the_table_is_found_by_itself_and_once() -> None:
    names = [name for kind in ("latency", "calls", "started") for name in names_of(kind)]
    assert len(names) == len(set(names)) > 40
    for metric in KNOWN:
        assert all(known(name) == metric for name in metric.names)


def test_both_names_of_the_same_calls_are_never_both_read() -> None:
    old, new = "rpc_client_duration_milliseconds", "rpc_client_call_duration_seconds"
    assert without_doubles([old, new]) == (new,)
    assert without_doubles([old]) == (old,)
    # Attempts are not calls, nor are those of the server those of the client.
    kept = ("rpc.server.duration", new, "grpc.client.attempt.duration", "http.latency")
    assert without_doubles([*kept, old]) == kept
    assert without_doubles(["grpc.client.duration", "trace.grpc.client"]) == ("trace.grpc.client",)
    # Two spellings of one name are two series of one store: neither is a double of the other.
    assert len(without_doubles(["rpc.client.duration", "rpc_client_duration_seconds"])) == 2


@pytest.mark.parametrize(
    ("metric", "tags", "expected"),
    [
        (
            "grpc.client.attempt.duration",
            {"grpc.method": "pkg.Inv/Reserve", "grpc.status": "DEADLINE_EXCEEDED"},
            Labels("pkg.Inv", "Reserve", "DEADLINE_EXCEEDED", None),
        ),
        (
            "rpc.client.duration",
            {
                "rpc.system": "grpc",
                "rpc.service": "pkg.Inv",
                "rpc.method": "Reserve",
                "rpc.grpc.status_code": "14",
                "service.name": "orders",
            },
            Labels("pkg.Inv", "Reserve", "UNAVAILABLE", "orders"),
        ),
        (
            "rpc.client.call.duration",
            {"rpc.method": "pkg.Inv/Reserve", "rpc.response.status_code": "CANCELLED"},
            Labels("pkg.Inv", "Reserve", "CANCELLED", None),
        ),
        (
            "grpc_client_handled_total",
            {
                "grpc_type": "unary",
                "grpc_service": "pkg.Inv",
                "grpc_method": "Reserve",
                "grpc_code": "Canceled",
                "job": "orders",
            },
            Labels("pkg.Inv", "Reserve", "CANCELLED", "orders"),
        ),
        (
            "grpc.client.processing.duration",
            {"service": "pkg.Inv", "method": "Reserve", "statuscode": "OK", "application": "shop"},
            Labels("pkg.Inv", "Reserve", "OK", "shop"),
        ),
        (
            "grpc_io_client_roundtrip_latency",
            {"grpc_client_method": "pkg.Inv/Reserve", "grpc_client_status": "NOT_FOUND"},
            Labels("pkg.Inv", "Reserve", "NOT_FOUND", None),
        ),
        (
            "trace.grpc.client",
            {"resource_name": "/pkg.inv/reserve", "service": "orders", "env": "prod"},
            Labels("pkg.inv", "reserve", None, "orders"),
        ),
        (
            "trace.grpc.client.hits",
            {"resource_name": "pkg.inv/reserve", "rpc.grpc.status_code": "statuscode.unavailable"},
            Labels("pkg.inv", "reserve", "UNAVAILABLE", None),
        ),
        (
            "istio_request_duration_milliseconds_bucket",
            {"destination_service_name": "inventory", "grpc_response_status": "4"},
            Labels(None, None, "DEADLINE_EXCEEDED", "inventory"),
        ),
        (
            "grpc.client.duration",
            {"service": "orders", "rpc.service": "pkg.Inv", "method": "Reserve", "status": "ok"},
            Labels("pkg.Inv", "Reserve", "OK", "orders"),
        ),
        ("pool.used", {"pool.name": "main", "service": "orders"}, Labels(None, None, None, "main")),
        ("anything", {}, Labels(None, None, None, None)),
    ],
)
def test_tags_say_who_and_what(metric: str, tags: Mapping[str, str], expected: Labels) -> None:
    assert labels_of(metric, tags) == expected


@pytest.mark.parametrize(
    ("service", "method", "expected"),
    [
        (None, "/pkg.Inventory/Reserve", ("pkg.Inventory", "Reserve")),
        (None, "pkg.Inventory/Reserve", ("pkg.Inventory", "Reserve")),
        ("pkg.Inventory", "Reserve", ("pkg.Inventory", "Reserve")),
        ("pkg.Inventory", "pkg.Inventory/Reserve", ("pkg.Inventory", "Reserve")),
        (None, "inventory.reserve", ("inventory", "reserve")),
        (None, "pkg.inventory.reserve", ("pkg.inventory", "reserve")),
        (None, "Reserve", (None, "Reserve")),
        ("pkg.Inventory", None, ("pkg.Inventory", None)),
        ("pkg.Inventory", "v1.Reserve", ("pkg.Inventory", "v1.Reserve")),
        (None, "other", (None, "_OTHER")),
        (None, "_OTHER", (None, "_OTHER")),
        (None, "", (None, None)),
        (None, "/", (None, None)),
        (None, None, (None, None)),
    ],
)
def test_a_method_may_hold_its_service(
    service: str | None, method: str | None, expected: tuple[str | None, str | None]
) -> None:
    assert method_of(service, method) == expected


# The table of https://grpc.github.io/grpc/core/md_doc_statuscodes.html, written as grpc-go does.
GO_CODES = (
    "OK Canceled Unknown InvalidArgument DeadlineExceeded NotFound AlreadyExists PermissionDenied "
    "ResourceExhausted FailedPrecondition Aborted OutOfRange Unimplemented Internal Unavailable "
    "DataLoss Unauthenticated"
).split()


def test_every_code_is_one_name_in_every_spelling() -> None:
    for number, camel in enumerate(GO_CODES):
        screaming = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", camel).upper()
        canonical = {"CANCELED": "CANCELLED"}.get(screaming, screaming)
        for text in (
            str(number),
            camel,
            screaming,
            canonical,
            canonical.lower(),
            f"statuscode.{canonical.lower()}",
            f"StatusCode.{canonical}",
        ):
            assert status_of(text) == canonical


@pytest.mark.parametrize(("text", "kept"), [("17", "17"), ("200", "200"), ("boom", "BOOM")])
def test_what_is_no_code_is_kept_as_it_is(text: str, kept: str) -> None:
    assert status_of(text) == kept


@given(st.text(max_size=30), st.dictionaries(st.text(max_size=12), st.text(max_size=12)))
def test_any_name_and_tags_are_read(metric: str, tags: dict[str, str]) -> None:
    labels_of(metric, tags)
    assert without_doubles([metric]) == (metric,)

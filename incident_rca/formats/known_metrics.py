"""The gRPC metrics that are known by name: whose they are, their unit, and which tags say what.

Sources: gRFC A66 (grpc-go, -java, -c++ and -python), OpenTelemetry's semantic conventions for RPC
metrics until 1.37 and from 1.38, go-grpc-prometheus, java-grpc-prometheus, Micrometer, OpenCensus,
Datadog's "Trace Metrics", Envoy's "gRPC Statistics" and Istio's "Standard Metrics".
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Kind = Literal["latency", "calls", "started"]
Keys = tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownMetric:
    """What is known of a metric by its name; `service` and the others are its tags, best first.

    `kind`: `latency` (of calls that ended), `calls` (ended, by status) or `started`. `unit` is that
    of its observations: `s`, `ms`, `us`, `ns`, "" where the name does not fix it. `type`:
    `histogram`, `timer` or `counter`. `measures` is the same for metrics that count the same calls:
    they are never added up.
    """

    names: tuple[str, ...]
    origin: str
    kind: Kind
    type: str
    measures: str
    unit: str = ""
    service: Keys = ()
    method: Keys = ()
    status: Keys = ()
    owner: Keys = ()


def _rows(
    origin: str,
    kind: Kind,
    measures: str,
    names: str,
    *,
    unit: str = "",
    service: str = "",
    method: str = "",
    status: str = "",
    owner: str = "",
) -> tuple[KnownMetric, ...]:
    """One metric, or that of the client and that of the server where `{}` stands for the side."""
    sides = ("client", "server") if "{}" in names else ("",)
    return tuple(
        KnownMetric(
            names=tuple(names.format(*[side] * names.count("{}")).split()),
            origin=origin,
            kind=kind,
            type="timer" if origin == "Micrometer" else _TYPES[kind],
            measures=measures.replace("{}", side),
            unit=unit,
            service=tuple(service.split()),
            method=tuple(method.replace("{}", side).split()),
            status=tuple(status.replace("{}", side).split()),
            owner=tuple(owner.split()),
        )
        for side in sides
    )


_TYPES: Mapping[Kind, str] = {"latency": "histogram", "calls": "counter", "started": "counter"}
_CALLS = "calls of the {}"
_ATTEMPTS = "attempts of the client"
_GO = {"service": "grpc_service", "method": "grpc_method"}
_MICROMETER = {"service": "service", "method": "method", "status": "statusCode"}
_APM = {"method": "resource_name", "status": "rpc.grpc.status_code", "owner": "service"}
_ISTIO = {"status": "grpc_response_status", "owner": "destination_service_name"}

# In order of preference: of metrics that measure the same calls the first one is read.
KNOWN: tuple[KnownMetric, ...] = (
    *_rows(
        "OpenTelemetry 1.38",
        "latency",
        _CALLS,
        "rpc.{}.call.duration rpc_{}_call_duration_seconds",
        unit="s",
        method="rpc.method",
        status="rpc.response.status_code",
    ),
    *_rows(
        "gRFC A66",
        "latency",
        _CALLS,
        "grpc.{}.call.duration grpc_{}_call_duration_seconds",
        unit="s",
        method="grpc.method",
        status="grpc.status",
    ),
    *_rows(
        "OpenTelemetry 1.37",
        "latency",
        _CALLS,
        "rpc.{}.duration rpc_{}_duration_milliseconds rpc_{}_duration",
        unit="ms",
        service="rpc.service",
        method="rpc.method",
        status="rpc.grpc.status_code",
    ),
    *_rows(
        "go-grpc-prometheus",
        "latency",
        _CALLS,
        "grpc_{}_handling_seconds",
        unit="s",
        **_GO,
    ),
    *_rows(
        "java-grpc-prometheus",
        "latency",
        "calls of the client",
        "grpc_client_completed_latency_seconds",
        unit="s",
        **_GO,
    ),
    *_rows(
        "java-grpc-prometheus",
        "latency",
        "calls of the server",
        "grpc_server_handled_latency_seconds",
        unit="s",
        **_GO,
    ),
    # Micrometer's unit is that of its registry: Prometheus writes it behind the name, the others
    # (Datadog, OpenTelemetry's bridge) count in milliseconds.
    *_rows(
        "Micrometer",
        "latency",
        _CALLS,
        "grpc_{}_processing_duration_seconds",
        unit="s",
        **_MICROMETER,
    ),
    *_rows(
        "Micrometer",
        "latency",
        _CALLS,
        "grpc.{}.processing.duration",
        unit="ms",
        **_MICROMETER,
    ),
    *_rows(
        "OpenCensus",
        "latency",
        "calls of the client",
        "grpc.io/client/roundtrip_latency grpc_io_client_roundtrip_latency",
        unit="ms",
        method="grpc_client_method",
        status="grpc_client_status",
    ),
    *_rows(
        "OpenCensus",
        "latency",
        "calls of the server",
        "grpc.io/server/server_latency grpc_io_server_server_latency",
        unit="ms",
        method="grpc_server_method",
        status="grpc_server_status",
    ),
    *_rows("Datadog APM", "latency", _CALLS, "trace.grpc.{}", unit="s", **_APM),
    # No standard: seen in seconds and in milliseconds, so the name fixes no unit.
    *_rows("", "latency", _CALLS, "grpc.{}.duration"),
    *_rows(
        "gRFC A66",
        "latency",
        _ATTEMPTS,
        "grpc.client.attempt.duration grpc_client_attempt_duration_seconds",
        unit="s",
        method="grpc.method",
        status="grpc.status",
    ),
    *_rows(
        "Envoy",
        "latency",
        "calls of a proxy",
        "envoy.cluster.grpc.upstream_rq_time envoy_cluster_grpc_upstream_rq_time",
        unit="ms",
        service="envoy_grpc_bridge_service",
        method="envoy_grpc_bridge_method",
        owner="envoy_cluster_name",
    ),
    *_rows(
        "Envoy",
        "latency",
        "requests of a proxy",
        "envoy.cluster.upstream_rq_time envoy_cluster_upstream_rq_time",
        unit="ms",
        owner="envoy_cluster_name cluster_name",
    ),
    *_rows(
        "Istio",
        "latency",
        "requests of a mesh",
        "istio_request_duration_milliseconds istio.mesh.request.duration.milliseconds",
        unit="ms",
        **_ISTIO,
    ),
    *_rows(
        "go-grpc-prometheus",
        "calls",
        _CALLS,
        "grpc_{}_handled_total grpc.{}.handled",
        status="grpc_code",
        **_GO,
    ),
    *_rows(
        "java-grpc-prometheus",
        "calls",
        "calls of the client",
        "grpc_client_completed_total grpc_client_completed",
        status="grpc_code",
        **_GO,
    ),
    *_rows("Datadog APM", "calls", _CALLS, "trace.grpc.{}.hits", **_APM),
    *_rows(
        "Istio",
        "calls",
        "requests of a mesh",
        "istio_requests_total istio.mesh.request.count",
        **_ISTIO,
    ),
    *_rows(
        "go-grpc-prometheus",
        "started",
        _CALLS,
        "grpc_{}_started_total grpc.{}.started",
        **_GO,
    ),
    *_rows(
        "gRFC A66",
        "started",
        _ATTEMPTS,
        "grpc.client.attempt.started grpc_client_attempt_started_total",
        method="grpc.method",
    ),
    *_rows(
        "gRFC A66",
        "started",
        "calls of the server",
        "grpc.server.call.started grpc_server_call_started_total",
        method="grpc.method",
    ),
)

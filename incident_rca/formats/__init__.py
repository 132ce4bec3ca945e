"""Bytes to tables: one file a format, pure, and this list of them."""

from __future__ import annotations

from incident_rca.formats import (
    access_log,
    cloudwatch_events,
    cloudwatch_metrics,
    datadog_events,
    datadog_metrics,
    execution_log,
    exported_log,
    gateway_rollup,
    load_balancer_log,
    load_balancer_rollup,
    lock_recording,
    logs_insights,
    otlp_metrics,
    performance_insights,
    pgsentinel_history,
    pgwatch_history,
    postgres_log,
    prometheus_metrics,
    server_residue,
)
from incident_rca.formats.parsed import Format, Head

FORMATS: tuple[Format, ...] = (
    exported_log.FORMAT,
    exported_log.CONCATENATED,
    access_log.FORMAT,
    execution_log.FORMAT,
    cloudwatch_events.FORMAT,
    cloudwatch_events.POSTGRES_FORMAT,
    load_balancer_log.FORMAT,
    gateway_rollup.FORMAT,
    load_balancer_rollup.FORMAT,
    logs_insights.FORMAT,
    logs_insights.COUNTS,
    logs_insights.LATENCY,
    lock_recording.FORMAT,
    postgres_log.FORMAT,
    pgsentinel_history.FORMAT,
    pgwatch_history.FORMAT,
    performance_insights.FORMAT,
    server_residue.FORMAT,
    datadog_metrics.FORMAT,
    prometheus_metrics.FORMAT,
    otlp_metrics.FORMAT,
    cloudwatch_metrics.FORMAT,
    datadog_events.FORMAT,
)
BY_KIND = {known.kind: known for known in FORMATS}


def recognise(head: Head) -> Format | None:
    """The format of a file by its content, or None."""
    return next((known for known in FORMATS if known.recognises(head)), None)

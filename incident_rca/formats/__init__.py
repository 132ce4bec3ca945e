"""Bytes to tables: one file a format, pure, and this list of them."""

from __future__ import annotations

from incident_rca.formats import (
    access_log,
    datadog_events,
    datadog_metrics,
    lock_recording,
    logs_insights,
    performance_insights,
    pgsentinel_history,
    pgwatch_history,
    postgres_log,
    server_residue,
)
from incident_rca.formats.parsed import Format, Head

FORMATS: tuple[Format, ...] = (
    access_log.FORMAT,
    logs_insights.FORMAT,
    lock_recording.FORMAT,
    postgres_log.FORMAT,
    pgsentinel_history.FORMAT,
    pgwatch_history.FORMAT,
    performance_insights.FORMAT,
    server_residue.FORMAT,
    datadog_metrics.FORMAT,
    datadog_events.FORMAT,
)
BY_KIND = {known.kind: known for known in FORMATS}


def recognise(head: Head) -> Format | None:
    """The format of a file by its content, or None."""
    return next((known for known in FORMATS if known.recognises(head)), None)

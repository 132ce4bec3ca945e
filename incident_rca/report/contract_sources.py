"""The sources and their windows, as report.json has them."""

from __future__ import annotations

from typing import Any

from incident_rca.model import Analysis, SourceStatus, TimeWindow
from incident_rca.report.numbers import optional, rounded
from incident_rca.window import format_instant


def source_of(analysis: Analysis, source: SourceStatus) -> dict[str, Any]:
    """One of the `sources`: what it answered, and what is known of its clock."""
    clock = analysis.clock_of(source)
    return {
        "name": source.name,
        "system": source.system.value,
        "state": source.state.value,
        "asked": window_of(source.asked),
        "covered": window_of(source.covered),
        "rows": source.rows,
        "unparsed": source.unparsed,
        "resolution_seconds": optional(source.resolution_seconds),
        "clock_offset_seconds": [rounded(bound) for bound in clock.bounds],
        "clock_offset_basis": clock.basis.value,
        "clock_moved_seconds": clock.moved_seconds,
        "reason": source.reason,
        "query": source.query,
        "files": [{"path": file.path, "sha256": file.sha256} for file in source.files],
    }


def window_of(window: TimeWindow | None) -> dict[str, str] | None:
    """A window as its two instants; null where there is none."""
    if window is None:
        return None
    return {"start": format_instant(window.start), "end": format_instant(window.end)}

"""Values as report.json has them: ids, instants, spans and windows."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from incident_rca.model import Analysis, Evidence, Span, TimeWindow
from incident_rca.window import format_instant


def ids_of(analysis: Analysis, evidence: tuple[Evidence, ...]) -> list[str]:
    """The ids of what is cited, as the report prints them."""
    return list(analysis.cite(evidence))


def instant_of(at: datetime | None) -> str | None:
    """An instant as text, None where it is open."""
    return None if at is None else format_instant(at)


def span_of(span: Span) -> list[str | None]:
    """The two instants of a span, None where it is open."""
    return [instant_of(span.lo), instant_of(span.hi)]


def window_of(window: TimeWindow | None) -> dict[str, str] | None:
    """The start and end of a window."""
    if window is None:
        return None
    return {"start": format_instant(window.start), "end": format_instant(window.end)}


def counts_of(counts: Mapping[Any, int]) -> dict[str, int]:
    """Counts by key, in their order."""
    return {str(key): counts[key] for key in sorted(counts)}

"""What a query answered, out of the envelope that collecting put it in."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from incident_rca.errors import BadInput
from incident_rca.formats.parsed import utc_instant
from incident_rca.model import TimeWindow

Row = dict[str, Any]

_LARGEST_PID = 2**31 - 1


def is_answer_of(document: Mapping[str, Any] | None, service: str) -> bool:
    """Whether a document is an envelope with an answer of this service."""
    return (
        document is not None
        and document.get("service") == service
        and isinstance(document.get("response"), dict)
    )


def rows_of(answer: Any, what: str) -> tuple[list[tuple[int, Row]], int]:
    """The rows with their 1-based positions, and how many of them do not fit the columns.

    Raises BadInput where there are no columns and rows at all.
    """
    columns = answer.get("columns") if isinstance(answer, dict) else None
    given = answer.get("rows") if isinstance(answer, dict) else None
    if not isinstance(columns, list) or not isinstance(given, list):
        raise BadInput(
            f"{what}: its answer has no columns and rows", hint="collect it again: the file is cut"
        )
    names = [str(column) for column in columns]
    fitting = [
        (position, dict(zip(names, row, strict=True)))
        for position, row in enumerate(given, start=1)
        if isinstance(row, list) and len(row) == len(names)
    ]
    return fitting, len(given) - len(fitting)


def asked_of(document: Mapping[str, Any]) -> TimeWindow | None:
    """The window that was asked for, or None where the envelope does not say."""
    window: Any = request_of(document).get("window")
    try:
        return TimeWindow(utc_instant(window["start"]), utc_instant(window["end"]))
    except (KeyError, TypeError, ValueError, OverflowError):
        return None


def request_of(document: Mapping[str, Any]) -> Mapping[str, Any]:
    """The question, empty where the envelope has none."""
    request = document.get("request")
    return request if isinstance(request, dict) else {}


def instant_of(value: Any) -> datetime | None:
    """The UTC instant of a JSON value; raises ValueError for what is neither one nor null."""
    if value is None:
        return None
    try:
        return utc_instant(value)
    except (TypeError, OverflowError) as error:
        raise ValueError(f"no time: {value!r}") from error


def pid_of(value: Any) -> int | None:
    """A process id, or None for null; raises ValueError for what cannot be one."""
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= _LARGEST_PID:
        raise ValueError(f"no process id: {value!r}")
    return value


def text_of(value: Any) -> str | None:
    """A text, or None for null, empty text and everything else."""
    return value if isinstance(value, str) and value else None


def within(asked: TimeWindow | None, start: datetime, end: datetime) -> TimeWindow | None:
    """What of `[start, end)` lies in the asked window, None if nothing does."""
    if asked is not None:
        start, end = max(start, asked.start), min(end, asked.end)
    return TimeWindow(start, end) if start < end else None

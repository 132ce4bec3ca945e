"""Counts by time bin, route and status of a Logs Insights answer -> `baseline` rows."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from incident_rca.formats.insights_answer import Answer, bins_in
from incident_rca.formats.logs_insights_rows import count_of, key_of


def rows_of(answer: Answer) -> tuple[list[dict[str, Any]], int, int]:
    """The rows, numbered as the answer's, how many of its rows are none, and all its requests."""
    rows = [
        {"row": position, **row, "records_scanned": answer.scanned}
        for position, cells in enumerate(answer.results, start=1)
        if (row := _row(cells, answer)) is not None
    ]
    counted = sum(count_of(cells) or 0 for cells in answer.results)
    return rows, len(answer.results) - len(rows), counted


def _row(cells: Mapping[str, str], answer: Answer) -> dict[str, Any] | None:
    key, requests = key_of(cells), count_of(cells)
    seconds = _bin_seconds(cells, answer)
    if key is None or requests is None or seconds is None:
        return None
    start, method, route, status = key
    return {
        "at": start,
        "until": start + timedelta(seconds=seconds),
        "method": method,
        "route": route,
        "status": status,
        "requests": requests,
    }


def _bin_seconds(cells: Mapping[str, str], answer: Answer) -> int | None:
    """How wide a row's bin is: its column says so, else the request does."""
    named = next((seconds for _, seconds in bins_in(cells)), None)
    return answer.bin_seconds if named is None else named

"""CloudWatch Logs Insights answers of counts by time bin -> `baseline`."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from incident_rca.errors import BadInput
from incident_rca.formats.lines import document_of
from incident_rca.formats.parsed import Format, Head, Parsed, RawInput, frame_of, window_of
from incident_rca.model import System, TimeWindow

_BIN = re.compile(r"bin\((\d+)\s*(s|m|h|d)\)")
_UNIT_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def recognises(head: Head) -> bool:
    """Whether the document is an envelope of, or a bare, GetQueryResults answer."""
    if head.document is None:
        return False
    answer = head.document.get("response", head.document)
    return isinstance(answer, dict) and "results" in answer and "statistics" in answer


def parse(raw: RawInput) -> Parsed:
    """Counts by bin, route and status; the asked window is the request's (its end is inclusive)."""
    document = document_of(raw.path)
    answer = document.get("response", document)
    request = document.get("request", {}) if "response" in document else {}
    if answer.get("status") not in (None, "Complete"):
        raise BadInput(
            f"{raw.file}: the query's status is {answer.get('status')}, not Complete",
            hint="fetch the results again once the query has ended",
        )
    rows: list[dict[str, Any]] = []
    unparsed = 0
    for position, result in enumerate(answer["results"], start=1):
        row = _row(result)
        if row is None:
            unparsed += 1
        else:
            rows.append({"row": position, **row})
    statistics = answer.get("statistics", {})
    scanned = int(float(statistics.get("recordsScanned", 0)))
    matched = int(float(statistics.get("recordsMatched", 0)))
    counted = sum(row["requests"] for row in rows)
    asked = _asked(request)
    return Parsed(
        frames={
            "baseline": frame_of(
                "baseline", [{**row, "records_scanned": scanned} for row in rows], raw
            )
        },
        rows=len(rows),
        unparsed=unparsed,
        damage=""
        if matched == counted
        else f"its rows count {counted} requests, its statistics {matched} matched records",
        asked=asked,
        covered=asked or _covered(rows),
        resolution_seconds=float(max((_bin_seconds(r) for r in rows), default=0)) or None,
        query=str(request.get("queryString", "")) or raw.query,
    )


def _row(result: Any) -> dict[str, Any] | None:
    if not isinstance(result, list):
        return None
    cells = {str(c.get("field")): str(c.get("value")) for c in result if isinstance(c, dict)}
    name = next((field for field in cells if field.startswith("bin(")), None)
    bin_name = _BIN.fullmatch(name) if name else None
    try:
        if name is None or bin_name is None:
            return None
        start = datetime.fromisoformat(cells[name]).replace(tzinfo=UTC)
        seconds = int(bin_name[1]) * _UNIT_SECONDS[bin_name[2]]
        return {
            "at": start,
            "until": start + timedelta(seconds=seconds),
            "method": cells["httpMethod"],
            "route": cells["resourcePath"],
            "status": int(cells["status"]),
            "requests": int(_count(cells)),
        }
    except (KeyError, ValueError):
        return None


def _count(cells: Mapping[str, str]) -> str:
    for field in ("requests", "n", "count(*)"):
        if field in cells:
            return cells[field]
    raise KeyError("requests")


def _bin_seconds(row: Mapping[str, Any]) -> float:
    return float((row["until"] - row["at"]).total_seconds())


def _asked(request: Mapping[str, Any]) -> TimeWindow | None:
    try:
        start = datetime.fromtimestamp(int(request["startTime"]), UTC)
        end = datetime.fromtimestamp(int(request["endTime"]) + 1, UTC)
        return TimeWindow(start, end)
    except (KeyError, ValueError):
        return None


def _covered(rows: list[dict[str, Any]]) -> TimeWindow | None:
    def bounds() -> Iterator[datetime]:
        for row in rows:
            yield row["at"]
            yield row["until"]

    return window_of(bounds())


FORMAT = Format(
    kind="logs_insights",
    system=System.GATEWAY,
    title="CloudWatch Logs Insights answer: counts by time bin, route and status",
    recognises=recognises,
    parse=parse,
    cannot_show="single requests, and when within a time bin they came",
)

"""Datadog v2 event answers (GET /api/v2/events) -> `changes`: one row a change, not an event."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from incident_rca.formats.lines import document_of
from incident_rca.formats.parsed import Format, Head, Parsed, RawInput, frame_of, utc_instant
from incident_rca.model import System, TimeWindow

Row = dict[str, Any]

_PHASE_WORD = re.compile(r"\s+(started|finished|succeeded|failed|completed)$", re.I)


def recognises(head: Head) -> bool:
    """Whether the document is an envelope of, or a bare, list of events; it may be empty."""
    document = head.document or {}
    data = _events(document)
    request = document.get("request")
    if isinstance(request, dict) and str(request.get("path", "")).endswith("/v2/events"):
        return True
    return (
        isinstance(data, list)
        and bool(data)
        and all(isinstance(e, dict) and e.get("type") == "event" for e in data)
    )


def parse(raw: RawInput) -> Parsed:
    """The changes with their first and last event; events of one aggregation key are one change."""
    document = document_of(raw.path)
    events = _events(document) or []
    changes: dict[str, Row] = {}
    unparsed = 0
    for position, event in enumerate(events, start=1):
        try:
            _add(changes, position, event)
        except (KeyError, TypeError, ValueError, AttributeError):
            unparsed += 1
    request = document.get("request", {}) if "response" in document else {}
    asked = _asked(request)
    return Parsed(
        frames={"changes": frame_of("changes", changes.values(), raw)},
        rows=len(events) - unparsed,
        unparsed=unparsed,
        asked=asked,
        covered=asked,
        resolution_seconds=0.001,
        query=str(request.get("params", {}).get("filter[query]", "")) or raw.query,
    )


def _events(document: Mapping[str, Any]) -> Any:
    answer = document.get("response", document)
    return answer.get("data") if isinstance(answer, dict) else None


def _add(changes: dict[str, Row], position: int, event: Mapping[str, Any]) -> None:
    outer = event["attributes"]
    inner = outer["attributes"]
    tags = dict(str(tag).partition(":")[::2] for tag in outer.get("tags") or ())
    at = utc_instant(outer["timestamp"])
    title = str(inner["title"])
    key = str(inner.get("aggregation_key") or event["id"])
    known = changes.get(key)
    if known is None:
        changes[key] = {
            "row": position,
            "row_last": position,
            "at": at,
            "until": at,
            "kind": tags.get("change", "change"),
            "name": str(inner.get("aggregation_key") or title),
            "title": _PHASE_WORD.sub("", title),
            "service": tags.get("service") or inner.get("service"),
            "application": tags.get("application"),
        }
    else:
        known["at"], known["until"] = min(known["at"], at), max(known["until"], at)
        known["row_last"] = position


def _asked(request: Mapping[str, Any]) -> TimeWindow | None:
    try:
        start, end = (utc_instant(request["params"][key]) for key in ("filter[from]", "filter[to]"))
        return TimeWindow(start, end)
    except (KeyError, TypeError, ValueError):
        return None


FORMAT = Format(
    kind="datadog_events",
    system=System.CHANGES,
    title="Datadog v2 events: migrations, deployments and other changes",
    recognises=recognises,
    parse=parse,
)

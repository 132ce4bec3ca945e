"""Datadog v2 event answers (GET /api/v2/events) -> `changes`: one row a change, not an event.

An envelope holds one answer, or `pages` of them. Events of the category `change` say what was
changed, where it acts and who did it (Datadog, "Change Tracking").
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from incident_rca.formats.lines import document_of
from incident_rca.formats.parsed import (
    Format,
    Head,
    Parsed,
    RawInput,
    console_of,
    frame_of,
    utc_instant,
)
from incident_rca.model import System, TimeWindow

Row = dict[str, Any]

_PHASE_WORD = re.compile(r"\s+(started|finished|succeeded|failed|completed)$", re.I)


def recognises(head: Head) -> bool:
    """Whether the document is an envelope of, or a bare, list of events; it may be empty."""
    document = head.document or {}
    request = document.get("request")
    if isinstance(request, dict) and str(request.get("path", "")).endswith("/v2/events"):
        return True
    return any(
        isinstance(data, list)
        and bool(data)
        and all(isinstance(e, dict) and e.get("type") == "event" for e in data)
        for data in _lists(document)
    )


def parse(raw: RawInput) -> Parsed:
    """The changes with their first and last event; events of one aggregation key are one change.

    An event that comes again on a later page is one event.
    """
    document = document_of(raw.path)
    events = [event for data in _lists(document) for event in data or ()]
    changes: dict[str, Row] = {}
    seen: set[str] = set()
    unparsed = again = 0
    for position, event in enumerate(events, start=1):
        try:
            identity = str(event.get("id") or position)
            if identity in seen:
                again += 1
                continue
            _add(changes, position, event)
            seen.add(identity)
        except (AttributeError, LookupError, TypeError, ValueError):
            unparsed += 1
    kept = document.get("request") if "response" in document else {}
    request = kept if isinstance(kept, dict) else {}
    asked = _asked(request)
    damage = _damage(document)
    return Parsed(
        frames={"changes": frame_of("changes", changes.values(), raw)},
        rows=len(events) - unparsed - again,
        unparsed=unparsed,
        asked=asked,
        # Of pages that break off, what lies behind the last event is not known.
        covered=_until_last(asked, changes.values()) if damage else asked,
        resolution_seconds=0.001,
        query=_query(request) or raw.query,
        damage=damage,
        console=console_of(request),
    )


def _lists(document: Mapping[str, Any]) -> list[Any]:
    """The list of events of each page; None where a page has none."""
    answer = document.get("response", document)
    if not isinstance(answer, dict):
        return []
    pages = answer.get("pages")
    if not isinstance(pages, list):
        return [answer.get("data")]
    return [page.get("data") if isinstance(page, dict) else None for page in pages]


def _damage(document: Mapping[str, Any]) -> str:
    response = document.get("response")
    error = response.get("error") if isinstance(response, dict) else None
    if not isinstance(error, dict):
        return ""
    return str(error.get("message") or error.get("code") or "not all events were answered")


def _until_last(asked: TimeWindow | None, changes: Iterable[Row]) -> TimeWindow | None:
    last = max((row["until"] for row in changes), default=None)
    if asked is None or last is None or not asked.start < last:
        return None
    return TimeWindow(asked.start, min(asked.end, last))


def _query(request: Mapping[str, Any]) -> str:
    params = request.get("params")
    return str(params.get("filter[query]", "")) if isinstance(params, dict) else ""


def _tags(told: Any) -> dict[str, str]:
    return {key: value for tag in told or () for key, _, value in [str(tag).partition(":")]}


def _add(changes: dict[str, Row], position: int, event: Mapping[str, Any]) -> None:
    outer = event["attributes"]
    inner = outer["attributes"]
    tags = _tags(outer.get("tags"))
    at = utc_instant(outer["timestamp"])
    title = str(inner.get("title") or inner["changed_resource"]["name"])
    # Changes that share nothing but a service have keys of their own where they name none.
    key = str(inner.get("aggregation_key") or event["id"])
    known = changes.get(key)
    if known is None:
        changes[key] = {
            "row": position,
            "row_last": position,
            "at": at,
            "until": at,
            "kind": tags.get("change") or _changed(inner, "type") or "change",
            "name": str(inner.get("aggregation_key") or _changed(inner, "name") or title),
            "title": _titled(inner, _PHASE_WORD.sub("", title)),
            "service": tags.get("service") or inner.get("service") or _impacted(inner),
            "application": tags.get("application") or _author(inner),
        }
    else:
        known["at"], known["until"] = min(known["at"], at), max(known["until"], at)
        known["row_last"] = position


def _titled(inner: Mapping[str, Any], title: str) -> str:
    """The title, with what was changed where the title does not say it."""
    name = _changed(inner, "name")
    return title if not name or name in title else f"{title}: {name}"


def _changed(inner: Mapping[str, Any], key: str) -> str:
    """The type or name of the resource that a change event is about."""
    resource = inner.get("changed_resource")
    return str(resource.get(key) or "") if isinstance(resource, dict) else ""


def _impacted(inner: Mapping[str, Any]) -> str | None:
    """The service that a change acts on, if it is one."""
    resources = inner.get("impacted_resources")
    named = [
        str(resource["name"])
        for resource in (resources if isinstance(resources, list) else ())
        if isinstance(resource, dict) and resource.get("type") == "service" and "name" in resource
    ]
    return named[0] if len(set(named)) == 1 else None


def _author(inner: Mapping[str, Any]) -> str | None:
    """The program that made the change; a person is nobody's evidence."""
    author = inner.get("author")
    if not isinstance(author, dict) or author.get("type") == "user":
        return None
    return str(author["name"]) if author.get("name") else None


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

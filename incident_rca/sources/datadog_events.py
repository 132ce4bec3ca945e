"""Events of a Datadog account in the window, page by page: deployments, migrations, changes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from incident_rca.errors import Unreachable
from incident_rca.model import TimeWindow
from incident_rca.sources.answers import in_utc
from incident_rca.sources.datadog_client import EVENTS_V2, Connection, Refused

PATH = "/api/v2/events"
PAGE_EVENTS = 1_000  # the most that the client's own check lets through
MOST_PAGES = 100


def ask_pages(
    connection: Connection, window: TimeWindow, query: str
) -> tuple[dict[str, Any], dict[str, Any]]:
    """The request and `pages` as they came, with the `error` that ended them early, if one did.

    Raises Unreachable where not even the first page came.
    """
    params = {
        "filter[query]": query,
        "filter[from]": in_utc(window.start),
        "filter[to]": in_utc(window.end),
        "sort": "timestamp",
        "page[limit]": PAGE_EVENTS,
    }
    request = {"method": "GET", "path": PATH, "params": params}
    pages: list[Mapping[str, Any]] = []
    cursors: set[str] = set()
    more: dict[str, str] = {}
    while True:
        try:
            page = _page(connection, params, more)
        except Unreachable as error:
            if not pages:
                raise
            code = error.code if isinstance(error, Refused) else "Unfinished"
            return request, _ended(pages, code, error.message)
        pages.append(page)
        connection.count_rows(len(page["data"]))
        cursor = _cursor(page)
        if not cursor:
            return request, {"pages": pages}
        if cursor in cursors or len(pages) >= MOST_PAGES:
            why = "the same cursor again" if cursor in cursors else "too many events"
            return request, _ended(pages, "Pagination", f"{why} after {len(pages)} pages")
        cursors.add(cursor)
        more = {"page_cursor": cursor}


def _page(
    connection: Connection, params: Mapping[str, Any], more: Mapping[str, str]
) -> Mapping[str, Any]:
    page = connection.ask(
        EVENTS_V2,
        "list_events",
        filter_query=params["filter[query]"],
        filter_from=params["filter[from]"],
        filter_to=params["filter[to]"],
        sort=params["sort"],
        page_limit=params["page[limit]"],
        **more,
    )
    if not isinstance(page.get("data"), list):
        raise Refused(
            "Unreadable",
            f"{connection.name}: {PATH}: its answer holds no events",
            hint="is it Datadog that answers there?",
        )
    return page


def _cursor(page: Mapping[str, Any]) -> str:
    """The cursor of the next page: a page without events may have one too."""
    meta = page.get("meta")
    told = meta.get("page") if isinstance(meta, dict) else None
    return str(told.get("after") or "") if isinstance(told, dict) else ""


def _ended(pages: list[Mapping[str, Any]], code: str, message: str) -> dict[str, Any]:
    return {"pages": pages, "error": {"code": code, "message": message}}

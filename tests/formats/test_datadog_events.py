"""Datadog events: one row a change, its phases joined, its texts redacted."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from incident_rca.errors import BadInput
from incident_rca.formats.parsed import Parsed
from tests.formats.builders import envelope, instant, kind_of, parse, rows, write

REQUEST = {
    "path": "/api/v2/events",
    "params": {
        "filter[query]": "source:migrations",
        "filter[from]": "2026-01-15T14:10:00Z",
        "filter[to]": "2026-01-15T15:55:00+01:00",
    },
}


def event(clock: str, title: str, key: str | None = None, *tags: str) -> dict[str, Any]:
    inner = {"title": title, "service": "inventory", "aggregation_key": key}
    attributes = {
        "timestamp": f"2026-01-15T{clock}",
        "tags": list(tags),
        "attributes": {k: v for k, v in inner.items() if v is not None},
    }
    return {"id": f"id-{clock}-{title}", "type": "event", "attributes": attributes}


def read(folder: Path, *events: Any, request: Any = REQUEST) -> Parsed:
    text = envelope(request, {"data": list(events)})
    return parse("datadog_events", write(folder / "changes.json", text))


def test_the_events_of_one_key_are_one_change(tmp_path: Path) -> None:
    tags = ("change:migration", "service:inventory", "application:migrate")
    parsed = read(
        tmp_path,
        event("14:27:01Z", "migration 7 finished", "m-7", *tags),
        event("14:16:20Z", "deployed search", "s-4", "change:deployment"),
        event("14:22:58.412Z", "migration 7 started", "m-7", *tags),
    )
    migration, deployment = rows(parsed, "changes")
    assert (migration["at"], migration["until"]) == (instant("14:22:58.412"), instant("14:27:01"))
    assert (migration["kind"], migration["name"], migration["title"]) == (
        "migration",
        "m-7",
        "migration 7",
    )
    assert (migration["service"], migration["application"]) == ("inventory", "migrate")
    assert (deployment["kind"], deployment["row"]) == ("deployment", 2)
    assert deployment["at"] == deployment["until"] == instant("14:16:20")
    assert (parsed.rows, parsed.unparsed) == (3, 0)


def test_events_without_a_key_are_changes_of_their_own(tmp_path: Path) -> None:
    parsed = read(tmp_path, event("14:20:00Z", "deploy a"), event("14:21:00Z", "deploy a"))
    first, second = rows(parsed, "changes")
    assert (first["title"], first["kind"], first["service"]) == ("deploy a", "change", "inventory")
    assert second["application"] is None


def test_offsets_are_read(tmp_path: Path) -> None:
    (row,) = rows(read(tmp_path, event("16:20:00+02:00", "deploy")), "changes")
    assert row["at"] == instant("14:20")


def test_the_asked_window_is_what_is_covered(tmp_path: Path) -> None:
    parsed = read(tmp_path, event("14:20:00Z", "deploy"))
    assert parsed.asked is not None and parsed.covered == parsed.asked
    assert (parsed.asked.start, parsed.asked.end) == (instant("14:10"), instant("14:55"))
    assert parsed.query == "source:migrations"


def test_no_change_is_an_answer(tmp_path: Path) -> None:
    parsed = read(tmp_path)
    assert (parsed.rows, parsed.unparsed) == (0, 0)
    assert parsed.covered is not None
    assert kind_of(tmp_path / "changes.json") == "datadog_events"


def test_a_bare_answer_is_read(tmp_path: Path) -> None:
    path = write(tmp_path / "a.json", json.dumps({"data": [event("14:20:00Z", "deploy")]}))
    parsed = parse("datadog_events", path, query="source:argocd")
    assert parsed.rows == 1 and parsed.asked is None
    assert parsed.query == "source:argocd"


def test_titles_are_redacted(tmp_path: Path) -> None:
    parsed = read(tmp_path, event("14:20:00Z", "deploy by ada@example.com from 203.0.113.9"))
    (row,) = rows(parsed, "changes")
    assert "ada" not in row["title"] + row["name"] and "203.0" not in row["title"] + row["name"]


BROKEN: list[Any] = [
    {"id": "x", "type": "event"},
    {"id": "x", "type": "event", "attributes": {"timestamp": "2026-01-15T14:10:00Z"}},
    event("noon", "deploy"),
    event("14:20:00", "a time without a zone"),
    {"type": "event", "attributes": None},
    None,
    7,
    "text",
    [],
]


@pytest.mark.parametrize("broken", BROKEN)
def test_a_broken_event_is_counted(tmp_path: Path, broken: Any) -> None:
    parsed = read(tmp_path, broken, event("14:20:00Z", "deploy"))
    assert (parsed.rows, parsed.unparsed) == (1, 1)
    assert [row["row"] for row in rows(parsed, "changes")] == [2]


@pytest.mark.parametrize("data", [None, {}, 7, "text"])
def test_another_answer_is_never_a_crash(tmp_path: Path, data: Any) -> None:
    path = write(tmp_path / "a.json", envelope(REQUEST, {"data": data}))
    try:
        assert parse("datadog_events", path).rows == 0
    except BadInput as error:
        assert "a.json" in error.message


# --- pages, and events of the category `change` ---------------------------------------------------


def change(clock: str, **inner: Any) -> dict[str, Any]:
    """A change event as Change Tracking keeps it."""
    attributes = {
        "title": "checkout_v2 was switched on",
        "evt": {"category": "change", "uid": "AZ1"},
        "changed_resource": {"name": "checkout_v2", "type": "feature_flag"},
        "impacted_resources": [{"name": "order-service", "type": "service"}],
        "author": {"name": "flag-sync", "type": "automation"},
        "prev_value": {"on": False},
        "new_value": {"on": True},
        **inner,
    }
    outer = {"timestamp": f"2026-01-15T{clock}", "tags": [], "attributes": attributes}
    return {"id": f"id-{clock}", "type": "event", "attributes": outer}


def read_pages(folder: Path, *pages: Any, **more: Any) -> Parsed:
    text = envelope(REQUEST, {"pages": [{"data": page} for page in pages], **more})
    path = write(folder / "changes.json", text)
    assert kind_of(path) == "datadog_events"
    return parse("datadog_events", path)


def test_a_change_event_says_what_was_changed_where_and_by_what(tmp_path: Path) -> None:
    (row,) = rows(read(tmp_path, change("14:20:00Z")), "changes")
    assert (row["kind"], row["name"]) == ("feature_flag", "checkout_v2")
    assert row["title"] == "checkout_v2 was switched on"
    assert (row["service"], row["application"]) == ("order-service", "flag-sync")


def test_a_title_that_does_not_name_the_resource_gets_it(tmp_path: Path) -> None:
    named = change("14:20:00Z", title="Flag switched on")
    untitled = change("14:21:00Z", title="")
    first, second = rows(read(tmp_path, named, untitled), "changes")
    assert (first["title"], second["title"]) == ("Flag switched on: checkout_v2", "checkout_v2")


def test_a_person_who_made_a_change_is_not_kept(tmp_path: Path) -> None:
    author = {"name": "ada@example.com", "type": "user"}
    (row,) = rows(read(tmp_path, change("14:20:00Z", author=author)), "changes")
    assert row["application"] is None and "ada" not in str(row)


@pytest.mark.parametrize(
    "resources",
    [None, 7, [None], [{"type": "service"}], [{"type": "service", "name": n} for n in "ab"]],
)
def test_a_service_is_named_only_where_it_is_one(tmp_path: Path, resources: Any) -> None:
    found = rows(read(tmp_path, change("14:20:00Z", impacted_resources=resources)), "changes")
    assert [row["service"] for row in found] == [None]


def test_all_pages_are_read_and_none_twice(tmp_path: Path) -> None:
    start = event("14:22:58Z", "migration 7 started", "m-7")
    end = event("14:27:01Z", "migration 7 finished", "m-7")
    parsed = read_pages(tmp_path, [start], [], [start, event("14:23:00Z", "deploy")], [end])
    migration, deployment = rows(parsed, "changes")
    assert (migration["at"], migration["until"]) == (instant("14:22:58"), instant("14:27:01"))
    assert (migration["row"], migration["row_last"], deployment["row"]) == (1, 4, 3)
    assert (parsed.rows, parsed.unparsed, parsed.damage) == (3, 0, "")


def test_pages_that_break_off_cover_no_more_than_they_hold(tmp_path: Path) -> None:
    error = {"code": "429", "message": "HTTP 429 after 1 page"}
    parsed = read_pages(tmp_path, [event("14:20:00Z", "deploy")], error=error)
    assert parsed.damage == "HTTP 429 after 1 page" and parsed.covered is not None
    assert (parsed.covered.start, parsed.covered.end) == (instant("14:10"), instant("14:20"))

"""report.html of INC-2847 beside its report.json: the same facts, each with the way to its rows."""

from __future__ import annotations

import pytest

from tests.golden.raw import Json
from tests.golden.running import Demo
from tests.report.page_reading import Element, by_id, read


@pytest.fixture(scope="module")
def text(demo: Demo) -> str:
    """What stands in the demo's report.html."""
    return (demo.folder / "report.html").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def places(text: str) -> dict[str, Element]:
    return by_id(read(text))


def ids(element: Element) -> list[str]:
    """The evidence that an element links to."""
    return [a.attributes["href"].removeprefix("#e-") for a in element.all("a", "ev")]


def cells(table: Element) -> list[list[str]]:
    return [
        [" ".join(cell.text.split()) for cell in row.content if isinstance(cell, Element)]
        for row in table.all("tbody")[0].all("tr")
    ]


def test_it_is_well_below_what_a_ticket_takes(text: str) -> None:
    assert 100_000 < len(text.encode()) < 2_000_000


def test_every_claim_leads_to_its_rows(places: dict[str, Element], report: Json) -> None:
    claims = [claim for h in report["hypotheses"] for claim in h["claims"]]
    assert len(claims) > 20
    for claim in claims:
        assert ids(places[claim["id"]]) == claim["evidence"]
    for piece in report["evidence"]:
        shown = places[f"e-{piece['id']}"].text
        assert piece["seen"][:200] in shown and piece["file"] in shown


def test_endpoints_and_error_types_are_those_of_the_report(
    places: dict[str, Element], report: Json
) -> None:
    told = [(row[0], row[1], row[2]) for row in cells(places["endpoints"])]
    assert told == [
        (f"{e['method']} {e['route']}", f"{e['requests']:,}", f"{e['failed']:,}")
        for e in report["impact"]["endpoints"]
    ]
    errors = [(row[0], row[1], row[2]) for row in cells(places["error-types"])]
    assert errors == [
        (e["type"], str(e["status"]), f"{e['count']:,}") for e in report["error_types"]
    ]


def test_the_tree_tells_who_held_what_and_who_waited(
    places: dict[str, Element], report: Json
) -> None:
    first = report["lock_episodes"][0]
    holder = first["root_holder"]
    root, *_ = places["locks"].all("div", "root")
    assert f"PID {holder['pid']} ({holder['application']}) holds SHARE" in root.text
    assert root.all("pre")[0].text == holder["statement"]
    waiters, *_ = places["locks"].all("div", "waiters")
    assert f"{first['peak_waiters']} sessions at the peak" in waiters.text


def test_a_failed_call_went_the_way_that_the_findings_tell(places: dict[str, Element]) -> None:
    steps = [
        (step.all("h3")[0].text.split("?")[0], [p.text.split()[0] for p in step.all("p", "taken")])
        for step in places["flow"].all("li", "decision")
    ]
    assert steps == [
        ("Does a deadline end the call", ["No"]),
        ("Does a circuit breaker refuse further calls", ["No"]),
        ("Do callers try again and multiply the load", ["No"]),
        ("Is a connection free for the next call", ["No"]),
        ("Does the user get an answer that helps", ["No"]),
    ]

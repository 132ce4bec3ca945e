"""Logs Insights answers: counts by bin, the asked window, and answers that are not whole."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from incident_rca.errors import BadInput
from incident_rca.formats.parsed import Parsed
from tests.formats.builders import envelope, instant, parse, rows, write

REQUEST = {
    "operation": "StartQuery",
    "startTime": int(instant("13:00").timestamp()),
    "endTime": int(instant("14:59:59").timestamp()),
    "queryString": "stats count(*) as requests by bin(1h), httpMethod, resourcePath, status",
}


def result(
    at: str = "2026-01-15 13:00:00.000",
    count: str = "5",
    *,
    status: str = "200",
    width: str = "1h",
    name: str = "requests",
) -> list[dict[str, str]]:
    cells = {
        name: count,
        f"bin({width})": at,
        "status": status,
        "resourcePath": "/a",
        "httpMethod": "GET",
        "@ptr": "x",
    }
    return [{"field": field, "value": value} for field, value in cells.items()]


def answer(*results: Any, matched: int = 5, scanned: int = 9, **given: Any) -> dict[str, Any]:
    return {
        "status": "Complete",
        "statistics": {"recordsMatched": float(matched), "recordsScanned": float(scanned)},
        "results": list(results),
    } | given


def read(folder: Path, response: Any, request: Any = REQUEST) -> Parsed:
    return parse("logs_insights", write(folder / "baseline.json", envelope(request, response)))


def test_a_bin_is_a_row(tmp_path: Path) -> None:
    parsed = read(tmp_path, answer(result(), result(status="502", count="2"), matched=7))
    first, second = rows(parsed, "baseline")
    assert (first["row"], second["row"]) == (1, 2)
    assert (first["at"], first["until"]) == (instant("13:00"), instant("14:00"))
    assert (first["method"], first["route"], first["status"]) == ("GET", "/a", 200)
    assert (first["requests"], second["requests"]) == (5, 2)
    assert first["records_scanned"] == 9
    assert (parsed.rows, parsed.unparsed, parsed.damage) == (2, 0, "")
    assert parsed.query == REQUEST["queryString"]
    assert parsed.resolution_seconds == 3600


def test_the_end_that_was_asked_for_is_inclusive(tmp_path: Path) -> None:
    parsed = read(tmp_path, answer(result()))
    assert parsed.asked is not None and parsed.covered == parsed.asked
    assert (parsed.asked.start, parsed.asked.end) == (instant("13:00"), instant("15:00"))


@pytest.mark.parametrize(
    ("width", "seconds"), [("30s", 30), ("5m", 300), ("1h", 3600), ("1d", 86400), ("5 m", 300)]
)
def test_a_bin_is_as_wide_as_it_says(tmp_path: Path, width: str, seconds: int) -> None:
    parsed = read(tmp_path, answer(result(width=width)))
    (row,) = rows(parsed, "baseline")
    assert (row["until"] - row["at"]).total_seconds() == parsed.resolution_seconds == seconds


@pytest.mark.parametrize("name", ["requests", "n", "count(*)"])
def test_the_count_has_one_of_its_usual_names(tmp_path: Path, name: str) -> None:
    (row,) = rows(read(tmp_path, answer(result(name=name))), "baseline")
    assert row["requests"] == 5


def test_no_match_is_an_answer(tmp_path: Path) -> None:
    parsed = read(tmp_path, answer(matched=0, scanned=400))
    assert (parsed.rows, parsed.unparsed, parsed.damage) == (0, 0, "")
    assert parsed.covered == parsed.asked is not None


@pytest.mark.parametrize(
    "broken",
    [
        result(at="yesterday"),
        result(count="many"),
        result(status="-"),
        result(width="1 fortnight"),
        result(name="p99"),
        result()[1:],
        [],
        None,
        7,
        "text",
        [None, 3],
    ],
)
def test_a_result_that_is_no_count_is_unparsed(tmp_path: Path, broken: Any) -> None:
    parsed = read(tmp_path, answer(broken, result()))
    assert (parsed.rows, parsed.unparsed) == (1, 1)
    assert [row["row"] for row in rows(parsed, "baseline")] == [2]


def test_rows_that_do_not_add_up_are_damage(tmp_path: Path) -> None:
    assert read(tmp_path, answer(result(), matched=6)).damage
    assert not read(tmp_path, answer(result(), matched=5)).damage


@pytest.mark.parametrize("status", ["Running", "Scheduled", "Failed", "Timeout", "Cancelled"])
def test_a_query_that_did_not_end_is_refused(tmp_path: Path, status: str) -> None:
    with pytest.raises(BadInput) as caught:
        read(tmp_path, answer(result(), status=status))
    assert status in caught.value.message and caught.value.hint


def test_a_bare_answer_says_what_its_bins_cover(tmp_path: Path) -> None:
    later = result("2026-01-15 14:00:00.000")
    path = write(tmp_path / "a.json", json.dumps(answer(result(), later, matched=10)))
    parsed = parse("logs_insights", path, query="stats …")
    assert parsed.asked is None and parsed.covered is not None
    assert (parsed.covered.start, parsed.covered.end) == (instant("13:00"), instant("15:00"))
    assert parsed.query == "stats …"


@pytest.mark.parametrize(
    "response",
    [
        answer(results=None),
        answer(results={}),
        answer(statistics=None),
        answer(statistics={"recordsMatched": None, "recordsScanned": "?"}),
        {"status": "Complete", "statistics": {}},
        None,
        [],
        {"message": "AccessDenied"},
    ],
)
def test_another_answer_is_refused_or_read_but_never_a_crash(tmp_path: Path, response: Any) -> None:
    try:
        parsed = read(tmp_path, response)
    except BadInput as error:
        assert "baseline.json" in error.message
    else:
        assert parsed.rows == len(rows(parsed, "baseline"))

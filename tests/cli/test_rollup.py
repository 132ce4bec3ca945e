"""`rollup`: what it says before it reads, what it refuses, and a case made of its file alone."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.cli.running import refused, run
from tests.formats.builders import request, write

RAW = Path(__file__).parents[2] / "samples" / "inc-2847" / "raw"


def facts(case: Path) -> dict[str, Any]:
    """What a report says of the gateway, but for instants finer than a second."""
    report = json.loads((case / "report.json").read_text())
    endpoints = [
        {
            k: v
            for k, v in endpoint.items()
            if k not in ("evidence", "first_failure", "last_failure")
        }
        for endpoint in report["impact"].pop("endpoints")
    ]
    return {
        "endpoints": endpoints,
        "impact": report["impact"],
        "types": [
            {k: v for k, v in kind.items() if k != "evidence"} for kind in report["error_types"]
        ],
        "blamed": [(h["kind"], h["object"], h["role"], h["verdict"]) for h in report["hypotheses"]],
        "outage": report["outage"]["start"][0][:16] + report["outage"]["end"][1][:16],
    }


def test_a_case_of_the_rollup_says_what_one_of_the_log_says(tmp_path: Path) -> None:
    log, others = RAW / "access.ndjson.gz", sorted(RAW.glob("[!a]*"))
    made = run(tmp_path, "rollup", log, "--json")
    assert made.code == 0, made.err
    assert "Reads 726 KB (the files' sizes)" in made.err
    answer = json.loads(made.out)
    assert (answer["engine"], answer["requests"], answer["unread"]) == ("duckdb", 13_178, 5)
    for case, file in (("OF-LOG", log), ("OF-ROLLUP", answer["file"])):
        assert run(tmp_path, "import", case, file, *others).code == 0
        assert run(tmp_path, "report", case, "--no-charts", "--no-page").code == 0
    found = facts(tmp_path / "OF-ROLLUP")
    assert found == facts(tmp_path / "OF-LOG")
    orders = next(
        e for e in found["endpoints"] if (e["method"], e["route"]) == ("POST", "/api/orders")
    )
    assert (orders["failed"], orders["by_status"]) == (1_247, {"502": 1_247})
    assert run(tmp_path, "verify", "OF-ROLLUP").code == 0


def test_nothing_is_read_beyond_what_is_allowed(tmp_path: Path) -> None:
    ran = run(tmp_path, "rollup", RAW / "access.ndjson.gz", "--max-bytes", "700KB")
    assert ran.code == 2 and not list(tmp_path.iterdir())
    assert "726 KB" in ran.errors[0] and "700 KB" in ran.errors[0]
    refused(2, tmp_path, "rollup", RAW / "access.ndjson.gz", "--max-bytes", "lots")


def test_a_file_that_is_there_stays(tmp_path: Path) -> None:
    log = write(tmp_path / "log", request())
    (tmp_path / "out.gz").write_text("precious")
    refused(2, tmp_path, "rollup", log, "--out", "out.gz")
    assert (tmp_path / "out.gz").read_text() == "precious"
    assert run(tmp_path, "rollup", log, "--out", "out.gz", "--force").code == 0
    assert (tmp_path / "out.gz").read_bytes()[:2] == b"\x1f\x8b"


def test_a_dry_run_prints_the_statement_and_runs_nothing(tmp_path: Path) -> None:
    ran = run(tmp_path, "rollup", write(tmp_path / "log", request()), "--dry-run")
    assert ran.code == 0 and "count(*) AS requests" in ran.out
    assert [path.name for path in tmp_path.iterdir()] == ["log"]


def test_a_log_without_a_request_in_the_window(tmp_path: Path) -> None:
    log = write(tmp_path / "log", request())
    ran = run(tmp_path, "rollup", log, "--from", "2026-01-15T10:00Z", "--to", "2026-01-15T11:00Z")
    assert ran.code == 4 and "0 requests" in ran.err


@pytest.mark.parametrize("place", ["missing.log", "notes"])
def test_a_place_without_a_log(tmp_path: Path, place: str) -> None:
    write(tmp_path / "notes", "nothing in particular")
    ran = run(tmp_path, "rollup", place)
    assert ran.code == 2 and place in ran.errors[0]
    assert not list(tmp_path.glob("*rollup*"))

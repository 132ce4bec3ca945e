"""The window that nobody gave: one line with a wrong year does not make it one of years."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from tests.cli.running import COMMAND, environment, refused, run
from tests.formats.builders import START, request, write

_GOOD = [request(second, status="201" if second % 3 else "502") for second in range(60)]

_MEASURED = """
import resource, subprocess, sys
subprocess.run(sys.argv[1:], check=True)
print(end=str(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss))
"""


def _seconds_to(year: int) -> float:
    return (START.replace(year=year) - START).total_seconds()


@pytest.mark.parametrize("year", [2000, 2027, 2090])
def test_a_line_of_another_year_is_left_out_and_told(tmp_path: Path, year: int) -> None:
    log = write(tmp_path / "a.ndjson", *_GOOD, request(_seconds_to(year)))
    ran = run(tmp_path, "import", "INC-1", log)
    assert ran.code == 0, ran.err
    said = f"but for 1 row more than a day away ({year}-01-15T14:10:00Z)"
    assert (
        f"Window: 2026-01-15T14:10:00Z .. 14:11:00Z (1m), the span of the gateway log, {said}"
        in (ran.err)
    )
    assert f"61 rows): raw/a.ndjson: 1 row more than a day away ({year}" in ran.err
    reported = run(tmp_path, "report", "INC-1", "--no-charts", "--no-page")
    assert reported.code == 0, reported.err
    assert f"2026-01-15T14:10:00Z .. 14:11:00Z (1m), the span of the gateway log, {said}" in (
        reported.err
    )
    folder = tmp_path / "INC-1"
    assert f"1 row more than a day away ({year}" in (folder / "report.md").read_text()
    contract = json.loads((folder / "report.json").read_text())
    (source,) = [s for s in contract["sources"] if s["name"] == "a"]
    assert (source["state"], source["rows"]) == ("ok", 61)
    assert f"1 row more than a day away ({year}" in source["reason"]


def test_what_is_imported_later_may_be_the_most(tmp_path: Path) -> None:
    few = write(tmp_path / "few.ndjson", *_GOOD[:3])
    many = write(tmp_path / "many.ndjson", *(request(_seconds_to(2025) + s) for s in range(60)))
    run(tmp_path, "import", "INC-1", few)
    ran = run(tmp_path, "import", "INC-1", many)
    assert "Window: 2025-01-15T14:10:00Z .. 14:11:00Z (1m)" in ran.err
    assert "but for 3 rows more than a day away (2026-01-15T14:10:00Z .. 2026" in ran.err


def test_a_window_of_years_is_refused_even_with_force(tmp_path: Path) -> None:
    log = write(tmp_path / "a.ndjson", *_GOOD, request(_seconds_to(2000)))
    run(tmp_path, "import", "INC-1", log)
    given = ("--from", "1999-01-01T00:00Z", "--to", "2026-01-16T00:00Z", "--force")
    ran = refused(2, tmp_path, "report", "INC-1", *given)
    assert "above 366 days none can be analysed" in ran.errors[0] and "--from" in ran.hints[0]


def test_a_window_of_years_in_a_case_of_an_earlier_version_is_refused(tmp_path: Path) -> None:
    run(tmp_path, "import", "INC-1", write(tmp_path / "a.ndjson", *_GOOD))
    manifest = tmp_path / "INC-1" / "case.json"
    case = json.loads(manifest.read_text())
    assert "clusters" not in case["sources"][0]
    case["window"]["end"] = "2090-06-01T00:00:00Z"
    manifest.write_text(json.dumps(case))
    ran = refused(2, tmp_path, "report", "INC-1")
    assert "above 366 days" in ran.errors[0]
    again = run(tmp_path, "report", "INC-1", "--no-charts", "--no-page", *_around(START))
    assert again.code == 0, again.err


def test_most_of_a_year_is_analysed_in_bounded_memory(tmp_path: Path) -> None:
    stray = request(-300 * 86_400.0)
    run(tmp_path, "import", "INC-1", write(tmp_path / "a.ndjson", stray, *_GOOD))
    given = ("--from", "2025-03-01T00:00Z", "--to", "2026-01-16T00:00Z", "--force")
    command = [*COMMAND, "report", "INC-1", "--no-charts", "--no-page", *given]
    # Of a process of its own: a child has what its parent had before it became another program.
    measured = [sys.executable, "-c", _MEASURED, *command]
    done = subprocess.run(
        measured,
        cwd=tmp_path,
        env=environment(tmp_path),
        capture_output=True,
        text=True,
        check=True,
    )
    assert int(done.stdout.rpartition("\n")[2]) < 600 * 1024


def _around(at: datetime) -> tuple[str, ...]:
    first, last = at - timedelta(minutes=1), at + timedelta(minutes=5)
    return ("--from", first.isoformat(), "--to", last.isoformat())

"""Windows that lie beside what is recorded, reach beyond it, or begin within an outage."""

from __future__ import annotations

import gzip
import json
import shutil
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from tests.cli.running import Ran, run

SAMPLE = Path(__file__).resolve().parents[2] / "samples" / "inc-2847"
LOG = "access.ndjson.gz"


def told(folder: Path, start: str, end: str) -> tuple[Ran, Any]:
    """What a report of the sample in another window says, and its document."""
    shutil.copytree(SAMPLE, folder / "INC-1")
    return reported(folder, start, end)


def reported(folder: Path, start: str, end: str) -> tuple[Ran, Any]:
    window = ("--from", f"2026-01-15T{start}Z", "--to", f"2026-01-15T{end}Z")
    ran = run(folder, "report", "INC-1", "--no-charts", *window)
    return ran, json.loads((folder / "INC-1" / "report.json").read_text())


def requests(start: str, end: str) -> list[dict[str, Any]]:
    """The requests of the sample's log that arrived in a stretch of its day, by json alone."""
    found = []
    with gzip.open(SAMPLE / "raw" / LOG, "rt") as lines:
        for line in lines:
            try:
                fields = json.loads(line)
                at = int(fields["requestTimeEpoch"]) / 1000
            except (ValueError, KeyError, TypeError):
                continue
            if clock(start) <= at < clock(end):
                found.append(fields)
    return found


def clock(time: str) -> float:
    return datetime.fromisoformat(f"2026-01-15T{time}+00:00").timestamp()


def test_a_window_of_which_nothing_is_recorded(tmp_path: Path) -> None:
    ran, document = told(tmp_path, "10:00", "11:00")
    text = (tmp_path / "INC-1" / "report.md").read_text()
    assert ran.code == 3
    for said in (ran.out, text):
        assert "cannot be told" in said and "No outage was found" not in said
    (log,) = (s for s in document["sources"] if s["name"] == "access")
    assert log["state"] == "partial" and "14:10:00Z to 2026-01-15T14:55:00Z" in log["reason"]
    assert "0/s" not in ran.out


@pytest.mark.parametrize("window", [("14:30:00", "14:40:00"), ("14:45:05", "15:00:00")])
def test_a_window_between_two_logs_or_shortly_behind(
    tmp_path: Path, window: tuple[str, str]
) -> None:
    for name, *times in (("one", "14:10", "14:20"), ("two", "14:40:10", "14:45")):
        lines = "".join(json.dumps(r) + "\n" for r in requests(*times))
        (tmp_path / f"{name}.ndjson").write_text(lines)
    assert run(tmp_path, "import", "INC-1", "one.ndjson", "two.ndjson").code == 0
    ran, document = reported(tmp_path, *window)
    assert ran.code == 3 and "cannot be told" in ran.out
    assert {s["state"] for s in document["sources"] if s["rows"]} == {"partial"}


def test_what_a_log_beside_the_window_lacks_is_still_said(tmp_path: Path) -> None:
    lines = [json.dumps(r) for r in requests("14:10", "14:11")]
    (tmp_path / "torn.ndjson").write_text("\n".join([*lines, *["{"] * 9]))
    assert run(tmp_path, "import", "INC-1", "torn.ndjson").code == 3
    _, document = reported(tmp_path, "14:30", "14:40")
    (log,) = (s for s in document["sources"] if s["rows"])
    assert "holds nothing of the window" in log["reason"] and "could not be read" in log["reason"]


@pytest.mark.parametrize(("second", "is_whole"), [("14:20:30", True), ("14:22", False)])
def test_a_hole_between_two_logs_is_told(tmp_path: Path, second: str, is_whole: bool) -> None:
    for name, *times in (("one", "14:10", "14:20"), ("two", second, "14:23")):
        lines = "".join(json.dumps(r) + "\n" for r in requests(*times))
        (tmp_path / f"{name}.ndjson").write_text(lines)
    assert run(tmp_path, "import", "INC-1", "one.ndjson", "two.ndjson").code == 0
    ran, _ = reported(tmp_path, "14:10", "14:23")
    said = " ".join(ran.out.split())
    assert "No outage was found" in said
    assert ("the rest of the window is not recorded" not in said) is is_whole


def test_a_window_that_reaches_beyond_the_log(tmp_path: Path) -> None:
    ran, _ = told(tmp_path, "14:50", "15:50")
    number = len(requests("14:50", "15:50"))
    said = " ".join(ran.out.split())
    assert f"from 2026-01-15 14:50:00 to 2026-01-15 14:54:59 UTC: none of {number:,} " in said
    assert "the rest of the window is not recorded" in said


def test_an_outage_that_goes_on_where_the_log_ends(tmp_path: Path) -> None:
    cut = tmp_path / "cut.ndjson"
    cut.write_text("".join(json.dumps(r) + "\n" for r in requests("14:10", "14:30")))
    assert run(tmp_path, "import", "INC-1", cut).code == 0
    ran, document = reported(tmp_path, "14:10", "14:55")
    text = (tmp_path / "INC-1" / "report.md").read_text()
    assert document["outage"]["ongoing"] is True
    assert "to the end of the gateway's log" in " ".join(ran.out.split())
    assert "still going on when the gateway's log ended, at 14:29:59 UTC" in text
    assert "when the window ended" not in text and "when the window did" not in text


@pytest.mark.parametrize("start", ["14:23:30", "14:25:00", "14:30:00"])
def test_a_window_that_begins_within_the_outage(tmp_path: Path, start: str) -> None:
    ran, document = told(tmp_path, start, "14:55")
    text = (tmp_path / "INC-1" / "report.md").read_text()
    assert document["outage"]["onset"][0] is None
    assert f"from {start} or earlier" in " ".join(ran.out.split())
    assert "When it began is not known" in text
    assert "no call hangs" not in text
    assert "after the pool was full, and had not failed before" not in text
    assert "or more before requests began to fail" not in text
    claims = [c for h in document["hypotheses"] if h["role"] == "trigger" for c in h["claims"]]
    assert not [c for c in claims if c["aspect"] == "order" and c["stance"] == "for"]
    for kind in ("dependency_latency", "retry_storm", "traffic_surge"):
        assert {h["verdict"] for h in document["hypotheses"] if h["kind"] == kind} == {
            "insufficient"
        }
    (starved,) = (
        e for e in document["impact"]["endpoints"] if e["route"] == "/api/payments/intent"
    )
    assert not [r for r in requests(start, "14:46") if r["resourcePath"] == starved["route"]]
    assert starved["impact"] == "starved"


def test_the_whole_window_begins_before_the_outage(tmp_path: Path) -> None:
    _, document = told(tmp_path, "14:10", "14:55")
    assert document["outage"]["onset"][0] is not None

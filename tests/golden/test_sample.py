"""The sample: written by its script, honest about itself, and as noisy as a real system."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections import Counter
from datetime import timedelta
from itertools import pairwise
from pathlib import Path

import pytest

from tests.golden import raw
from tests.golden.raw import ORDERS, PAYMENTS, READS, SAMPLE, STATUS, Json, Request

LARGEST = 3_000_000


@pytest.fixture(scope="module")
def again(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sample as its script writes it today, in a tree of its own."""
    tree = tmp_path_factory.mktemp("tree")
    (tree / "samples").mkdir()
    for script in SAMPLE.parent.glob("*.py"):
        shutil.copyfile(script, tree / "samples" / script.name)
    subprocess.run(
        [sys.executable, str(tree / "samples" / "make_inc_2847.py")],
        cwd=tree,
        env={"PYTHONHASHSEED": "7", "TZ": "Asia/Tokyo", "LC_ALL": "C"},
        check=True,
        capture_output=True,
    )
    return tree / "samples" / "inc-2847"


def manifest(case: Path) -> Json:
    """case.json without the hashes of packed files: other zlibs pack the same text otherwise."""
    found: Json = json.loads((case / "case.json").read_text(encoding="utf-8"))
    for source in found["sources"]:
        source["files"] = [file["path"] for file in source["files"]]
    return found


def test_its_script_writes_it_again(again: Path) -> None:
    names = sorted(path.name for path in (SAMPLE / "raw").iterdir())
    assert sorted(path.name for path in (again / "raw").iterdir()) == names
    assert len(names) == 8
    for name in names:
        kept, fresh = (raw.text_of(case / "raw" / name) for case in (SAMPLE, again))
        assert kept == fresh, f"{name} is not what the script writes"
    assert manifest(again) == manifest(SAMPLE)


def test_it_is_small_and_holds_nothing_made() -> None:
    found = [path for path in SAMPLE.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in found) <= LARGEST
    assert {path.suffix for path in found} <= {".gz", ".json"}


def test_it_says_that_it_was_reconstructed() -> None:
    case = json.loads((SAMPLE / "case.json").read_text(encoding="utf-8"))
    assert case["note"] == "reconstructed from the incident document, not recorded"
    for source in case["sources"]:
        assert source["clock_offset_basis"] == "observed"


@pytest.mark.parametrize("name", [ORDERS, READS, PAYMENTS, STATUS])
def test_every_endpoint_has_a_healthy_background(
    name: str, requests: list[Request], outage: list[Request]
) -> None:
    start = outage[0].at
    healthy = [r.at for r in requests if r.name == name and r.status < 400]
    before = [at for at in healthy if at < start]
    after = [at for at in healthy if at > outage[-1].at + timedelta(minutes=1)]
    assert len(before) > 400 and len(after) > 100
    assert raw.longest_gap(before) < timedelta(seconds=30)
    of_all = [r for r in requests if r.name == name and r.at < start]
    assert len(before) > 0.95 * len(of_all)


def test_failures_are_of_at_least_four_types(outage: list[Request]) -> None:
    types = Counter(r.type for r in outage)
    assert len(types) >= 4
    cut = [r for r in outage if r.type == "integration_timeout"]
    assert {(r.name, r.status) for r in cut} == {(READS, 504)}
    assert all(29_000 <= int(r.row["responseLatency"]) < 29_200 for r in cut)


def test_two_unrelated_failures_ten_minutes_before(
    requests: list[Request], outage: list[Request]
) -> None:
    early = [r for r in raw.failures(requests) if r.at < outage[0].at]
    assert len(early) == 2
    for request in early:
        assert request.status != 502 and request.name != ORDERS
        assert timedelta(minutes=9) < outage[0].at - request.at < timedelta(minutes=11)


def test_five_lines_of_the_access_log_are_broken(files: Path) -> None:
    assert raw.unreadable_lines(files) == 5


def test_orders_come_as_the_reference_says(outage: list[Request]) -> None:
    orders = [r for r in outage if r.name == ORDERS]
    steps = [(b.at - a.at).total_seconds() for a, b in pairwise(orders[:100])]
    assert set(steps) == {0.45}
    later = orders[100:]
    rate = len(later) / (later[-1].at - orders[99].at).total_seconds()
    assert rate == pytest.approx(0.848, rel=0.01)
    assert all(30_000 <= int(r.row["responseLatency"]) < 30_200 for r in orders)


def test_the_sessions_stay_idle_in_transaction_until_they_are_terminated(files: Path) -> None:
    held = {
        raw.instant(probe["at"]): sum(
            row[-1]
            for row in probe["counts"]
            if row[:2] == ["inventory-service", "idle in transaction"]
        )
        for probe in raw.recording(files, "probe")
    }
    full = [at for at, sessions in held.items() if sessions == 100]
    assert 1_180 < (full[-1] - full[0]).total_seconds() < 1_190
    assert raw.longest_gap(full) < timedelta(seconds=2)
    ended = [row for row in raw.server_log(files) if row.get("state_code") == "57P01"]
    assert len({row["pid"] for row in ended}) == len(ended) == 100
    assert raw.instant(ended[0]["timestamp"]) > full[-1]


def test_metrics_have_gaps_and_the_lag_of_calls_that_hang(files: Path) -> None:
    for name in ("grpc-p99", "grpc-count", "pool"):
        found = raw.series(files, f"{name}.datadog.json")
        assert any(value is None for one in found for _, value in one.points)
    silent = [
        at
        for at, value in next(
            s.points
            for s in raw.series(files, "grpc-p99.datadog.json")
            if s.tags["rpc.method"] == "reserve"
        )
        if value is None
    ]
    assert raw.instant("2026-01-15T14:23:10Z") in silent
    assert raw.instant("2026-01-15T14:23:20Z") in silent


def test_the_changes_include_one_of_another_service(files: Path) -> None:
    events = json.loads(raw.text_of(files / "changes.datadog.json"))["response"]["data"]
    services = Counter(e["attributes"]["attributes"]["service"] for e in events)
    assert services == {"inventory": 2, "search-service": 1}

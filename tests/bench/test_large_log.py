"""What is measured against other programs is the same rollup: its truth, ours, and theirs."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from bench import rollup_engine
from bench.day_files import BUCKET_SECONDS, SECONDS, SERIES, write_recording, write_series
from bench.large_log import Truth, write_large_log
from bench.measured_run import measured
from bench.one_machine import check_counts, check_percentiles
from incident_rca.formats import datadog_metrics, lock_recording
from incident_rca.formats.parsed import RawInput
from incident_rca.importing import import_files
from incident_rca.settings import Settings

LINES = 60_000


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Truth]:
    path = tmp_path_factory.mktemp("made") / "access.ndjson"
    return path, write_large_log(path, 7, LINES)


def test_the_truth_is_what_stands_in_the_lines(made: tuple[Path, Truth]) -> None:
    path, truth = made
    groups: Counter[object] = Counter()
    latencies: Counter[object] = Counter()
    unreadable = 0
    for line in path.read_bytes().splitlines():
        try:
            row = json.loads(line)
            key = (row["httpMethod"], row["resourcePath"])
            told = (int(row["status"]), row["errorResponseType"])
        except (ValueError, KeyError):
            unreadable += 1
            continue
        groups[int(row["requestTimeEpoch"]) // 1000, *key, *told] += 1
        latencies[*key, int(row["responseLatency"])] += 1
    assert groups == truth.groups
    assert unreadable == truth.unreadable == LINES // 10_000
    assert sum(groups.values()) + unreadable == truth.lines == LINES
    assert latencies == {
        (*key, latency): requests
        for key, counted in truth.latencies_ms.items()
        for latency, requests in counted.items()
    }


def test_a_larger_log_has_the_same_failures_at_a_higher_rate(tmp_path: Path) -> None:
    few, many = (write_large_log(tmp_path / "a", 7, lines) for lines in (100_000, 150_000))
    failed = [sum(n for group, n in t.groups.items() if group[3] >= 500) for t in (few, many)]
    seconds = [{group[0] for group in truth.groups} for truth in (few, many)]
    assert failed[0] > 5000 and abs(failed[1] - failed[0]) < failed[0] / 100
    assert max(seconds[0]) - min(seconds[0]) == max(seconds[1]) - min(seconds[1])


def test_our_counts_are_held_against_the_truth(made: tuple[Path, Truth], tmp_path: Path) -> None:
    path, truth = made
    case = tmp_path / "case"
    import_files(case, [path], settings=Settings())
    check_counts(case, truth)
    group = next(iter(truth.groups))
    for wrong in (
        replace(truth, unreadable=truth.unreadable + 1),
        replace(truth, groups={**truth.groups, group: truth.groups[group] + 1}),
    ):
        with pytest.raises(RuntimeError):
            check_counts(case, wrong)
    check_percentiles(case, truth)
    slower = {key: {ms + 5: n for ms, n in of.items()} for key, of in truth.latencies_ms.items()}
    with pytest.raises(RuntimeError):
        check_percentiles(case, replace(truth, latencies_ms=slower))


@pytest.mark.parametrize("engine", ["duckdb", "pandas"])
def test_the_rollup_of_others_counts_the_same(engine: str, made: tuple[Path, Truth]) -> None:
    """Polars and orjson, which only `make bench` has, are held against it there."""
    path, truth = made
    groups, unreadable = rollup_engine.ENGINES[engine](path)
    counted = ((*group, requests) for group, requests in truth.groups.items())
    assert unreadable == truth.unreadable
    assert rollup_engine.digest(groups) == rollup_engine.digest(counted)
    assert rollup_engine.digest(groups[1:]) != rollup_engine.digest(groups)


def test_a_made_day_is_read_whole(tmp_path: Path) -> None:
    recording = write_recording(tmp_path / "locks.ndjson.gz", snapshots=2)
    series = write_series(tmp_path / "p99.json", 7)
    locks = lock_recording.parse(_raw(recording))
    assert (locks.rows, locks.unparsed, locks.gaps) == (SECONDS + 3, 0, ())
    assert locks.frames["locks"]["waiter_pid"].nunique() > 90
    metrics = datadog_metrics.parse(_raw(series))
    assert metrics.rows == SERIES * SECONDS // BUCKET_SECONDS and not metrics.unparsed


def test_a_program_is_measured_from_outside() -> None:
    code = "held = b'x' * 80_000_000; print(sum(range(3_000_000)))"
    cost = measured([sys.executable, "-c", code])
    assert cost.peak_bytes > 80_000_000
    assert 0 < cost.cpu_seconds
    with pytest.raises(subprocess.CalledProcessError):
        measured([sys.executable, "-c", "raise SystemExit(3)"])


def _raw(path: Path) -> RawInput:
    return RawInput(path=path, file=path.name, source="made", work=path.parent)

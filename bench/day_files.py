"""What a day of raw files costs: a lock recording with one long wait in it, and metric series.

The recording has a heartbeat a second, and for a thousand seconds the fullest snapshot of the
sample's recording: a hundred waiters behind one index build. Latencies rise with it.
"""

from __future__ import annotations

import gzip
import json
import shutil
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

from bench.figures import Figure
from bench.measured_run import imported_and_reported
from incident_rca.case import read_case, read_table
from incident_rca.formats.lines import lines_of
from incident_rca.json_text import decode
from incident_rca.packaged import packaged_path
from incident_rca.window import format_instant

START = datetime(2026, 1, 15, tzinfo=UTC)
SECONDS = 86_400
SNAPSHOTS = 1_000
SERIES = 50
BUCKET_SECONDS = 10
SAMPLE = ("samples", "inc-2847", "raw")


def measure_day_files(folder: Path, seed: int) -> list[Figure]:
    """Both from raw files to a report, as a user runs them."""
    files = (
        write_recording(folder / "locks.recording.ndjson.gz", SNAPSHOTS),
        write_series(folder / "p99.datadog.json", seed),
    )
    case = folder / "day"
    cost = imported_and_reported(case, files)
    what = f"import and report of {SECONDS:,} probes, {SNAPSHOTS:,} snapshots, {SERIES} series"
    unread = sum(source.unparsed for source in read_case(case).sources)
    edges = len(read_table(case, "locks"))
    if unread or edges % SNAPSHOTS or not edges:
        raise RuntimeError(f"{case}: {unread} lines were not read, {edges} edges")
    for path in files:
        path.unlink()
    shutil.rmtree(case)
    return [
        Figure(what, cost.seconds, "s", "< 8"),
        Figure(f"{what}: time of processors", cost.cpu_seconds, "s CPU"),
        Figure(f"{what}: most memory", cost.peak_bytes / 1e6, "MB"),
    ]


def write_recording(path: Path, snapshots: int) -> Path:
    """A probe a second, and so many snapshots of a hundred waiters, a second each."""
    lines = [decode(line) for line in lines_of(packaged_path(*SAMPLE, "locks.recording.ndjson.gz"))]
    header = lines[0] | {"started_at": format_instant(START)}
    granted = header["columns"]["locks"].index("granted")

    def waiters(number: int) -> int:
        return sum(not lock[granted] for lock in lines[number].get("locks", ()))

    fullest = max(range(len(lines)), key=waiters)
    idle, waiting = lines[1], lines[fullest - 1]
    first = (datetime.fromisoformat(waiting["at"]) - START) // timedelta(seconds=1)
    with gzip.open(path, "wt", encoding="utf-8", compresslevel=1) as out:
        out.write(json.dumps(header) + "\n")
        for second in range(SECONDS):
            has_snapshot = first <= second < first + snapshots
            probe = waiting if has_snapshot else idle
            out.write(json.dumps(probe | {"at": _at(second, 0.2)}) + "\n")
            if has_snapshot:
                times = {"locks_at": _at(second, 0.21), "sessions_at": _at(second, 0.22)}
                out.write(json.dumps(lines[fullest] | times) + "\n")
    return path


def write_series(path: Path, seed: int) -> Path:
    """p99 latencies of fifty methods in milliseconds, a value every ten seconds."""
    random = Random(seed)
    sample = decode(packaged_path(*SAMPLE, "grpc-p99.datadog.json").read_bytes())
    attributes = sample["response"]["data"]["attributes"]
    unit = attributes["series"][0]["unit"]
    buckets = range(0, SECONDS, BUCKET_SECONDS)
    series = [_tags(number, unit) for number in range(SERIES)]
    start_ms = int(START.timestamp()) * 1000
    values = [[round(random.lognormvariate(3.5, 0.2), 3) for _ in buckets] for _ in series]
    attributes.update(
        series=series, times=[start_ms + second * 1000 for second in buckets], values=values
    )
    asked: Any = sample["request"]["body"]["data"]["attributes"]
    asked.update({"from": start_ms, "to": start_ms + SECONDS * 1000})
    path.write_text(json.dumps(sample), encoding="utf-8")
    return path


def _tags(number: int, unit: Any) -> Mapping[str, Any]:
    tags = [
        f"service:caller{number // 5}",
        f"rpc.service:made.made{number // 5}",
        f"rpc.method:m{number}",
    ]
    return {"group_tags": tags, "query_index": 0, "unit": unit}


def _at(second: int, more: float) -> str:
    return format_instant(START + timedelta(seconds=second + more))

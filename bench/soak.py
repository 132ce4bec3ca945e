"""`make soak`: recorder and pgbench for MINUTES at 10 Hz; exit with 1 if anything grew.

Prints a table and writes build/soak.json. Clients of pgbench wait for each other's row all the
time, so that every probe brings a snapshot, and others connect anew for each transaction, so that
what the recorder remembers of a session is never the same for long.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from statistics import linear_regression, median

from rich.console import Console

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # when run as a script
from bench.figures import Figure, as_table, missed, write_json
from bench.figures import seconds as seconds_of
from bench.recorder import BARE, address, processor_seconds, recording
from incident_rca.sources.recording_files import segments
from tests.lab.servers import Server, running_server

ROOT = Path(__file__).resolve().parent.parent
RECORDER = Path(__file__).with_name("fast_recorder.py")
TARGET = ROOT / "build" / "soak.json"
MINUTES = 30.0
PROBES_PER_SECOND = 10
SAMPLE_SECONDS = 10.0
# Imports and plans of the first statements are no growth.
WARM_UP_SHARE = 0.1
SETTINGS = {"autovacuum": "on", "log_statement": "none", "deadlock_timeout": "'10s'"}
# One row is held for 50 ms by each of twelve in turn: eleven wait.
HOLD = """\
BEGIN;
UPDATE pgbench_branches SET bbalance = bbalance + 1 WHERE bid = 1;
SELECT pg_sleep(0.05);
END;
"""
WAITING = ("-c", "12", "-f")
RECONNECTING = ("-C", "-c", "2", "-R", "5", "-b", "tpcb-like")
# A twentieth more is what bench/recorder.py allows a recorder over an hour of snapshots.
FLAT = "<= 1.05"
# Elapsed time on a machine that does other things as well.
FLAT_TIME = "<= 1.25"


@dataclass(frozen=True, slots=True)
class Sample:
    """The recorder and its backend at one moment: bytes of their own, open files, seconds used.

    `bare_ms` is how long a bare look at pg_locks took then: what a busy machine does to elapsed
    time, it does to that as well.
    """

    second: float
    recorder_bytes: int
    backend_bytes: int
    open_files: int
    processor_seconds: float
    bare_ms: float


def main() -> int:
    """Soaks a recorder for as long as the environment's MINUTES says."""
    minutes = float(os.environ.get("MINUTES", MINUTES))
    with tempfile.TemporaryDirectory(prefix="incident-rca-soak-") as folder:
        figures = soaked(Path(folder), minutes * 60)
    write_json(figures, TARGET)
    Console(highlight=False, markup=False).print(as_table(figures))
    print(f"{minutes:g} minutes; written to {TARGET.relative_to(ROOT)}")
    misses = missed(figures)
    print("\n".join(misses) or "every goal is met")
    return 1 if misses else 0


def soaked(folder: Path, seconds: float) -> list[Figure]:
    """What a recorder took of memory, files and time over so many seconds of waiting sessions."""
    with running_server(18, SETTINGS) as server:
        server.run("pgbench", "-i", "-q", *address(server))
        words = (str(RECORDER), server.dsn, str(folder), str(1 / PROBES_PER_SECOND))
        with _load(server, seconds), recording(server, *words) as pids:
            samples = list(_samples(server, pids, seconds))
    return [*grown(samples), *_snapshot_times(folder, samples)]


@contextmanager
def _load(server: Server, seconds: float) -> Iterator[None]:
    """Both kinds of clients, until the block ends."""
    script = server.folder / "hold.sql"
    script.write_text(HOLD, encoding="utf-8")
    ends = ("-n", "-T", str(int(seconds) + 600), *address(server))
    running = [
        server.begin("pgbench", *WAITING, str(script), *ends),
        server.begin("pgbench", *RECONNECTING, *ends),
    ]
    try:
        yield
        if any(process.poll() is not None for process in running):
            raise RuntimeError("pgbench ended before the recorder did")
    finally:
        for process in running:
            process.terminate()
            process.wait(30)


def _samples(server: Server, pids: Sequence[int], seconds: float) -> Iterator[Sample]:
    ours, backend = pids
    start = time.monotonic()
    with server.connect() as bare:
        bare.execute(BARE[0])
        while (now := time.monotonic() - start) < seconds:
            yield Sample(
                second=now,
                recorder_bytes=_own_bytes(ours),
                backend_bytes=_own_bytes(backend),
                open_files=sum(len(os.listdir(f"/proc/{pid}/fd")) for pid in pids),
                processor_seconds=processor_seconds(pids),
                bare_ms=1000 * median(seconds_of(lambda: bare.execute(BARE[0])) for _ in range(9)),
            )
            time.sleep(min(SAMPLE_SECONDS, seconds / 20))


def _own_bytes(pid: int) -> int:
    """Resident memory that is no file's and nobody else's: a backend maps the shared buffers."""
    for line in Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines():
        name, _, value = line.partition(":")
        if name == "RssAnon":
            return int(value.split()[0]) * 1024
    raise RuntimeError(f"the system does not say what memory process {pid} has")


def grown(samples: Sequence[Sample]) -> list[Figure]:
    """Median, slope and growth of each: the median of its last third over that of its first."""
    samples = samples[int(len(samples) * WARM_UP_SHARE) :]
    seconds = [sample.second for sample in samples]
    used = [
        1000 * (b.processor_seconds - a.processor_seconds) / (b.second - a.second)
        for a, b in pairwise(samples)
    ]
    of_recorder = [sample.recorder_bytes / 2**20 for sample in samples]
    of_backend = [sample.backend_bytes / 2**20 for sample in samples]
    files = [sample.open_files for sample in samples]
    return [
        *_trend("recorder, memory of its own", seconds, of_recorder, "MiB", FLAT),
        *_trend("its backend, memory of its own", seconds, of_backend, "MiB", FLAT),
        *_trend("both, open files", seconds, files, "files", FLAT),
        *_trend("both, processor time a second", seconds[1:], used, "ms", FLAT_TIME),
    ]


def _trend(
    name: str, seconds: Sequence[float], values: Sequence[float], unit: str, goal: str | None
) -> list[Figure]:
    third = max(1, len(values) // 3)
    slope = linear_regression(seconds, values).slope * 3600
    return [
        Figure(name, median(values), unit),
        Figure(f"{name}: slope", slope, f"{unit}/h"),
        Figure(f"{name}: growth", _ratio(values, third), "ratio", goal),
    ]


def _ratio(values: Sequence[float], third: int) -> float:
    return median(values[-third:]) / median(values[:third])


def _snapshot_times(folder: Path, samples: Sequence[Sample]) -> list[Figure]:
    """How long a look took by the server's clock, how many there were, and how many are missing."""
    records = [
        json.loads(line)
        for segment in segments(folder)
        for line in segment.path.read_text(encoding="utf-8").splitlines()
    ]
    looks = [
        (_instant(beat["at"]), _instant(taken["sessions_at"]))
        for beat, taken in _with_snapshot(records)
    ]
    start = looks[0][0]
    took: dict[int, list[float]] = {}
    for begun, ended in looks:
        number = bisect_right([s.second for s in samples], (begun - start).total_seconds()) - 1
        took.setdefault(number, []).append(1000 * (ended - begun).total_seconds())
    numbers = sorted(took)[int(len(took) * WARM_UP_SHARE) :]
    seconds = [samples[n].second for n in numbers]
    elapsed = [median(took[n]) for n in numbers]
    over_bare = [value / samples[n].bare_ms for n, value in zip(numbers, elapsed, strict=True)]
    probes = [_instant(record["at"]) for record in records if record["kind"] == "probe"]
    due = (probes[-1] - probes[0]).total_seconds() * PROBES_PER_SECOND
    name = "probe to the sessions of its snapshot"
    return [
        *_trend(name, seconds, elapsed, "ms", None),
        *_trend(f"{name}, over a bare look", seconds, over_bare, "x", FLAT_TIME),
        Figure("snapshots", len(looks), "snapshots"),
        Figure("probes of those due", (len(probes) - 1) / due, "share", ">= 0.95"),
        Figure("gaps in the recording", sum(r["kind"] == "gap" for r in records), "gaps", "<= 0"),
    ]


def _instant(text: str) -> datetime:
    return datetime.fromisoformat(text)


def _with_snapshot(
    records: Sequence[Mapping[str, str]],
) -> list[tuple[Mapping[str, str], Mapping[str, str]]]:
    return [
        (before, record)
        for before, record in pairwise(records)
        if (before["kind"], record["kind"]) == ("probe", "snapshot")
    ]


if __name__ == "__main__":
    sys.exit(main())

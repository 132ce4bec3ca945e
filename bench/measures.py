"""What is measured: raw files through our formats, and the command line as a user runs it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median

from bench.access_lines import write_access_log
from bench.analysis_cost import measure_analysis
from bench.day_files import measure_day_files
from bench.figures import Figure, in_turn, ratio, seconds
from bench.gateway_fetch import measure_gateway_fetch
from bench.metric_queries import measure_metric_queries
from bench.migrations import measure_lint
from bench.one_machine import measure_one_machine
from bench.recorder import measure_recorder, measure_recorder_memory, measure_snapshots
from bench.whatif_sweep import measure_whatif_sweep
from incident_rca.formats import access_log, lock_recording
from incident_rca.formats.duckdb_session import open_session
from incident_rca.formats.lines import lines_of
from incident_rca.formats.parsed import Parsed, RawInput
from incident_rca.packaged import packaged_path

LINES = 400_000
LINES_FOR_PANDAS = 40_000
LINES_FOR_MEMORY = (100_000, 800_000)
BY = ["httpMethod", "resourcePath", "status", "errorResponseType"]
PEAK = Path(__file__).with_name("peak_memory.py")
RECORDING = ("samples", "inc-2847", "raw", "locks.recording.ndjson.gz")


def measure_access_log(folder: Path, seed: int) -> list[Figure]:
    """Our format in turn with a plain group-by of DuckDB and with pandas, on a made log."""
    plain = write_access_log(folder / "access.ndjson", seed, LINES)
    packed = write_access_log(folder / "access.ndjson.gz", seed, LINES)
    small = write_access_log(folder / "small.ndjson", seed, LINES_FOR_PANDAS)
    for group in (_group_by_duckdb, _group_by_pandas):
        group(small)  # loads the library, untimed
    times = in_turn(
        3,
        lambda: _parse(plain, access_log.parse, folder),
        lambda: _group_by_duckdb(plain),
        lambda: _group_by_pandas(small),
    )
    of_packed = in_turn(
        3, lambda: _parse(packed, access_log.parse, folder), lambda: _group_by_duckdb(packed)
    )
    for path in (plain, packed, small):
        path.unlink()
    of_pandas = ratio(times, 2, 0) * LINES / LINES_FOR_PANDAS
    return [
        Figure("access log over a DuckDB group-by, plain", ratio(times, 0, 1), "x time", "<= 4"),
        Figure("access log over a DuckDB group-by, gzip", ratio(of_packed, 0, 1), "x time", "<= 4"),
        Figure("pandas over access log, each line", of_pandas, "x time"),
        Figure("access log", LINES / median(t[0] for t in times), "lines/s"),
    ]


def measure_memory(folder: Path, seed: int) -> list[Figure]:
    """The peak of a process that parses eight times as many lines."""
    peaks = []
    for count in LINES_FOR_MEMORY:
        path = write_access_log(folder / f"access-{count}.ndjson", seed, count)
        peaks.append(int(_run([sys.executable, str(PEAK), str(path)], folder)))
        path.unlink()
    few, many = (f"{count:,}" for count in LINES_FOR_MEMORY)
    return [
        Figure(f"access log, {many} over {few} lines", peaks[1] / peaks[0], "x memory", "<= 2"),
        Figure(f"access log, {many} lines", peaks[1] / 1024, "MiB"),
    ]


def measure_lock_recording(folder: Path, seed: int) -> list[Figure]:
    """The sample's recording through our format in turn with json.loads of its lines alone."""
    path = packaged_path(*RECORDING)
    times = in_turn(
        5, lambda: _parse(path, lock_recording.parse, folder), lambda: _load_lines(path)
    )
    count = sum(1 for _ in lines_of(path))
    return [
        Figure("lock recording over json.loads", ratio(times, 0, 1), "x time"),
        Figure("lock recording", count / median(t[0] for t in times), "lines/s"),
    ]


def measure_start(folder: Path, seed: int) -> list[Figure]:
    """`--help` in turn with a Python that only imports the library of the command line.

    Drawing the help with rich takes it to about 3; pandas, if it were loaded, to about 7.
    """
    ours, theirs = [_command(), "--help"], [sys.executable, "-c", "import typer"]
    for words in (ours, theirs):
        _run(words, folder)  # writes the bytecode, untimed
    times = in_turn(9, lambda: _run(ours, folder), lambda: _run(theirs, folder))
    return [Figure("--help over import typer", ratio(times, 0, 1), "x time", "<= 4")]


def measure_demo(folder: Path, seed: int) -> list[Figure]:
    """The demo in a fresh folder, then its report without and with the tables kept."""
    case = folder / "demo"

    def demo() -> None:
        shutil.rmtree(case, ignore_errors=True)
        _run([_command(), "demo", "--into", str(case)], folder)

    def report() -> None:
        _run([_command(), "report", str(case)], folder)

    took = median(seconds(demo) for _ in range(3))
    rounds = []
    for _ in range(3):
        shutil.rmtree(case / "tables")
        rounds += in_turn(1, report, report)
    return [
        Figure("demo in a fresh folder", took, "s", "<= 3"),
        Figure("report, tables kept over tables made", ratio(rounds, 1, 0), "x time", "< 1"),
    ]


MEASURES: Sequence[Callable[[Path, int], list[Figure]]] = (
    measure_access_log,
    measure_memory,
    measure_one_machine,
    measure_day_files,
    measure_lock_recording,
    measure_start,
    measure_demo,
    measure_recorder,
    measure_snapshots,
    measure_recorder_memory,
    measure_metric_queries,
    measure_gateway_fetch,
    measure_analysis,
    measure_lint,
    measure_whatif_sweep,
)


def _parse(path: Path, parse: Callable[[RawInput], Parsed], work: Path) -> Parsed:
    parsed = parse(RawInput(path=path, file=path.name, source="bench", work=work))
    if not parsed.rows or parsed.unparsed:
        raise RuntimeError(f"{path.name}: {parsed.rows} rows, {parsed.unparsed} unreadable")
    return parsed


def _group_by_duckdb(path: Path) -> list[tuple[object, ...]]:
    with open_session(path.parent) as session:
        rows = session.read_json(str(path), format="newline_delimited")
        return rows.aggregate(f"{', '.join(BY)}, count(*)", ", ".join(BY)).fetchall()


def _group_by_pandas(path: Path) -> int:
    import pandas as pd

    with pd.read_json(path, lines=True, chunksize=20_000) as chunks:
        groups = pd.concat([chunk.groupby(BY).size() for chunk in chunks])
    return len(groups.groupby(level=BY).sum())


def _load_lines(path: Path) -> int:
    return sum(1 for line in lines_of(path) if json.loads(line))


def _command() -> str:
    return str(Path(sys.executable).with_name("incident-rca"))


def _run(words: Sequence[str], folder: Path) -> str:
    """What a program prints, away from anybody's settings; raises where it fails."""
    environ = {k: v for k, v in os.environ.items() if not k.startswith(("INCIDENT_RCA", "XDG"))}
    done = subprocess.run(
        words,
        cwd=folder,
        env=environ | {"HOME": str(folder)},
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"{' '.join(words)} ended with {done.returncode}: {done.stderr}")
    return done.stdout

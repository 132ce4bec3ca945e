"""What the analysis of a day costs: its time, its memory, and how both grow with the tables."""

from __future__ import annotations

import math
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from statistics import linear_regression, median

from bench.analysis_tables import (
    GATEWAY_ROWS,
    SERIES_OF_SERVICE,
    SERVICES,
    SNAPSHOTS,
    made_tables,
)
from bench.figures import Figure
from incident_rca.case import write_tables

SHARES = (0.25, 0.5, 1.0)
ROUNDS = 3
WORKER = Path(__file__).with_name("analysis_worker.py")
KIB, MB = 1024.0, 1e6


def measure_analysis(folder: Path, seed: int) -> list[Figure]:
    """A quarter, a half and a whole day in turn, each in a process of its own.

    Processor time, as the analysis has one thread: what else runs here does not count. The tables
    come out of Parquet as they do for a report, and the peak is that of the whole process.
    """
    times: list[tuple[float, ...]] = []
    with ExitStack() as running:
        workers = [running.enter_context(_worker(share, seed, folder)) for share in SHARES]
        read = [_answer(worker)[0] for worker in workers]
        peaks = [0.0] * len(workers)
        for _ in range(ROUNDS):
            spent = []
            for number, worker in enumerate(workers):
                seconds, peak = _analysed(worker)
                spent.append(seconds)
                peaks[number] = max(peaks[number], peak)
            times.append(tuple(spent))
    what = (
        f"analysis of {SERVICES * SERIES_OF_SERVICE} series, {SNAPSHOTS:,} snapshots, "
        f"{GATEWAY_ROWS:,} gateway rows"
    )
    return [
        Figure(what, median(spent[-1] for spent in times), "s CPU", "<= 3"),
        Figure(
            f"{what}: peak of its process, tables and all", peaks[-1] * KIB / MB, "MB", "<= 500"
        ),
        Figure(f"{what}: reading its tables first", read[-1], "s CPU"),
        Figure("analysis, exponent of its time", exponent(SHARES, times), "", "<= 1.1"),
    ]


def exponent(sizes: Sequence[float], rounds: Sequence[tuple[float, ...]]) -> float:
    """The power of the size with which the median times grow: 1 where they are proportional."""
    middle = [median(spent[n] for spent in rounds) for n in range(len(sizes))]
    return linear_regression([math.log(s) for s in sizes], [math.log(t) for t in middle]).slope


@contextmanager
def _worker(share: float, seed: int, folder: Path) -> Iterator[subprocess.Popen[str]]:
    """A process that reads the tables that are made for it and waits; it ends when its input does.

    The peak of a process begins anew with its program: what is held here does not count.
    """
    day = folder / f"day-{share}"
    write_tables(day, made_tables(share, seed), ())
    words = [sys.executable, str(WORKER), str(day), str(share)]
    pipe = subprocess.PIPE
    with subprocess.Popen(words, cwd=folder, stdin=pipe, stdout=pipe, encoding="utf-8") as process:
        yield process


def _analysed(worker: subprocess.Popen[str]) -> list[float]:
    """The seconds of one analysis and the peak of its process in KiB."""
    assert worker.stdin is not None
    worker.stdin.write("analyse\n")
    worker.stdin.flush()
    return _answer(worker)


def _answer(worker: subprocess.Popen[str]) -> list[float]:
    assert worker.stdout is not None
    line = worker.stdout.readline()
    if not line:
        raise RuntimeError(f"{WORKER.name} ended with {worker.wait()}")
    return [float(word) for word in line.split()]

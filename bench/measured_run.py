"""Runs a program and prints its wall time, processor time and peak memory as JSON.

Usage: python bench/measured_run.py WORD...

The kernel counts in a process's peak what its parent held before, so the parent must be small.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Cost:
    """What a program took: wall time, time of processors, and the most memory at once."""

    seconds: float
    cpu_seconds: float
    peak_bytes: int


def measured(words: Sequence[str]) -> Cost:
    """What a program takes; raises CalledProcessError where it fails."""
    command = [sys.executable, __file__, *words]
    return Cost(**json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout))


def imported_and_reported(case: Path, files: Sequence[Path]) -> Cost:
    """What the command line takes from raw files to a report, both runs together."""
    program = str(Path(sys.executable).with_name("incident-rca"))
    imported = measured([program, "import", "-q", str(case), *map(str, files)])
    reported = measured([program, "report", "-q", str(case)])
    return Cost(
        seconds=imported.seconds + reported.seconds,
        cpu_seconds=imported.cpu_seconds + reported.cpu_seconds,
        peak_bytes=max(imported.peak_bytes, reported.peak_bytes),
    )


def main(words: list[str]) -> None:
    """The program's own output goes to stderr; raises CalledProcessError where it fails."""
    start = time.perf_counter()
    subprocess.run(words, check=True, stdout=sys.stderr)
    seconds = time.perf_counter() - start
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    peak_bytes = used.ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    print(json.dumps(asdict(Cost(seconds, used.ru_utime + used.ru_stime, peak_bytes))))


if __name__ == "__main__":
    main(sys.argv[1:])

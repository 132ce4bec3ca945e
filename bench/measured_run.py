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


def main(words: list[str]) -> None:
    """The program's own output goes to stderr; raises CalledProcessError where it fails."""
    start = time.perf_counter()
    subprocess.run(words, check=True, stdout=sys.stderr)
    seconds = time.perf_counter() - start
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    peak_bytes = used.ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    cpu = used.ru_utime + used.ru_stime
    print(json.dumps({"seconds": seconds, "cpu_seconds": cpu, "peak_bytes": peak_bytes}))


if __name__ == "__main__":
    main(sys.argv[1:])

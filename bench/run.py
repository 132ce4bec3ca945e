"""`make bench`: measure, print a table, write build/bench.json; exit with 1 if a goal is missed."""

from __future__ import annotations

import os
import sys
import tempfile
import time
from pathlib import Path

from rich.console import Console

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # when run as a script
from bench.figures import Figure, as_table, missed, write_json
from bench.measures import MEASURES

ROOT = Path(__file__).resolve().parent.parent
TARGET = ROOT / "build" / "bench.json"
CORES = 2
SEED = 1


def main() -> int:
    """Runs every measure in a folder that is removed again."""
    start = time.monotonic()
    seed = int(os.environ.get("SEED", SEED))
    _keep_to_few_cores()
    figures: list[Figure] = []
    with tempfile.TemporaryDirectory(prefix="incident-rca-bench-") as folder:
        for measure in MEASURES:
            name = measure.__name__.removeprefix("measure_").replace("_", " ")
            print(f"measuring: {name}", file=sys.stderr, flush=True)
            # Else it pays for what the one before it left to the disk.
            os.sync()
            figures += measure(Path(folder), seed)
    write_json(figures, TARGET)
    Console(highlight=False, markup=False).print(as_table(figures))
    took = time.monotonic() - start
    print(f"seed {seed}, {took:.0f} s; written to {TARGET.relative_to(ROOT)}")
    misses = missed(figures)
    print("\n".join(misses) or "every goal is met")
    return 1 if misses else 0


def _keep_to_few_cores() -> None:
    """Ratios of programs that use more or fewer threads mean the same on any machine."""
    if sys.platform == "linux":
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:CORES])


if __name__ == "__main__":
    sys.exit(main())

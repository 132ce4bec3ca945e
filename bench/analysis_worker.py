"""Makes the tables of a day in a process of its own, then analyses them as often as it is told.

Usage: python bench/analysis_worker.py SHARE SEED

Prints what it holds with the tables made, in KiB; then, for each line that it reads, the seconds of
processor time of one analysis and the peak in KiB since the tables were made.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # when run as a script
from bench.analysis_tables import made_case, made_tables
from bench.peak_memory import forget_peak, peak_kib
from incident_rca.analysis.analyse import analyse
from incident_rca.model import Kind, Role, Verdict


def main(share: str, seed: str) -> None:
    """Raises RuntimeError where the analysis does not find what was made."""
    case, tables = made_case(float(share)), made_tables(float(share), int(seed))
    forget_peak()
    print(peak_kib(), flush=True)
    for _ in sys.stdin:
        start = time.process_time()
        analysis = analyse(case, tables)
        print(time.process_time() - start, peak_kib(), flush=True)
        best = analysis.hypotheses[0]
        found = (best.kind, best.role, best.verdict)
        if found != (Kind.LOCK_BLOCKING, Role.TRIGGER, Verdict.SUPPORTED):
            raise RuntimeError(f"the made lock is not what was found: {found}")


if __name__ == "__main__":
    main(*sys.argv[1:])

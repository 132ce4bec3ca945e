"""Reads the tables of a made day as `incident-rca report` does, and analyses them when told to.

Usage: python bench/analysis_worker.py FOLDER SHARE

Prints the processor time of the reading; then, for each line that it reads, that of one analysis
and the most memory that this process ever held, in KiB: interpreter, libraries, tables and all.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # when run as a script
from bench.analysis_tables import made_case
from bench.peak_memory import peak_kib
from incident_rca.analysis.analyse import analyse
from incident_rca.case import read_tables
from incident_rca.model import Kind, Role, Verdict


def main(folder: str, share: str) -> None:
    """Raises RuntimeError where the analysis does not find what was made."""
    case, start = made_case(float(share)), time.process_time()
    tables = read_tables(Path(folder))
    print(time.process_time() - start, flush=True)
    for _ in sys.stdin:
        start = time.process_time()
        analysis = analyse(case, tables)
        print(time.process_time() - start, peak_kib(), flush=True)
        best = analysis.hypotheses[0]
        found = (best.kind, best.role, best.verdict)
        if found != (Kind.LOCK_BLOCKING, Role.TRIGGER, Verdict.SUPPORTED):
            raise RuntimeError(f"the made lock is not what was found: {found}")
        # No report holds the one before it.
        del analysis, best


if __name__ == "__main__":
    main(*sys.argv[1:])

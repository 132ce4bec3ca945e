"""Parses one access log in a process of its own and prints the most memory that it ever held."""

from __future__ import annotations

import resource
import sys
import tempfile
from pathlib import Path

from incident_rca.formats.access_log import parse
from incident_rca.formats.parsed import RawInput

STATUS = Path("/proc/self/status")


def peak_kib() -> int:
    """The highest resident size so far.

    Linux counts in ru_maxrss what the parent held before exec too, so its own mark comes first.
    """
    if STATUS.exists():
        for line in STATUS.read_text(encoding="utf-8").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1])
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak // 1024 if sys.platform == "darwin" else peak


def main() -> None:
    """Prints the peak in KiB for the file that is named."""
    with tempfile.TemporaryDirectory(prefix="incident-rca-bench-") as work:
        path = Path(sys.argv[1])
        parse(RawInput(path=path, file=f"raw/{path.name}", source="bench", work=Path(work)))
    print(peak_kib())


if __name__ == "__main__":
    main()

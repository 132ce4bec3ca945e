"""The command line on a machine whose clock is ahead: `python -m tests.cli.other_time FILE …`.

Services keep what happened for some time only, and an answer about a window that has just ended is
provisional; so an incident of a given day must be asked about soon after it, on whatever day the
tests run. Only the clock of the command line is moved, by the seconds that the file says whenever
it is read.
"""

from __future__ import annotations

import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

from incident_rca.cli import collect, main
from incident_rca.cli.clock import SystemClock


def move(ahead: Path) -> None:
    """Moves the clock of this process."""

    def now() -> datetime:
        return datetime.now(UTC) + timedelta(seconds=float(ahead.read_text(encoding="utf-8")))

    SystemClock.now = staticmethod(now)  # type: ignore[method-assign, assignment]
    collect._now = now


if __name__ == "__main__":
    move(Path(sys.argv.pop(1)))
    main()

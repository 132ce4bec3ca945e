"""Prints the resident bytes of a recorder after so many snapshots, and after so many more.

Usage: python bench/recorder_memory.py DSN FOLDER FEW MANY
"""

from __future__ import annotations

import os
import sys
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # when run as a script
from incident_rca.sources import postgres
from incident_rca.sources.recorder import Probed, Stop, record
from incident_rca.sources.recording_files import Limits, recording_folder


@dataclass(frozen=True, slots=True)
class SleeplessClock:
    """The clock of a recorder that never rests."""

    def now(self) -> datetime:
        """The instant now, in UTC."""
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """Seconds that only go forward."""
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        """Returns at once."""


def main(dsn: str, folder: str, few: str, many: str) -> None:
    """Records into a folder until the second number of snapshots is reached."""
    marks = [int(few), int(many)]
    stop = Stop()
    with recording_folder(Path(folder) / "memory", Limits()) as files:
        events = record(
            connect=lambda: postgres.connect(dsn),
            files=files,
            clock=SleeplessClock(),
            stop=stop,
            interval_seconds=0.0,
        )
        count = 0
        for event in events:
            if not isinstance(event, Probed) or not event.has_snapshot:
                continue
            count += 1
            if count in marks:
                print(_resident_bytes())
            if count == marks[-1]:
                stop.set()


def _resident_bytes() -> int:
    pages = Path("/proc/self/statm").read_text(encoding="utf-8").split()[1]
    return int(pages) * os.sysconf("SC_PAGE_SIZE")


if __name__ == "__main__":
    main(*sys.argv[1:])

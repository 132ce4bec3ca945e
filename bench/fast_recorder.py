"""Records as `incident-rca record` does, at a pace that its --interval does not offer.

Usage: python bench/fast_recorder.py DSN FOLDER INTERVAL_SECONDS; ends on SIGTERM
"""

from __future__ import annotations

import signal
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # when run as a script
from incident_rca.cli.clock import SystemClock
from incident_rca.sources import postgres
from incident_rca.sources.recorder import Stop, record
from incident_rca.sources.recording_files import Limits, recording_folder


def main(dsn: str, folder: str, interval_seconds: str) -> None:
    """Records into a folder until told to end."""
    stop = Stop()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    with recording_folder(Path(folder), Limits()) as files:
        events = record(
            connect=lambda: postgres.connect(dsn),
            files=files,
            clock=SystemClock(stop),
            stop=stop,
            interval_seconds=float(interval_seconds),
        )
        for _ in events:
            pass


if __name__ == "__main__":
    main(*sys.argv[1:])

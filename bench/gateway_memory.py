"""Fetches a whole log group in a process of its own; prints its peak in KiB and the events.

Usage: python bench/gateway_memory.py URL GROUP START END FOLDER
"""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # when run as a script
from bench.peak_memory import peak_kib
from incident_rca.model import TimeWindow
from incident_rca.model.services import AwsAccount
from incident_rca.sources import cloudwatch_logs
from incident_rca.sources.log_collection import Shared
from incident_rca.sources.rate_limit import Paces
from incident_rca.sources.tally import Tally


@dataclass(frozen=True, slots=True)
class WallClock:
    """This machine's clock."""

    def now(self) -> datetime:
        """The instant now, in UTC."""
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """Seconds that only go forward."""
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        """Waits."""
        time.sleep(seconds)


def main(url: str, group: str, start: str, end: str, folder: str) -> None:
    """Fetches the group as fast as the service lets it: memory is measured, not the pace."""
    window = TimeWindow(datetime.fromisoformat(start), datetime.fromisoformat(end))
    account = AwsAccount(name="bench", region="eu-west-1", endpoint=url)
    tally = Tally(WallClock())
    cloudwatch_logs.postgres(
        Shared(paces=Paces(calls_per_second=1e6)),
        account,
        group,
        window,
        tally=tally,
        spool=Path(folder),
    )
    print(peak_kib(), tally.rows)


if __name__ == "__main__":
    main(*sys.argv[1:])

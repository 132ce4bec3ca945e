"""A scene watched from its first wait to its end, as the recorder and the server's log saw it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

from incident_rca import pipeline
from incident_rca.analysis.lock_places import placed
from incident_rca.analysis.locks import lock_episodes
from incident_rca.cli.clock import SystemClock
from incident_rca.importing import import_files
from incident_rca.model import Case, LockEpisode, TimeWindow
from incident_rca.settings import Settings
from incident_rca.sources.postgres import connect
from incident_rca.sources.recorder import Stop, record
from incident_rca.sources.recording_files import Limits, recording_folder
from tests.lab.scenes import Scene, Truth
from tests.lab.scenes.session import until
from tests.lab.servers import Server

INTERVAL_SECONDS = 0.2
# Long enough for a few samples, and for each wait to pass deadlock_timeout and be logged.
SETTLED_SECONDS = 0.7


@dataclass(frozen=True)
class Watched:
    """A scene that is over: what it did, the recording of it, and copies of the server's logs.

    `deadlocked` are the pids that ever stood in a circle.
    """

    truth: Truth
    deadlocked: frozenset[int]
    window: TimeWindow
    recording: tuple[Path, ...]
    logs: Path

    def episodes(self, *files: Path) -> tuple[LockEpisode, ...]:
        """The lock episodes of a new case of these files, those of the scene's database."""
        folder = self.logs.parent / "-".join(["case", *(f.name for f in files)])
        return episodes_of(folder, files, self.window, self.truth.database)


def episodes_of(
    folder: Path, files: tuple[Path, ...], window: TimeWindow, database: str
) -> tuple[LockEpisode, ...]:
    """What an import of these files into a new case shows of one database."""
    import_files(folder, files, settings=Settings(), window=window)
    case, tables = pipeline.build_tables(folder)
    assert isinstance(case, Case)
    # A log whose prefix has no %d does not name the database.
    found = lock_episodes(case, tables, placed(case, tables))
    return tuple(e for e in found if e.database in (database, ""))


@contextmanager
def recorder(dsn: str, folder: Path) -> Iterator[None]:
    """The recorder's own loop at five probes a second, with the machine's clock."""
    stop = Stop()

    def work() -> None:
        with recording_folder(folder, Limits()) as files:
            for _ in record(
                connect=partial(connect, dsn),
                files=files,
                clock=SystemClock(stop),
                stop=stop,
                interval_seconds=INTERVAL_SECONDS,
            ):
                pass

    with ThreadPoolExecutor(1) as threads:
        running = threads.submit(work)
        try:
            yield
        finally:
            stop.set()
            running.result(timeout=30)


def has_looked(recordings: Path) -> bool:
    return any(b'"kind":"probe"' in path.read_bytes() for path in recordings.rglob("*.ndjson"))


def watched(scene: Scene, server: Server, folder: Path) -> Watched:
    """Plays a scene to its end beside a recorder that starts when its first waiters wait."""
    recordings, logs = folder / "recordings", folder / "logs"
    start = datetime.now(UTC)
    before = {path.name: path.stat().st_size for path in server.logs.iterdir()}
    with scene(server) as truth:
        with recorder(truth.dsn, recordings):
            until(lambda: has_looked(recordings), "the recorder's first look")
            time.sleep(SETTLED_SECONDS)
            deadlocked = truth.deadlocked
            while truth.advance():
                deadlocked |= truth.deadlocked
                time.sleep(SETTLED_SECONDS)
            time.sleep(2 * INTERVAL_SECONDS)
        logs.mkdir()
        for path in truth.server.logs.iterdir():
            # What other scenes left in it is not read again for each of them.
            others = before.get(path.name, 0) if truth.server == server else 0
            (logs / path.name).write_bytes(path.read_bytes()[others:])
    window = TimeWindow(start, datetime.now(UTC) + timedelta(seconds=1))
    return Watched(truth, deadlocked, window, tuple(sorted(recordings.rglob("*.ndjson"))), logs)

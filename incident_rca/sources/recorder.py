"""The flight recorder: probes a server at a steady pace and writes down who waits for a lock.

It is made for a server in trouble: one connection, statements that give up early, a pause after
each failure that doubles up to a minute, and never a burst to catch up.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from incident_rca.errors import Unreachable
from incident_rca.sources.clock import Clock
from incident_rca.sources.lock_snapshots import (
    Known,
    Record,
    clock_offset,
    header,
    probe,
    snapshot,
)
from incident_rca.sources.postgres import ServerFacts, may_pass, reason_of, server_facts
from incident_rca.sources.recording_files import RecordingFiles

if TYPE_CHECKING:
    import psycopg

    Connection = psycopg.Connection[tuple[Any, ...]]

LONGEST_PAUSE_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Connected:
    """A server answers, and its lines go to `path`."""

    facts: ServerFacts
    path: Path | None


@dataclass(frozen=True, slots=True)
class Away:
    """The server does not answer as it should: nothing is recorded for the next `pause_seconds`."""

    reason: str
    pause_seconds: float


@dataclass(frozen=True, slots=True)
class Probed:
    """A probe and, where somebody waited, a snapshot; `problem` is why lines were lost, or ""."""

    waiting: int
    has_snapshot: bool
    problem: str


@dataclass(frozen=True, slots=True)
class Ended:
    """The recorder ended in order."""

    reason: str


Event = Connected | Away | Probed | Ended


class Stop(threading.Event):
    """Set by whoever ends the recorder; `reason` goes into its last line."""

    reason: str = "terminated"


def record(
    *,
    connect: Callable[[], Connection],
    files: RecordingFiles,
    clock: Clock,
    stop: Stop,
    interval_seconds: float,
) -> Iterator[Event]:
    """Records until `stop` is set and yields what happens.

    Raises BadSettings or Unreachable where the first connection fails for a reason that waiting
    does not cure. Afterwards whatever goes wrong is a gap, and tried again.
    """
    import psycopg

    recorder = _Recorder(files=files, clock=clock, stop=stop, interval_seconds=interval_seconds)
    while not stop.is_set():
        try:
            connection = connect()
            try:
                yield from recorder.use(connection)
            finally:
                connection.close()
        except (psycopg.Error, Unreachable) as error:
            if (
                not recorder.has_connected
                and isinstance(error, Unreachable)
                and not may_pass(error)
            ):
                raise
            yield from recorder.rest(error)
    recorder.end()
    yield Ended(stop.reason)


@dataclass(slots=True)
class _Recorder:
    """What outlives a connection: the gap that is open, and whether somebody waited last time.

    `failures` follow each other, and `well_since` is when the pause after the last of them ended.
    """

    files: RecordingFiles
    clock: Clock
    stop: Stop
    interval_seconds: float
    known: Known = field(default_factory=Known)
    has_connected: bool = False
    had_waiters: bool = False
    is_headed: bool = False
    recorded_at: datetime = field(init=False)
    gap: Record | None = None
    lost_before: int = 0
    failures: int = 0
    well_since: float = field(init=False)

    def __post_init__(self) -> None:
        self.recorded_at = self.clock.now()
        self.well_since = self.clock.monotonic()

    def use(self, connection: Connection) -> Iterator[Event]:
        """Records over one connection until told to end; raises psycopg.Error where it fails.

        A statement that the server cut off is a gap, and no reason to give the connection up: a
        server in such trouble may have no other one for us.
        """
        from psycopg.errors import LockNotAvailable, QueryCanceled

        facts = server_facts(connection)
        self.is_headed = False
        self._head(connection, facts)
        self.has_connected = True
        yield Connected(facts, self.files.path)
        due = self.clock.monotonic()
        while not self.stop.is_set():
            began = self.clock.monotonic()
            try:
                seen = self._look(connection, facts)
            except (QueryCanceled, LockNotAvailable) as error:
                yield from self.rest(error)
                due = self.clock.monotonic()
                continue
            took = self.clock.monotonic() - began
            yield seen
            now = self.clock.monotonic()
            # Late once is late: no burst. And a slow server rests at least as long as it worked.
            due = max(due + self.interval_seconds, now + took)
            self.clock.sleep(due - now)

    def rest(self, error: Exception) -> Iterator[Event]:
        """Notes the gap and pauses: whoever fails over and over is left alone for longer.

        Good spells between the failures count only if they are long.
        """
        if self.clock.monotonic() - self.well_since > LONGEST_PAUSE_SECONDS:
            self.failures = 0
        pause = min(2.0**self.failures, LONGEST_PAUSE_SECONDS)
        self.failures += 1
        self.note_gap(_words(error))
        yield Away(_words(error), pause)
        self.clock.sleep(pause)
        self.well_since = self.clock.monotonic()

    def note_gap(self, reason: str, lost_before: int | None = None) -> None:
        """From the last line on nothing is recorded; the reason that came first counts."""
        self.is_headed = False
        if self.gap is None:
            self.gap = {"kind": "gap", "from": _written(self.recorded_at), "reason": reason}
            self.lost_before = self.files.lost_lines if lost_before is None else lost_before

    def end(self) -> None:
        """Writes the last line, if there is a file to end."""
        if self.files.is_empty:
            return
        now = self.clock.now()
        if self.gap is not None:
            self.files.append(self._closed_gap(now))
        self.files.append({"kind": "end", "at": _written(now), "reason": self.stop.reason})

    def _look(self, connection: Connection, facts: ServerFacts) -> Probed:
        if self.gap is not None:
            # A gap ends where the server answers again, and not where it is asked again.
            probe(connection, facts)
        if not self._head(connection, facts):
            return Probed(0, False, self.files.problem)
        beat = probe(connection, facts, self.known)
        waiting = beat["waiting"]
        is_due = bool(waiting) or self.had_waiters
        self._write(beat)
        if is_due:
            self._write(snapshot(connection, facts, self.known))
        self.had_waiters = bool(waiting)
        return Probed(waiting, is_due, self.files.problem)

    def _head(self, connection: Connection, facts: ServerFacts) -> bool:
        """Whether the next record may be written: its file has a header that holds for it."""
        now, lost = self.clock.now(), self.files.lost_lines
        if self.files.must_rotate(now):
            if not self.files.is_empty and self.is_headed:
                self.files.append({"kind": "end", "at": _written(now), "reason": "rotated"})
            self.is_headed = False
            if not self.files.rotate(now):
                self.note_gap(self.files.problem, lost)
                return False
        if self.is_headed:
            return True
        lines = [
            header(
                facts,
                started_at=now,
                interval_seconds=self.interval_seconds,
                clock_offset_seconds=clock_offset(connection, self.clock.now),
            )
        ]
        if self.gap is not None:
            lines.insert(1 if self.files.is_empty else 0, self._closed_gap(now))
        if not all(self.files.append(line) for line in lines):
            self.note_gap(self.files.problem, lost)
            return False
        # A new header is a new file to its reader: names are written again.
        self.known, self.is_headed, self.gap = Known(), True, None
        self.recorded_at = now
        return True

    def _closed_gap(self, now: datetime) -> Record:
        gap = {**(self.gap or {}), "to": _written(now)}
        if lost := self.files.lost_lines - self.lost_before:
            gap["reason"] = f"{gap['reason']}; {lost} lines lost"
        return gap

    def _write(self, line: Record) -> None:
        if not self.is_headed:
            return
        lost = self.files.lost_lines
        if self.files.append(line):
            self.recorded_at = self.clock.now()
        else:
            self.note_gap(self.files.problem, lost)


def _words(error: Exception) -> str:
    import psycopg

    cause = error if isinstance(error, psycopg.Error) else error.__cause__
    return reason_of(cause) if isinstance(cause, psycopg.Error) else str(error)


def _written(instant: datetime) -> str:
    from incident_rca.sources.plain_rows import written

    return written(instant)

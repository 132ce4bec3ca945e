"""What our own recorder wrote for a server: who writes now, and which time its segments hold."""

from __future__ import annotations

import mmap
import shlex
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from incident_rca.json_text import decode
from incident_rca.model import TimeWindow
from incident_rca.model.checkup import Check, CheckState, PastSource, WouldShow, window_covered
from incident_rca.redact import plain
from incident_rca.sources.postgres import without_password
from incident_rca.sources.recording_files import Segment, running_recorder, segments
from incident_rca.window import format_duration, format_instant

SOURCE = "recordings"
# A probe a second: what is further apart than this was not recorded.
HOLE = timedelta(seconds=5)
SILENT = timedelta(seconds=60)
TAIL_BYTES = 4_000_000
_GAP = b'{"kind":"gap"'
# These are read from the server's clock; gaps and headers from the recorder's.
_BY_SERVER = ("at", "sessions_at", "locks_at")
_BY_RECORDER = ("to", "started_at")


@dataclass(frozen=True, slots=True)
class Recordings:
    """A recorder's folder as it is found.

    `covered` is what was recorded, without gaps; `cure` starts a recorder for this server.
    """

    folder: Path
    pid: int | None
    now: datetime
    cure: str
    segments: int = 0
    covered: tuple[TimeWindow, ...] = ()
    gaps: tuple[TimeWindow, ...] = ()
    problem: str = ""

    @property
    def is_running(self) -> bool:
        """Whether a recorder writes, and wrote within the last minute."""
        return self.check.state is CheckState.OK

    @property
    def check(self) -> Check:
        """Whether a recorder runs, since when, and what it has."""
        name, has = "recorder", self._has() or "it has recorded nothing yet"
        if self.problem:
            return Check(name, CheckState.UNKNOWN, self.problem, self.cure)
        if self.pid is None:
            return Check(name, CheckState.PROBLEM, f"not running; {has}", self.cure)
        if not self.covered or self.now - self.covered[-1].end > SILENT:
            found = f"runs (pid {self.pid}), but writes nothing now; {has}"
            cure = f"is the server away, or the disk full? df {shlex.quote(str(self.folder))}"
            return Check(name, CheckState.PROBLEM, found, cure)
        since = _clock(_without_holes(self.covered)[-1].start)
        return Check(
            name, CheckState.OK, f"runs (pid {self.pid}), without a hole since {since}; {has}"
        )

    def source(self, window: TimeWindow) -> PastSource:
        """Whether the segments hold `window`."""
        if self.problem:
            return PastSource(SOURCE, WouldShow.UNKNOWN, self.problem)
        if not self.covered:
            return PastSource(SOURCE, WouldShow.NO, f"none in {plain(str(self.folder))}")
        shown = window_covered(_without_holes(self.covered), window)
        span = TimeWindow(self.covered[0].start, self.covered[-1].end)
        return PastSource(SOURCE, shown, self._has(), span)

    def _has(self) -> str:
        if not self.covered:
            return ""
        first, last = self.covered[0].start, self.covered[-1].end
        parts = [
            f"{self.segments} segment{'s' * (self.segments > 1)}, {_clock(first)} .. {_clock(last)}"
        ]
        holes = list(_holes(self.covered))
        if holes:
            longest = max(hole.seconds for hole in holes)
            seconds = sum(hole.seconds for hole in holes)
            parts.append(
                f"{len(holes)} gap{'s' * (len(holes) > 1)} of {format_duration(round(seconds))}"
                + (f" (longest {format_duration(round(longest))})" if len(holes) > 1 else "")
            )
        return "; ".join(parts)


def read_recordings(folder: Path, *, now: datetime, cure: str) -> Recordings:
    """What stands in `folder`; a folder that is missing is an empty one."""
    try:
        pid, found = running_recorder(folder), segments(folder)
        gaps: list[TimeWindow] = []
        covered: list[TimeWindow] = []
        for segment in found:
            held = _held(segment)
            if held is not None:
                missing = list(_gaps(segment.path))
                gaps += missing
                covered += _without(held, missing)
    except OSError as error:
        why = f"{plain(str(folder))}: {error.strerror or type(error).__name__}"
        return Recordings(folder, None, now, cure, problem=f"cannot be read: {why}")
    in_order = tuple(sorted(covered, key=lambda part: part.start))
    return Recordings(folder, pid, now, cure, len(found), in_order, tuple(gaps))


def recorder_cure(dsn: str, folder: Path | None) -> str:
    """The line that starts a recorder for this server, and how to keep it running.

    It never holds a password.
    """
    parts = ["incident-rca", "record", *(["--dsn", without_password(dsn)] if dsn else [])]
    parts += ["--to", str(folder)] if folder is not None else []
    # A line break in a DSN would make two commands of one line.
    command = plain(shlex.join(parts), 2000)
    return f"{command}\n# as a service of systemd: {command} --print-unit"


def _held(segment: Segment) -> TimeWindow | None:
    """From the segment's start to its last line that can be read, by the recorder's clock."""
    with segment.path.open("rb") as file:
        lead = _lead(_record(file.readline()))
        size = file.seek(0, 2)
        file.seek(max(size - TAIL_BYTES, 0))
        lines = file.read().splitlines()
    for line in reversed(lines):
        for instant in _instants(_record(line), lead):
            if instant > segment.start:
                return TimeWindow(segment.start, instant)
    return None


def _gaps(path: Path) -> Iterator[TimeWindow]:
    """The gaps that the recorder wrote down itself."""
    if path.stat().st_size == 0:
        return
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as text:
        at = text.find(_GAP)
        while at >= 0:
            text.seek(at)
            record = _record(text.readline())
            start, end = (_instant(record.get(key)) for key in ("from", "to"))
            if start is not None and end is not None and start < end:
                yield TimeWindow(start, end)
            at = text.find(_GAP, at + 1)


def _without(held: TimeWindow, missing: Iterable[TimeWindow]) -> Iterator[TimeWindow]:
    start = held.start
    for gap in sorted(missing, key=lambda gap: gap.start):
        if start < gap.start < held.end:
            yield TimeWindow(start, gap.start)
        start = max(start, gap.end)
    if start < held.end:
        yield TimeWindow(start, held.end)


def _without_holes(covered: Iterable[TimeWindow]) -> list[TimeWindow]:
    """The intervals with each lengthened by a hole too short to count, and so joined."""
    joined: list[TimeWindow] = []
    for part in covered:
        if joined and part.start <= joined[-1].end:
            end = max(part.end + HOLE, joined[-1].end)
            joined[-1] = TimeWindow(joined[-1].start, end)
        else:
            joined.append(TimeWindow(part.start, part.end + HOLE))
    return joined


def _holes(covered: Iterable[TimeWindow]) -> Iterator[TimeWindow]:
    last: datetime | None = None
    for part in covered:
        if last is not None and part.start - last > HOLE:
            yield TimeWindow(last, part.start)
        last = part.end if last is None else max(last, part.end)


def _instants(record: dict[str, Any], lead: timedelta) -> Iterator[datetime]:
    # An `end` is the recorder's own; it has no other instant.
    lead = timedelta(0) if record.get("kind") == "end" else lead
    for key in (*_BY_SERVER, *_BY_RECORDER):
        instant = _instant(record.get(key))
        if instant is not None:
            yield instant - lead if key in _BY_SERVER else instant


def _lead(header: dict[str, Any]) -> timedelta:
    """How far the server's clock is ahead of the recorder's, by the header's bounds."""
    try:
        lo, hi = header["clock"]["offset_seconds"]
        return timedelta(seconds=(lo + hi) / 2)
    except (KeyError, TypeError, ValueError, OverflowError):
        return timedelta(0)


def _record(line: bytes) -> dict[str, Any]:
    """The record of a line; empty for a torn one."""
    try:
        record = decode(line)
    except ValueError:
        return {}
    return record if isinstance(record, dict) else {}


def _instant(text: object) -> datetime | None:
    try:
        instant = datetime.fromisoformat(text) if isinstance(text, str) else None
    except ValueError:
        return None
    return instant.astimezone(UTC) if instant is not None and instant.tzinfo else None


def _clock(instant: datetime) -> str:
    return format_instant(instant.replace(microsecond=0))

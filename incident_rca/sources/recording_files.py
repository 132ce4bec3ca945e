"""The folder of a recording: append-only segments, one writer, bounded in age and size.

A segment is complete line by line whatever happens to the process: each line is one write to a file
opened for appending, and a line that the disk had no room for is cut off again.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec

from incident_rca.errors import CaseInUse, NoSuchCase

SEGMENT_AGE = timedelta(hours=1)
LOCK_FILE = "recorder.pid"
_NAME = re.compile(r"locks-(?P<start>[0-9]{8}T[0-9]{6}Z)\.ndjson")
_UNSAFE = re.compile(r"[^A-Za-z0-9._-]+")
_STAMP = "%Y%m%dT%H%M%SZ"
# They hold the statements of users, and those hold data.
_FILE_MODE, _FOLDER_MODE = 0o600, 0o700


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How long and how much is kept, and how large a segment grows."""

    keep: timedelta = timedelta(hours=48)
    max_bytes: int = 2_000_000_000
    segment_bytes: int = 64_000_000

    @property
    def bytes_of_segment(self) -> int:
        """A segment's size; several of them fit into the whole, so that never all is deleted."""
        return min(self.segment_bytes, self.max_bytes // 4)


@dataclass(frozen=True, slots=True)
class Segment:
    """One file of a recording; `start` is in its name."""

    path: Path
    start: datetime


def segments(folder: Path) -> list[Segment]:
    """The segments of a folder, oldest first; other files there are left alone."""
    found = []
    for path in folder.iterdir() if folder.is_dir() else ():
        if named := _NAME.fullmatch(path.name):
            try:
                start = datetime.strptime(named["start"], _STAMP).replace(tzinfo=UTC)
            except ValueError:
                continue
            found.append(Segment(path, start))
    return sorted(found, key=lambda segment: segment.start)


def folder_name(place: Sequence[str]) -> str:
    """A name for the folder of one server that every file system takes, and no other server has.

    >>> folder_name(("db.example", "5432", "orders"))
    'db.example-5432-orders'
    >>> folder_name(("db.example", "5432", "../x"))
    'db.example-5432-_x-ca0cc0'
    """
    plain = "-".join(_UNSAFE.sub("_", part).strip(".")[:80] for part in place)
    if plain == "-".join(place):
        return plain
    whole = hashlib.sha256("\0".join(place).encode()).hexdigest()
    return f"{plain}-{whole[:6]}"


def running_recorder(folder: Path) -> int | None:
    """The process id of the recorder that writes to this folder now, or None."""
    import fcntl

    try:
        with (folder / LOCK_FILE).open("rb") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return int(file.read(20) or b"0")
    except (OSError, ValueError):
        pass
    return None


@contextmanager
def recording_folder(folder: Path, limits: Limits) -> Iterator[RecordingFiles]:
    """The folder, opened for the one writer it has; raises CaseInUse where it has another.

    The lock goes with the process, so a killed recorder leaves none behind.
    """
    import fcntl

    if folder.exists() and not folder.is_dir():
        raise NoSuchCase(f"{folder}: is a file, not a folder", hint="name a folder: --to FOLDER")
    folder.parent.mkdir(parents=True, exist_ok=True)
    folder.mkdir(mode=_FOLDER_MODE, exist_ok=True)
    lock = os.open(folder / LOCK_FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, _FILE_MODE)
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise CaseInUse(
                f"{folder}: the recorder with process id {os.pread(lock, 20, 0).decode().strip()} "
                "writes to it",
                hint="end that one first, or record to another folder: --to FOLDER",
            ) from error
        os.ftruncate(lock, 0)
        os.pwrite(lock, f"{os.getpid()}\n".encode(), 0)
        files = RecordingFiles(folder=folder, limits=limits)
        try:
            yield files
        finally:
            files.close()
    finally:
        os.close(lock)


@dataclass(slots=True)
class RecordingFiles:
    """The segment being written and what is known of it.

    `written_bytes` counts all segments, `lost_lines` what the disk had no room for, `problem` is
    why the last line was lost.
    """

    folder: Path
    limits: Limits
    path: Path | None = None
    written_bytes: int = 0
    lost_lines: int = 0
    problem: str = ""
    _descriptor: int = -1
    _size: int = 0
    _due: datetime = field(default=datetime.max.replace(tzinfo=UTC))
    _is_torn: bool = False

    @property
    def is_empty(self) -> bool:
        """Whether no line stands in the open segment, or none is open."""
        return self._size == 0

    def must_rotate(self, now: datetime) -> bool:
        """Whether the next line belongs in a new segment: this one is old, full or deleted."""
        return (
            self._descriptor < 0
            or now >= self._due
            or self._size >= self.limits.bytes_of_segment
            or os.fstat(self._descriptor).st_nlink == 0
        )

    def rotate(self, now: datetime) -> bool:
        """Begins a segment and deletes what is too old or too much; False where it cannot."""
        self.close()
        try:
            self._delete_old(now)
            self._open(now)
        except OSError as error:
            self.problem = _reason(error)
            self.lost_lines += 1
            return False
        return True

    def append(self, record: object) -> bool:
        """Writes one line; False where it was lost."""
        line = msgspec.json.encode(record) + b"\n"
        if self._is_torn:
            line = b"\n" + line
        if self._write(line):
            return True
        self.lost_lines += 1
        return False

    def close(self) -> None:
        """Closes the segment, and removes one without a line; the next one begins by rotate()."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            if self.path is not None and self.is_empty:
                self.path.unlink(missing_ok=True)
        self.path, self._descriptor, self._size, self._is_torn = None, -1, 0, False

    def _write(self, line: bytes) -> bool:
        try:
            count = os.write(self._descriptor, line)
            if count < len(line):
                # The disk took a part: the next write says why, or takes the rest.
                count += os.write(self._descriptor, line[count:])
            is_whole = count == len(line)
        except OSError as error:
            self.problem, is_whole = _reason(error), False
        if not is_whole:
            self._cut_off()
            return False
        self.problem, self._is_torn = "", False
        self._size += len(line)
        self.written_bytes += len(line)
        return True

    def _cut_off(self) -> None:
        """Takes back what was written of a line; where even that fails, the line stays torn."""
        try:
            os.ftruncate(self._descriptor, self._size)
        except OSError:
            self._size = os.fstat(self._descriptor).st_size
            self._is_torn = True

    def _open(self, now: datetime) -> None:
        """Opens the first name that is free: after a quick restart that of a later second."""
        start = now.astimezone(UTC).replace(microsecond=0)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC
        while True:
            path = self.folder / f"locks-{start:{_STAMP}}.ndjson"
            try:
                self._descriptor = os.open(path, flags, _FILE_MODE)
            except FileExistsError:
                start += timedelta(seconds=1)
                continue
            self.path, self._due = path, now + SEGMENT_AGE
            return

    def _delete_old(self, now: datetime) -> None:
        """Deletes segments whose lines are all too old, then the oldest until a new one fits in."""
        kept = []
        for segment in segments(self.folder):
            if segment.start + SEGMENT_AGE <= now - self.limits.keep:
                segment.path.unlink(missing_ok=True)
            else:
                kept.append((segment.path, segment.path.stat().st_size))
        room = self.limits.max_bytes - self.limits.bytes_of_segment
        total = sum(size for _, size in kept)
        for path, size in kept:
            if total <= room:
                break
            path.unlink(missing_ok=True)
            total -= size


def _reason(error: OSError) -> str:
    return error.strerror or type(error).__name__

"""A stretch of a log group read in shards, each of which stands as a file once it is whole.

So who collects again asks only for what is missing, and memory holds one page for each worker. The
name of a file says what it holds: `START-END.ndjson` all events of [START, END), in milliseconds;
`START-END.open.ndjson` what came of a shard that must be asked for again, because it broke off or
is so young that more may come.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from threading import Lock
from typing import Any

from incident_rca.errors import Unreachable
from incident_rca.sources.aws_client import Caller, Refusal
from incident_rca.sources.log_events import Event, Selection, read_pages

# Shards hide the time that a page takes; more of them than the quota serves would gain nothing.
WORKERS = 4
MOST_SHARDS = 8
SHORTEST_SHARD_MS = 30_000
_NAME = re.compile(r"(\d+)-(\d+)(\.open)?\.ndjson")
_KEPT = ("timestamp", "ingestionTime", "eventId", "logStreamName", "message")


@dataclass(frozen=True, slots=True, order=True)
class Shard:
    """The stretch [start_ms, end_ms), in milliseconds since 1970."""

    start_ms: int
    end_ms: int


@dataclass(slots=True)
class _Reading:
    """One reading of a stretch by several workers; `failure` is the first one of any of them."""

    caller: Caller
    selection: Selection
    folder: Path
    settled_ms: int
    failure: Unreachable | None = None
    lock: Lock = field(default_factory=Lock)

    def failed(self, error: Unreachable) -> None:
        """Keeps the first failure; a shard that does not get on leaves the others to go on."""
        with self.lock:
            if self.failure is None or self.can_go_on():
                self.failure = error

    def can_go_on(self) -> bool:
        """Whether other shards may fare better than the one that failed."""
        failure = self.failure
        return failure is None or (isinstance(failure, Refusal) and failure.code == "Pagination")


def read_shards(
    caller: Caller, selection: Selection, whole: Shard, *, folder: Path, settled_ms: int
) -> Unreachable | None:
    """Reads what `folder` lacks of a stretch into files; the failure that left some of it unread.

    What lies at `settled_ms` and later is young: it is asked for again the next time.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for leftover in folder.glob("*.part"):
        leftover.unlink()
    reading = _Reading(caller, selection, folder, settled_ms)
    todo = [
        shard
        for part in missing(whole, finished(folder))
        for settled in _split_at(part, settled_ms)
        for shard in cut(settled, whole)
    ]
    pool = ThreadPoolExecutor(WORKERS)
    try:
        for future in as_completed([pool.submit(_read_one, reading, shard) for shard in todo]):
            future.result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
    return reading.failure


def events_of(folder: Path) -> Iterator[str]:
    """The lines of all files in order of their shards, each event once."""
    files = sorted((_shard_of(path), path) for path in _files(folder))
    starts = (shard.start_ms for shard, _ in files[1:])
    carried: set[str] = set()
    for _, path in files:
        following = next(starts, None)
        before, carried = carried, set()
        with path.open(encoding="utf-8", newline="\n") as lines:
            for line in lines:
                # Only a shard that reaches into the next one may have events of it.
                is_ahead = following is not None and _time_of(line) >= following
                if before or is_ahead:
                    event = json.loads(line)["eventId"]
                    if is_ahead:
                        carried.add(event)
                    if event in before:
                        continue
                yield line


def finished(folder: Path) -> list[Shard]:
    """The shards that need not be asked for again."""
    return sorted(_shard_of(path) for path in _files(folder) if ".open." not in path.name)


def _files(folder: Path) -> list[Path]:
    return [path for path in folder.glob("*.ndjson") if _NAME.fullmatch(path.name)]


def missing(whole: Shard, there: Sequence[Shard]) -> list[Shard]:
    """What of a stretch is in none of the shards.

    >>> missing(Shard(0, 100), [Shard(10, 20), Shard(15, 40), Shard(90, 120)])
    [Shard(start_ms=0, end_ms=10), Shard(start_ms=40, end_ms=90)]
    """
    gaps, at = [], whole.start_ms
    for shard in sorted(there):
        if shard.start_ms >= whole.end_ms:
            break
        if shard.start_ms > at:
            gaps.append(Shard(at, shard.start_ms))
        at = max(at, shard.end_ms)
    if at < whole.end_ms:
        gaps.append(Shard(at, whole.end_ms))
    return gaps


def cut(part: Shard, whole: Shard) -> list[Shard]:
    """A part of a stretch in shards of the length that suits the stretch.

    >>> cut(Shard(0, 70_000), Shard(0, 90_000))
    [Shard(start_ms=0, end_ms=30000), Shard(start_ms=30000, end_ms=70000)]
    """
    length = max(SHORTEST_SHARD_MS, -(-(whole.end_ms - whole.start_ms) // MOST_SHARDS))
    count = max(1, (part.end_ms - part.start_ms) // length)
    edges = [part.start_ms + length * n for n in range(count)] + [part.end_ms]
    return [Shard(start, end) for start, end in pairwise(edges)]


def _split_at(part: Shard, instant_ms: int) -> list[Shard]:
    if part.start_ms < instant_ms < part.end_ms:
        return [Shard(part.start_ms, instant_ms), Shard(instant_ms, part.end_ms)]
    return [part]


def _read_one(reading: _Reading, shard: Shard) -> None:
    """Reads one shard into its file; what came of one that breaks off is kept as far as it goes."""
    if not reading.can_go_on():
        return
    part = reading.folder / f"{shard.start_ms}-{shard.end_ms}.part"
    latest, in_order = shard.start_ms, True
    try:
        # Half of a surrogate pair, which JSON may hold, is no text: a file cannot have it.
        with part.open("w", encoding="utf-8", errors="replace", newline="\n") as file:
            for page in read_pages(reading.caller, reading.selection, shard.start_ms, shard.end_ms):
                for event in page:
                    in_order = in_order and event["timestamp"] >= latest
                    latest = max(latest, event["timestamp"])
                    file.write(_line(event))
                reading.caller.count_rows(len(page))
    except Unreachable as error:
        reading.failed(error)
        _keep_begun(reading, part, shard, latest if in_order else shard.start_ms)
        return
    is_settled = shard.end_ms <= reading.settled_ms
    _put(reading, part, shard, is_open=not is_settled)


def _keep_begun(reading: _Reading, part: Path, shard: Shard, latest_ms: int) -> None:
    """Keeps what came; events come in order of time, so all before the latest one are there."""
    if part.stat().st_size == 0:
        part.unlink()
        return
    known_ms = min(latest_ms, reading.settled_ms)
    if known_ms > shard.start_ms:
        _put(reading, part, Shard(shard.start_ms, known_ms), is_open=False)
    else:
        _put(reading, part, shard, is_open=True)


def _put(reading: _Reading, part: Path, shard: Shard, *, is_open: bool) -> None:
    """Names the file for what it holds, and drops open ones that it makes needless."""
    name = f"{shard.start_ms}-{shard.end_ms}{'.open' if is_open else ''}.ndjson"
    part.replace(reading.folder / name)
    with reading.lock:
        done = finished(reading.folder)
        for path in reading.folder.glob("*.open.ndjson"):
            if not missing(_shard_of(path), done):
                path.unlink(missing_ok=True)


def _shard_of(path: Path) -> Shard:
    named = _NAME.fullmatch(path.name)
    if named is None:
        raise ValueError(f"{path}: no shard's name")
    return Shard(int(named[1]), int(named[2]))


def _line(event: Event) -> str:
    kept: dict[str, Any] = {key: event.get(key) for key in _KEPT}
    return json.dumps(kept, ensure_ascii=False, separators=(",", ":")) + "\n"


def _time_of(line: str) -> int:
    """The timestamp of a line that _line wrote, which begins with it."""
    return int(line[len('{"timestamp":') : line.index(",")])

"""A recorder that is killed again and again on a real server, and one whose clock goes back."""

from __future__ import annotations

import json
import os
import random
import signal
import time
from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

from faults.commands import PATIENCE_SECONDS, Place, ended, run, start
from faults.kills import INCOMPLETE, WHOLE
from faults.scenes import CASE
from incident_rca.formats.lock_recording import GAP_INTERVALS

# The shortest that the command takes.
INTERVAL_SECONDS = 1.0
LONGEST_LIFE_SECONDS = 1.3
# Without a recorder for so long, once: more than the intervals that a probe may be late.
AWAY_SECONDS = 2 + GAP_INTERVALS * INTERVAL_SECONDS
HOUR_SECONDS = 3600.0
_SETTLED = timedelta(seconds=1)


def killed(place: Place, dsn: str, count: int, seed: int) -> list[str]:
    """What is wrong with what so many recorders left that were killed at random moments."""
    drawn, problems = random.Random(f"{seed} record"), list[str]()
    recordings = place.folder / "recordings"
    for number in range(count):
        if number == count // 2:
            time.sleep(AWAY_SECONDS)
        known = len(_lines(recordings))
        process = _started(place, dsn, recordings)
        _wait_for_more(recordings, known)
        time.sleep(drawn.uniform(0, LONGEST_LIFE_SECONDS))
        os.kill(process, signal.SIGKILL)
        ran = ended(place, process)
        if ran.code != -signal.SIGKILL:
            problems.append(f"a recorder that was to be killed ended with {ran.code}: {ran.err}")
    return problems + _wrong(place, recordings, count)


def clock_gone_back(place: Place, dsn: str) -> list[str]:
    """What is wrong where the recorder's clock goes back by an hour, and it begins anew then."""
    clock, recordings = place.folder / "clock", place.folder / "recordings"
    clock.write_text("0", encoding="utf-8")
    moved = Place(folder=place.folder, clock=clock)
    for _ in range(2):
        process = _started(moved, dsn, recordings)
        _wait_for_more(recordings, len(_lines(recordings)) + 3)
        part = clock.with_suffix(".part")
        part.write_text(str(-HOUR_SECONDS), encoding="utf-8")
        part.replace(clock)
        _wait_for_more(recordings, len(_lines(recordings)) + 3)
        os.kill(process, signal.SIGTERM)
        ended(moved, process)
    return _wrong(place, recordings, 2)


def _started(place: Place, dsn: str, recordings: Path) -> int:
    return start(place, "record", "--dsn", dsn, "--to", recordings)


def _wrong(place: Place, recordings: Path, files: int) -> list[str]:
    """Each whole line must be in the case once, each hole between them must be named."""
    segments = sorted(recordings.glob("*/locks-*.ndjson"))
    lines = [line for path in segments for line in path.read_bytes().splitlines()]
    records = [record for line in lines if (record := _record(line)) is not None]
    probes = sorted(
        datetime.fromisoformat(r.get("at") or r["locks_at"])
        for r in records
        if r["kind"] in ("probe", "snapshot")
    )
    window = ("--from", (probes[0] - _SETTLED).isoformat(), "--to", probes[-1].isoformat())
    ran = run(place, "collect", CASE, *window, "--recordings", recordings)
    if ran.code not in (WHOLE, INCOMPLETE):
        return [f"collect ended with {ran.code}: {ran.err}"]
    manifest = json.loads((place.folder / CASE / "case.json").read_text(encoding="utf-8"))
    (source,) = (s for s in manifest["sources"] if s["kind"] == "lock_recording")
    problems = []
    if len(segments) != files or len(source["files"]) != files:
        read = len(source["files"])
        problems.append(f"{files} recorders left {len(segments)} files, of which {read} were read")
    if (source["rows"], source["unparsed"]) != (len(records), len(lines) - len(records)):
        problems.append(
            f"{len(records)} of {len(lines)} lines are whole, {source['rows']} were read"
        )
    if len(lines) - len(records) > files:
        problems.append("more than the last line of a file is torn")
    gaps = [(_at(g["window"]["start"]), _at(g["window"]["end"])) for g in source["gaps"]]
    holes = list(_holes(probes))
    unnamed = [hole for hole in holes if not any(_meets(hole, gap) for gap in gaps)]
    if not holes and files > 2:
        problems.append("no hole was made")
    problems += [f"nothing says that {a} to {b} was not recorded" for a, b in unnamed]
    ran = run(place, "report", CASE, "--no-charts")
    return problems + (
        [] if ran.code in (WHOLE, INCOMPLETE) else [f"report ended with {ran.code}: {ran.err}"]
    )


def _holes(probes: list[datetime]) -> Iterator[tuple[datetime, datetime]]:
    longest = timedelta(seconds=GAP_INTERVALS * INTERVAL_SECONDS)
    yield from ((a, b) for a, b in pairwise(probes) if b - a > longest)


def _meets(one: tuple[datetime, datetime], other: tuple[datetime, datetime]) -> bool:
    return one[0] < other[1] and other[0] < one[1]


def _at(text: str) -> datetime:
    return datetime.fromisoformat(text)


def _record(line: bytes) -> dict[str, Any] | None:
    try:
        found = json.loads(line)
    except ValueError:
        return None
    return found if isinstance(found, dict) else None


def _lines(recordings: Path) -> list[bytes]:
    return [
        line
        for path in recordings.glob("*/locks-*.ndjson")
        for line in path.read_bytes().splitlines()
    ]


def _wait_for_more(recordings: Path, lines: int) -> None:
    """Waits until more than so many lines are recorded."""
    end = time.monotonic() + PATIENCE_SECONDS
    while len(_lines(recordings)) <= lines:
        if time.monotonic() > end:
            raise AssertionError("the recorder wrote nothing")
        time.sleep(0.005)

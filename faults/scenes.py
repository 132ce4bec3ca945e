"""What is disturbed: a case from files, one from recordings and a log, and what they give."""

from __future__ import annotations

import gzip
import json
import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from faults.commands import Place, run

RAW = Path(__file__).resolve().parents[1] / "samples" / "lab-index-build" / "raw"
CASE = "INC-1"
# Their names, sizes and times depend on the run: what they say is held against raw/ by `verify`.
_REMADE = ("tables/made.json",)


@dataclass(frozen=True, slots=True)
class Scene:
    """A command that is disturbed in a folder; `before` are commands that went well before it."""

    name: str
    command: tuple[str, ...]
    before: tuple[tuple[str, ...], ...] = ()


# Without what takes longest; a report of its own is disturbed with all of it.
QUICK = ("--no-charts", "--no-page")
REPORT = ("report", CASE, *QUICK)


def import_scene(folder: Path) -> Scene:
    """Six files of a recorded incident, of all three systems."""
    files = sorted(str(path) for path in RAW.iterdir())
    return Scene("import", ("import", CASE, *files))


def report_scene(folder: Path) -> Scene:
    """Their report, with charts and page."""
    return Scene("report", ("report", CASE), (import_scene(folder).command,))


def collect_scene(folder: Path) -> Scene:
    """Two segments of a recorder and a server's log, where they were written."""
    recording = gzip.decompress((RAW / "locks.recording.ndjson.gz").read_bytes()).splitlines(True)
    instants = [at for line in recording if (at := instant_of(line)) is not None]
    start, end = instants[0].replace(microsecond=0), instants[-1] + timedelta(seconds=1)
    segments = folder / "recordings" / "inventory-db"
    segments.mkdir(parents=True)
    # The first line is the header, which each segment has.
    middle = len(recording) // 2
    for at, lines in ((start, recording[:middle]), (instant_after(recording[middle:]), None)):
        path = segments / f"locks-{at:%Y%m%dT%H%M%SZ}.ndjson"
        path.write_bytes(b"".join(lines or [recording[0], *recording[middle:]]))
        os.utime(path, (end.timestamp(), end.timestamp()))
    log = folder / "postgresql.json"
    log.write_bytes(gzip.decompress((RAW / "postgresql.jsonlog.gz").read_bytes()))
    window = ("--from", start.isoformat(), "--to", end.replace(microsecond=0).isoformat())
    asked = ("--recordings", str(segments.parent), "--postgres-log", str(log))
    return Scene("collect", ("collect", CASE, *window, *asked))


def instant_of(line: bytes) -> datetime | None:
    """When a line of a recording was written, by the server's clock; None for a header."""
    record = json.loads(line)
    at = record.get("at") or record.get("locks_at")
    return datetime.fromisoformat(at) if at else None


def instant_after(lines: Sequence[bytes]) -> datetime:
    """The first instant that these lines have."""
    return next(at for line in lines if (at := instant_of(line)) is not None)


def undisturbed(scene: Scene, place: Place) -> dict[str, bytes]:
    """Every file of the case that the scene's commands and a report leave where nothing happens."""
    for words in (*scene.before, scene.command, *reports_after(scene)):
        ran = run(place, *words)
        if ran.code not in (0, 3):
            raise AssertionError(f"{words[0]} ended with {ran.code}: {ran.err}")
    return files_of(place.folder / CASE)


def reports_after(scene: Scene) -> tuple[tuple[str, ...], ...]:
    """The report that shows what a command left; none where it is one."""
    return () if scene.name == "report" else (REPORT,)


def files_of(case: Path) -> dict[str, bytes]:
    """Each file of a case by its name; of a table only that it is there."""
    found = {
        str(path.relative_to(case)): path.read_bytes()
        for path in sorted(case.rglob("*"))
        if path.is_file()
    }
    return {n: b"" if n.endswith(".parquet") or n in _REMADE else c for n, c in found.items()}


def fresh(place: Place) -> None:
    """Removes the case, so that the place is as before the scene."""
    shutil.rmtree(place.folder / CASE, ignore_errors=True)


def difference(found: dict[str, bytes], wanted: dict[str, bytes]) -> list[str]:
    """What is missing, left over or different, by name."""
    return [
        *(f"{name} is missing" for name in wanted.keys() - found.keys()),
        *(f"{name} is left over" for name in found.keys() - wanted.keys()),
        *(
            f"{name} differs"
            for name in wanted.keys() & found.keys()
            if found[name] != wanted[name]
        ),
    ]

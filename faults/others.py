"""Two processes on one case, a case that cannot be written, and a change of the clocks in a log."""

from __future__ import annotations

import gzip
import json
import os
import random
import signal
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

from faults.commands import Place, Struck, ended, run, start, steps_of
from faults.full_disk import mounted, read_only
from faults.kills import unexpected
from faults.scenes import CASE, RAW, REPORT, Scene, difference, files_of, fresh
from incident_rca import case as case_folder
from incident_rca.one_writer import WRITER
from incident_rca.tables import TABLE_NAMES
from tests.cli.services import LOG_LINE_PREFIX, in_stderr_format

REFUSED = 2
# Central Europe went back from 3:00 to 2:00 at this instant.
ZONE, BACK_AT = "Europe/Berlin", datetime.fromisoformat("2026-10-25T01:00:00+00:00")


def two_at_once(scene: Scene, place: Place, draw: str, wanted: dict[str, bytes]) -> list[str]:
    """What is wrong where two imports of half the files each meet: one stopped in the middle."""
    command, case, *files = scene.command
    drawn = random.Random(draw)
    drawn.shuffle(files)
    halves = files[::2], files[1::2]
    step = drawn.randint(1, steps_of(place, command, case, *halves[0]))
    fresh(place)
    first = start(place, command, case, *halves[0], struck=Struck(step, signal.SIGSTOP))
    _, status = os.waitpid(first, os.WUNTRACED)
    if not os.WIFSTOPPED(status):
        return [f"two at once: the first was not stopped at change {step}"]
    writer = place.folder / CASE / WRITER
    told = writer.read_text() if writer.exists() else ""
    second = run(place, command, case, *halves[1])
    os.kill(first, signal.SIGCONT)
    problems = unexpected(ended(place, first), "the first")
    if second.code == REFUSED:
        # It may hold the case and not have said yet who it is.
        who = f"the incident-rca with process id {first} is" if told else "another incident-rca is"
        if f"{who} writing to it" not in second.err:
            problems.append(f"who holds the case is not named: {second.err}")
        second = run(place, command, case, *halves[1])
    problems += unexpected(second, "the second")
    problems += unexpected(run(place, *REPORT), "report")
    problems += difference(files_of(place.folder / CASE), wanted)
    fresh(place)
    return [f"two at once, change {step}: {problem}" for problem in problems]


def on_read_only_disk(scene: Scene, place: Place) -> list[str] | None:
    """What is wrong where a case cannot be written: it can be read, and all else is refused."""

    def task() -> list[str]:
        run(place, *scene.command)
        run(place, *REPORT)
        before = files_of(place.folder / CASE)
        read_only(place.folder)
        problems = []
        for words in [[n, CASE] for n in ("verify", "timeline", "explain")]:
            ran = run(place, *words)
            problems += unexpected(ran, words[0])
        for writing in (REPORT, scene.command, ("import", "INC-2", *scene.command[2:])):
            ran = run(place, *writing)
            if ran.code != REFUSED or "Read-only file system" not in ran.err:
                problems.append(f"{writing[0]} ended with {ran.code}: {ran.err}")
        return problems + difference(files_of(place.folder / CASE), before)

    found = mounted(place.folder, task)
    return None if found is None else [f"read-only: {problem}" for problem in found]


def logs_in_local_time(place: Place) -> list[str]:
    """What differs where a server's log was written through the end of summer time, or in UTC."""
    lines = gzip.decompress((RAW / "postgresql.jsonlog.gz").read_bytes()).decode().splitlines()
    records = [json.loads(line) for line in lines]
    instants = [datetime.fromisoformat(r["timestamp"].replace(" UTC", "+00:00")) for r in records]
    moved_by = BACK_AT - (instants[0] + (instants[-1] - instants[0]) / 2)
    at = [instant + moved_by for instant in instants]
    zone = ZoneInfo(ZONE)
    kinds: dict[str, Callable[[datetime], str]] = {
        "UTC": lambda t: f"{t:%Y-%m-%d %H:%M:%S}.{t.microsecond // 1000:03d} UTC",
        ZONE: lambda t: (
            f"{t.astimezone(zone):%Y-%m-%d %H:%M:%S}.{t.microsecond // 1000:03d} "
            f"{t.astimezone(zone):%Z}"
        ),
    }
    span = ("--from", (at[0] - timedelta(minutes=1)).isoformat())
    window = (*span, "--to", (at[-1] + timedelta(minutes=1)).isoformat())
    problems, rows = [], []
    for machine, (name, written) in zip(("America/St_Johns", ZONE), kinds.items(), strict=True):
        log = place.folder / "postgresql.log"
        told = [
            in_stderr_format({**record, "timestamp": written(t)})
            for record, t in zip(records, at, strict=True)
        ]
        log.write_text("\n".join(told) + "\n", encoding="utf-8")
        how = ("--log-line-prefix", LOG_LINE_PREFIX, "--log-timezone", name)
        there = Place(folder=place.folder, environ={"TZ": machine})
        problems += unexpected(run(there, "import", CASE, log, *how, *window), f"a log in {name}")
        rows.append({table: _rows(place, table) for table in TABLE_NAMES})
        fresh(place)
    if not rows[0]["locks"]:
        problems.append("no lock was seen in the log")
    return problems + [
        f"{table} differs where the log is in {ZONE}"
        for table in TABLE_NAMES
        if rows[0][table] != rows[1][table]
    ]


def _rows(place: Place, table: str) -> str:
    return str(case_folder.read_table(place.folder / CASE, table).to_json(date_format="iso"))


def windows_of_a_change(place: Place) -> list[str]:
    """What is wrong with a window over the change: too short, or an hour that is guessed."""
    files = sorted(str(path) for path in Path(RAW).iterdir())
    zone = ("--tz", ZONE)
    whole = ("--from", "2026-10-25 01:30", "--to", "2026-10-25 03:30")
    ran = run(place, "import", CASE, *files, *whole, *zone)
    problems = unexpected(ran, "a window over the change")
    if "2026-10-24T23:30:00Z .. 2026-10-25T02:30:00Z" not in ran.err and "(3h)" not in ran.err:
        problems.append(f"it is not of three hours: {ran.err}")
    twice = ("--from", "2026-10-25 02:30", "--to", "2026-10-25 03:30")
    refused = run(place, "import", "INC-2", *files, *twice, *zone)
    if refused.code != REFUSED or "INC-2" in os.listdir(place.folder):
        problems.append(f"an hour that is there twice was guessed: {refused.err}")
    fresh(place)
    return problems

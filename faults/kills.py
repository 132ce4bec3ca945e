"""`kill -9` at random moments of a command, what is left, and what going on gives."""

from __future__ import annotations

import json
import random
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from faults.commands import Place, Struck, run, steps_of
from faults.scenes import CASE, Scene, difference, files_of, fresh, reports_after
from tests.cli.running import Ran

# How long after a change on the disk a kill comes at most: as long as the longest write takes.
LONGEST_DELAY_SECONDS = 0.05
# So many moments are drawn at most for each signal that is to strike: one in twenty comes late.
MOST_DRAWS = 10
WHOLE, INCOMPLETE, NO_CASE = 0, 3, 2
ENDED_BY = {signal.SIGKILL: -signal.SIGKILL, signal.SIGINT: 130}


@dataclass(frozen=True, slots=True)
class Moment:
    """When a command is struck: at its n-th change on the disk, and so long after it."""

    step: int
    delay_seconds: float

    def __str__(self) -> str:
        return f"{1000 * self.delay_seconds:.0f} ms after change {self.step}"


def moments(scene: Scene, place: Place, seed: int) -> Iterator[Moment]:
    """Moments without end from the first change to the last; half of them are a change itself."""
    for words in scene.before:
        run(place, *words)
    steps = steps_of(place, *scene.command)
    fresh(place)
    drawn = random.Random(f"{seed} {scene.name}")
    while True:
        yield Moment(
            drawn.randint(1, steps),
            drawn.uniform(0, LONGEST_DELAY_SECONDS) if drawn.random() < 0.5 else 0.0,
        )


def strikes(
    scene: Scene,
    place: Place,
    count: int,
    seed: int,
    wanted: dict[str, bytes],
    number: signal.Signals,
) -> Iterator[list[str]]:
    """What was wrong each time, until so many signals struck a command that was running.

    In the place of one that came after the end another moment is drawn.
    """
    hits = 0
    for moment in islice(moments(scene, place, seed), MOST_DRAWS * count):
        is_hit, problems = struck(scene, place, moment, wanted, number)
        yield problems
        hits += is_hit
        if hits == count:
            return
    yield [f"{scene.name}: of {count} signals {hits} came before its end"]


def struck(
    scene: Scene, place: Place, moment: Moment, wanted: dict[str, bytes], number: signal.Signals
) -> tuple[bool, list[str]]:
    """Whether a signal ended a command, and what is wrong then and after it was run again."""
    for words in scene.before:
        run(place, *words)
    ran = run(place, *scene.command, struck=Struck(moment.step, number, moment.delay_seconds))
    # A signal that comes late finds nothing to end.
    is_hit = ran.code == ENDED_BY[number]
    problems = [] if is_hit else unexpected(ran, "it")
    problems += [f"left behind: {problem}" for problem in left_wrong(place)]
    for words in (scene.command, *reports_after(scene)):
        problems += unexpected(run(place, *words), f"{words[0]} again")
    problems += difference(files_of(place.folder / CASE), wanted)
    fresh(place)
    return is_hit, [f"{scene.name}, {moment}: {problem}" for problem in problems]


def left_wrong(place: Place) -> list[str]:
    """What a killed command left that is neither whole nor named by `verify`."""
    case = place.folder / CASE
    ran = run(place, "verify", CASE, "--json")
    if ran.code == NO_CASE:
        # No command had said that it has a case.
        return ["verify says that it is no case"] if (case / "case.json").exists() else []
    if ran.code not in (WHOLE, INCOMPLETE):
        return [f"verify ended with {ran.code}: {ran.err}"]
    checks = json.loads(ran.out)
    # What the manifest names was never half there: only what is made from it may be missing.
    return [
        f"{check['file']}: {check['problem']}"
        for check in checks
        if check["file"].startswith("raw/") and not check["ok"]
    ]


def unexpected(ran: Ran, what: str) -> list[str]:
    """That a command ended in another way than with what it is for."""
    return [] if ran.code in (WHOLE, INCOMPLETE) else [f"{what} ended with {ran.code}: {ran.err}"]


def place_in(folder: Path, number: int) -> Place:
    """A folder of its own for a worker."""
    path = folder / f"place-{number}"
    path.mkdir(parents=True, exist_ok=True)
    return Place(folder=path)

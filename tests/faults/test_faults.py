"""The short form of `make faults`: a few runs of each kind, and that they can find something."""

from __future__ import annotations

import shutil
import signal
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from itertools import cycle
from pathlib import Path
from unittest.mock import patch

import pytest

from faults import kills, scenes
from faults.commands import Place, Struck, run
from faults.run import disturbed, figures_of, workers
from tests.cli.running import Ran

SEED = 7


@pytest.fixture(scope="module")
def pool() -> Iterator[ProcessPoolExecutor]:
    with workers(1) as running:
        yield running


@pytest.mark.parametrize(
    ("kind", "name", "times"),
    [
        ("kill -9", "collect", 1),
        ("kill -9", "import", 1),
        ("kill -9", "report", 1),
        ("Ctrl-C", "import", 1),
        ("full disk", "import", 1),
        ("file limit", "collect", 1),
        ("two at once", "import", 1),
        ("change of clocks", "import", 1),
    ],
)
def test_nothing_is_lost_doubled_or_wrong(
    pool: ProcessPoolExecutor, tmp_path: Path, kind: str, name: str, times: int
) -> None:
    found = pool.submit(disturbed, kind, name, times, tmp_path / "disturbed", SEED).result()
    assert found.problems == []
    assert [f.met for f in figures_of(found)] == [None, True]


def without_care(folder: Path) -> tuple[list[str], list[str]]:
    """What is found where files are left over, missing or half written, and how a kill ends."""
    place = Place(folder=folder)
    (folder / "given").mkdir()
    scene = scenes.import_scene(folder / "given")
    wanted = scenes.undisturbed(scene, place)
    case = folder / scenes.CASE
    raw = next((case / "raw").iterdir())
    shutil.copy(raw, raw.with_name(f".{raw.name}.left"))
    (case / "report.json").unlink()
    left = scenes.difference(scenes.files_of(case), wanted)
    raw.write_bytes(b"half")
    wrong = kills.left_wrong(place)
    scenes.fresh(place)
    moment = next(kills.moments(scene, place, SEED))
    struck = run(place, *scene.command, struck=Struck(moment.step, signal.SIGKILL))
    return [*left, str(struck.code)], wrong


def test_what_is_wrong_would_be_found(pool: ProcessPoolExecutor, tmp_path: Path) -> None:
    """A file left over, one that is missing, a raw file half written, and that kills do kill."""
    (missing, left, code), wrong = pool.submit(without_care, tmp_path).result()
    assert missing == "report.json is missing"
    assert left.startswith("raw/.") and left.endswith(".left is left over")
    assert code == f"{-signal.SIGKILL}"
    assert len(wrong) == 1 and "its SHA-256 differs" in wrong[0]


def ends_of_late_and_early_kills(folder: Path) -> list[int]:
    """How a command ended each time that was to be killed twice; every other kill is late."""
    (folder / "given").mkdir()
    place, known, ends = Place(folder=folder), run, list[int]()
    scene = scenes.Scene("import", scenes.import_scene(folder / "given").command[:3])
    wanted = scenes.undisturbed(scene, place)
    scenes.fresh(place)

    def noted(place: Place, *words: object, struck: Struck | None = None) -> Ran:
        ran = known(place, *words, struck=struck)
        ends.extend([ran.code] if struck else [])
        return ran

    given = cycle([kills.Moment(1, 3600.0), kills.Moment(1, 0.0)])
    with patch.object(kills, "run", noted), patch.object(kills, "moments", lambda *_: given):
        for problems in kills.strikes(scene, place, 2, SEED, wanted, signal.SIGKILL):
            assert problems == []
    return ends


def test_a_kill_that_comes_late_is_not_counted(pool: ProcessPoolExecutor, tmp_path: Path) -> None:
    ends = pool.submit(ends_of_late_and_early_kills, tmp_path).result()
    assert ends == [0, -signal.SIGKILL, 0, -signal.SIGKILL]

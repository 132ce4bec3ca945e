"""Real incidents: one scene or all of them, each with its truth beside what the report says.

python -m tests.lab.incidents index_build --into FOLDER
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from tests.lab.incidents.recordings import RECORDED, keep
from tests.lab.incidents.scenes import BY_NAME, SCENES
from tests.lab.incidents.stage import Scene, run
from tests.lab.incidents.truth import Expected, disagreements, in_words


@dataclass(frozen=True)
class Played:
    """A scene that was played: what its report says, and where that is wrong."""

    scene: Scene
    said: str
    wrong: tuple[str, ...]


def main(words: Sequence[str]) -> int:
    """The exit code: 1 where a report contradicts the truth of its scene."""
    given = _parser().parse_args(words)
    if given.list:
        for scene in SCENES:
            print(f"{scene.name:20} {scene.about}")
        return 0
    unknown = [name for name in given.scenes if name not in BY_NAME]
    if unknown or not (given.scenes or given.all):
        problem = f"no such scene: {', '.join(unknown)}" if unknown else "no scene is named"
        print(f"error: {problem}\nhint: --list names them, --all plays them", file=sys.stderr)
        return 2
    chosen = SCENES if given.all else [BY_NAME[name] for name in given.scenes]
    with tempfile.TemporaryDirectory(prefix="incident-rca-lab-") as temporary:
        into = given.into or Path(temporary)
        played = []
        for number, scene in enumerate(chosen, start=1):
            print(f"{number}/{len(chosen)} {scene.name}: {scene.about}", file=sys.stderr)
            played.append(_play(scene, into / scene.name))
            if given.record:
                keep(into / scene.name, RECORDED / scene.name)
    _show(played)
    return 1 if any(p.wrong for p in played) else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m tests.lab.incidents",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("scenes", nargs="*", metavar="SCENE", help="name of a scene")
    parser.add_argument("--all", action="store_true", help="play all of them")
    parser.add_argument("--list", action="store_true", help="name the scenes, and play none")
    parser.add_argument("--into", type=Path, help="leave each case in this folder")
    parser.add_argument(
        "--record", action="store_true", help=f"keep each case's evidence in {RECORDED.name}/"
    )
    return parser


def _play(scene: Scene, case: Path) -> Played:
    """Plays one scene into a folder, whose earlier case is deleted."""
    shutil.rmtree(case, ignore_errors=True)
    report = run(scene, case)
    wrong = tuple(disagreements(scene.expected, report))
    return Played(scene, f"{in_words(report)}; {_outage(report)}", wrong)


def _show(played: Sequence[Played]) -> None:
    table = Table("scene", "truth", "report", "", show_lines=True)
    for each in played:
        verdict = "ok" if not each.wrong else "\n".join(("WRONG", *each.wrong))
        table.add_row(each.scene.name, _truth(each.scene.expected), each.said, verdict)
    console = Console(width=None if sys.stdout.isatty() else 160, highlight=False)
    console.print(table)
    right = sum(not each.wrong for each in played)
    console.print(f"{right} of {len(played)} scenes read true")


def _truth(expected: Expected) -> str:
    parts = [f"{p.role} {p.kind} ({p.object.rpartition('.')[2]})" for p in expected.parts]
    return "; ".join(parts) or "nothing supported"


def _outage(report: Mapping[str, Any]) -> str:
    outage = report["outage"]
    return f"outage of {outage['duration_seconds']:.1f} s" if outage else "no outage"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

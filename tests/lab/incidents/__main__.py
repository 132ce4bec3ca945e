"""`python -m tests.lab.incidents SCENE --into FOLDER`: one scene; `--list`, `--all` (make lab)."""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.lab.incidents.scenes import BY_NAME, SCENES
from tests.lab.incidents.stage import Scene, run
from tests.lab.incidents.truth import Expected, disagreements, in_words


def main(words: Sequence[str]) -> int:
    """The exit code: 1 where a report contradicts the truth of its scene."""
    parser = argparse.ArgumentParser(prog="python -m tests.lab.incidents", description=__doc__)
    parser.add_argument("scenes", nargs="*", metavar="SCENE")
    parser.add_argument("--into", type=Path, help="keep each case in this folder")
    parser.add_argument("--list", action="store_true", help="name the scenes and end")
    parser.add_argument("--all", action="store_true", help="play all of them")
    given = parser.parse_args(words)
    if given.list:
        for scene in SCENES:
            print(f"{scene.name:22} {scene.about}")
        return 0
    unknown = [name for name in given.scenes if name not in BY_NAME]
    if unknown or not (given.scenes or given.all):
        parser.error(f"no such scene: {', '.join(unknown)}" if unknown else "name a scene")
    chosen = SCENES if given.all else [BY_NAME[name] for name in given.scenes]
    with tempfile.TemporaryDirectory(prefix="incident-rca-lab-") as temporary:
        into = given.into or Path(temporary)
        wrong = [scene for scene in chosen if not _play(scene, into / scene.name)]
    print(f"{len(chosen) - len(wrong)} of {len(chosen)} scenes read true")
    return 1 if wrong else 0


def _play(scene: Scene, case: Path) -> bool:
    """Plays one scene into a folder, whose earlier case is deleted, and prints what came of it."""
    for old in (case, case.with_name(f"{case.name}.work")):
        shutil.rmtree(old, ignore_errors=True)
    report = run(scene, case)
    wrong = list(disagreements(scene.expected, report))
    print(f"{'ok   ' if not wrong else 'WRONG'} {scene.name}")
    print(f"      truth   {_truth(scene.expected)}")
    print(f"      report  {in_words(report)}; {_outage(report)}")
    for line in wrong:
        print(f"      it {line}")
    sys.stdout.flush()
    return not wrong


def _truth(expected: Expected) -> str:
    parts = [f"{p.role} {p.kind} ({p.object.rpartition('.')[2]})" for p in expected.parts]
    return "; ".join(parts) or "nothing supported"


def _outage(report: dict[str, Any]) -> str:
    outage = report["outage"]
    return f"outage {outage['duration_seconds']:.1f} s" if outage else "no outage"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

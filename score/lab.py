"""The scenes of the lab as they were recorded: what their reports say beside their truth."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.figures import Figure
from score.figures import share
from tests.lab.incidents.recordings import RECORDED, report_of, truth_of
from tests.lab.incidents.truth import disagreements, expected_of, wrongly_blamed

LAB_GOALS: Mapping[str, tuple[str, str]] = {
    "lab_right_share": ("share", ">= 1"),
    "lab_wrongly_blamed": ("scenes", "<= 0"),
}
LAB_MEANINGS: Mapping[str, str] = {
    "lab_right_share": "of the recorded scenes: each part of the truth named, and nothing else",
    "lab_wrongly_blamed": "recorded scenes with a trigger or sustainer that holds and is none",
}


@dataclass(frozen=True, slots=True)
class Read:
    """A scene whose report was read: where it is wrong, and whom it blames wrongly."""

    scene: str
    wrong: tuple[str, ...]
    blamed: tuple[str, ...]


def recorded() -> list[str]:
    """The scenes that are kept."""
    return sorted(path.name for path in RECORDED.iterdir())


def read(scene: str) -> Read:
    """A recorded scene, its report made now."""
    expected = expected_of(truth_of(scene))
    with tempfile.TemporaryDirectory(prefix="incident-rca-score-") as folder:
        report = report_of(scene, Path(folder))
    wrong, blamed = disagreements(expected, report), wrongly_blamed(expected, report)
    return Read(scene, tuple(wrong), tuple(blamed))


def figures_of_lab(scenes: Sequence[Read]) -> list[Figure]:
    """The figures of these scenes; no half of them is held out, as each is looked at."""
    values = {
        "lab_right_share": share(not s.wrong for s in scenes),
        "lab_wrongly_blamed": float(sum(bool(s.blamed) for s in scenes)),
    }
    return [Figure(name, values[name], *goal) for name, goal in LAB_GOALS.items()]

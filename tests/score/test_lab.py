"""The figures of the lab's recorded scenes, and where each must show a report that is wrong."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bench.figures import missed
from score import lab
from score.lab import LAB_GOALS, LAB_MEANINGS, Read, figures_of_lab, read, recorded
from tests.lab.incidents.recordings import report_of
from tests.lab.incidents.scenes import BY_NAME

RIGHT = read("index_build")


def values(*scenes: Read) -> dict[str, float]:
    return {f.name: f.value for f in figures_of_lab(scenes)}


def test_every_scene_is_scored() -> None:
    assert recorded() == sorted(BY_NAME)
    assert list(LAB_GOALS) == list(LAB_MEANINGS)


def test_a_recorded_scene_reads_true() -> None:
    assert RIGHT == Read("index_build", (), ())
    assert values(RIGHT) == {"lab_right_share": 1.0, "lab_wrongly_blamed": 0.0}
    assert not missed(figures_of_lab([RIGHT]))


@pytest.mark.parametrize(
    ("changed", "is_blame"), [({"role": "coincident"}, False), ({"object": "elsewhere"}, True)]
)
def test_a_report_that_says_something_else_is_wrong(
    changed: Mapping[str, str], is_blame: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of two scenes: a trigger that is not named is half the share, one beside it a wrong blame."""

    def other(scene: str, folder: Path) -> Mapping[str, Any]:
        report = report_of(scene, folder)
        return {**report, "hypotheses": [{**h, **changed} for h in report["hypotheses"]]}

    monkeypatch.setattr(lab, "report_of", other)
    wrong = read("index_build")
    assert values(RIGHT, wrong) == {"lab_right_share": 0.5, "lab_wrongly_blamed": float(is_blame)}
    assert len(missed(figures_of_lab([RIGHT, wrong]))) == 1 + is_blame
    assert values(RIGHT, replace(RIGHT, scene="again"))["lab_right_share"] == 1.0

"""The samples that were re-enacted on real servers: `demo NAME` tells their truth."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path

import pytest

from incident_rca.demo import SAMPLES
from tests.cli.running import refused, run
from tests.lab.incidents.recordings import NOTE, RECORDED, truth_of
from tests.lab.incidents.recordings import SAMPLES as OF_SCENES
from tests.lab.incidents.truth import disagreements, expected_of

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("scene", sorted(OF_SCENES))
def test_the_demo_of_a_sample_reads_true(scene: str, tmp_path: Path) -> None:
    ran = run(tmp_path, "demo", OF_SCENES[scene], "--into", "case", "--json")
    assert ran.code == 0
    assert list(disagreements(expected_of(truth_of(scene)), json.loads(ran.out))) == []
    document = (tmp_path / "case" / "report.md").read_text(encoding="utf-8")
    assert document.startswith("# RCA: Orders fail")
    assert run(tmp_path, "verify", "case").code == 0


@pytest.mark.parametrize("scene", sorted(OF_SCENES))
def test_a_sample_is_the_recorded_case(scene: str) -> None:
    sample, recorded = ROOT / "samples" / OF_SCENES[scene], RECORDED / scene
    kept = {p.relative_to(sample): p.read_bytes() for p in sample.rglob("*") if p.is_file()}
    assert kept == {path: (recorded / path).read_bytes() for path in kept}
    assert len(kept) == 1 + len(list((recorded / "raw").iterdir()))
    assert json.loads((sample / "case.json").read_text(encoding="utf-8"))["note"] == NOTE


def test_no_other_sample_is_there(tmp_path: Path) -> None:
    ran = refused(2, tmp_path, "demo", "lab-index-buidl")
    assert ran.hints == ["hint: did you mean lab-index-build?"]
    assert run(tmp_path, "demo", "-q").code == 0
    refused(2, tmp_path, "demo", "lab-index-build")
    assert set(SAMPLES) == {"inc-2847", *OF_SCENES.values()}


def test_each_sample_travels_in_the_wheel() -> None:
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    included = tomllib.loads(text)["tool"]["hatch"]["build"]["targets"]["wheel"]["force-include"]
    for name in SAMPLES:
        for part in ("case.json", "raw"):
            path = f"samples/{name}/{part}"
            assert included[path] == f"incident_rca/{path}" and (ROOT / path).exists()

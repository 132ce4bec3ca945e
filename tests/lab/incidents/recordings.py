"""Cases of scenes that were played once, kept so that they can be reported on without playing."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from incident_rca import case as case_folder
from incident_rca import pipeline
from incident_rca.one_writer import locked
from incident_rca.report.contract import to_contract

RECORDED = Path(__file__).resolve().parents[1] / "recorded"
TRUTH = "truth.json"
SETTINGS = "incident-rca.toml"
SAMPLES_FOLDER = Path(__file__).resolve().parents[3] / "samples"
# What `incident-rca demo` shows of them, by its scene.
SAMPLES = {"index_build": "lab-index-build", "unrelated_lock": "lab-unrelated-lock"}
NOTE = "re-enacted on real servers in tests/lab, some twenty times as fast as production"


def keep(case: Path, target: Path) -> None:
    """Keeps raw/, case.json, settings and truth of a case, in the place of what was kept before."""
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(case / case_folder.RAW, target / case_folder.RAW)
    for name in (TRUTH, SETTINGS):
        shutil.copyfile(case / name, target / name)
    noted = replace(case_folder.read_case(case), note=NOTE)
    with locked(target):
        case_folder.write_case(target, noted)
    if case.name in SAMPLES:
        _keep_sample(target, SAMPLES_FOLDER / SAMPLES[case.name])


def _keep_sample(recorded: Path, sample: Path) -> None:
    shutil.rmtree(sample, ignore_errors=True)
    shutil.copytree(recorded / case_folder.RAW, sample / case_folder.RAW)
    shutil.copyfile(recorded / case_folder.MANIFEST, sample / case_folder.MANIFEST)


def copy_of(name: str, folder: Path) -> Path:
    """A kept case in a new folder, where its report can be made."""
    copied = folder / name
    shutil.copytree(RECORDED / name, copied)
    return copied


def report_of(name: str, folder: Path) -> Mapping[str, Any]:
    """The report of a kept case, made now from a copy in `folder`."""
    return to_contract(pipeline.analyse_case(copy_of(name, folder)))


def truth_of(name: str) -> Mapping[str, Any]:
    """The truth file of a kept case."""
    document: Mapping[str, Any] = json.loads((RECORDED / name / TRUTH).read_text(encoding="utf-8"))
    return document

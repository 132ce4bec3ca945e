"""Cases of scenes that were played once, kept so that they can be reported on without playing."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

from incident_rca import case as case_folder

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
    with case_folder.locked(target):
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

"""The sample incident, reported once; each test has a copy of its case to attach."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from incident_rca import pipeline
from incident_rca.attaching import Parcel, parcel_of
from incident_rca.demo import prepare_demo
from incident_rca.model import Analysis
from tests.tickets.labs import NAMES, Lab, add_pictures, running_lab


@pytest.fixture(scope="session")
def reported(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Analysis]:
    folder = tmp_path_factory.mktemp("reported") / "INC-2847"
    prepare_demo(folder, "inc-2847")
    analysis = pipeline.analyse_case(folder)
    pipeline.write_reports(folder, analysis)
    shutil.rmtree(folder / "charts", ignore_errors=True)
    add_pictures(folder)
    return folder, analysis


@pytest.fixture
def parcel(reported: tuple[Path, Analysis], tmp_path: Path) -> Parcel:
    folder = shutil.copytree(
        reported[0], tmp_path / "INC-2847", ignore=shutil.ignore_patterns("raw", "tables")
    )
    return parcel_of(Path(folder), reported[1])


@pytest.fixture(params=NAMES)
def lab(request: pytest.FixtureRequest) -> Iterator[Lab]:
    """Each system in turn."""
    with running_lab(request.param) as running:
        yield running

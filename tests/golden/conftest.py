"""The demo, run once for all golden tests."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from incident_rca import pipeline
from incident_rca.demo import prepare_demo
from tests.golden import raw
from tests.golden.running import Demo


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Demo:
    """The demo case, analysed and written."""
    folder = prepare_demo(tmp_path_factory.mktemp("demo") / "INC-2847")
    analysis = pipeline.analyse_case(folder)
    pipeline.write_reports(folder, analysis)
    return Demo(
        folder=folder,
        analysis=analysis,
        report=json.loads((folder / pipeline.REPORT_JSON).read_text(encoding="utf-8")),
        markdown=(folder / pipeline.REPORT_MD).read_text(encoding="utf-8"),
    )


@pytest.fixture(scope="session")
def report(demo: Demo) -> raw.Json:
    """What stands in the demo's report.json."""
    return demo.report


@pytest.fixture(scope="session")
def files(demo: Demo) -> Path:
    """The raw files of the demo."""
    return demo.raw


@pytest.fixture(scope="session")
def requests(files: Path) -> list[raw.Request]:
    """Every request of the access log, by a loop."""
    return raw.requests(files)


@pytest.fixture(scope="session")
def outage(requests: list[raw.Request]) -> list[raw.Request]:
    """Every failure of the outage, by a loop."""
    return raw.outage(requests)


@pytest.fixture(scope="session")
def snapshots(files: Path) -> list[raw.Snapshot]:
    """Every snapshot of the lock recording, by a loop."""
    return raw.snapshots(files)


@pytest.fixture(scope="session")
def contended(snapshots: list[raw.Snapshot]) -> int:
    """The OID of the contended table."""
    return raw.oid_of(snapshots, "stock_reservations")

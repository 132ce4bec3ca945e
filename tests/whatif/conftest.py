"""The demo case and its traffic, read once."""

from __future__ import annotations

from pathlib import Path

import pytest

from incident_rca import pipeline, reported_case
from incident_rca.demo import prepare_demo
from incident_rca.replaying import traffic_of
from incident_rca.whatif.traffic import Traffic


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the demo case."""
    return prepare_demo(tmp_path_factory.mktemp("whatif") / "INC-2847")


@pytest.fixture(scope="session")
def inc_2847(demo: Path) -> Traffic:
    """The traffic of the demo case."""
    case, tables = pipeline.build_tables(demo)
    return traffic_of(reported_case.as_reported(case), tables, None)

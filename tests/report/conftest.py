"""The analyses that the tests of the report share."""

from __future__ import annotations

import pytest

from incident_rca.model import Analysis
from tests.report.incident import HOSTILE, hostile_from, reference


@pytest.fixture(scope="session")
def analysis() -> Analysis:
    return reference()


@pytest.fixture(scope="session")
def hostile(analysis: Analysis) -> Analysis:
    return hostile_from(analysis, HOSTILE)


@pytest.fixture(scope="session")
def harmless(analysis: Analysis) -> Analysis:
    return hostile_from(analysis, "harmless")

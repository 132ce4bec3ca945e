"""Athena and its bucket, one for all tests of a file."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.rollup.athena_server import Service, running_athena
from tests.sources.gateway_scene import no_way_out


@pytest.fixture(scope="module")
def running() -> Iterator[Service]:
    with running_athena() as service:
        yield service


@pytest.fixture
def service(running: Service, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Service:
    """The service as it is when nothing was asked yet."""
    no_way_out(monkeypatch.setenv, tmp_path)
    running.clear()
    return running

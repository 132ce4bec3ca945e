"""The servers of the lab: each version is started once for all tests that ask for it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.lab.servers import Server, running_server
from tests.lab.shops import Shop, open_shop


@pytest.fixture(scope="session")
def server18() -> Iterator[Server]:
    """A running PostgreSQL 18."""
    with running_server(18) as server:
        yield server


@pytest.fixture(scope="session")
def server16() -> Iterator[Server]:
    """A running PostgreSQL 16."""
    with running_server(16) as server:
        yield server


@pytest.fixture(scope="session", params=[18, 16], ids=["18", "16"])
def server(request: pytest.FixtureRequest) -> Server:
    """Each version in turn, so that a test that takes it runs on both."""
    running = request.getfixturevalue(f"server{request.param}")
    assert isinstance(running, Server)
    return running


@pytest.fixture
def shop(server: Server) -> Iterator[Shop]:
    """A shop for one test."""
    yield from open_shop(server)


@pytest.fixture(scope="module")
def standing18(server18: Server) -> Iterator[Shop]:
    yield from open_shop(server18)


@pytest.fixture(scope="module")
def standing16(server16: Server) -> Iterator[Shop]:
    yield from open_shop(server16)


@pytest.fixture(params=[18, 16], ids=["18", "16"])
def standing(request: pytest.FixtureRequest) -> Shop:
    """A shop for many tests, each of which rolls back what it did."""
    made = request.getfixturevalue(f"standing{request.param}")
    assert isinstance(made, Shop)
    return made

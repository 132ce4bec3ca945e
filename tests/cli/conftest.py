"""Files and cases that the tests of the command line share; nobody changes them."""

from __future__ import annotations

import gzip
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.running import Ran, run
from tests.formats.builders import request, write

CopyCase = Callable[[], Path]


def outage(count: int = 60) -> list[str]:
    """Ten minutes of healthy requests, then a minute in which orders fail."""
    healthy = [request(n * 5.0, requestId=f"h-{n}") for n in range(120)]
    gone = {"status": "502", "integrationStatus": "502", "integration_status": "502"}
    failing = [request(600.0 + n, requestId=f"f-{n}", **gone) for n in range(count)]
    return healthy + failing


@pytest.fixture(scope="session")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of files: good ones, and one of each way to be bad."""
    folder = tmp_path_factory.mktemp("files")
    lines = outage()
    write(folder / "access.ndjson", *lines)
    write(folder / "broken-lines.ndjson", *lines, "{", "not json", "[]")
    write(folder / "broken-few.ndjson", *[request(n, requestId=f"{n}") for n in range(500)], "{")
    write(folder / "notes.txt", "nothing in particular", "at all")
    (folder / "empty.json").write_bytes(b"")
    (folder / "folder").mkdir()
    write(folder / "half.json", '{"service": "datadog", "response": {"data": {"attributes": {"ser')
    whole = gzip.compress("\n".join(outage(3000)).encode())
    (folder / "cut.ndjson.gz").write_bytes(whole[: len(whole) * 3 // 4])
    return folder


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Ran]:
    """The demo case and what the command printed."""
    folder = tmp_path_factory.mktemp("demo")
    return folder / "demo", run(folder, "demo", "--into", "demo")


@pytest.fixture(scope="session")
def small(files: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A case of one access log, reported."""
    folder = tmp_path_factory.mktemp("small")
    assert run(folder, "import", "INC-1", files / "access.ndjson").code == 0
    assert run(folder, "report", "INC-1").code == 0
    return folder / "INC-1"


@pytest.fixture
def copy_small(small: Path, tmp_path: Path) -> CopyCase:
    """A function that gives a copy of the small case to change."""
    return lambda: Path(shutil.copytree(small, tmp_path / "INC-1"))

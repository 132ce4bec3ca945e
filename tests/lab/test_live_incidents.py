"""Four scenes of the lab played now, on real servers: their reports read true."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.lab.incidents.stack import ROOT

# A scene takes half a minute; on a machine that does much else, some more.
LONGEST_SECONDS = 150


def lab(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "tests.lab.incidents", *words],
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=LONGEST_SECONDS,
    )


@pytest.mark.parametrize(
    "scene", ["index_build", "unrelated_lock", "slow_dependency", "concurrent_build"]
)
def test_the_report_of_a_scene_reads_true(scene: str, tmp_path: Path) -> None:
    done = lab(scene, "--into", str(tmp_path))
    assert done.returncode == 0, done.stdout + done.stderr
    assert (tmp_path / scene / "truth.json").exists()
    assert "1 of 1 scenes read true" in done.stdout


def test_a_scene_that_is_none_is_named() -> None:
    done = lab("no-such-scene")
    assert (done.returncode, done.stdout) == (2, "")
    assert "no-such-scene" in done.stderr


def test_all_are_listed() -> None:
    done = lab("--list")
    assert done.returncode == 0 and len(done.stdout.splitlines()) == 20

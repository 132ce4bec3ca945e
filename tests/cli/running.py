"""The command line as a user runs it: a process, what it prints and its exit code."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ANSI = re.compile(r"[\x1b\x9b]")
COMMAND = (sys.executable, "-m", "incident_rca")


@dataclass(frozen=True)
class Ran:
    """What a run gave."""

    code: int
    out: str
    err: str

    @property
    def errors(self) -> list[str]:
        return [line for line in self.err.splitlines() if line.startswith("error: ")]

    @property
    def hints(self) -> list[str]:
        return [line for line in self.err.splitlines() if line.startswith("hint: ")]


def environment(home: Path, **more: str) -> dict[str, str]:
    """An environment of our own: no settings of the machine, no terminal."""
    kept = {key: os.environ[key] for key in ("PATH", "LANG", "LC_ALL") if key in os.environ}
    return kept | {"HOME": str(home), "XDG_CONFIG_HOME": str(home), "COLUMNS": "100"} | more


def run(cwd: Path, *arguments: object, **more: str) -> Ran:
    """Runs a command in a folder; `more` is added to its environment."""
    done = subprocess.run(
        [*COMMAND, *map(str, arguments)],
        cwd=cwd,
        env=environment(cwd, **more),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
    )
    ran = Ran(done.returncode, done.stdout.decode(), done.stderr.decode())
    assert "Traceback" not in ran.out + ran.err
    assert not ANSI.search(ran.out + ran.err)
    return ran


def refused(code: int, cwd: Path, *arguments: object, **more: str) -> Ran:
    """Runs a command that must fail with this code, one error line and one hint, and no data."""
    ran = run(cwd, *arguments, **more)
    lines = [line.partition(":")[0] for line in ran.err.splitlines()]
    assert (ran.code, ran.out, lines) == (code, "", ["error", "hint"]), ran.err
    return ran


def tree(folder: Path) -> dict[str, Any]:
    """Every file below a folder with its content, to compare before and after."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }

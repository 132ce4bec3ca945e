"""What the golden tests share: the demo as it was written, and ways to run the command line."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from incident_rca.model import Analysis
from tests.golden.raw import Json


@dataclass(frozen=True)
class Demo:
    """A written case: its folder, its analysis, and what stands in its reports."""

    folder: Path
    analysis: Analysis
    report: Json
    markdown: str

    @property
    def raw(self) -> Path:
        """The folder of its raw files."""
        return self.folder / "raw"


@dataclass(frozen=True)
class Outcome:
    """How a command ended, and the reports that it left in the case folder."""

    code: int
    output: str
    folder: Path

    @property
    def report(self) -> Json:
        """What stands in report.json."""
        found: Json = json.loads((self.folder / "report.json").read_text(encoding="utf-8"))
        return found

    @property
    def markdown(self) -> str:
        """What stands in report.md."""
        return (self.folder / "report.md").read_text(encoding="utf-8")


def run(case: Path, *words: str, cwd: Path, environ: Mapping[str, str] | None = None) -> Outcome:
    """Runs the command line in a process of its own, away from anybody's settings."""
    quiet = {k: v for k, v in os.environ.items() if not k.startswith(("INCIDENT_RCA", "XDG"))}
    done = subprocess.run(
        [sys.executable, "-m", "incident_rca", *words],
        cwd=cwd,
        env=quiet | {"HOME": str(cwd), "COLUMNS": "200"} | dict(environ or {}),
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    return Outcome(done.returncode, done.stdout + done.stderr, case)


def copied(demo: Demo, target: Path, *, with_tables: bool = False) -> Path:
    """A copy of the demo case without its reports."""
    left_out = ["report.*", ".lock"] + ([] if with_tables else ["tables"])
    shutil.copytree(demo.folder, target, ignore=shutil.ignore_patterns(*left_out))
    return target


def of_kind(report: Json, kind: str) -> list[Json]:
    """The hypotheses of one kind, best first."""
    return [h for h in report["hypotheses"] if h["kind"] == kind]


def citing(value: Any, at: str = "report") -> Iterator[tuple[str, list[str]]]:
    """Every list of cited ids in a report, with the place where it stands."""
    if isinstance(value, dict):
        for key, inner in value.items():
            if key == "evidence" and at != "report":
                yield at, inner
            elif at != "report" or key != "evidence":
                yield from citing(inner, f"{at}.{key}")
    elif isinstance(value, list):
        for number, inner in enumerate(value):
            yield from citing(inner, f"{at}[{number}]")


def section(markdown: str, name: str) -> str:
    """The text of the section whose heading begins with `name`."""
    found = [part for part in markdown.split("\n## ")[1:] if part.startswith(name)]
    assert len(found) == 1, f"{len(found)} sections are called {name}"
    return found[0]


def table_rows(text: str) -> list[list[str]]:
    """The rows of the pipe tables in a text, cell by cell; rules are left out."""
    lines = [line for line in text.splitlines() if line.startswith("|")]
    cells = [
        [cell.strip().replace("\0", "|") for cell in line.replace("\\|", "\0").split("|")[1:-1]]
        for line in lines
    ]
    return [row for row in cells if not all(cell.strip("-: ") == "" for cell in row)]

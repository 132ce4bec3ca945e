"""Who writes to a case, and what one that was killed left: `faults/` kills real ones."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from incident_rca import case as case_folder
from incident_rca.errors import CaseInUse
from incident_rca.model import RawFile, SourceState, SourceStatus, System
from incident_rca.one_writer import MOVING, WRITER, locked, moving
from incident_rca.work_folder import work_folder
from tests.analysis.cases import made_case
from tests.cli.running import tree


def a_case(folder: Path, names: Sequence[str]) -> None:
    """A case that names these files in raw/; what they hold does not matter here."""
    source = SourceStatus(
        name="given",
        system=System.GATEWAY,
        kind="access_log",
        state=SourceState.OK,
        files=tuple(RawFile(f"raw/{name}", "0" * 64) for name in names),
    )
    (folder / "raw").mkdir(parents=True, exist_ok=True)
    for name in names:
        (folder / "raw" / name).write_text(name, encoding="utf-8")
    case_folder.write_case(folder, replace(made_case(), sources=(source,)))


def test_a_second_writer_is_told_which_process_has_it(tmp_path: Path) -> None:
    with locked(tmp_path / "INC-1"), pytest.raises(CaseInUse) as refused:
        with locked(tmp_path / "INC-1"):
            raise AssertionError("there are two")
    assert f"process id {os.getpid()} " in refused.value.message
    assert not (tmp_path / "INC-1").exists()


def test_the_number_of_a_dead_writer_keeps_nobody_out(tmp_path: Path) -> None:
    (tmp_path / WRITER).write_text("1\n", encoding="ascii")
    with locked(tmp_path):
        assert (tmp_path / WRITER).read_text(encoding="ascii") == f"{os.getpid()}\n"
    assert tree(tmp_path) == {}


def test_what_was_not_whole_goes_and_what_others_put_there_stays(tmp_path: Path) -> None:
    a_case(tmp_path, ["kept"])
    before = tree(tmp_path)
    others = {"raw/laid-there": b"1", ".download.part": b"2", "notes.rca-part": b"3"}
    left = {".case.json.7.rca-part": b"4", "raw/.log.rca-part": b"5", "raw/came": b"6"}
    for name, content in (others | left).items():
        (tmp_path / name).write_bytes(content)
    (tmp_path / MOVING).write_text(json.dumps(["came", "kept"]), encoding="utf-8")
    with locked(tmp_path):
        pass
    assert tree(tmp_path) == before | others


def test_a_list_from_elsewhere_reaches_no_file_outside(tmp_path: Path) -> None:
    case = tmp_path / "INC-1"
    a_case(case, ["kept"])
    (tmp_path / "mine").write_text("mine", encoding="utf-8")
    before = tree(tmp_path)
    names = ["../../mine", str(tmp_path / "mine"), "..", "", 7, None]
    (case / MOVING).write_text(json.dumps(names), encoding="utf-8")
    with locked(case):
        pass
    assert tree(tmp_path) == before


def test_the_manifest_says_which_of_the_moving_files_stay(tmp_path: Path) -> None:
    a_case(tmp_path, ["old"])
    with locked(tmp_path), moving(tmp_path, ["raw/old", "raw/new"]):
        a_case(tmp_path, ["new"])
    assert [path.name for path in (tmp_path / "raw").iterdir()] == ["new"]
    with pytest.raises(OSError, match="full"), locked(tmp_path), moving(tmp_path, ["raw/next"]):
        (tmp_path / "raw" / "next").write_text("half", encoding="utf-8")
        raise OSError("full")
    assert {path.name for path in tmp_path.rglob("*")} == {"raw", "new", "case.json"}


def test_scratch_files_of_killed_processes_go_and_those_in_use_stay(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    left = tmp_path / "incident-rca-work-left"
    left.mkdir()
    (left / "spilled").write_bytes(b"much")
    (tmp_path / "incident-rca-other").mkdir()
    with work_folder() as one, work_folder() as other:
        there = {path.name for path in tmp_path.iterdir()}
        assert there == {one.name, other.name, "incident-rca-other"}
    assert [p.name for p in tmp_path.iterdir()] == ["incident-rca-other"]


def _makes_many(count: int) -> int:
    for _ in range(count):
        with work_folder() as folder:
            (folder / "part").write_bytes(b"x")
    return count


def test_processes_that_begin_at_once_take_no_scratch_folder_from_each_other() -> None:
    with ProcessPoolExecutor(4) as processes:
        assert list(processes.map(_makes_many, [150] * 4)) == [150] * 4

"""The folder of a recording: segments by size and age, what is deleted, one writer, full disks."""

from __future__ import annotations

import json
import os
import resource
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from incident_rca.errors import CaseInUse, NoSuchCase
from incident_rca.sources.recording_files import (
    LOCK_FILE,
    Limits,
    RecordingFiles,
    folder_name,
    recording_folder,
    running_recorder,
    segments,
)

START = datetime(2026, 1, 15, 14, 0, tzinfo=UTC)
SMALL = Limits(keep=timedelta(hours=48), max_bytes=4000, segment_bytes=1000)
LINE = {"kind": "probe", "text": "x" * 60}


def names(folder: Path) -> list[str]:
    return [segment.path.name for segment in segments(folder)]


def fill(files: RecordingFiles, now: datetime, count: int) -> None:
    """Writes lines as the recorder does, one a second."""
    for second in range(count):
        at = now + timedelta(seconds=second)
        if files.must_rotate(at):
            assert files.rotate(at)
        assert files.append(LINE)


@contextmanager
def files_larger_than(size: int | None) -> Iterator[None]:
    """For this process no file grows beyond a size: what a full disk looks like to a writer."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (hard if size is None else size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_lines_are_appended_and_private(tmp_path: Path) -> None:
    folder = tmp_path / "state" / "server"
    with recording_folder(folder, Limits()) as files:
        assert files.must_rotate(START) and files.rotate(START) and files.is_empty
        assert files.append({"a": 1}) and files.append({"b": "é"})
        assert files.path == folder / "locks-20260115T140000Z.ndjson"
        # Each line is in the file at once, not when it is closed.
        assert files.path.read_text(encoding="utf-8") == '{"a":1}\n{"b":"é"}\n'
        assert files.written_bytes == files.path.stat().st_size
        assert stat.S_IMODE(files.path.stat().st_mode) == 0o600
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_a_segment_ends_at_its_size_and_after_an_hour(tmp_path: Path) -> None:
    with recording_folder(tmp_path, SMALL) as files:
        fill(files, START, 13)
        sizes = [segment.path.stat().st_size for segment in segments(tmp_path)]
        line = len(json.dumps(LINE, separators=(",", ":"))) + 1
        assert sizes[0] == -(-1000 // line) * line and sum(sizes) == 13 * line
        before = files.path
        assert not files.must_rotate(START + timedelta(minutes=59))
        fill(files, START + timedelta(hours=1, minutes=1), 1)
        assert files.path != before and len(segments(tmp_path)) == 3


def test_what_is_too_old_goes_and_nothing_else(tmp_path: Path) -> None:
    for name in (
        "locks-20260113T120000Z.ndjson",
        "locks-20260113T133000Z.ndjson",
        "notes.txt",
        "locks-2026.ndjson",
        "locks-20269999T000000Z.ndjson",
        "locks-20260101T000000Z.ndjson.gz",
    ):
        (tmp_path / name).write_text("{}\n")
    before = {path.name for path in tmp_path.iterdir()}
    with recording_folder(tmp_path, Limits(keep=timedelta(hours=48))) as files:
        assert files.rotate(START) and files.append(LINE)
        gone = before - {path.name for path in tmp_path.iterdir()}
        # The other one was written to until 14:30 two days ago: half of it is young enough.
        assert gone == {"locks-20260113T120000Z.ndjson"}


def test_the_folder_stays_below_its_size(tmp_path: Path) -> None:
    with recording_folder(tmp_path, SMALL) as files:
        largest = 0
        for minute in range(60):
            fill(files, START + timedelta(minutes=minute), 10)
            largest = max(largest, sum(s.path.stat().st_size for s in segments(tmp_path)))
        assert 3000 <= largest <= SMALL.max_bytes + len(json.dumps(LINE))
        assert segments(tmp_path)[-1].path == files.path
        # It is the oldest that went.
        assert segments(tmp_path)[0].start > START + timedelta(minutes=30)


def test_a_small_maximum_makes_small_segments() -> None:
    assert Limits(max_bytes=1000, segment_bytes=64_000_000).bytes_of_segment == 250


def test_a_name_that_is_taken_is_not_overwritten(tmp_path: Path) -> None:
    taken = tmp_path / "locks-20260115T140000Z.ndjson"
    taken.write_text("{}\n")
    with recording_folder(tmp_path, Limits()) as files:
        assert files.rotate(START) and files.append(LINE)
        assert files.path == tmp_path / "locks-20260115T140001Z.ndjson"
    assert taken.read_text() == "{}\n"


def test_a_segment_without_a_line_is_removed(tmp_path: Path) -> None:
    with recording_folder(tmp_path, Limits()) as files:
        assert files.rotate(START)
    assert names(tmp_path) == []


def test_a_segment_that_somebody_deleted_is_begun_anew(tmp_path: Path) -> None:
    with recording_folder(tmp_path, Limits()) as files:
        fill(files, START, 2)
        assert files.path is not None
        files.path.unlink()
        fill(files, START + timedelta(minutes=1), 1)
        assert names(tmp_path) == ["locks-20260115T140100Z.ndjson"]


# --- one writer ---------------------------------------------------------------------------------


def test_a_second_writer_is_refused_with_folder_and_pid(tmp_path: Path) -> None:
    assert running_recorder(tmp_path) is None
    with recording_folder(tmp_path, Limits()):
        assert running_recorder(tmp_path) == os.getpid()
        with pytest.raises(CaseInUse) as caught, recording_folder(tmp_path, Limits()):
            pass
        assert str(tmp_path) in caught.value.message and str(os.getpid()) in caught.value.message
        assert "--to" in caught.value.hint
    assert running_recorder(tmp_path) is None
    with recording_folder(tmp_path, Limits()):
        pass


def test_a_killed_writer_leaves_no_lock(tmp_path: Path) -> None:
    program = (
        "import os, sys, pathlib\n"
        "from incident_rca.sources.recording_files import Limits, recording_folder\n"
        "with recording_folder(pathlib.Path(sys.argv[1]), Limits()):\n"
        "    os.kill(os.getpid(), 9)\n"
    )
    done = subprocess.run([sys.executable, "-c", program, str(tmp_path)], check=False)
    assert done.returncode == -9
    assert (tmp_path / LOCK_FILE).read_text().strip().isdigit()
    assert running_recorder(tmp_path) is None
    with recording_folder(tmp_path, Limits()):
        pass


def test_a_file_is_no_folder(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("")
    with pytest.raises(NoSuchCase), recording_folder(path, Limits()):
        pass


# --- a full disk --------------------------------------------------------------------------------


@pytest.mark.parametrize("room", [0, 1, 40, 75])
def test_a_line_without_room_is_taken_back(tmp_path: Path, room: int) -> None:
    with recording_folder(tmp_path, Limits()) as files:
        fill(files, START, 3)
        assert files.path is not None
        whole = files.path.read_bytes()
        with files_larger_than(len(whole) + room):
            assert not files.append(LINE) and not files.append(LINE)
            assert files.lost_lines == 2 and "large" in files.problem
            assert files.path.read_bytes() == whole
        assert files.append(LINE) and files.problem == ""
        assert [json.loads(line) for line in files.path.read_text().splitlines()] == [LINE] * 4


def test_a_line_that_cannot_be_taken_back_does_not_spoil_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(descriptor: int, size: int) -> None:
        raise OSError(5, "Input/output error")

    with recording_folder(tmp_path, Limits()) as files:
        fill(files, START, 1)
        assert files.path is not None
        with files_larger_than(files.path.stat().st_size + 20), monkeypatch.context() as patch:
            patch.setattr(os, "ftruncate", refuse)
            assert not files.append(LINE)
        assert files.append(LINE)
        first, torn, last = files.path.read_text().splitlines()
        assert json.loads(first) == json.loads(last) == LINE and len(torn) == 20


def test_a_folder_that_takes_no_new_file_is_no_end(tmp_path: Path) -> None:
    folder = tmp_path / "server"
    with recording_folder(folder, Limits()) as files:
        moved = folder.rename(tmp_path / "elsewhere")
        assert not files.rotate(START)
        assert files.lost_lines == 1 and "No such file" in files.problem
        moved.rename(folder)
        assert files.rotate(START) and files.append(LINE)


# --- names --------------------------------------------------------------------------------------


def test_folders_of_different_servers_have_different_names() -> None:
    places = [
        ("db", "5432", "orders"),
        ("db", "5432", "Orders"),
        ("db", "5432", "or/ders"),
        ("db", "5432", "or_ders"),
        ("db", "5432", ".."),
        ("db", "5432", "x" * 300),
        ("db", "5432", "x" * 299 + "y"),
        ("::1", "5432", "orders"),
        ("service", "orders"),
    ]
    found = [folder_name(place) for place in places]
    assert len(set(found)) == len(places)
    assert all("/" not in name and not name.startswith(".") and len(name) < 255 for name in found)

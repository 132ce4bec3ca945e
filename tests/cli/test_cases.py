"""Cases that are missing, damaged, in use or gone: one clear line and the right exit code."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.cli.running import Ran, refused, run, tree

COMMANDS = (["report"], ["timeline"], ["verify"], ["explain"])


def on(case: object, command: list[str]) -> list[object]:
    return [*command, case, *(["H1"] if command == ["explain"] else [])]


@pytest.mark.parametrize("command", COMMANDS, ids=lambda c: c[0])
def test_a_missing_case(tmp_path: Path, command: list[str]) -> None:
    ran = refused(2, tmp_path, *on("INC-404", command))
    assert "INC-404" in ran.errors[0]
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("command", COMMANDS, ids=lambda c: c[0])
def test_an_empty_folder_is_no_case(tmp_path: Path, command: list[str]) -> None:
    (tmp_path / "INC-1").mkdir()
    refused(2, tmp_path, *on("INC-1", command))
    assert not list((tmp_path / "INC-1").iterdir())


@pytest.mark.parametrize(
    "content", ["", '{"case_schema": 1, "id": "INC-1", "win', "[]", '{"case_schema": "1"}']
)
def test_a_half_written_manifest(tmp_path: Path, content: str) -> None:
    (tmp_path / "case.json").write_text(content)
    ran = refused(2, tmp_path, "report", ".")
    assert "case.json" in ran.errors[0]


def test_a_manifest_that_is_no_text(tmp_path: Path) -> None:
    (tmp_path / "case.json").write_bytes(b"\xff\xfe\x00")
    refused(2, tmp_path, "report", ".")


def test_a_newer_case(tmp_path: Path, copy_small: Callable[[], Path]) -> None:
    case = copy_small()
    manifest = json.loads((case / "case.json").read_text())
    (case / "case.json").write_text(json.dumps(manifest | {"case_schema": 99, "sources": "new"}))
    for command in COMMANDS:
        ran = refused(2, tmp_path, *on("INC-1", command))
        assert "99" in ran.errors[0] and "update" in ran.hints[0]


def test_a_file_given_as_case(tmp_path: Path, files: Path) -> None:
    """The easiest slip: the case was forgotten, so the first file stands in its place."""
    before = tree(files)
    ran = refused(2, files, "import", "access.ndjson", "broken-few.ndjson")
    assert "access.ndjson" in ran.errors[0]
    refused(2, files, "report", "access.ndjson")
    assert tree(files) == before


@contextmanager
def holding(folder: Path) -> Iterator[None]:
    """Holds a folder's lock, as a process that writes to the case does."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def test_a_case_that_another_process_writes(copy_small: Callable[[], Path], files: Path) -> None:
    case = copy_small()
    before = tree(case)
    with holding(case):
        refused(2, case.parent, "report", "INC-1")
        refused(2, case.parent, "import", "INC-1", files / "broken-few.ndjson")
    assert tree(case).keys() == before.keys()


# --- raw files ----------------------------------------------------------------------------------


def test_all_sources_gone(copy_small: Callable[[], Path]) -> None:
    case = copy_small()
    (case / "raw" / "access.ndjson").unlink()
    ran = refused(4, case.parent, "report", "INC-1")
    assert "access.ndjson" in ran.errors[0]


def test_an_edited_raw_file_is_named_and_not_read(
    copy_small: Callable[[], Path], files: Path
) -> None:
    case = copy_small()
    assert run(case.parent, "import", "INC-1", files / "broken-few.ndjson").code == 0
    with (case / "raw" / "access.ndjson").open("a") as file:
        file.write("\n")
    ran = run(case.parent, "report", "INC-1")
    assert ran.code == 3
    report = json.loads((case / "report.json").read_text())
    states = {source["name"]: source["state"] for source in report["sources"]}
    assert (states["access"], states["broken-few"]) == ("failed", "ok")
    reasons = {source["name"]: source["reason"] for source in report["sources"]}
    assert "raw/access.ndjson" in reasons["access"]
    assert "access.ndjson" in (case / "report.md").read_text()
    verified = run(case.parent, "verify", "INC-1")
    assert verified.code == 3 and "raw/access.ndjson" in verified.err


def test_tables_can_be_deleted(copy_small: Callable[[], Path]) -> None:
    case = copy_small()
    before = (case / "report.json").read_bytes()
    for table in (case / "tables").iterdir():
        table.unlink()
    assert run(case.parent, "report", "INC-1").code == 0
    assert (case / "report.json").read_bytes() == before
    assert run(case.parent, "verify", "INC-1").code == 0


def test_a_damaged_table_is_named_and_made_anew(copy_small: Callable[[], Path]) -> None:
    case = copy_small()
    (case / "tables" / "gateway.parquet").write_bytes(b"PAR1junk")
    ran = run(case.parent, "verify", "INC-1")
    assert ran.code == 3 and "gateway.parquet" in ran.err
    assert run(case.parent, "report", "INC-1").code == 0
    assert run(case.parent, "verify", "INC-1").code == 0


def test_a_table_that_was_written_badly_is_made_anew(copy_small: Callable[[], Path]) -> None:
    """It is what was written, by its hash, and still no table."""
    case = copy_small()
    table, made = case / "tables" / "gateway.parquet", case / "tables" / "made.json"
    before = table.read_bytes()
    said = json.loads(made.read_text())
    assert said["tables"]["gateway"] == hashlib.sha256(before).hexdigest()
    table.write_bytes(b"PAR1junk")
    said["tables"]["gateway"] = hashlib.sha256(b"PAR1junk").hexdigest()
    made.write_text(json.dumps(said))
    assert run(case.parent, "report", "INC-1").code == 0
    assert table.read_bytes() == before


def test_a_report_without_its_page_leaves_no_older_one(copy_small: Callable[[], Path]) -> None:
    case = copy_small()
    assert (case / "report.html").is_file()
    assert run(case.parent, "report", "INC-1", "--no-page").code == 0
    assert not (case / "report.html").exists()
    assert run(case.parent, "verify", "INC-1").code == 0
    assert run(case.parent, "report", "INC-1").code == 0
    assert (case / "report.html").is_file()


@pytest.mark.parametrize("name", ["report.json", "report.md", "report.html"])
def test_an_edited_report_is_named(copy_small: Callable[[], Path], name: str) -> None:
    case = copy_small()
    text = (case / name).read_text()
    (case / name).write_text(text.replace("502", "503"))
    ran = run(case.parent, "verify", "INC-1", "--json")
    assert ran.code == 3
    assert [c["file"] for c in json.loads(ran.out) if not c["ok"]] == [name]


def test_an_edited_report_is_not_overwritten_unasked(copy_small: Callable[[], Path]) -> None:
    case = copy_small()
    path = case / "report.md"
    edited = path.read_text().replace("502", "503")
    path.write_text(edited)
    refused(2, case.parent, "report", "INC-1")
    assert path.read_text() == edited
    assert run(case.parent, "report", "INC-1", "--force").code == 0
    assert path.read_text() != edited


# --- the demo -----------------------------------------------------------------------------------


def test_the_demo(demo: tuple[Path, Ran]) -> None:
    case, ran = demo
    assert ran.code == 0 and not ran.errors
    assert "stock_reservations" in ran.out
    assert "timeline" in ran.err
    for name in ("case.json", "report.md", "report.json", "raw", "tables"):
        assert (case / name).exists()


def test_the_demo_again_gives_the_same(demo: tuple[Path, Ran]) -> None:
    case, _ = demo
    before = {k: v for k, v in tree(case).items() if not k.startswith("tables")}
    assert run(case.parent, "demo", "--into", "demo", "-q").code == 0
    assert {k: v for k, v in tree(case).items() if not k.startswith("tables")} == before
    assert run(case.parent, "verify", "demo").code == 0


def test_the_demo_spares_what_is_there(tmp_path: Path, small: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("x")
    (tmp_path / "file").write_text("x")
    for target in ("mine", "file"):
        refused(2, tmp_path, "demo", "--into", target)
    assert tree(tmp_path) == {"mine/notes.txt": b"x", "file": b"x"}
    before = tree(small)
    refused(2, small.parent, "demo", "--into", small.name)
    assert tree(small) == before


def test_a_kept_file_that_cannot_be_parsed_fails_alone(tmp_path: Path) -> None:
    sample = Path(__file__).parents[2] / "samples" / "inc-2847" / "raw"
    answer = json.loads((sample / "grpc-p99.datadog.json").read_text())["response"]
    (tmp_path / "bare.json").write_text(json.dumps(answer))
    query = "p99:grpc.client.duration{*} by {rpc.method}"
    assert run(tmp_path, "import", "INC-1", sample / "access.ndjson.gz").code == 0
    assert run(tmp_path, "import", "INC-1", "bare.json", "--query", query).code == 0
    manifest = tmp_path / "INC-1" / "case.json"
    manifest.write_text(manifest.read_text().replace(json.dumps(query), '""'))
    ran = run(tmp_path, "report", "INC-1")
    assert ran.code == 3 and not ran.errors
    report = json.loads((tmp_path / "INC-1" / "report.json").read_text())
    states = {source["name"]: source["state"] for source in report["sources"]}
    assert (states["bare"], states["access"]) == ("failed", "ok")
    assert report["impact"]["failed_requests"] > 0

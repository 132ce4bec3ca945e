"""A case folder touches nothing outside of it, and shows itself to nobody but its owner."""

from __future__ import annotations

import json
import os
import shutil
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from incident_rca.case import problem_of, read_case, sha256_of, write_text
from incident_rca.demo import prepare_demo
from incident_rca.errors import BadInput
from incident_rca.importing import import_files
from incident_rca.model import RawFile
from incident_rca.one_writer import locked
from incident_rca.pipeline import analyse_case, build_tables, write_reports
from incident_rca.settings import Settings
from incident_rca.verification import verify_case
from tests.cli.running import refused, run, tree
from tests.formats.builders import request, write

SETTINGS = Settings()


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    """A file that is no business of any case."""
    return write(tmp_path / "outside.ndjson", *(request(n) for n in range(3)))


@pytest.fixture
def case(tmp_path: Path) -> Path:
    """A new case of one access log."""
    given = write(tmp_path / "access.ndjson", *(request(n) for n in range(5)))
    import_files(tmp_path / "INC-1", [given], settings=SETTINGS)
    return tmp_path / "INC-1"


def with_path(case: Path, path: str) -> None:
    """Makes the case name another raw file, as somebody who means harm would."""
    manifest = case / "case.json"
    document = json.loads(manifest.read_text())
    document["sources"][0]["files"][0]["path"] = path
    manifest.write_text(json.dumps(document))


@pytest.mark.parametrize(
    "path",
    [
        "../../etc/passwd",
        "raw/../../../etc/passwd",
        "/etc/passwd",
        "//etc/passwd",
        "case.json",
        "raw",
        "",
        "./../x",
        "raw/../case.json",
    ],
)
def test_a_path_that_leads_elsewhere_is_refused(case: Path, path: str) -> None:
    with_path(case, path)
    with pytest.raises(BadInput, match="leads out of the case folder"):
        read_case(case)


@pytest.mark.parametrize("command", ["report", "verify", "import"])
def test_every_command_refuses_such_a_case(case: Path, command: str, outside: Path) -> None:
    with_path(case, "../outside.ndjson")
    more = [outside] if command == "import" else []
    ran = refused(2, case.parent, command, case, *more)
    assert "leads out of the case folder" in ran.err


@pytest.mark.parametrize("name", ["raw", "tables", "charts", ".spool"])
def test_a_folder_that_is_a_link_is_refused(case: Path, name: str, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    if (case / name).is_dir():
        shutil.move(case / name, elsewhere)
    else:
        elsewhere.mkdir()
    (case / name).symlink_to(elsewhere)
    with pytest.raises(BadInput, match="leads out of the case folder"):
        analyse_case(case)


def test_a_raw_file_that_is_a_link_is_not_read(case: Path, outside: Path) -> None:
    (raw,) = read_case(case).sources[0].files
    shutil.copyfile(case / raw.path, outside)
    (case / raw.path).unlink()
    (case / raw.path).symlink_to(outside)
    (check,) = (c for c in verify_case(case) if c.name == raw.path)
    assert "leads out of the case folder" in check.problem
    with pytest.raises(Exception, match="leads out of the case folder"):
        analyse_case(case)
    (case / "raw" / "inside").symlink_to(case / "case.json")
    assert "SHA-256" in problem_of(case, RawFile("raw/inside", "0"))


def test_nothing_is_written_through_a_link(case: Path, outside: Path, tmp_path: Path) -> None:
    before = outside.read_bytes()
    shutil.rmtree(case / "tables")
    (case / "tables").mkdir()
    (case / "charts").mkdir()
    for path in (
        *("tables/gateway.parquet", "tables/made.json", "report.json", "report.html"),
        *(".writer", ".moving.json", "charts/timeline.svg", "charts/timeline.png"),
        *("raw/.second.ndjson.rca-part", f".case.json.{os.getpid()}.rca-part"),
    ):
        (case / path).symlink_to(outside)
    (case / "raw" / "second.ndjson").symlink_to(tmp_path / "nothing-yet")
    second = write(tmp_path / "second.ndjson", *(request(n) for n in range(7)))
    import_files(case, [second], settings=SETTINGS)
    build_tables(case)
    write_reports(case, analyse_case(case), with_charts=False)
    assert outside.read_bytes() == before
    assert not (tmp_path / "nothing-yet").exists()
    assert "raw/second-2.ndjson" in [f.path for s in read_case(case).sources for f in s.files]


@pytest.mark.parametrize("name", [".writer", ".moving.json", "attached.json", "whatif.json"])
@pytest.mark.parametrize("is_there", [True, False], ids=["to a file", "to nothing"])
def test_no_command_writes_through_a_link(
    case: Path, name: str, is_there: bool, outside: Path
) -> None:
    """As in a case from somebody else: the link goes, and where it led nothing is changed."""
    before = outside.read_bytes()
    if not is_there:
        outside.unlink()
    (case / name).symlink_to(Path("..") / outside.name)
    more = write(case.parent / "more.ndjson", *(request(n) for n in range(7)))
    run(case.parent, "import", case, more)
    run(case.parent, "whatif", case, "--keep")
    run(case.parent, "report", case, "--no-charts")
    run(case.parent, "attach", case, "--to", f"file:{case.parent}", "--yes")
    assert outside.exists() == is_there
    assert not is_there or outside.read_bytes() == before


def test_no_process_writes_through_a_link_of_its_own_number(case: Path, outside: Path) -> None:
    before = outside.read_bytes()
    part = case / f".notes.{os.getpid()}.rca-part"
    part.symlink_to(outside)
    write_text(case / "notes", "ours")
    assert (outside.read_bytes(), (case / "notes").read_text()) == (before, "ours")


def test_a_raw_file_below_a_link_is_refused(case: Path, outside: Path) -> None:
    """Put back, it would take the place of a file that lies elsewhere."""
    (case / "raw" / "access.ndjson").unlink()
    there = case.parent / "out" / "access.ndjson"
    there.parent.mkdir()
    there.write_text("precious")
    (case / "raw" / "sub").symlink_to(Path("..", "..", "out"))
    with_path(case, "raw/sub/access.ndjson")
    for words in (["import", case, "access.ndjson"], ["report", case], ["verify", case]):
        ran = refused(2, case.parent, *words)
        assert "raw/sub/access.ndjson leads out of the case folder" in ran.err
    assert there.read_text() == "precious"


@pytest.mark.parametrize("name", ["raw", "tables", "charts", ".spool"])
def test_a_folder_that_is_a_link_is_refused_before_there_is_a_case(
    tmp_path: Path, name: str, outside: Path
) -> None:
    elsewhere, new = tmp_path / "elsewhere", tmp_path / "INC-2"
    elsewhere.mkdir()
    new.mkdir()
    (new / name).symlink_to(elsewhere)
    ran = refused(2, tmp_path, "import", new, outside)
    assert f"{name} leads out of the case folder" in " ".join(ran.err.split())
    assert list(elsewhere.iterdir()) == [] and [p.name for p in new.iterdir()] == [name]


def test_what_a_collection_goes_on_with_is_no_link(case: Path, outside: Path) -> None:
    """Its files are appended to."""
    spool = case / ".spool" / "access" / "20260115T141000-20260115T150000"
    spool.parent.mkdir(parents=True)
    spool.symlink_to(outside.parent)
    ran = refused(2, case.parent, "import", case, outside)
    assert f".spool/access/{spool.name} leads out of the case folder" in ran.err


def test_the_demo_is_not_written_through_a_link(tmp_path: Path, outside: Path) -> None:
    before = outside.read_bytes()
    demo = prepare_demo(tmp_path / "demo")
    raw = next((demo / "raw").iterdir())
    wanted = raw.read_bytes()
    raw.unlink()
    raw.symlink_to(outside)
    prepare_demo(demo)
    assert (outside.read_bytes(), raw.read_bytes()) == (before, wanted)


@pytest.mark.parametrize("spoil", [Path.unlink, lambda raw: raw.write_bytes(b"half")])
def test_a_file_that_is_imported_again_is_put_back(
    case: Path, spoil: Callable[[Path], object], outside: Path
) -> None:
    """As the report says where a raw file is gone or was changed; one that is whole stays."""
    import_files(case, [outside], settings=SETTINGS)
    before = tree(case)
    spoil(case / "raw" / "access.ndjson")
    assert tree(case) != before
    given = [case.parent / "access.ndjson", outside]
    done = import_files(case, given, settings=SETTINGS)
    assert (done.added, done.already_there) == ((), ("access.ndjson", "outside.ndjson"))
    assert tree(case) == before


def test_each_given_file_is_hashed_once(
    case: Path, outside: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hashed: list[Path] = []

    def noted(path: Path) -> str:
        hashed.append(path)
        return sha256_of(path)

    monkeypatch.setattr("incident_rca.case.sha256_of", noted)
    import_files(case, [outside], settings=SETTINGS)
    assert [path for path in hashed if path.suffix != ".parquet"] == [outside]


# --- modes --------------------------------------------------------------------------------------


@pytest.fixture(params=[0o000, 0o277], ids=oct)
def umask(request: pytest.FixtureRequest) -> Iterator[int]:
    before = os.umask(request.param)
    yield request.param
    assert os.umask(before) == request.param


def modes(folder: Path) -> set[tuple[bool, str]]:
    """Whether it is a folder, and the mode, of a folder and all below it."""
    return {
        (path.is_dir(), oct(stat.S_IMODE(path.lstat().st_mode)))
        for path in (folder, *folder.rglob("*"))
    }


def imported_and_reported(folder: Path) -> None:
    given = folder.parent / "access.ndjson"
    import_files(folder, [given], settings=SETTINGS)
    shutil.rmtree(folder / "tables")
    analysis = analyse_case(folder)
    with locked(folder):
        write_reports(folder, analysis)


def shown(folder: Path) -> None:
    prepare_demo(folder)


@pytest.mark.parametrize("make", [imported_and_reported, shown])
def test_a_case_is_its_owners_alone(
    make: Callable[[Path], None], tmp_path: Path, umask: int
) -> None:
    os.umask(0o022)
    write(tmp_path / "access.ndjson", *(request(n) for n in range(5)))
    os.umask(umask)
    make(tmp_path / "INC-1")
    assert modes(tmp_path / "INC-1") == {(True, "0o700"), (False, "0o600")}


def test_a_folder_that_was_there_keeps_its_mode(tmp_path: Path) -> None:
    folder = tmp_path / "shared" / "INC-1"
    folder.mkdir(parents=True)
    for path in (folder, folder.parent):
        path.chmod(0o775)
    given = write(tmp_path / "access.ndjson", *(request(n) for n in range(5)))
    given.chmod(0o644)
    import_files(folder, [given], settings=SETTINGS)
    assert oct(stat.S_IMODE(folder.stat().st_mode)) == "0o775"
    assert oct(stat.S_IMODE(folder.parent.stat().st_mode)) == "0o775"
    assert oct(stat.S_IMODE(given.stat().st_mode)) == "0o644"
    assert oct(stat.S_IMODE((folder / "case.json").stat().st_mode)) == "0o600"

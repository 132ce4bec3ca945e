"""JSON that is nested without end, wherever anybody may have put it, is damage and no bug."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from incident_rca.case import read_case, tables_are_current
from incident_rca.errors import BadInput
from incident_rca.formats.access_log.stage_format import compile_format
from incident_rca.importing import import_files
from incident_rca.json_text import decode
from incident_rca.model import TimeWindow
from incident_rca.replaying import read_kept, read_kept_sweep
from incident_rca.settings import Settings
from incident_rca.sources.checkup_recordings import read_recordings
from incident_rca.sources.failed_requests import values_of
from incident_rca.tickets.ledger import read_entry
from tests.cli.running import refused, run, tree
from tests.formats.builders import instant, request, write

DEEP = "[" * 100_000
# Python's own limit is a thousand: what is read may still be too deep to be shown.
DEPTHS = [*range(500, 1_000, 7), *range(900, 1_000), 5_000, 100_000]


@pytest.fixture
def case(tmp_path: Path) -> Path:
    """A new case of one access log."""
    given = write(tmp_path / "access.ndjson", *(request(n) for n in range(5)))
    import_files(tmp_path / "INC-1", [given], settings=Settings())
    return tmp_path / "INC-1"


def nested(depth: int) -> str:
    return "[" * depth + "]" * depth


def test_what_is_nested_too_deep_is_no_json() -> None:
    with pytest.raises(ValueError, match="nested too deep"):
        decode(nested(100_000).encode())


@pytest.mark.parametrize("command", ["verify", "report", "timeline", "import"])
def test_a_manifest_without_end_is_a_damaged_one(case: Path, command: str) -> None:
    (case / "case.json").write_text(DEEP)
    more = ["access.ndjson"] if command == "import" else []
    ran = refused(2, case.parent, command, case, *more)
    assert "case.json: cannot be read as a case (it is nested too deep)" in ran.err


@pytest.mark.parametrize("key", ["title", "case_schema", "sources"])
def test_a_value_of_a_manifest_that_is_too_deep(case: Path, key: str) -> None:
    text = (case / "case.json").read_text()
    for depth in DEPTHS:
        told = json.dumps({**json.loads(text), key: 0})
        (case / "case.json").write_text(told.replace(f'"{key}": 0', f'"{key}": {nested(depth)}'))
        with pytest.raises(BadInput, match="cannot be read as a case"):
            read_case(case)


def test_tables_that_are_said_to_be_made_from_anything_are_made_anew(case: Path) -> None:
    before = tree(case)
    (case / "tables" / "made.json").write_text(DEEP)
    assert not tables_are_current(case, read_case(case).sources)
    assert run(case.parent, "report", case, "--no-charts").code == 0
    assert tree(case).items() >= before.items()


@pytest.mark.parametrize("text", [DEEP, "3", "null", '{"access.ndjson": 1}', '"access.ndjson"'])
def test_a_list_of_moving_files_that_is_none_moves_nothing(case: Path, text: str) -> None:
    before = tree(case)
    (case / ".moving.json").write_text(text)
    ran = run(case.parent, "import", case, "access.ndjson")
    assert (ran.code, "known" in ran.err) == (0, True), ran.err
    assert tree(case).items() >= before.items()


def test_sizes_of_tables_without_end(tmp_path: Path) -> None:
    (tmp_path / "a.sql").write_text("SELECT 1;\n")
    (tmp_path / "stats.json").write_text(DEEP)
    ran = refused(2, tmp_path, "lint", "a.sql", "--stats", "stats.json")
    assert "stats.json: not a file of `incident-rca stats`" in ran.err


@pytest.mark.parametrize(
    ("name", "key", "read"),
    [
        ("attached.json", "attached_schema", lambda case: read_entry(case, "file:x", "x")),
        ("whatif.json", "whatif_schema", read_kept),
        ("whatif-sweep.json", "sweep_schema", read_kept_sweep),
    ],
)
def test_what_a_case_keeps_is_damaged_where_it_is_too_deep(
    tmp_path: Path, name: str, key: str, read: Callable[[Path], object]
) -> None:
    for depth in DEPTHS:
        for text in (nested(depth), f'{{"{key}": {nested(depth)}}}'):
            (tmp_path / name).write_text(text)
            with pytest.raises(BadInput, match=f"{name}: cannot be read"):
                read(tmp_path)


def test_a_line_of_a_log_that_is_too_deep_has_no_variables() -> None:
    assert values_of(DEEP, compile_format('{"status":"$context.status"}')) == {}


def test_a_line_of_a_recording_that_is_too_deep_is_a_torn_one(tmp_path: Path) -> None:
    lines = ['{"kind":"probe","at":"2026-01-15T14:10:05Z"}', f'{{"kind":"gap","from":{DEEP}', DEEP]
    (tmp_path / "locks-20260115T141000Z.ndjson").write_text("\n".join(lines) + "\n")
    (held,) = read_recordings(tmp_path, now=instant("14:20"), cure="").covered
    assert held == TimeWindow(instant("14:10"), instant("14:10:05"))

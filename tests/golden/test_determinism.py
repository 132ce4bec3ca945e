"""The same files give the same bytes anywhere, and verify tells what is not what it was."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import duckdb
import pytest

from incident_rca import pipeline
from incident_rca.errors import EditedReport, ExitCode
from incident_rca.verification import verify_case
from tests.golden.raw import SAMPLE, Json
from tests.golden.running import Demo, Outcome, run

WINDOW = ("--from", "2026-01-15T14:10:00Z", "--to", "2026-01-15T14:55:00Z")
PLACES: Mapping[str, Mapping[str, str]] = {
    "tokyo": {"TZ": "Asia/Tokyo", "LC_ALL": "C", "PYTHONHASHSEED": "1", "COLUMNS": "80"},
    "st-johns": {"TZ": "America/St_Johns", "LC_ALL": "C.UTF-8", "PYTHONHASHSEED": "4242"},
}


def as_toml(topology: Json) -> str:
    """A topology of case.json as somebody would write it in incident-rca.toml."""
    lines = []
    for service in topology["services"]:
        lines += [f"[services.{service['name']}]", f"grpc = {json.dumps(service['grpc'])}"]
        lines += [f"tables = {json.dumps(service['tables'])}"]
        lines += [f"pool_size = {service['pool_size']}"] if service["pool_size"] else []
    for route in topology["routes"]:
        lines += ["[[routes]]"]
        stated = {key: value for key, value in route.items() if key != "basis"}
        lines += [f"{key} = {json.dumps(value)}" for key, value in stated.items()]
    return "\n".join(lines) + "\n"


def import_and_report(root: Path, place: str) -> Outcome:
    """A new case, imported and reported on as one machine would do it."""
    home = root / place
    home.mkdir()
    config = home / "settings.toml"
    topology = json.loads((SAMPLE / "case.json").read_text(encoding="utf-8"))["topology"]
    config.write_text(as_toml(topology), encoding="utf-8")
    files = sorted((str(path) for path in (SAMPLE / "raw").iterdir()), reverse=place == "tokyo")
    case = Path("INC-2847") if place == "tokyo" else home / "INC-2847"
    done = run(
        home / "INC-2847",
        *("import", str(case), *files, *WINDOW, "--config", str(config)),
        cwd=home if place == "tokyo" else root,
        environ=PLACES[place],
    )
    assert done.code == 0, done.output
    elsewhere = root if place == "tokyo" else home
    return run(
        home / "INC-2847",
        *("report", str(home / "INC-2847")),
        cwd=elsewhere,
        environ=PLACES[place],
    )


@pytest.fixture(scope="module")
def machines(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Outcome]:
    """The same files on two machines that differ in all that must not matter."""
    root = tmp_path_factory.mktemp("machines")
    with ThreadPoolExecutor(2) as pool:
        found = pool.map(lambda place: import_and_report(root, place), PLACES)
        return dict(zip(PLACES, found, strict=True))


CHARTS = ("timeline", "error-types", "blocking-tree")
REPORTS = ("report.md", "report.html", "report.json")


@pytest.mark.parametrize("name", [*REPORTS, "case.json", *(f"charts/{c}.svg" for c in CHARTS)])
def test_two_machines_write_the_same_bytes(name: str, machines: dict[str, Outcome]) -> None:
    one, other = (outcome.folder / name for outcome in machines.values())
    assert [outcome.code for outcome in machines.values()] == [0, 0]
    assert one.read_bytes() == other.read_bytes()


def test_what_they_write_is_no_empty_report(machines: dict[str, Outcome], report: Json) -> None:
    for outcome in machines.values():
        assert outcome.report["outage"]["duration_seconds"] == 1397
        told = [(h["kind"], h["role"], h["verdict"]) for h in outcome.report["hypotheses"]]
        assert told == [(h["kind"], h["role"], h["verdict"]) for h in report["hypotheses"]]


# --- the same folder again -----------------------------------------------------------------------


@pytest.fixture
def case(demo: Demo, tmp_path: Path) -> Path:
    """A copy of the demo with its tables and reports."""
    target = tmp_path / "INC-2847"
    shutil.copytree(demo.folder, target)
    return target


def report_on(case: Path, *, force: bool = False) -> None:
    """Analyses a case and writes its reports."""
    pipeline.write_reports(case, pipeline.analyse_case(case), force=force)


def bytes_of(case: Path) -> dict[str, bytes]:
    """The bytes of every file but the tables."""
    found = [p for p in case.rglob("*") if p.is_file() and p.parent.name != "tables"]
    assert sum(path.parent.name == "charts" for path in found) == 2 * len(CHARTS)
    return {str(path.relative_to(case)): path.read_bytes() for path in found}


def rows_of(case: Path) -> dict[str, list[tuple[str | None, ...]]]:
    """Every row of every table, in order, as text."""
    with duckdb.connect() as session:
        return {
            path.name: session.read_parquet(str(path)).project("COLUMNS(*)::VARCHAR").fetchall()
            for path in sorted((case / "tables").glob("*.parquet"))
        }


def test_a_second_report_changes_nothing(case: Path) -> None:
    before = bytes_of(case)
    report_on(case)
    assert bytes_of(case) == before


def test_deleted_tables_are_made_again_as_they_were(case: Path) -> None:
    before, rows = bytes_of(case), rows_of(case)
    # A monitoring service's counts, a load balancer and a server's residue are not in the sample.
    empty = {"load_balancer.parquet", "lock_load.parquet", "residue.parquet"}
    assert {name for name, found in rows.items() if not found} == empty and len(rows) == 12
    shutil.rmtree(case / "tables")
    report_on(case)
    assert rows_of(case) == rows
    assert bytes_of(case) == before


# --- verify --------------------------------------------------------------------------------------


def problems(case: Path) -> dict[str, str]:
    """What verify finds wrong, by the file's name."""
    checks = verify_case(case)
    assert len(checks) >= 8
    return {check.name: check.problem for check in checks if check.problem}


def append_byte(case: Path) -> None:
    """An edit: one more byte behind a raw file."""
    with (case / "raw" / "pool.datadog.json").open("ab") as file:
        file.write(b" ")


def delete_raw(case: Path) -> None:
    """An edit: a raw file is gone."""
    (case / "raw" / "locks.recording.ndjson.gz").unlink()


def edit_json(case: Path) -> None:
    """An edit: one number less in report.json."""
    path = case / "report.json"
    path.write_text(path.read_text(encoding="utf-8").replace("1247", "1246", 1), encoding="utf-8")


def edit_block(case: Path) -> None:
    """An edit: a number in a generated block of report.md, its hash left as it was."""
    path = case / "report.md"
    text = path.read_text(encoding="utf-8")
    assert text.count("| `POST /api/orders` | 1,247 |") == 1
    path.write_text(
        text.replace("| `POST /api/orders` | 1,247 |", "| `POST /api/orders` | 1,246 |"),
        encoding="utf-8",
    )


def edit_page(case: Path) -> None:
    """An edit: one number less in report.html."""
    path = case / "report.html"
    path.write_text(path.read_text(encoding="utf-8").replace("1,247", "1,246", 1), encoding="utf-8")


def drop_row(case: Path) -> None:
    """An edit: one of the failures is taken out of its table."""
    table = case / "tables" / "failures.parquet"
    with duckdb.connect() as session:
        rows = session.read_parquet(str(table))
        kept = rows.limit(len(rows) - 1)
        kept.write_parquet(str(case / "fewer.parquet"))
    (case / "fewer.parquet").replace(table)


RAW_EDITS: Mapping[str, Callable[[Path], None]] = {
    "raw/pool.datadog.json": append_byte,
    "raw/locks.recording.ndjson.gz": delete_raw,
}


@pytest.mark.parametrize("name", RAW_EDITS)
def test_verify_names_a_raw_file_that_is_not_what_it_was(name: str, case: Path) -> None:
    RAW_EDITS[name](case)
    found = problems(case)
    assert name in found
    # Behind such a file the reports cannot be compared.
    assert set(found) <= {name, "report.json", "report.md"}


def test_verify_names_each_made_file_that_was_edited(case: Path) -> None:
    for edit in (edit_json, edit_block, edit_page, drop_row):
        edit(case)
    found = problems(case)
    made = {"report.json", "report.md", "report.html", "tables/failures.parquet"}
    assert set(found) == made
    assert "impact" in found["report.md"]


def test_verify_names_a_chart_that_was_edited_or_is_gone(case: Path) -> None:
    picture = case / "charts" / "timeline.svg"
    drawn = picture.read_text(encoding="utf-8")
    assert ">HTTP 504<" in drawn
    picture.write_text(drawn.replace(">HTTP 504<", ">HTTP 503<"), encoding="utf-8")
    (case / "charts" / "error-types.svg").unlink()
    (case / "charts" / "blocking-tree.png").unlink()
    assert set(problems(case)) == {
        "charts/timeline.svg",
        "charts/error-types.svg",
        "charts/blocking-tree.png",
    }


def test_a_report_without_charts_lacks_none(case: Path) -> None:
    kept = case / "charts" / "mine.png"
    kept.write_bytes(b"somebody's own")
    outcome = run(case, "report", str(case), "--no-charts", cwd=case.parent)
    assert outcome.code == ExitCode.COMPLETE, outcome.output
    assert [path.name for path in (case / "charts").iterdir()] == ["mine.png"]
    assert "charts/" not in outcome.markdown
    assert problems(case) == {}
    report_on(case)
    assert problems(case) == {} and "](charts/timeline.png)" in outcome.markdown


@pytest.mark.parametrize("name", RAW_EDITS)
def test_verify_ends_with_3_and_names_the_raw_file(name: str, case: Path) -> None:
    RAW_EDITS[name](case)
    outcome = run(case, "verify", str(case), cwd=case.parent)
    assert outcome.code == ExitCode.INCOMPLETE
    assert name in outcome.output
    assert "Traceback" not in outcome.output


def test_verify_sees_a_forged_copy_of_a_block(case: Path) -> None:
    path = case / "report.md"
    text = path.read_text(encoding="utf-8")
    begin, end = text.index("<!-- incident-rca:begin impact"), "<!-- incident-rca:end impact -->"
    block = text[begin : text.index(end) + len(end)]
    forged = block.replace("1,247", "1,246")
    path.write_text(text.replace(block, f"{forged}\n\n{block}"), encoding="utf-8")
    assert "report.md" in problems(case)


# --- what people write ---------------------------------------------------------------------------

NOTE = "Support heard of it at 14:31 UTC; 38 orders were repeated by hand."


def with_notes(case: Path) -> None:
    """An edit: text between the generated blocks and at the end."""
    path = case / "report.md"
    text = path.read_text(encoding="utf-8")
    after = "<!-- incident-rca:end impact -->\n"
    assert after in text
    text = text.replace(after, f"{after}\n{NOTE}\n") + f"\n## Notes\n\n{NOTE}\n"
    path.write_text(text, encoding="utf-8")


def test_text_between_the_blocks_is_kept_and_verify_passes(case: Path) -> None:
    with_notes(case)
    before = (case / "report.md").read_text(encoding="utf-8")
    report_on(case)
    assert (case / "report.md").read_text(encoding="utf-8") == before
    assert before.count(NOTE) == 2
    outcome = run(case, "verify", str(case), cwd=case.parent)
    assert outcome.code == ExitCode.COMPLETE, outcome.output


def test_an_edited_block_is_not_overwritten(case: Path) -> None:
    edit_block(case)
    before = bytes_of(case)
    with pytest.raises(EditedReport) as refusal:
        report_on(case)
    assert refusal.value.exit_code == ExitCode.USAGE
    assert "impact" in refusal.value.message
    assert bytes_of(case) == before


def test_the_command_line_refuses_an_edited_block_unless_forced(case: Path) -> None:
    written = (case / "report.md").read_bytes()
    edit_block(case)
    refused = run(case, "report", str(case), cwd=case.parent)
    assert refused.code == ExitCode.USAGE
    assert "--force" in refused.output and "Traceback" not in refused.output
    assert (case / "report.md").read_bytes() != written
    forced = run(case, "report", str(case), "--force", cwd=case.parent)
    assert forced.code == ExitCode.COMPLETE, forced.output
    assert (case / "report.md").read_bytes() == written

"""`lint` as a user runs it: formats, exit codes, what is refused."""

from __future__ import annotations

import json
import re
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.cli.running import COMMAND, environment, refused, run
from tests.oracle.libraries import BESIDE_MODULES
from tests.oracle.libraries import run as read_by

STATS = Path(__file__).resolve().parents[1] / "migrations" / "stats.json"
INDEX = "SET lock_timeout = '5s';\nCREATE INDEX a ON orders (status);\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "m").mkdir()
    (tmp_path / "m" / "V10__index.sql").write_text(INDEX, encoding="utf-8")
    (tmp_path / "m" / "V2__fine.sql").write_text("SELECT 1;\n", encoding="utf-8")
    return tmp_path


def test_the_terminal_shows_source_lock_size_and_rewrite(folder: Path) -> None:
    ran = run(folder, "lint", "m", "--stats", STATS)
    age = datetime.now(UTC) - datetime(2026, 1, 15, 10, tzinfo=UTC)
    assert ran.code == 1
    assert ran.out.splitlines() == [
        "m/V10__index.sql:2:1  high  index-without-concurrently",
        "  2 | CREATE INDEX a ON orders (status);",
        "    | ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^",
        "  Builds an index on orders while nobody can write to it.",
        "  SHARE blocks writes, not reads.",
        "  The table public.orders has about 5,000,000 rows, 500 MB (analyzed 2026-01-14T03:00:00Z"
        "; made up for the twins, 2026-01-15T10:00:00Z; threshold 100,000 rows).",
        "  Held at least 5.0 s (assumed 1,000,000 rows/s); 600 row writes would queue at the rate "
        "seen.",
        "  Instead:",
        "    CREATE INDEX CONCURRENTLY a ON orders USING btree (status);",
        "",
        "Checked 3 of 3 statements (100%) in 2 files.",
        "Sizes: 8 tables of made up for the twins, PostgreSQL 18.4, primary, 2026-01-15T10:00:00Z, "
        f"{age.days} days old.",
        "1 finding: 1 high.",
    ]
    assert ran.err == ""


@pytest.mark.parametrize(
    ("text", "options", "code"),
    [
        (INDEX, (), 0),
        (INDEX, ("--fail-on", "medium"), 1),
        (INDEX, ("--fail-on", "critical"), 0),
        ("SELECT 1;", (), 0),
        ("", (), 0),
        ("SELEC 1;\nSELECT 1;", (), 3),
        ("SELEC 1;\n" + INDEX, ("--fail-on", "medium"), 1),
        ("DROP TABLE {{ a }};", (), 4),
    ],
)
def test_exit_codes(tmp_path: Path, text: str, options: tuple[str, ...], code: int) -> None:
    (tmp_path / "a.sql").write_text(text, encoding="utf-8")
    assert run(tmp_path, "lint", "a.sql", *options).code == code


def test_json_has_everything_a_program_needs(folder: Path) -> None:
    ran = run(folder, "lint", "m", "--stats", STATS, "--json")
    (found,) = json.loads(ran.out)["findings"]
    place = {"line": 2, "column": 1, "end_line": 2, "end_column": 34}
    assert found.items() >= {"rule": "index-without-concurrently", **place}.items()
    assert found["lock_mode"] == "ShareLock"
    assert found["estimate"] == {
        "seconds": 5.0,
        "basis": "assumed 1,000,000 rows/s",
        "queued_writes": 600,
        "queued_scans": None,
    }
    assert "1 finding: 1 high." in ran.err


def test_sarif_places_and_suppresses(folder: Path) -> None:
    ignored = "-- incident-rca: ignore index-without-concurrently because night\n"
    text = INDEX + ignored + "CREATE INDEX b ON orders (a);\nSELEC 1;\n"
    (folder / "m" / "a b.sql").write_text(text, encoding="utf-8")
    ran = run(folder, "lint", "m/a b.sql", "--format", "sarif")
    log = json.loads(ran.out)
    assert log["version"] == "2.1.0"
    (one,) = log["runs"]
    rules = [rule["id"] for rule in one["tool"]["driver"]["rules"]]
    assert [rules[result["ruleIndex"]] for result in one["results"]] == [
        result["ruleId"] for result in one["results"]
    ]
    first, second = one["results"]
    assert first["level"] == "warning"
    place = first["locations"][0]["physicalLocation"]
    assert place["artifactLocation"] == {"uri": "m/a%20b.sql"}
    assert place["region"] == {"startLine": 2, "startColumn": 1, "endLine": 2, "endColumn": 34}
    assert second["suppressions"] == [{"kind": "inSource", "justification": "night"}]
    (note,) = one["invocations"][0]["toolExecutionNotifications"]
    assert note["message"]["text"] == 'not checked: syntax error at or near "SELEC"'


def test_sarif_is_valid_by_its_schema(folder: Path) -> None:
    """Every level and kind of notification; what breaks the schema is told, so it is looked at."""
    text = (
        f"{INDEX}DROP INDEX CONCURRENTLY a;\nSELEC 1;\n"
        "-- incident-rca: ignore drop-index-without-concurrently because the table is not used\n"
        "DROP INDEX b;\n-- incident-rca: ignore set-not-null because x\n-- incident-rca: hm\n"
    )
    (folder / "m" / "V3__all.sql").write_text(text, encoding="utf-8")
    (folder / "m" / "V4__é.sql").write_bytes(b"\xff")
    ran = run(folder, "lint", "m", "--runner", "django", "--stats", STATS, "--format", "sarif")
    (one,) = (log := json.loads(ran.out))["runs"]
    assert {result["level"] for result in one["results"]} == {"error", "warning"}
    assert len(one["invocations"][0]["toolExecutionNotifications"]) == 4
    assert any("suppressions" in result for result in one["results"])
    read_by("read_sarif.cjs", BESIDE_MODULES, given=ran.out)
    one["results"][0]["level"] = "critical"
    with pytest.raises(AssertionError, match="level should be equal to one of the allowed values"):
        read_by("read_sarif.cjs", BESIDE_MODULES, given=json.dumps(log))


def test_annotations_of_github_are_one_line_each(folder: Path) -> None:
    (folder / "m" / "a,b.sql").write_text(f"{INDEX}SELEC 1;\n", encoding="utf-8")
    ran = run(folder, "lint", "m/a,b.sql", "--format", "github")
    first, second = ran.out.splitlines()
    head = "::warning file=m/a%2Cb.sql,line=2,endLine=2,col=1,endColumn=34,"
    assert first.startswith(f"{head}title=index-without-concurrently::Builds an index on orders")
    assert "%0AInstead:%0ACREATE INDEX CONCURRENTLY" in first
    assert re.match(r"::warning file=m/a%2Cb\.sql,line=3,title=not checked::syntax error", second)


def piped(folder: Path, text: bytes) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [*COMMAND, "lint", "-", "--runner", "alembic"],
        cwd=folder,
        env=environment(folder),
        input=text,
        capture_output=True,
    )


def test_standard_input_and_a_runner(tmp_path: Path) -> None:
    done = piped(tmp_path, b"CREATE INDEX CONCURRENTLY a ON orders (a);")
    assert done.returncode == 1
    assert b"<stdin>:1:1  high  concurrently-in-transaction" in done.stdout
    assert b"autocommit_block()" in done.stdout


def test_standard_input_that_is_no_text_is_not_read(tmp_path: Path) -> None:
    done = piped(tmp_path, b"SELECT '\xff';")
    assert done.returncode == 4
    assert b"<stdin>: not checked: it is not UTF-8 text" in done.stdout


def test_a_file_that_is_no_text_costs_itself_only(folder: Path) -> None:
    (folder / "m" / "V1__latin.sql").write_bytes("SELECT 'é';".encode("latin-1"))
    (folder / "m" / "V3__utf16.sql").write_bytes("SELECT 1;".encode("utf-16"))
    (folder / "m" / "folder.sql").mkdir()
    ran = run(folder, "lint", "m", "--json")
    document = json.loads(ran.out)
    assert ran.code == 3
    assert [f["path"] for f in document["findings"]] == ["m/V10__index.sql"]
    refused_files = [file["path"] for file in document["files"] if file["refused"]]
    assert refused_files == ["m/V1__latin.sql", "m/V3__utf16.sql"]
    assert "Checked 3 of 3 statements (100%) in 4 files, 2 files not read." in ran.err


def test_the_settings_file_is_obeyed(folder: Path) -> None:
    (folder / "incident-rca.toml").write_text(
        '[lint]\nrunner = "django"\nlock_timeout_elsewhere = true\nindex_rows_per_second = 1000\n'
        'large_tables = { orders = 6000000, "public.regions" = 10 }\n',
        encoding="utf-8",
    )
    assert run(folder, "lint", "m", "--stats", STATS).code == 0
    text = "CREATE INDEX a ON regions (name);\nCREATE INDEX CONCURRENTLY b ON orders (a);\n"
    (folder / "a.sql").write_text(text, encoding="utf-8")
    ran = run(folder, "lint", "a.sql", "--stats", STATS, "--json")
    found = json.loads(ran.out)["findings"]
    assert [f["rule"] for f in found] == [
        "index-without-concurrently",
        "concurrently-in-transaction",
    ]
    assert found[0]["estimate"]["basis"] == "measured 1,000 rows/s"


def test_files_of_a_folder_follow_their_numbers_however_they_are_named(tmp_path: Path) -> None:
    """A shell and pre-commit name V10 before V9; another folder comes when it is named."""
    timed = "SET lock_timeout = '5s';\nALTER TABLE orders"
    for name, text in {
        "m/V9__a.sql": f"{timed} ADD CONSTRAINT c CHECK (a IS NOT NULL);",
        "m/V10__b.sql": f"{timed} ALTER COLUMN a SET NOT NULL;",
        "z/V1__a.sql": "SELECT 1;",
    }.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text, encoding="utf-8")
    ran = run(tmp_path, "lint", "z/V1__a.sql", "m/V10__b.sql", "m/V9__a.sql", "--json")
    document = json.loads(ran.out)
    assert [file["path"] for file in document["files"]] == [
        "z/V1__a.sql",
        "m/V9__a.sql",
        "m/V10__b.sql",
    ]
    assert [f["rule"] for f in document["findings"]] == ["constraint-without-not-valid"]


def test_a_rule_explains_itself(tmp_path: Path) -> None:
    ran = run(tmp_path, "lint", "--explain", "set-not-null")
    assert (ran.code, ran.err) == (0, "")
    assert ran.out.startswith("# set-not-null\n")


def test_what_is_refused(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "python").mkdir()
    (tmp_path / "python" / "0001_a.py").write_text("x = 1\n")
    (tmp_path / "not.json").write_text("[]")
    refused(2, tmp_path, "lint")
    refused(2, tmp_path, "lint", "empty")
    assert "--sql" in refused(2, tmp_path, "lint", "python").err
    assert "--sql" in refused(2, tmp_path, "lint", "python/0001_a.py").err
    refused(2, tmp_path, "lint", "gone.sql")
    refused(2, tmp_path, "lint", "empty", "--runner", "flywey")
    refused(2, tmp_path, "lint", "empty", "--stats", "not.json")
    refused(2, tmp_path, "lint", "empty", "--stats", "gone.json")
    refused(2, tmp_path, "lint", "empty", "--stats", "x", "--dsn", "y")
    assert (
        "did you mean `lock-table`?" in refused(2, tmp_path, "lint", "--explain", "lock-tabel").err
    )


def test_nobody_answers(tmp_path: Path) -> None:
    (tmp_path / "a.sql").write_text("SELECT 1;")
    dsn = "postgresql://x@127.0.0.1:1/x"
    refused(4, tmp_path, "lint", "a.sql", "--dsn", dsn)
    refused(4, tmp_path, "stats", "--dsn", dsn)


def test_a_statement_that_is_too_deep_for_the_parser_ends_no_process(tmp_path: Path) -> None:
    file = tmp_path / "deep.sql"
    file.write_text("DROP INDEX a;\nSELECT " + "a+" * 22_000 + "1;\nDROP INDEX b;\n")
    ran = run(tmp_path, "lint", file)
    assert ran.code in (1, 3), ran.err
    assert "nested too deeply" in ran.out + ran.err
    assert ran.out.count("drop-index-without-concurrently") == 2, ran.out

"""What a finding weighs, what sets it aside, how runners wrap files, and the pages of the rules."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import get_args

import pytest

from incident_rca.migrations.document import pages
from incident_rca.migrations.lint import FileReport, Surroundings, lint_files, lint_text
from incident_rca.migrations.operations import Relation
from incident_rca.migrations.rules import RULES
from incident_rca.migrations.runners import RUNNERS
from incident_rca.migrations.sizes import TableSize, TableSizes, largest, of_document, to_document
from incident_rca.migrations.weighing import Thresholds
from incident_rca.model import Severity
from incident_rca.settings_values import RUNNER_NAMES

ROOT = Path(__file__).resolve().parents[2]
STATS = ROOT / "tests" / "migrations" / "stats.json"
SIZES = of_document(json.loads(STATS.read_text(encoding="utf-8")), "stats.json")
ORDERS = Relation("orders", "public")
INDEX = "SET lock_timeout = '5s';\nCREATE INDEX a ON orders (status);"


def with_orders(change: Callable[[TableSize], TableSize]) -> TableSizes:
    tables = {**SIZES.tables, ORDERS: change(SIZES.tables[ORDERS])}
    return replace(SIZES, tables=MappingProxyType(tables))


def severity(sizes: TableSizes | None, thresholds: Thresholds | None = None) -> Severity | None:
    around = Surroundings(sizes=sizes, thresholds=thresholds or Thresholds())
    found = lint_text(INDEX, around).findings
    return found[0].severity if found else None


# --- the size decides -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rows", "expected"),
    [(99_999, None), (100_000, Severity.HIGH), (5_000_000, Severity.HIGH), (None, Severity.HIGH)],
)
def test_an_index_above_the_threshold_is_an_error(
    rows: int | None, expected: Severity | None
) -> None:
    assert severity(with_orders(lambda t: replace(t, rows=rows, bytes=1000))) is expected


def test_without_sizes_it_is_a_warning_that_says_why() -> None:
    assert severity(None) is Severity.MEDIUM
    (found,) = lint_text(INDEX).findings
    assert found.reason == "the size of public.orders is not known: give --dsn or --stats"


def test_a_table_that_the_sizes_do_not_have_is_a_warning() -> None:
    gone = replace(SIZES, tables=MappingProxyType({}))
    assert severity(gone) is Severity.MEDIUM


def test_few_wide_rows_are_large() -> None:
    wide = with_orders(lambda t: replace(t, rows=5000, bytes=3_000_000_000))
    assert severity(wide) is Severity.HIGH


def test_a_table_may_have_a_threshold_of_its_own() -> None:
    few = with_orders(lambda t: replace(t, rows=2000, bytes=1000))
    assert severity(few, Thresholds(per_table=MappingProxyType({ORDERS: 1000}))) is Severity.HIGH
    assert severity(few, Thresholds(large_table_rows=2001)) is None


def test_the_name_decides_which_table_is_meant() -> None:
    other = replace(SIZES.tables[ORDERS], schema="archive", rows=3)
    both = {**SIZES.tables, Relation("orders", "archive"): other}
    sizes = replace(SIZES, tables=MappingProxyType(both))
    around = Surroundings(sizes=sizes)
    index = "SET lock_timeout = 1000;\nCREATE INDEX a ON"
    assert lint_text(f"{index} archive.orders (a);", around).findings == ()
    assert lint_text(f"SET search_path TO archive;\n{index} orders (a);", around).findings == ()
    assert len(lint_text(f"{index} orders (a);", around).findings) == 1


def test_what_would_queue_is_rows_by_rate() -> None:
    around = Surroundings(sizes=SIZES, thresholds=Thresholds(rows_per_second=50_000))
    (found,) = lint_text(INDEX, around).findings
    assert found.blocking is not None
    # 5,000,000 rows at 50,000 a second; 120 writes a second; SHARE lets reads pass.
    assert (found.blocking.seconds, found.blocking.queued_writes) == (100.0, 12_000.0)
    assert found.blocking.queued_scans is None
    assert found.blocking.basis == "measured 50,000 rows/s"
    (scan,) = lint_text(
        "SET lock_timeout = 1;\nALTER TABLE orders ADD CHECK (quantity > 0);", around
    ).findings
    assert scan.blocking is not None
    assert scan.blocking.queued_scans is not None


def test_sizes_come_back_from_their_file() -> None:
    assert of_document(json.loads(json.dumps(to_document(SIZES))), "x") == SIZES


def test_of_several_databases_the_largest_table_counts() -> None:
    small = with_orders(lambda t: replace(t, rows=5))
    unknown = with_orders(lambda t: replace(t, rows=None))
    assert largest([small, SIZES]).tables[ORDERS].rows == 5_000_000
    assert largest([SIZES, unknown]).tables[ORDERS].rows is None


# --- the safe way -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("column", "steps"),
    [
        (
            "a int NOT NULL DEFAULT 1 CHECK (a > 0)",
            ("a int DEFAULT 1 NOT NULL", "orders_a_check CHECK (a > 0) NOT VALID"),
        ),
        (
            "a int NOT NULL DEFAULT 1 REFERENCES regions (id)",
            (
                "a int DEFAULT 1 NOT NULL",
                "orders_a_fkey FOREIGN KEY (a) REFERENCES regions (id) NOT VALID",
            ),
        ),
        (
            "a int CONSTRAINT b CHECK (a > 0)",
            ("a int", "b CHECK (a > 0) NOT VALID"),
        ),
        (
            "a int UNIQUE",
            ("a int", "orders_a_key UNIQUE USING INDEX orders_a_key"),
        ),
    ],
)
def test_a_column_and_its_constraint_are_added_one_after_the_other(
    column: str, steps: tuple[str, str]
) -> None:
    text = f"SET lock_timeout = '5s';\nALTER TABLE orders ADD COLUMN {column};"
    (found,) = lint_text(text).findings
    added, constrained = steps
    assert f"ALTER TABLE orders ADD COLUMN {added};" in found.rewrite
    assert f"ALTER TABLE orders ADD CONSTRAINT {constrained};" in found.rewrite
    assert lint_text("\n".join(found.rewrite)).findings == ()


# --- what sets a finding aside ----------------------------------------------------------------


def ignoring(comment: str) -> FileReport:
    return lint_text(f"SET lock_timeout = '5s';\n{comment}\nCREATE INDEX a ON orders (status);")


def test_a_reason_sets_a_finding_aside() -> None:
    report = ignoring("-- incident-rca: ignore index-without-concurrently because nobody is awake")
    assert report.findings == ()
    assert [i.because for i in report.ignored] == ["nobody is awake"]
    assert (report.unused_ignores, report.bad_ignores) == ((), ())


@pytest.mark.parametrize(
    ("comment", "what"),
    [
        ("ignore index-without-concurrently", "is not ignored without a reason"),
        ("ignore index-without because x", "did you mean `index-without-concurrently`?"),
        ("skip everything", "is not understood"),
    ],
)
def test_a_comment_that_cannot_be_followed_is_told(comment: str, what: str) -> None:
    report = ignoring(f"-- incident-rca: {comment}")
    assert len(report.findings) == 1
    (bad,) = report.bad_ignores
    assert what in bad.what
    assert bad.place.line == 2


def test_an_ignore_is_for_the_next_statement_only_and_unused_ones_are_told() -> None:
    rule = "index-without-concurrently"
    text = (
        "SET lock_timeout = '5s';\n"
        f"-- incident-rca: ignore {rule} because one\n"
        "CREATE INDEX a ON orders (a);\n"
        "CREATE INDEX b ON orders (b);\n"
        f"CREATE INDEX c ON orders (c);  -- incident-rca: ignore {rule} because two\n"
        f"-- incident-rca: ignore {rule}, set-not-null because three\n"
        "DO $$ BEGIN CREATE INDEX d ON orders (d); END $$;\n"
        f"SELECT '-- incident-rca: ignore {rule} because this is a text';\n"
    )
    report = lint_text(text)
    assert [f.start.line for f in report.findings] == [4]
    assert [i.because for i in report.ignored] == ["one", "two", "three"]
    assert [(i.rule, i.place.line) for i in report.unused_ignores] == [("set-not-null", 6)]


# --- runners ----------------------------------------------------------------------------------

ONE = "CREATE INDEX CONCURRENTLY a ON orders (a);"
TWO = f"{ONE}\nCREATE INDEX CONCURRENTLY b ON orders (b);"
TIMED = "SET lock_timeout = '5s';\nALTER TABLE orders ADD COLUMN a int;\nUPDATE orders SET a = 1;"


@pytest.mark.parametrize(
    ("runner", "one", "two", "update"),
    [
        ("psql", False, False, False),
        ("sqitch", False, False, False),
        ("flyway", False, False, True),
        ("golang-migrate", False, True, True),
        ("alembic", True, True, True),
        ("django", True, True, True),
    ],
)
def test_how_a_file_is_wrapped(runner: str, one: bool, two: bool, update: bool) -> None:
    def rules(text: str) -> list[str]:
        return [f.rule for f in lint_text(text, Surroundings(runner=RUNNERS[runner])).findings]

    assert rules(ONE) == ["concurrently-in-transaction"] * one
    assert rules(TWO) == ["concurrently-in-transaction"] * (2 * two)
    assert rules(TIMED) == ["statements-after-strong-lock"] * update


def test_flyway_refuses_a_file_that_mixes_both_kinds() -> None:
    around = Surroundings(runner=RUNNERS["flyway"])
    (found,) = lint_text(f"SELECT 1;\n{ONE}", around).findings
    assert (found.rule, found.start.line) == ("concurrently-in-transaction", 2)
    assert found.rewrite[0].startswith("-- keep it alone in its file, ")


@pytest.mark.parametrize(
    ("statement", "is_refused"),
    [
        ("CREATE UNIQUE INDEX CONCURRENTLY a ON orders (a)", False),
        ("DROP INDEX CONCURRENTLY a", False),
        ("VACUUM orders", False),
        ("VACUUM (ANALYZE) orders", False),
        ("REINDEX INDEX CONCURRENTLY a", True),
        ("REINDEX TABLE CONCURRENTLY orders", True),
        ("ALTER TABLE events DETACH PARTITION events_2025 CONCURRENTLY", True),
    ],
)
def test_flyway_knows_some_of_what_refuses_a_transaction(statement: str, is_refused: bool) -> None:
    found = lint_text(statement, Surroundings(runner=RUNNERS["flyway"])).findings
    assert [f.rule for f in found] == ["concurrently-in-transaction"] * is_refused


@pytest.mark.parametrize(("runner", "is_refused"), [("golang-migrate", True), ("alembic", False)])
def test_behind_a_commit_one_string_is_a_transaction_again(runner: str, is_refused: bool) -> None:
    found = lint_text(f"BEGIN;\nCOMMIT;\n{ONE}", Surroundings(runner=RUNNERS[runner])).findings
    assert [f.rule for f in found] == ["concurrently-in-transaction"] * is_refused


@pytest.mark.parametrize(
    ("runner", "text", "ending"),
    [
        ("psql", INDEX, None),
        ("psql", f"BEGIN;\n{INDEX}", "end the transaction before it"),
        ("django", INDEX, "set `atomic = False` on the migration"),
        ("psql", f"DO $$ BEGIN {INDEX[INDEX.index('CREATE') :]} END $$;", "a statement of its own"),
    ],
)
def test_where_the_safe_way_cannot_run_it_says_so(
    runner: str, text: str, ending: str | None
) -> None:
    findings = lint_text(text, Surroundings(runner=RUNNERS[runner])).findings
    (found,) = [f for f in findings if f.rule == "index-without-concurrently"]
    said = [line for line in found.rewrite if "does not run here" in line]
    assert [line.endswith(ending or "") for line in said] == [True] * (ending is not None)


def test_vacuum_runs_outside_of_transactions_only_and_analyze_anywhere() -> None:
    around = Surroundings(runner=RUNNERS["alembic"])
    found = lint_text("VACUUM (ANALYZE) orders;\nANALYZE orders;", around).findings
    assert [(f.rule, f.start.line) for f in found] == [("concurrently-in-transaction", 1)]


def test_a_commit_in_the_file_ends_what_the_runner_began() -> None:
    around = Surroundings(runner=RUNNERS["alembic"])
    assert lint_text(f"COMMIT;\n{ONE}", around).findings == ()


def test_the_settings_know_all_runners() -> None:
    assert set(RUNNER_NAMES) == RUNNERS.keys()


@pytest.mark.parametrize(
    "before", ["", "RESET lock_timeout;", "SET lock_timeout TO DEFAULT;", "RESET ALL;"]
)
def test_a_timeout_of_the_role_counts_and_reset_returns_to_it(before: str) -> None:
    text = f"SET lock_timeout = 0;{before}ALTER TABLE orders ADD COLUMN a int;"
    of_role = Surroundings(has_lock_timeout=True)
    assert bool(lint_text(text, of_role).findings) is not bool(before)
    assert lint_text("ALTER TABLE orders ADD COLUMN a int;", of_role).findings == ()
    assert [f.rule for f in lint_text(text).findings] == ["no-lock-timeout"]


def test_a_proof_of_an_earlier_file_counts_and_its_tables_are_not_new() -> None:
    timed = "SET lock_timeout = '5s';\n"
    files = [
        ("1", f"{timed}ALTER TABLE t ADD CONSTRAINT c CHECK (a IS NOT NULL) NOT VALID;"),
        ("2", f"{timed}ALTER TABLE t VALIDATE CONSTRAINT c;"),
        ("3", f"{timed}ALTER TABLE t ALTER COLUMN a SET NOT NULL;"),
        ("4", "CREATE TABLE u (a int);"),
        ("5", f"{timed}CREATE INDEX i ON u (a);"),
    ]
    reports = lint_files(files, Surroundings())
    assert [(r.path, f.rule) for r in reports for f in r.findings] == [
        ("5", "index-without-concurrently")
    ]


# --- the pages --------------------------------------------------------------------------------


def test_the_pages_are_those_of_the_rules() -> None:
    folder = ROOT / "docs" / "lint"
    written = {path.name: path.read_text(encoding="utf-8") for path in folder.glob("*.md")}
    assert written == dict(pages(RULES)), "run python docs/make_lint_pages.py"


def test_every_rule_is_a_file_of_its_name() -> None:
    folder = ROOT / "incident_rca" / "migrations" / "rules"
    files = {p.stem.replace("_", "-") for p in folder.glob("*.py") if p.stem != "__init__"}
    assert files == {rule.name for rule in RULES}


def test_every_operation_is_one_that_the_grammar_makes() -> None:
    """An operation that nothing reads would be dead."""
    from incident_rca.migrations.operations import Operation

    names = {kind.__name__ for kind in get_args(Operation)}
    folder = ROOT / "incident_rca" / "migrations"
    made = "".join(p.read_text() for p in (*folder.glob("grammar*.py"), folder / "script.py"))
    assert not [name for name in names if f"{name}(" not in made]

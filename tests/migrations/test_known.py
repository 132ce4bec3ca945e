"""What earlier statements, files and the server say of a table, and what a rule makes of it."""

from __future__ import annotations

from dataclasses import replace
from types import MappingProxyType

import pytest

from incident_rca.migrations.lint import LintFinding, Surroundings, lint_files, lint_text
from incident_rca.migrations.operations import Relation
from incident_rca.migrations.sizes import TableSize, TableSizes, table_sizes
from incident_rca.model import Severity

TIMED = "SET lock_timeout = '5s';\n"
BIG = TableSize(schema="public", name="t", kind="table", rows=9_000_000, bytes=10**9)


def server(*tables: TableSize) -> TableSizes:
    return table_sizes(
        list(tables), origin="x", as_of="2026-01-01T00:00:00Z", server="", watched_seconds=0
    )


def of_last(*texts: str, sizes: TableSizes | None = None) -> list[LintFinding]:
    """The findings of the last of several files, but for timeouts."""
    files = [(str(number), text) for number, text in enumerate(texts)]
    return list(lint_files(files, Surroundings(sizes=sizes, has_lock_timeout=True))[-1].findings)


def rules(*texts: str, sizes: TableSizes | None = None) -> list[str]:
    return [f.rule for f in of_last(*texts, sizes=sizes)]


# --- types ----------------------------------------------------------------------------------------

CREATED = "CREATE TABLE t (a varchar(20), b numeric(10, 2), c text);"


@pytest.mark.parametrize(
    ("earlier", "change", "is_told"),
    [
        (CREATED, "a TYPE varchar(40)", False),
        (CREATED, "a TYPE text USING a::text", False),
        (CREATED, "a TYPE text USING lower(a)", True),
        (CREATED, 'a TYPE text COLLATE "C"', True),
        (CREATED, "a TYPE varchar(10)", True),
        (CREATED, "b TYPE numeric(12, 2)", False),
        (CREATED, "b TYPE numeric(12, 4)", True),
        (CREATED, "d TYPE text", True),
        (f"{CREATED} ALTER TABLE t ADD COLUMN d varchar(9);", "d TYPE text", False),
        ("ALTER TABLE t ADD COLUMN IF NOT EXISTS a varchar(20);", "a TYPE varchar(40)", True),
        (f"{CREATED} ALTER TABLE t ALTER c TYPE varchar(9);", "c TYPE varchar(12)", False),
        (f"{CREATED} ALTER TABLE t DROP COLUMN a;", "a TYPE varchar(40)", True),
        (f"{CREATED} ALTER TABLE t RENAME COLUMN a TO d;", "d TYPE varchar(40)", False),
        (f"{CREATED} ALTER TABLE t RENAME COLUMN a TO d;", "a TYPE varchar(40)", True),
        (f"{CREATED} DROP TABLE t;", "a TYPE varchar(40)", True),
        (f"BEGIN; {CREATED} ROLLBACK;", "a TYPE varchar(40)", True),
        (f"{CREATED} CREATE INDEX ON t (lower(a));", "a TYPE varchar(40)", True),
        (f"{CREATED} CREATE INDEX ON t (a) WHERE b > 5;", "a TYPE varchar(40)", True),
        (f"{CREATED} CREATE INDEX ON t (a);", "a TYPE varchar(40)", False),
        (f"{CREATED} ALTER TABLE t ADD CHECK (a <> c);", "a TYPE varchar(40)", True),
        (f"{CREATED} ALTER TABLE t ADD CHECK (b > 1);", "a TYPE varchar(40)", False),
        ("CREATE TABLE IF NOT EXISTS t (a varchar(20));", "a TYPE varchar(40)", True),
    ],
)
def test_the_type_that_earlier_files_gave_decides(earlier: str, change: str, is_told: bool) -> None:
    found = rules(earlier, f"ALTER TABLE t ALTER COLUMN {change};")
    assert found == ["column-type-change"] * is_told


def test_a_table_under_its_new_name_keeps_its_types() -> None:
    earlier = f"{CREATED} ALTER TABLE t RENAME TO u;"
    assert rules(earlier, "ALTER TABLE u ALTER a TYPE varchar(40);") == []
    assert rules(earlier, "ALTER TABLE t ALTER a TYPE varchar(40);") == ["column-type-change"]


@pytest.mark.parametrize(
    ("known", "watched", "severity"),
    [
        ("character varying(20)", (), None),
        ("character varying(20)", ("a",), Severity.HIGH),
        ("text", (), Severity.HIGH),
        ("public.mood", (), Severity.MEDIUM),
        ("", (), Severity.MEDIUM),
    ],
)
def test_the_type_that_the_server_has_decides(
    known: str, watched: tuple[str, ...], severity: Severity | None
) -> None:
    columns = MappingProxyType({"a": known} if known else {})
    sizes = server(replace(BIG, columns=columns, watched=watched))
    found = of_last("ALTER TABLE t ALTER COLUMN a TYPE varchar(40);", sizes=sizes)
    assert [f.severity for f in found] == ([] if severity is None else [severity])


def test_what_the_files_changed_is_newer_than_what_the_server_says() -> None:
    sizes = server(replace(BIG, columns=MappingProxyType({"a": "character varying(20)"})))
    change = "ALTER TABLE t ALTER COLUMN a TYPE varchar(40);"
    assert rules(change, sizes=sizes) == []
    assert rules("ALTER TABLE t ALTER a TYPE text;", change, sizes=sizes) == ["column-type-change"]
    created = "DROP TABLE t; CREATE TABLE t (b text);"
    assert rules(created, change, sizes=sizes) == ["column-type-change"]


def test_a_table_that_earlier_files_created_and_the_server_has_is_one() -> None:
    """All files of a folder: the first ones have run, and the server knows what came since."""
    parent = "CREATE TABLE p (a int, b varchar(9)) PARTITION BY RANGE (a);"
    sizes = server(replace(PARENT, watched=("b",)), DEFAULT)
    new = "CREATE TABLE n PARTITION OF p FOR VALUES FROM (1) TO (9);"
    assert rules(parent, new, sizes=sizes) == ["attach-partition-scan"]
    longer = "ALTER TABLE p ALTER b TYPE varchar(20);"
    assert rules(parent, longer, sizes=sizes) == ["column-type-change"]
    assert rules(f"DROP TABLE p; {parent}", longer, sizes=sizes) == []
    assert rules(f"ALTER TABLE p RENAME TO q; {parent}", longer, sizes=sizes) == []


def test_a_temporary_table_is_not_the_table_of_its_name() -> None:
    temporary = "CREATE TEMP TABLE t (a varchar(20) NOT NULL);"
    assert rules(temporary, "ALTER TABLE t ALTER a TYPE text;") == ["column-type-change"]
    assert rules(temporary, SET) == ["set-not-null"]


def test_in_utc_it_may_write_nothing_and_says_so() -> None:
    earlier = "CREATE TABLE t (a timestamp);"
    (found,) = of_last(earlier, "ALTER TABLE t ALTER a TYPE timestamptz;", sizes=server(BIG))
    assert found.severity is Severity.MEDIUM
    assert "unless the session's time zone is UTC" in found.message


@pytest.mark.parametrize(
    ("earlier", "column", "is_told"),
    [
        ("CREATE DOMAIN d AS text CHECK (value <> '');", "d", True),
        ("CREATE DOMAIN d AS text CHECK (value <> '');", "d DEFAULT 'x'", True),
        ("CREATE DOMAIN d AS text CHECK (value <> '');", "d[]", False),
        ("CREATE DOMAIN d AS text NOT NULL;", "d DEFAULT 'x'", True),
        ("CREATE DOMAIN d AS text;", "d", False),
        ("CREATE DOMAIN d AS text; ALTER DOMAIN d ADD CHECK (value <> '');", "d", True),
        ("CREATE DOMAIN d AS text; ALTER DOMAIN d SET NOT NULL;", "d DEFAULT 'x'", True),
        ("CREATE DOMAIN d AS text; ALTER DOMAIN d SET DEFAULT 'x';", "d", False),
        ("CREATE DOMAIN s.d AS text CHECK (value <> '');", "d", False),
        ("CREATE DOMAIN s.d AS text CHECK (value <> '');", "s.d", True),
        ("CREATE TYPE d AS ENUM ('x');", "d DEFAULT 'x'", False),
    ],
)
def test_a_domain_with_a_constraint_writes_the_table_anew(
    earlier: str, column: str, is_told: bool
) -> None:
    add = f"ALTER TABLE t ADD COLUMN x {column};"
    assert rules(earlier, add) == ["column-default-rewrite"] * is_told


def test_a_domain_of_the_server_is_known() -> None:
    sizes = replace(server(BIG), domains=frozenset({Relation("d", "public")}))
    assert rules("ALTER TABLE t ADD COLUMN x d;", sizes=sizes) == ["column-default-rewrite"]
    assert rules("ALTER TABLE t ADD COLUMN x e;", sizes=sizes) == []


# --- proofs ---------------------------------------------------------------------------------------

SET = "ALTER TABLE t ALTER COLUMN a SET NOT NULL;"
PROOF = "ALTER TABLE t ADD CONSTRAINT p CHECK (a IS NOT NULL);"


@pytest.mark.parametrize(
    ("earlier", "is_told"),
    [
        (PROOF, False),
        (PROOF.replace(");", ") NOT VALID;"), True),
        (f"{PROOF} ALTER TABLE t DROP CONSTRAINT p;", True),
        (
            f"{PROOF} ALTER TABLE t RENAME CONSTRAINT p TO q; ALTER TABLE t DROP CONSTRAINT p;",
            False,
        ),
        (f"{PROOF} ALTER TABLE t RENAME COLUMN a TO b;", True),
        (f"{PROOF} ALTER TABLE t DROP COLUMN a; ALTER TABLE t ADD COLUMN a int;", True),
        (f"{SET} ALTER TABLE t ALTER a DROP NOT NULL;", True),
        (SET, False),
        ("CREATE TABLE t (a int NOT NULL);", False),
        ("CREATE TABLE t (a int PRIMARY KEY);", False),
        ("CREATE TABLE t (a int, PRIMARY KEY (a));", False),
        ("CREATE TABLE t (a serial);", False),
        ("CREATE TABLE t (a int);", True),
    ],
)
def test_what_earlier_files_prove_is_not_read_again(earlier: str, is_told: bool) -> None:
    assert rules(earlier, SET) == ["set-not-null"] * is_told


@pytest.mark.parametrize(
    ("not_null", "earlier", "is_told"),
    [
        ((("a", ""),), "", False),
        ((("a", "p"),), "", False),
        ((("b", "p"),), "", True),
        ((("a", "p"),), "ALTER TABLE t DROP CONSTRAINT p;", True),
        ((("a", ""),), "ALTER TABLE t ALTER a DROP NOT NULL;", True),
        ((("a", ""),), "ALTER TABLE t ALTER a DROP NOT NULL; " + PROOF, False),
    ],
)
def test_what_the_server_proves_is_not_read_again(
    not_null: tuple[tuple[str, str], ...], earlier: str, is_told: bool
) -> None:
    sizes = server(replace(BIG, not_null=not_null))
    assert rules(earlier, SET, sizes=sizes) == ["set-not-null"] * is_told


# --- partitions -----------------------------------------------------------------------------------

ATTACH = "ALTER TABLE p ATTACH PARTITION t FOR VALUES FROM (1) TO (9);"
DEFAULT = replace(BIG, name="d")
PARENT = replace(BIG, name="p", kind="partitioned table", default_partition=Relation("d", "public"))


@pytest.mark.parametrize(
    ("before", "found"),
    [
        ("", ["attach-partition-scan"]),
        ("ALTER TABLE t ADD CHECK (a > 0) NOT VALID;", ["attach-partition-scan"]),
        ("CREATE TABLE t (a int);", []),
        ("CREATE TABLE p (a int) PARTITION BY RANGE (a);", ["attach-partition-scan"]),
    ],
)
def test_rows_are_read_unless_a_check_or_a_new_table_says_otherwise(
    before: str, found: list[str]
) -> None:
    assert [f.rule for f in lint_text(f"{TIMED}{before}{ATTACH}").findings] == found


@pytest.mark.parametrize(
    ("bound", "key", "condition"),
    [
        ("FROM (1) TO (9)", "a", "a IS NOT NULL AND a >= 1 AND a < 9"),
        ("FROM (MINVALUE) TO (9)", "a", "a IS NOT NULL AND a < 9"),
        ("FROM (1) TO (MAXVALUE)", '"A b"', '"A b" IS NOT NULL AND "A b" >= 1'),
        ("IN ('x', 'y')", "a", "a IS NOT NULL AND a IN ('x', 'y')"),
        ("IN ('x', NULL)", "a", None),
        ("FROM (1) TO (9)", "lower(a)", None),
        ("FROM (1, 2) TO (9, 2)", "a, b", None),
        ("WITH (MODULUS 2, REMAINDER 0)", "a", None),
    ],
)
def test_the_check_says_what_the_bound_says(bound: str, key: str, condition: str | None) -> None:
    by = "LIST" if bound.startswith("IN") else "HASH" if bound.startswith("WITH") else "RANGE"
    parent = f'CREATE TABLE p (a text, b int, "A b" int) PARTITION BY {by} ({key});'
    (found,) = of_last(parent, f"ALTER TABLE p ATTACH PARTITION t FOR VALUES {bound};")
    steps = [line for line in found.rewrite if not line.startswith("--")]
    if condition is None:
        assert steps == []
    else:
        assert f"ALTER TABLE t ADD CONSTRAINT t_bound CHECK ({condition}) NOT VALID;" in steps
        assert rules(parent, "\n".join(found.rewrite)) == []


@pytest.mark.parametrize(
    ("default", "before", "is_told"),
    [
        (DEFAULT, "", True),
        (replace(DEFAULT, rows=5, bytes=5), "", False),
        (replace(DEFAULT, checks=("c",)), "", False),
        (replace(DEFAULT, checks=("c",)), "ALTER TABLE d DROP CONSTRAINT c;", True),
        (DEFAULT, "ALTER TABLE p DETACH PARTITION d;", False),
    ],
)
def test_the_default_partition_is_read_for_a_new_one(
    default: TableSize, before: str, is_told: bool
) -> None:
    sizes = server(replace(PARENT, rows=default.rows), default)
    new = "CREATE TABLE n PARTITION OF p FOR VALUES FROM (1) TO (9);"
    found = of_last(before, new, sizes=sizes)
    assert [(f.rule, f.relation, f.severity) for f in found] == [
        ("attach-partition-scan", "public.d", Severity.HIGH)
    ] * is_told
    assert all("nobody can read or write p" in f.message for f in found)


def test_a_default_partition_of_these_files_is_known() -> None:
    parent = "CREATE TABLE p (a int) PARTITION BY LIST (a); CREATE TABLE d PARTITION OF p DEFAULT;"
    new = "CREATE TABLE n PARTITION OF p FOR VALUES IN (1);"
    assert rules(parent, new) == ["attach-partition-scan"]
    assert rules(f"{parent} {new}") == []

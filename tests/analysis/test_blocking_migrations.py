"""Findings that name the lint rule which would have stopped a migration."""

from __future__ import annotations

from typing import Any

import pytest

from incident_rca.migrations.incident import rules_broken
from incident_rca.model import Finding
from tests.analysis.cases import OUTAGE, Row, analysed, blocked, counted, edge

CI = "`incident-rca lint migrations/ --stats stats.json`"


def found(locks: list[Row]) -> list[Finding]:
    analysis = analysed(None, locks=locks, failures=OUTAGE, gateway=counted(OUTAGE))
    return [f for f in analysis.findings if "blocking" in f.rule]


def held(statement: str, mode: str, **columns: Any) -> list[Row]:
    return blocked(-1, 60, holder_statement=statement, holder_mode=mode, **columns)


def test_an_index_build_names_its_rule_and_the_line_for_ci() -> None:
    (finding,) = found(held("CREATE INDEX i ON items (c)", "ShareLock"))
    assert finding.rule == "blocking-index-build"
    assert f"{CI} refuses it by its rule index-without-concurrently" in finding.remedy


def test_another_migration_names_its_rule() -> None:
    sql = "ALTER TABLE items ADD CONSTRAINT c CHECK (price > $1)"
    (finding,) = found(held(sql, "AccessExclusiveLock"))
    assert finding.rule == "blocking-migration"
    assert "A statement of migrate held ACCESS EXCLUSIVE on public.items" in finding.statement
    assert f"{CI} refuses it by its rule constraint-without-not-valid" in finding.remedy
    assert finding.evidence


@pytest.mark.parametrize(
    ("statement", "mode", "basis"),
    [
        ("ALTER TABLE items ADD CHECK (price > $1)", "AccessExclusiveLock", "last"),
        ("ALTER TABLE items ADD CHECK (price > $1)", "ShareLock", "running"),
        ("ALTER TABLE items ADD COLUMN c int", "AccessExclusiveLock", "running"),
        ("ALTER TABLE items ADD CHECK (pri", "AccessExclusiveLock", "running"),
        ("UPDATE items SET price = $1", "RowExclusiveLock", "running"),
    ],
)
def test_nobody_is_accused_of_what_is_not_known(statement: str, mode: str, basis: str) -> None:
    assert found(held(statement, mode, holder_statement_basis=basis)) == []


def test_a_migration_that_waits_in_front_of_others_lacked_a_timeout() -> None:
    """An idle reader, an ALTER TABLE that waits for it, and reads behind that."""
    reader: dict[str, Any] = {
        "holder_mode": "AccessShareLock",
        "holder_statement": "SELECT * FROM items",
    }
    alter = edge(
        60, 8, 7, wait_start=-1, wait_end=60, held_since=-300, waiter_application="migrate",
        waiter_mode="AccessExclusiveLock", **reader,
    )  # fmt: skip
    sql = "ALTER TABLE items ADD COLUMN c int"
    behind: dict[str, Any] = {
        "waiter_mode": "AccessShareLock",
        "holder_mode": "AccessExclusiveLock",
    }
    reads = [
        edge(60, 100 + n, 8, wait_start=0, wait_end=60, edge="soft", holder_statement=sql, **behind)
        for n in range(9)
    ]
    (finding,) = found([alter, *reads])
    assert finding.statement.startswith("A statement of migrate waited for ACCESS EXCLUSIVE")
    assert "refuses it by its rule no-lock-timeout" in finding.remedy


def test_what_is_no_migration_breaks_no_rule() -> None:
    assert rules_broken("SELECT * FROM items", "AccessShareLock") == ()
    assert rules_broken("", "") == ()

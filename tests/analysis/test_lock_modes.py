"""Lock modes: the whole conflict matrix, and the mode that a statement takes."""

from __future__ import annotations

import pytest

from incident_rca.lock_modes import MODES, blocks_reads, conflicts, in_words, mode_of_statement

# PostgreSQL 18, "Table-Level Lock Modes"; the row is requested, the column held. X waits.
COLUMNS = ("AS", "RS", "RX", "SUX", "S", "SRX", "X", "AX")
MATRIX = """
AS   . . . . . . . X
RS   . . . . . . X X
RX   . . . . X X X X
SUX  . . . X X X X X
S    . . X X . X X X
SRX  . . X X X X X X
X    . X X X X X X X
AX   X X X X X X X X
"""
NAMES = {
    "AS": "AccessShareLock",
    "RS": "RowShareLock",
    "RX": "RowExclusiveLock",
    "SUX": "ShareUpdateExclusiveLock",
    "S": "ShareLock",
    "SRX": "ShareRowExclusiveLock",
    "X": "ExclusiveLock",
    "AX": "AccessExclusiveLock",
}
CELLS = [
    (NAMES[row.split()[0]], NAMES[column], cell == "X")
    for row in MATRIX.strip().splitlines()
    for column, cell in zip(COLUMNS, row.split()[1:], strict=True)
]


def test_the_matrix_is_that_of_the_documentation() -> None:
    assert len(CELLS) == 64
    assert [(r, h, conflicts(held=h, requested=r)) for r, h, _ in CELLS] == CELLS
    assert set(MODES) == set(NAMES.values())


def test_conflicts_are_mutual() -> None:
    assert all(conflicts(a, b) == conflicts(b, a) for a in MODES for b in MODES)


def test_only_access_exclusive_blocks_reads() -> None:
    assert [mode for mode in MODES if blocks_reads(mode)] == ["AccessExclusiveLock"]


@pytest.mark.parametrize("mode", ["", "SIReadLock", "sharelock", "Share"])
def test_an_unknown_mode_conflicts_with_none(mode: str) -> None:
    assert not any(conflicts(mode, known) or conflicts(known, mode) for known in MODES)


STATEMENTS: list[tuple[str, str | None]] = [
    ("CREATE INDEX i ON t (c)", "S"),
    ("create unique index if not exists i on t (c)", "S"),
    ("CREATE INDEX CONCURRENTLY i ON t (c)", "SUX"),
    ("CREATE UNIQUE INDEX CONCURRENTLY IF NOT EXISTS i ON t (c)", "SUX"),
    ("CREATE INDEX i_concurrently ON t (c)", "S"),
    ("  \n\tCREATE\n  INDEX i ON t (c)", "S"),
    ("/* migration 7 */ CREATE INDEX i ON t (c)", "S"),
    ("-- why\nCREATE INDEX i ON t (c)", "S"),
    ("/* a */ -- b\n /* c */ ALTER TABLE t ADD COLUMN c int", "AX"),
    ("REINDEX INDEX CONCURRENTLY i", "SUX"),
    ("REINDEX TABLE CONCURRENTLY t", "SUX"),
    ("REINDEX (CONCURRENTLY) TABLE t", "SUX"),
    ("REINDEX TABLE t", "S"),
    ("DROP INDEX CONCURRENTLY i", "SUX"),
    ("DROP INDEX i", "AX"),
    ("VACUUM t", "SUX"),
    ("VACUUM (ANALYZE, VERBOSE) t", "SUX"),
    ("VACUUM FULL t", "AX"),
    ("VACUUM (FULL, ANALYZE) t", "AX"),
    ("vacuum full_history", "SUX"),
    ("ANALYZE t", "SUX"),
    ("ALTER TABLE t ADD COLUMN c int", "AX"),
    ("ALTER TABLE t ADD COLUMN concurrently int", "AX"),
    ("ALTER TABLE t VALIDATE CONSTRAINT k", "SUX"),
    ("ALTER TABLE t ADD CONSTRAINT k FOREIGN KEY (a) REFERENCES u (b)", "SRX"),
    ("ALTER TABLE t ADD CONSTRAINT k FOREIGN KEY (a) REFERENCES u (b) NOT VALID", "SRX"),
    ("ALTER TABLE t ADD COLUMN a int, ADD FOREIGN KEY (a) REFERENCES u (b)", "AX"),
    ("CREATE TRIGGER g AFTER INSERT ON t EXECUTE FUNCTION f()", "SRX"),
    ("CREATE OR REPLACE TRIGGER g AFTER INSERT ON t EXECUTE FUNCTION f()", "SRX"),
    ("DROP TABLE t", "AX"),
    ("TRUNCATE t", "AX"),
    ("CLUSTER t USING i", "AX"),
    ("REFRESH MATERIALIZED VIEW v", "AX"),
    ("REFRESH MATERIALIZED VIEW CONCURRENTLY v", "X"),
    ("LOCK TABLE t", "AX"),
    ("LOCK t", "AX"),
    ("LOCK TABLE t IN SHARE ROW EXCLUSIVE MODE", "SRX"),
    ("lock table only t in access share mode nowait", "AS"),
    ("LOCK t IN EXCLUSIVE MODE", "X"),
    ("INSERT INTO t VALUES ('create index')", "RX"),
    ("update t set c = 1", "RX"),
    ("DELETE FROM t", "RX"),
    ("MERGE INTO t USING s ON true WHEN MATCHED THEN DO NOTHING", "RX"),
    ("COPY t FROM STDIN", "RX"),
    ("SELECT * FROM t", "AS"),
    ("SELECT * FROM t FOR UPDATE", "RS"),
    ("select * from t where id = 1 for no key update skip locked", "RS"),
    ("SELECT * FROM t FOR KEY SHARE", "RS"),
    ("SELECT 'wait for update' FROM t", "AS"),
    ("CREATE TABLE u (a int)", None),
    ("BEGIN", None),
    ("SHOW work_mem", None),
    ("", None),
]


@pytest.mark.parametrize(("statement", "mode"), STATEMENTS)
def test_the_mode_of_a_statement(statement: str, mode: str | None) -> None:
    assert mode_of_statement(statement) == (mode and NAMES[mode])


def test_modes_in_words() -> None:
    assert in_words("RowExclusiveLock") == "ROW EXCLUSIVE"
    assert in_words("AccessShareLock") == "ACCESS SHARE"

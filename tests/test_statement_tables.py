"""Which tables a statement names, checked against statements of known tables."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from incident_rca.statement_tables import only_table_of, tables_of

NAMED: dict[str, list[str]] = {
    "SELECT 1": [],
    "SELECT pg_sleep(1) FROM generate_series(1, 2)": [],
    "SELECT extract(year FROM at), substring(a FROM 2) FROM a, b x, c AS y": ["a", "b", "c"],
    "SELECT * FROM a WHERE b IS DISTINCT FROM c": ["a"],
    "SELECT * FROM a WHERE b IN (SELECT c FROM d) UNION SELECT 1 FROM e": ["a", "d", "e"],
    "SELECT * FROM stock FOR UPDATE OF stock NOWAIT": ["stock"],
    "SELECT * FROM ONLY a LEFT JOIN LATERAL (SELECT 1 FROM b) x ON true": ["a", "b"],
    "UPDATE ONLY stock s SET q = 1 FROM w WHERE a = b": ["stock", "w"],
    "INSERT INTO a (b) VALUES ($1) ON CONFLICT (id) DO UPDATE SET b = 1": ["a"],
    "WITH x AS (SELECT 1 FROM y) INSERT INTO z SELECT * FROM x": ["y", "z"],
    "DELETE FROM a USING b WHERE a.i = b.i": ["a", "b"],
    "MERGE INTO a USING b ON a.i = b.i WHEN MATCHED THEN UPDATE SET i = 1": ["a", "b"],
    'ALTER TABLE IF EXISTS ONLY "My T"."x" ADD c int': ["My T.x"],
    "LOCK TABLE a, b IN SHARE MODE": ["a", "b"],
    "LOCK a": ["a"],
    "TRUNCATE a, b": ["a", "b"],
    "CREATE UNIQUE INDEX CONCURRENTLY IF NOT EXISTS i ON ONLY s.t USING gin (a)": ["s.t"],
    "CREATE INDEX ON t (lower(a))": ["t"],
    "CREATE TRIGGER x BEFORE INSERT OR UPDATE ON t EXECUTE FUNCTION f()": ["t"],
    "REINDEX TABLE CONCURRENTLY t": ["t"],
    "COPY t (a) FROM stdin": ["t"],
    "/* FROM z */ SELECT 'FROM q' FROM r -- FROM s": ["r"],
    "SELECT 'cut inside a literal FROM x": [],
    "SELECT * FROM": [],
    "": [],
}


@pytest.mark.parametrize("statement", NAMED)
def test_the_tables_of(statement: str) -> None:
    assert tables_of(statement) == NAMED[statement]


def test_only_one_table_is_an_answer() -> None:
    assert only_table_of("INSERT INTO stock VALUES (1)") == "stock"
    assert only_table_of("INSERT INTO stock SELECT * FROM orders") is None
    assert only_table_of(None) is None


WORDS = st.sampled_from(
    [*" ".join(NAMED).split(), "(", ")", ",", ".", ";", '"', "'", "--", "/*", "*/", "$1", "\n"]
)


@settings(max_examples=200, deadline=None)
@given(st.lists(WORDS, max_size=30).map(" ".join) | st.text())
def test_any_text_is_read_to_its_end(statement: str) -> None:
    tables = tables_of(statement)
    assert len(set(tables)) == len(tables) and all(tables)

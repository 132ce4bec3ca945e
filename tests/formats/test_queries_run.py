"""Every query file for DuckDB runs on a real one when an access log is read."""

from __future__ import annotations

from pathlib import Path

import pytest

from incident_rca.formats import duckdb_session
from incident_rca.queries import Query, load_query
from tests.formats.builders import parse, request, write

QUERIES = Path(__file__).resolve().parents[2] / "queries" / "duckdb"


def test_every_file_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    loaded: list[str] = []

    def noted(name: str) -> Query:
        loaded.append(name)
        return load_query(name)

    monkeypatch.setattr(duckdb_session, "load_query", noted)
    parsed = parse("access_log", write(tmp_path / "access.ndjson", request(status="502")))
    assert parsed.rows == 1
    assert sorted(set(loaded)) == sorted(f"duckdb/{path.name}" for path in QUERIES.glob("*.sql"))


@pytest.mark.parametrize("path", sorted(QUERIES.glob("*.sql")), ids=lambda path: path.name)
def test_the_columns_that_a_file_names_are_those_it_gives(path: Path, tmp_path: Path) -> None:
    log = write(tmp_path / "access.ndjson", request(status="502"))
    query = load_query(f"duckdb/{path.name}")
    with duckdb_session.open_session(tmp_path) as session:
        session.execute("SET VARIABLE raw_path = ?", [str(log)])
        duckdb_session.define(session, "error_type.sql")
        duckdb_session.define(session, "access_log_requests.sql")
        if "CREATE" in query.text:
            assert query.headers["columns"]
            return
        named = [column.strip() for column in query.headers["columns"].split(",")]
        assert duckdb_session.run_file(session, path.name).columns == named

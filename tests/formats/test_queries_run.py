"""Every query file for DuckDB that reads a gateway's requests runs on a real one."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from incident_rca.formats import duckdb_session
from incident_rca.queries import Query, load_query
from tests.formats.builders import parse, request, write

QUERIES = Path(__file__).resolve().parents[2] / "queries" / "duckdb"
OF_OTHERS = ("load_balancer", "kept_texts")
OF_GATEWAY = sorted(p for p in QUERIES.glob("*.sql") if not p.name.startswith(OF_OTHERS))
# What the other files read, in the order in which it is made, and what a file makes.
IN_ORDER = (
    "error_type",
    "access_log_fields_flat",
    "access_log_requests",
    "access_log_piece",
    "access_log_rolled",
    "access_log_keep",
    "access_log_gateway",
)
MADE_BY = {
    "access_log_fields_flat": "fields",
    "access_log_fields_keys": "fields",
    "access_log_requests": "requests",
    "access_log_piece": "piece",
    "access_log_gateway": "gateway",
}
NESTED = (
    '{"requestTimeEpoch": "1768486200000", "http": {"httpMethod": "GET", "resourcePath": "/a"},'
    ' "status": "502"}'
)
BROKEN = '{"requestTimeEpoch": "1768486200000", "status": "502", "httpMethod": "GET", "x": -,'


def test_every_file_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    loaded: list[str] = []

    def noted(name: str) -> Query:
        loaded.append(name)
        return load_query(name)

    monkeypatch.setattr(duckdb_session, "load_query", noted)
    parsed = parse("access_log", write(tmp_path / "a", request(status="502"), BROKEN))
    assert (parsed.rows, parsed.unparsed) == (1, 1)
    assert parse("access_log", write(tmp_path / "b", NESTED)).rows == 1
    line = "2026-01-15T14:10:00.000Z (r-1) Method completed with status: 502"
    assert parse("execution_log", write(tmp_path / "c", line)).rows == 1
    assert sorted(set(loaded)) == [f"duckdb/{path.name}" for path in OF_GATEWAY]


@pytest.mark.parametrize("path", OF_GATEWAY, ids=lambda path: path.name)
def test_the_columns_that_a_file_names_are_those_it_gives(path: Path, tmp_path: Path) -> None:
    log = write(tmp_path / "access.ndjson", request(status="502"))
    query = load_query(f"duckdb/{path.name}")
    facts = ("response_type", "integration_status", "backend_status", "message", "waf")
    candidates = pd.DataFrame(
        {"position": [0], "status": [502], "latency_ms": [1.0], "authorizer_error": ["-"]}
        | {fact: [""] for fact in facts}
    )
    with duckdb_session.open_session(tmp_path) as session:
        session.execute("SET VARIABLE raw_path = ?", [str(log)])
        session.execute("SET VARIABLE first_line = 1")
        session.register("candidates", candidates)
        session.execute("SET VARIABLE json_paths = ?", [["$.status"] * 23])
        for name in IN_ORDER:
            duckdb_session.define(session, f"{name}.sql")
        named = [column.strip() for column in query.headers["columns"].split(",")]
        if path.stem in MADE_BY:
            duckdb_session.define(session, path.name)
            assert session.table(MADE_BY[path.stem]).columns == named
        elif path.stem not in IN_ORDER:
            assert duckdb_session.run_file(session, path.name).columns == named


def test_each_text_of_a_kept_column_is_held_once(tmp_path: Path) -> None:
    """Sorted by code points, nulls as nulls, whatever stands in a text."""
    texts = ["b'c", None, "a", "d\x00e", "Z", "a", "\\n\n", "é", "\U0001f600"]
    with duckdb_session.open_session(tmp_path) as session:
        session.register("kept_texts", pd.DataFrame({"text": pd.Series(texts, dtype=object)}))
        duckdb_session.define(session, "kept_texts_type.sql")
        rows = duckdb_session.run_file(session, "kept_texts.sql")
        assert rows.columns == [load_query("duckdb/kept_texts.sql").headers["columns"]]
        held = rows.df()["text"]
    assert held.astype(object).where(held.notna(), None).tolist() == texts
    assert held.cat.categories.tolist() == sorted({t for t in texts if t is not None})

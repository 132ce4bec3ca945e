"""The rollup's one source and its dialects, and what sqlglot and engines change silently."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb
import pytest
import sqlglot
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlglot import exp

from docs.make_rollup_sql import ENGINES, FOLDER, SOURCES, in_dialect, traps_in
from incident_rca.formats.access_log import given_format
from incident_rca.formats.access_log.keys import format_of_head
from incident_rca.formats.access_log.reading import define_fields
from incident_rca.formats.duckdb_session import define, open_session
from incident_rca.queries import load_query
from incident_rca.rollup.statement import (
    athena_statement,
    duckdb_piece,
    spark_statement,
    without_header,
)
from tests.formats.builders import request, write
from tests.rollup.dialects import translated_back
from tests.rollup.logs import LOGS, Log

SECONDS = (1_768_485_600, 1_768_489_200)


@pytest.mark.parametrize("dialect", ENGINES)
@pytest.mark.parametrize("source", SOURCES, ids=lambda path: path.stem)
def test_the_files_are_made_from_the_source(source: Path, dialect: str) -> None:
    made = (FOLDER / f"{source.stem}.{dialect}.sql").read_text()
    assert made == in_dialect(source, dialect), "run docs/make_rollup_sql.py"
    assert ", 'g')" not in made, "Trino has no such argument"


@pytest.mark.parametrize("source", SOURCES, ids=lambda path: path.stem)
def test_the_source_has_no_trap(source: Path) -> None:
    assert list(traps_in(sqlglot.parse_one(source.read_text(), read="duckdb"))) == []


PLANTED = {
    "quantile_cont(latency_ms, 0.99)": "PERCENTILE_CONT",
    "approx_quantile(latency_ms, 0.99)": "quantiles",
    "median(latency_ms)": "quantiles",
    "a ILIKE 'b%'": "ILIKE",
    "greatest(a, 1)": "null",
    "least(a, 1)": "null",
    "a / 1000": "Trino",
    "CAST(a AS DOUBLE) / 1000.0": "Trino",
    "TRY_CAST(a AS DOUBLE)": "5d",
    "CASE WHEN regexp_matches(b, '^[0-9]+$') THEN TRY_CAST(a AS BIGINT) END": "5d",
    "a ->> '$.b'": "torn",
    "strptime(a, '%d/%b/%Y:%H:%M:%S %z')": "time zones",
    "string_split(a, ' ')[3]": "range",
    "regexp_replace(a, 'b', 'c')": "all",
    r"regexp_replace(a, '(b)', '\1', 'g')": "$1",
}


@pytest.mark.parametrize("planted", PLANTED)
def test_a_planted_trap_is_found(planted: str) -> None:
    (said,) = traps_in(sqlglot.parse_one(planted, read="duckdb"))
    assert PLANTED[planted] in said


def test_group_by_all_is_found_and_would_pass_through() -> None:
    statement = "SELECT a, count(*) AS n FROM t GROUP BY ALL"
    assert list(traps_in(sqlglot.parse_one(statement, read="duckdb")))
    assert "GROUP BY ALL" in sqlglot.transpile(statement, read="duckdb", write="trino")[0]


def test_the_traps_are_real() -> None:
    """What sqlglot says nothing of, though asked to raise what a dialect does not support."""
    text = "SELECT quantile_cont(x, 0.5) AS m FROM t"
    level = sqlglot.ErrorLevel.RAISE
    (made,) = sqlglot.transpile(text, read="duckdb", write="trino", unsupported_level=level)
    assert "PERCENTILE_CONT" in made
    text = "SELECT regexp_replace(x, 'a', 'b', 'g') AS y FROM t"
    (made,) = sqlglot.transpile(text, read="duckdb", write="trino", unsupported_level=level)
    assert "'g'" in made


@pytest.mark.parametrize("name", LOGS)
def test_athenas_statement_is_trinos(name: str) -> None:
    log = LOGS[name]
    known = given_format(log.format) or format_of_head(
        [line if isinstance(line, bytes) else line.encode() for line in log.lines]
    )
    assert known is not None
    text = athena_statement(known, SECONDS, table="logs.lines", partitions="day >= '2026/01/15'")
    statement = sqlglot.parse_one(text, read="trino")
    assert isinstance(statement, exp.Select)
    wanted = load_query("rollup/access_log.sql").headers["columns"].split(", ")
    assert statement.named_selects == wanted
    tables = {table.name for table in statement.find_all(exp.Table)}
    ctes = {cte.alias for cte in statement.find_all(exp.CTE)}
    assert tables - ctes == {"lines"}
    spark = sqlglot.parse_one(spark_statement(known, SECONDS), read="spark")
    assert isinstance(spark, exp.Select) and spark.named_selects == wanted


def _is_read_as_it_is(log: Log) -> bool:
    """Whether DuckDB reads the log's lines themselves, not a copy of their values."""
    lines = [line if isinstance(line, bytes) else line.encode() for line in log.lines]
    known = format_of_head(lines)
    is_even = not any(line.endswith(b"\r") or b"\xff" in line for line in lines)
    return not log.format and is_even and known is not None and known.kind == "json"


@contextmanager
def session_over(path: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """A session with the views of a file's fields and lines."""
    known = format_of_head(path.read_bytes().splitlines())
    assert known is not None
    with open_session(path.parent) as session:
        session.execute("SET VARIABLE raw_path = ?", [str(path)])
        session.execute("SET VARIABLE first_line = 1")
        define_fields(session, known)
        session.execute(load_query("rollup/lines.duckdb.sql").text)
        yield session


@pytest.mark.parametrize("name", [name for name, log in LOGS.items() if _is_read_as_it_is(log)])
def test_each_dialect_translated_back_gives_the_same_rows(name: str, tmp_path: Path) -> None:
    """Trino itself is run nowhere here: this shows what sqlglot made of the source, and back."""
    with session_over(LOGS[name].written(tmp_path, "log")) as session:
        session.execute(duckdb_piece("access_log"))
        wanted = session.table("piece").fetchall()
        assert wanted
        for dialect in ENGINES:
            text = without_header(f"rollup/access_log.{dialect}.sql")
            session.execute(duckdb_piece("access_log", translated_back(text, dialect)))
            assert session.table("piece").fetchall() == wanted, dialect


# --- an error's type follows from what is kept of it ----------------------------------------------

PHRASES = """\
Execution failed due to a timeout error
Endpoint request timed out
Rate Exceeded.
Lambda invocation failed with status: 429
Invalid permissions on Lambda function
Lambda Customer Function Error: x
exceeded maximum allowed payload size
Malformed Lambda proxy response
[InvalidResponseContent]
Connection refused
Network error communicating with endpoint
SSL handshake failed
configuration error: y
internal error while executing your request
Internal server error
who knows
-

""".splitlines()
STATUSES = st.sampled_from(["200", "403", "404", "429", "500", "502", "503", "504", "-"])
RESPONSE_TYPES = st.sampled_from(
    [
        "-",
        "INTEGRATION_FAILURE",
        "INTEGRATION_TIMEOUT",
        "API_CONFIGURATION_ERROR",
        "waf_filtered",
        "THROTTLED",
        "DEFAULT_5XX",
    ]
)
MESSAGES = st.lists(st.sampled_from(PHRASES), min_size=1, max_size=2).map(" ".join)
ERRORS = st.fixed_dictionaries(
    {
        "status": st.sampled_from(["400", "403", "429", "460", "500", "502", "503", "504"]),
        "integrationStatus": STATUSES,
        "integration_status": STATUSES,
        "errorResponseType": RESPONSE_TYPES,
        "errorMessage": MESSAGES,
        "integrationErrorMessage": MESSAGES,
        "integration_error": MESSAGES,
        "authorizer_error": st.sampled_from(["-", "", "The authorizer: Rate exceeded"]),
        "wafResponseCode": st.sampled_from(["-", "WAF_BLOCK", "WAF_ALLOW"]),
        "routeKey": st.sampled_from([None, "GET /a"]),
        "responseLatency": st.sampled_from(["12", "29499", "29500", "-"]),
    }
)


@settings(max_examples=15, deadline=None)
@given(errors=st.lists(ERRORS, min_size=40, max_size=40))
def test_the_type_of_an_error_is_that_of_its_line(
    errors: list[dict[str, str]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    """What the rollup keeps of an error, against the type that its whole line has."""
    folder = tmp_path_factory.mktemp("types")
    lines = [request(0.0, resourcePath=f"/{n}", **error) for n, error in enumerate(errors)]
    path = write(folder / "log", *lines)
    with session_over(path) as session:
        define(session, "error_type.sql")
        define(session, "access_log_requests.sql")
        session.execute(duckdb_piece("access_log"))
        truth = session.sql("SELECT route, error_type FROM requests ORDER BY ALL").fetchall()
        kept = session.sql(
            """
            SELECT route, error_type(
                status, nullif(response_type, '-'), nullif(integration_status, '-'),
                nullif(backend_status, '-'), CASE WHEN error_text = '-' THEN '' ELSE error_text END,
                waf, authorizer_error, NULL, NULL
            ) FROM piece ORDER BY ALL
            """
        ).fetchall()
    assert kept == truth

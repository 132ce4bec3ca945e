"""Every query file loads by name, and a name without a file is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from incident_rca import packaged
from incident_rca.packaged import packaged_path
from incident_rca.queries import load_query, parse_headers

QUERIES = Path(__file__).resolve().parent.parent / "queries"
NAMES = sorted(p.relative_to(QUERIES).as_posix() for p in QUERIES.rglob("*") if p.is_file())


def test_queries_of_every_service_are_looked_at() -> None:
    assert {name.rpartition(".")[2] for name in NAMES} == {"sql", "toml", "insights"}
    assert {name.partition("/")[0] for name in NAMES} >= {"cloudwatch", "datadog", "prometheus"}


@pytest.mark.parametrize("name", NAMES)
def test_every_query_loads_with_its_headers(name: str) -> None:
    query = load_query(name)
    assert query.name == name
    assert query.text == (QUERIES / name).read_text(encoding="utf-8")
    assert all(query.headers.get(key) for key in ("title", "source", "columns"))


@pytest.mark.parametrize("name", ["duckdb/no_such_query.sql", "duckdb", "", "no_room/x.sql"])
def test_an_unknown_name_is_refused_and_named(name: str) -> None:
    with pytest.raises(LookupError, match=f"queries/{name}$"):
        load_query(name)


def test_a_header_ends_where_the_comments_or_their_entries_end() -> None:
    text = (
        "# title: Reserve latency\n# columns: second,\n#          p99_ms\n#\n# note: not a header\n"
    )
    assert parse_headers(text) == {"title": "Reserve latency", "columns": "second, p99_ms"}
    assert parse_headers("SELECT 1 -- title: too late\n") == {}


def test_an_installed_package_never_looks_beside_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "site-packages" / "incident_rca"
    (package / "queries").mkdir(parents=True)
    stranger = package.parent / "queries" / "of_someone_else.sql"
    stranger.parent.mkdir()
    stranger.write_text("SELECT 1")
    monkeypatch.setattr(packaged, "_PACKAGE", package)
    assert packaged_path("queries") == package / "queries"
    with pytest.raises(LookupError):
        packaged_path("queries", "of_someone_else.sql")


def test_a_checkout_finds_its_files_beside_the_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    case = tmp_path / "samples" / "inc-2847" / "case.json"
    case.parent.mkdir(parents=True)
    case.write_text("{}")
    monkeypatch.setattr(packaged, "_PACKAGE", tmp_path / "incident_rca")
    assert packaged_path("samples", "inc-2847", "case.json") == case

"""A server's residue as JSON: sections that are missing, and that no bytes break the reader.

What it finds on real servers is tested in tests/sources/test_residue.py.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from incident_rca.errors import BadInput
from incident_rca.formats.parsed import Parsed
from tests.formats.builders import envelope, instant, parse, rows, write
from tests.formats.conftest import NewFolder
from tests.formats.history_values import TIMES, envelopes, record, survives, table

WINDOW = {"window": {"start": "2026-01-15T14:10:00Z", "end": "2026-01-15T14:55:00Z"}}
INDEX_COLUMNS = ("schema", "table", "index", "definition", "is_being_built")
STATEMENT_COLUMNS = ("kind", "queryid", "query", "calls", "max_ms", "mean_ms")
NOTHING: dict[str, list[Any]] = {"columns": [], "rows": []}


def read(folder: Path, **sections: Any) -> Parsed:
    answer = {"invalid_indexes": NOTHING, "statements": NOTHING, "migrations": []} | sections
    return parse("server_residue", write(folder / "a.json", envelope(WINDOW, answer)))


def test_every_section_numbers_its_rows_behind_the_last(tmp_path: Path) -> None:
    parsed = read(
        tmp_path,
        invalid_indexes={
            "columns": list(INDEX_COLUMNS),
            "rows": [["public", "stock", "i", "CREATE INDEX i", False]],
        },
        statements={
            "columns": list(STATEMENT_COLUMNS),
            "rows": [["ddl", "7", "CREATE INDEX i ON stock (a)", 1, 240_000.5, 240_000.5]],
        },
    )
    index, statement = rows(parsed, "residue")
    assert (index["row"], statement["row"]) == (1, 2)
    assert (statement["max_ms"], statement["calls"]) == (240_000.5, 1)
    assert parsed.covered is None


def test_the_edges_of_the_window(tmp_path: Path) -> None:
    migrated = [
        ["before", None, "2026-01-15T14:09:59.999Z"],
        ["first", None, "2026-01-15T14:10:00Z"],
        ["last", None, "2026-01-15T14:54:59.999Z"],
        ["behind", None, "2026-01-15T14:55:00Z"],
        ["across", "2026-01-15T13:00:00Z", "2026-01-15T16:00:00Z"],
    ]
    django = {"tool": "django", "relation": "public.django_migrations"}
    section = {"columns": ["name", "started", "ended"], "rows": migrated}
    parsed = read(tmp_path, migrations=[{**django, **section}])
    changes = {row["name"]: row for row in rows(parsed, "changes")}
    assert set(changes) == {"first", "last", "across"}
    assert (changes["across"]["at"], changes["across"]["until"]) == (
        instant("13:00"),
        instant("16:00"),
    )


def test_what_could_not_be_read_is_named(tmp_path: Path) -> None:
    locked = {
        "tool": "flyway",
        "relation": "app.flyway_schema_history",
        "reason": "locked, not read",
    }
    parsed = read(tmp_path, statements={"reason": "not installed"}, migrations=[locked])
    assert parsed.blind == (
        "pg_stat_statements: not installed; app.flyway_schema_history: locked, not read"
    )


@pytest.mark.parametrize("answer", [{}, {"invalid_indexes": NOTHING}, {"invalid_indexes": []}])
def test_a_cut_answer_is_refused(tmp_path: Path, answer: Any) -> None:
    with pytest.raises(BadInput, match=r"a\.json"):
        parse("server_residue", write(tmp_path / "a.json", envelope(WINDOW, answer)))


NUMBERS = st.integers() | st.floats(allow_nan=False, allow_infinity=False)
TEXTS = st.text(max_size=6)
ANSWERS = record(
    invalid_indexes=table(INDEX_COLUMNS, TEXTS, TEXTS, TEXTS, TEXTS, st.booleans()),
    statements=table(STATEMENT_COLUMNS, TEXTS, TEXTS, TEXTS, NUMBERS, NUMBERS, NUMBERS),
    migrations=st.lists(table(("name", "started", "ended"), TEXTS, TIMES, TIMES), max_size=3),
)


@settings(max_examples=200, deadline=None)
@given(envelopes("postgres_residue", ANSWERS))
def test_any_answer_is_read_or_refused(new_folder: NewFolder, content: Any) -> None:
    survives("server_residue", new_folder(), content)


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=300))
def test_any_bytes_are_read_or_refused(new_folder: NewFolder, content: bytes) -> None:
    survives("server_residue", new_folder(), content)

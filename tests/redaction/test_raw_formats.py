"""Secrets in every text of every kind of raw file, and in every column: none comes out."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pandas as pd
import pytest

from incident_rca import pipeline, reported_case
from incident_rca.answered import status_of
from incident_rca.errors import IncidentRcaError
from incident_rca.formats import BY_KIND
from incident_rca.formats.parsed import RawInput, frame_of
from incident_rca.model import Case, RawFile, SourceStatus, TimeWindow
from incident_rca.tables import NEVER_NULL, SCHEMAS
from tests.formats.builders import START, instant
from tests.redaction import planting
from tests.redaction.planting import Garden, texts_of
from tests.redaction.raw_examples import ACCESS, DOCUMENTS, JSON_LINES, LINES

WINDOW = TimeWindow(START, instant("15:00"))
# One parse of these costs more than a hundred of the others, so one file has all the secrets.
THROUGH_DUCKDB = {"access_log", "exported_log", "cloudwatch_events"}


def outputs(kind: str, contents: Iterable[str], folder: Path) -> tuple[list[str], int]:
    """The texts that come of files of a kind, and how many rows they gave."""
    known, found = BY_KIND[kind], list[str]()
    frames: dict[str, list[pd.DataFrame]] = {}
    sources: list[SourceStatus] = []
    path = folder / "given"
    for content in contents:
        path.write_text(content, encoding="utf-8")
        raw = RawInput(path=path, file="raw/given", source="given", work=folder)
        try:
            parsed = pipeline.parse_raw(known, raw)
        except IncidentRcaError as error:
            found += [error.message, error.hint]
            continue
        files = [RawFile("raw/given", "0")]
        sources += [status_of("given", known, parsed, files, window=WINDOW, is_continuous=True)]
        for name, frame in parsed.frames.items():
            frames.setdefault(name, []).append(frame)
    case = Case(id="INC-1", title="", window=WINDOW, sources=tuple(sources))
    found += texts_of(*reported_case.reported(case, pipeline.joined_tables(frames)))
    return found, sum(source.rows for source in sources)


def contents_of(kind: str, garden: Garden) -> Iterable[str]:
    if kind in DOCUMENTS:
        return planting.planted_documents(DOCUMENTS[kind], garden)
    if kind == "load_balancer_log":
        lines = LINES[kind]
        files = planting.planted_words(lines[:1], garden)
        return ["\n".join(files)]
    if kind == "concatenated_log":
        return [planting.planted_rows(ACCESS, garden).replace("\n", "")]
    if kind in THROUGH_DUCKDB:
        return [planting.planted_rows({**JSON_LINES, **LINES}[kind], garden)]
    if kind == "execution_log":
        return planting.planted_words(LINES[kind], garden)
    return planting.planted_files(JSON_LINES[kind], garden)


@pytest.mark.parametrize("kind", sorted(BY_KIND))
def test_no_secret_of_a_raw_file_comes_out(kind: str, tmp_path: Path) -> None:
    garden = Garden(1)
    found, rows = outputs(kind, contents_of(kind, garden), tmp_path)
    assert rows and len(garden.secrets) >= 40
    assert garden.left_in(found) == []


def test_no_secret_of_a_plain_server_log_comes_out(tmp_path: Path) -> None:
    garden = Garden(2)
    found, rows = outputs(
        "postgres_log", planting.planted_words(LINES["postgres_log"], garden), tmp_path
    )
    assert rows and garden.left_in(found) == []


@pytest.mark.parametrize("table", sorted(SCHEMAS))
def test_no_secret_of_a_column_comes_out(table: str, tmp_path: Path) -> None:
    """Statements and trace ids are no texts of a log: their formats give them as they may stand."""
    garden = Garden(3)
    texts = [c for c, kind in SCHEMAS[table].items() if kind == "VARCHAR"]
    given = ("statement", "trace_ids", "source", "file")
    taken = [c for c in texts if not c.endswith(given)]
    raw = RawInput(path=tmp_path, file="raw/10.1.2.3.log", source="ada@example.com", work=tmp_path)
    others: dict[str, object] = {
        c: [1] for c, kind in SCHEMAS[table].items() if kind.endswith("[]")
    }
    others |= dict.fromkeys(NEVER_NULL.get(table, ()), 1)
    row = others | {column: garden.behind("x") for column in taken}
    frame = frame_of(table, [row], raw)
    case = Case(id="INC-1", title="", window=WINDOW)
    shown = texts_of(*reported_case.reported(case, pipeline.joined_tables({table: [frame]})))
    assert garden.left_in(shown) == []
    assert not [text for text in shown if "10.1.2.3" in text or "ada@" in text]

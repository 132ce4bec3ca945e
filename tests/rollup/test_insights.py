"""Logs Insights as an engine of rollups, against DuckDB's rollup of the same lines."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from incident_rca.errors import BadInput, BadWindow, Unreachable
from incident_rca.formats.access_log import given_format
from incident_rca.formats.parsed import Parsed
from incident_rca.model import TimeWindow
from incident_rca.rollup import Asked
from incident_rca.rollup.insights import Insights
from incident_rca.rollup.local_files import LocalFiles
from incident_rca.rollup.rollup_file import Written, write_rollup
from tests.formats.builders import parse, rows, write
from tests.sources.cloudwatch_logs_server import Service, refused
from tests.sources.gateway_scene import (
    FORMAT,
    GROUP,
    STAGE,
    UNDATED_FORMAT,
    WINDOW,
    account,
    no_way_out,
    requests,
    rest_stage,
    running_stage,
    shared,
    tally_at,
)

NOW = WINDOW.end + timedelta(hours=1)
ASKED = Asked(window=WINDOW)


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Service]:
    no_way_out(monkeypatch.setenv, tmp_path)
    with running_stage() as running:
        running.put(GROUP, [(r.written_ms, r.json()) for r in requests()])
        yield running


def engine_of(service: Service) -> Insights:
    return Insights(account(service), STAGE, tally_at(NOW), shared())


def made(folder: Path, engine: Insights | LocalFiles, asked: Asked) -> tuple[Parsed, Written]:
    path = folder / f"{engine.name}.rollup.ndjson.gz"
    written = write_rollup(path, engine, asked, engine.plan(asked), asked_at=NOW)
    return parse("gateway_rollup", path), written


def counts(parsed: Parsed) -> Counter[tuple[Any, ...]]:
    found: Counter[tuple[Any, ...]] = Counter()
    for row in rows(parsed, "gateway"):
        names = ("second", "method", "route", "status", "error_type")
        found[tuple(row[name] for name in names)] += row["requests"]
    return +found


def latencies(parsed: Parsed) -> Counter[tuple[Any, ...]]:
    """The histogram of each endpoint and status, over the window."""
    found: Counter[tuple[Any, ...]] = Counter()
    for row in rows(parsed, "gateway"):
        for bound, number in zip(row["latency_ms_bounds"], row["latency_ms_counts"], strict=True):
            found[row["method"], row["route"], row["status"], bound] += number
    return found


def test_it_says_what_duckdb_says_of_the_lines(service: Service, tmp_path: Path) -> None:
    log = write(tmp_path / "log", *(r.json() for r in requests()))
    known = Asked(line_format=given_format(FORMAT), window=WINDOW)
    truth, counted = made(tmp_path, LocalFiles((log,)), known)
    found, written = made(tmp_path, engine_of(service), ASKED)
    assert counts(found) == counts(truth)
    assert latencies(found) == latencies(truth)
    assert len(rows(found, "failures")) == len(rows(truth, "failures")) > 50
    assert (written.requests, written.unread, written.error) == (counted.requests, 0, "")
    assert (found.damage, found.unparsed) == ("", 0)


def test_what_it_scanned_is_told_afterwards(service: Service) -> None:
    engine = engine_of(service)
    plan = engine.plan(ASKED)
    assert (plan.bytes, plan.usd) == (None, None) and "$0.005" in plan.basis
    assert not [action for action, _ in service.calls if action == "StartQuery"]
    answer = engine.run(ASKED, plan)
    list(answer.rows)
    assert answer.said["bytes_scanned"] > 0
    asked = [call["queryString"] for action, call in service.calls if action == "StartQuery"]
    assert asked == list(plan.statements)


def test_a_log_without_the_arrival_says_so(service: Service, tmp_path: Path) -> None:
    service.stages["/restapis/a1b2c3/stages/prod"] = rest_stage(UNDATED_FORMAT)
    found, _ = made(tmp_path, engine_of(service), ASKED)
    assert any("not at its arrival" in text for text in found.lacks)


def test_a_log_that_may_grow_is_provisional(service: Service, tmp_path: Path) -> None:
    engine = replace(engine_of(service), tally=tally_at(WINDOW.end + timedelta(minutes=1)))
    found, written = made(tmp_path, engine, ASKED)
    assert "provisional" in written.error and "provisional" in found.damage


def test_what_is_refused(service: Service, tmp_path: Path) -> None:
    engine = engine_of(service)
    with pytest.raises(BadWindow):
        engine.plan(Asked())
    plan = engine.plan(ASKED)
    service.faults["StartQuery"] = [refused("AccessDeniedException")]
    with pytest.raises(Unreachable):
        write_rollup(tmp_path / "a", engine, ASKED, plan, asked_at=NOW)
    assert not (tmp_path / "a").exists()


def test_a_stage_whose_log_cannot_be_counted(service: Service) -> None:
    service.stages["/restapis/a1b2c3/stages/prod"] = rest_stage('{"a": "$context.requestId"}')
    with pytest.raises(BadInput) as caught:
        engine_of(service).plan(Asked(window=TimeWindow(WINDOW.start, WINDOW.end)))
    assert "status" in caught.value.message

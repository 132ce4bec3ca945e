"""The bench itself: its made log and its figures. No test asserts a time."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bench.access_lines import ENDINGS, ROUTES, access_lines, write_access_log
from bench.analysis_cost import exponent
from bench.analysis_tables import made_case, made_tables
from bench.figures import Figure, as_table, in_turn, missed, ratio, write_json
from incident_rca.analysis.analyse import analyse
from incident_rca.case import same_rows
from incident_rca.formats import access_log, recognise
from incident_rca.formats.lines import head_of
from incident_rca.formats.parsed import RawInput
from incident_rca.model import Kind, Role
from incident_rca.tables import TABLE_NAMES
from incident_rca.typed_frames import as_schema

COUNT = 2_000
MADE = (
    Figure("a ratio", 1.23456, "ratio", "<= 4"),
    Figure("a speed", 4.0, "ratio", ">= 5"),
    Figure("no gain", 1.0, "ratio", "< 1"),
    Figure("how many", 123_456.0, "lines/s"),
)


def test_the_made_log_follows_from_its_seed() -> None:
    assert list(access_lines(7, COUNT)) == list(access_lines(7, COUNT))
    assert list(access_lines(7, COUNT)) != list(access_lines(8, COUNT))
    assert list(access_lines(7, COUNT))[:100] == list(access_lines(7, 100))


@pytest.mark.parametrize("name", ["access.ndjson", "access.ndjson.gz"])
def test_our_format_reads_every_line_of_the_made_log(tmp_path: Path, name: str) -> None:
    path = write_access_log(tmp_path / name, 7, COUNT)
    known = recognise(head_of(path))
    assert known and known.kind == "access_log"
    parsed = access_log.parse(RawInput(path=path, file=name, source="made", work=tmp_path))
    assert (parsed.rows, parsed.unparsed, parsed.damage) == (COUNT, 0, "")
    gateway = parsed.frames["gateway"]
    assert gateway["requests"].sum() == COUNT
    assert set(gateway["route"]) == {path for _, path, _ in ROUTES}


def test_the_made_log_holds_every_ending_and_keeps_its_order() -> None:
    rows = [json.loads(line) for line in access_lines(7, COUNT)]
    drawn = {(r["status"], r["errorResponseType"]) for r in rows if int(r["status"]) >= 400}
    assert drawn == {(str(status), kind) for status, _, kind, _ in ENDINGS if status}
    arrivals = [int(row["requestTimeEpoch"]) for row in rows]
    assert arrivals == sorted(arrivals)
    assert len({row["requestId"] for row in rows}) == COUNT


def test_the_figures_are_written_in_the_documented_shape(tmp_path: Path) -> None:
    path = tmp_path / "build" / "bench.json"
    write_json(MADE, path)
    assert json.loads(path.read_text(encoding="utf-8")) == [
        {"name": "a ratio", "value": 1.235, "unit": "ratio", "goal": "<= 4", "met": True},
        {"name": "a speed", "value": 4.0, "unit": "ratio", "goal": ">= 5", "met": False},
        {"name": "no gain", "value": 1.0, "unit": "ratio", "goal": "< 1", "met": False},
        {"name": "how many", "value": 123456.0, "unit": "lines/s", "goal": None, "met": None},
    ]


def test_a_missed_goal_is_told() -> None:
    assert missed(MADE[:1]) == missed(MADE[3:]) == []
    assert missed(MADE) == [
        "missed: a speed is 4.00 ratio, goal >= 5",
        "missed: no gain is 1.00 ratio, goal < 1",
    ]
    assert list(as_table(MADE).columns[-1].cells) == ["yes", "MISSED", "MISSED", "information"]


def test_tasks_run_in_turn_and_a_ratio_is_the_median_of_the_rounds() -> None:
    order: list[str] = []
    rounds = in_turn(3, lambda: order.append("a"), lambda: order.append("b"))
    assert order == ["a", "b"] * 3
    assert [len(times) for times in rounds] == [2, 2, 2]
    assert ratio([(2.0, 1.0), (9.0, 3.0), (40.0, 10.0)], 0, 1) == 3.0


def test_a_made_day_is_as_large_as_its_share_and_follows_from_its_seed() -> None:
    whole, half = made_tables(0.02, 7), made_tables(0.01, 7)
    assert len(whole.metrics) == 50 * 1728 and len(whole.gateway) == 20_000
    assert whole.session_counts["at"].nunique() == 200
    for name in TABLE_NAMES:
        frame = getattr(whole, name)
        assert same_rows(frame, getattr(made_tables(0.02, 7), name))
        assert frame.dtypes.equals(as_schema(frame, name).dtypes)
        if len(frame):
            assert len(getattr(half, name)) < len(frame)
    assert not same_rows(whole.gateway, made_tables(0.02, 8).gateway)


def test_the_lock_of_a_made_day_is_found() -> None:
    analysis = analyse(made_case(0.1), made_tables(0.1, 7))
    assert analysis.lock_episodes[0].peak_waiters > 40
    best = analysis.hypotheses[0]
    assert (best.kind, best.role, best.object) == (
        Kind.LOCK_BLOCKING,
        Role.TRIGGER,
        "shop.public.items0",
    )


@pytest.mark.parametrize("power", [0.5, 1.0, 2.0])
def test_the_exponent_is_that_of_the_growth(power: float) -> None:
    rounds = [(0.25**power * slow, 0.5**power * slow, slow) for slow in (1.0, 3.0, 1.5)]
    assert exponent((0.25, 0.5, 1.0), rounds) == pytest.approx(power)

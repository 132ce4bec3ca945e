"""What held in each second of made outages, beside what was made; and few enough rows of it."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from incident_rca.model import Analysis, SourceState, Stretch
from incident_rca.report.contract import to_json
from incident_rca.report.state_rows import state_rows
from tests.analysis.cases import (
    OUTAGE,
    ZERO,
    Row,
    analysed,
    at,
    blocked,
    counted,
    failing,
    gauge,
    heartbeat,
    levels,
    made_case,
    p99,
    steps,
    usual,
)

Json = dict[str, Any]
WATCHED = [heartbeat(second) for second in steps(-600, 600, 1)]
# The lock's log is exact; gauges and latencies have buckets of 10 s.
BUCKET = 10.0


def incident(failed: Sequence[Row] = OUTAGE, **rows: Sequence[Row]) -> Analysis:
    """An outage of two minutes that the recorder watched."""
    seen: dict[str, Sequence[Row]] = {
        "session_counts": WATCHED,
        "gateway": [*counted(failed), *usual("GET /items")],
    }
    return analysed(None, failures=failed, **(seen | rows))


def seconds_in(analysis: Analysis) -> list[tuple[float, Json]]:
    """Each second of the outage by its middle, with the stretch of the report it lies in."""
    found = []
    for stretch in json.loads(to_json(analysis))["states"]:
        start, end = (second(stretch[name]) for name in ("start", "end"))
        found += [(start + n + 0.5, stretch) for n in range(round(end - start))]
    return found


def second(text: str) -> float:
    return (datetime.fromisoformat(text) - ZERO).total_seconds()


def near(moment: float, *edges: float, by: float) -> bool:
    return any(abs(moment - edge) <= by for edge in edges)


TIMES = st.integers(-8, 14).map(lambda n: n * BUCKET)


@settings(max_examples=12, deadline=None, phases=[Phase.generate])
@given(lock=st.tuples(TIMES, TIMES), full=st.tuples(TIMES, TIMES))
def test_each_second_says_what_was_made(
    lock: tuple[float, float], full: tuple[float, float]
) -> None:
    lock, full = (min(lock), max(lock) + 5.0), (min(full), max(full) + BUCKET)
    analysis = incident(
        locks=blocked(*lock, waiters=40),
        metrics=[*gauge(levels(5, 100, *full)), *p99(levels(20, 30_000, *full))],
    )
    found = seconds_in(analysis)
    assert len(found) == 118
    for moment, stretch in found:
        if not near(moment, *lock, by=4.5):
            held = lock[0] < moment < lock[1]
            assert stretch["lock_held"]["answer"] == ("yes" if held else "no"), (moment, lock)
            assert stretch["waiters"]["answer"] == ("yes" if held else "no")
            assert stretch["waiters"]["number"] == (40 if held else 0)
        if not near(moment, *full, by=2 * BUCKET):
            is_full = full[0] < moment < full[1]
            assert stretch["pool_full"]["answer"] == ("yes" if is_full else "no"), (moment, full)
            assert stretch["pool_full"]["number"] == (100 if is_full else 5)


@settings(max_examples=12, deadline=None, phases=[Phase.generate])
@given(lock=st.tuples(TIMES, TIMES), full=st.tuples(TIMES, TIMES))
def test_seconds_by_cause_are_those_explained(
    lock: tuple[float, float], full: tuple[float, float]
) -> None:
    """Counted anew from the report, for any overlap of a trigger and a sustainer."""
    lock, full = (min(lock), max(lock) + 5.0), (min(full), max(full) + BUCKET)
    analysis = incident(
        failing(steps(0, 121.7, 0.9)),
        locks=blocked(*lock, waiters=40),
        metrics=[*gauge(levels(5, 100, *full)), *p99(levels(20, 30_000, *full))],
    )
    report = json.loads(to_json(analysis))
    by_cause: dict[str, float] = defaultdict(float)
    for stretch in report["states"]:
        by_cause[stretch["cause"]] += second(stretch["end"]) - second(stretch["start"])
    for hypothesis in report["hypotheses"]:
        explained = hypothesis["explains"]["seconds"]
        assert by_cause.pop(hypothesis["id"], 0.0) == pytest.approx(explained, abs=0.01)
    rest = report["unexplained"]["seconds"]
    assert by_cause.pop("unexplained", 0.0) == pytest.approx(rest, abs=0.01)
    assert not by_cause


@pytest.mark.parametrize("state", [SourceState.SKIPPED, SourceState.FAILED])
def test_what_nobody_watched_is_not_recorded(state: SourceState) -> None:
    case = made_case(states={"locks": state, "metrics": state})
    analysis = analysed(case, failures=OUTAGE, gateway=counted(OUTAGE))
    for _, stretch in seconds_in(analysis):
        for name in ("lock_held", "waiters", "pool_full", "calls_hung", "methods_slow"):
            assert stretch[name]["answer"] == "not recorded"
            assert stretch[name]["number"] is None
        assert stretch["cause"] == "unexplained"


def test_a_missing_bucket_is_not_recorded_and_no_zero() -> None:
    values = [None if 40 <= s < 80 else 5.0 for s in steps(-600, 600, BUCKET)]
    sizes = gauge([100.0] * 120, metric="db.client.connections.max")
    analysis = incident(metrics=[*gauge(values), *sizes])
    for moment, stretch in seconds_in(analysis):
        expected = "not recorded" if 40 <= moment < 80 else "no"
        assert stretch["pool_full"]["answer"] == expected, moment


def test_a_bucket_that_holds_the_whole_outage_says_that_no_call_was_slow() -> None:
    """Seven seconds of failures within the bucket from 0 to 10 s."""
    short = failing(steps(2, 9, 0.5))
    report = json.loads(to_json(incident(short, metrics=p99(levels(20, 20, 0, 0)))))
    seen = {e["id"]: e["seen"] for e in report["evidence"]}
    for stretch in report["states"]:
        slow = stretch["methods_slow"]
        assert slow["answer"] == "no"
        assert [seen[i] for i in slow["evidence"]] == [
            "1 buckets of the latency of stock.stock/reserve in the outage"
        ]


def test_calls_that_hang_are_told_from_slow_ones() -> None:
    hung = incident(metrics=p99(levels(20, 30_000, 0, 130)))
    slow = incident(metrics=p99(levels(20, 2_000, 0, 130)))
    said = [dict(seconds_in(a))[60.5] for a in (hung, slow)]
    assert [s["calls_hung"]["answer"] for s in said] == ["yes", "no"]
    assert [s["methods_slow"]["detail"] for s in said] == ["stock.Reserve", "stock.Reserve"]


def test_a_route_without_arrivals_is_starved_in_that_stretch() -> None:
    mail = [*usual("POST /mail", every=1.0, requests=2, until=30)]
    mail += usual("POST /mail", every=1.0, requests=2)[690:]
    analysis = incident(locks=blocked(30, 90, waiters=40), gateway=[*counted(OUTAGE), *mail])
    for moment, stretch in seconds_in(analysis):
        if not near(moment, 30, 90, by=6):
            starved = 30 < moment < 90
            assert ("POST /mail" in stretch["starved_routes"]["detail"]) is starved, moment


# --- rows of the report ---------------------------------------------------------------------------


def cut(analysis: Analysis, lengths: Sequence[int], *, alternating: bool) -> Analysis:
    """The analysis with stretches of these lengths, of one cause or of none and one in turn."""
    first = analysis.states[0]
    cause = analysis.hypotheses[0]
    made: list[Stretch] = []
    start = first.start
    for number, length in enumerate(lengths):
        end = start + timedelta(seconds=length)
        given_cause = None if alternating and number % 2 else cause
        made.append(replace(first, start=start, end=end, seconds=float(length), cause=given_cause))
        start = end
    return replace(analysis, states=tuple(made))


@settings(max_examples=30, deadline=None)
@given(
    lengths=st.lists(st.integers(1, 90), min_size=1, max_size=60),
    alternating=st.booleans(),
    limit=st.integers(2, 15),
)
def test_rows_are_few_and_their_seconds_add_up(
    lengths: list[int], alternating: bool, limit: int
) -> None:
    rows = state_rows(cut(LOCKED, lengths, alternating=alternating), limit)
    assert len(rows) <= limit
    assert sum(float(row.seconds.replace(",", "")) for row in rows) == sum(lengths)
    assert all(row.evidence for row in rows)


LOCKED = incident(locks=blocked(-1, 122, waiters=40), metrics=p99(levels(20, 30_000, 0, 130)))


def test_no_row_joins_seconds_of_two_causes() -> None:
    rows = state_rows(cut(LOCKED, [5] * 8, alternating=True), 15)
    assert [row.cause.split()[0] for row in rows] == ["H1", "unexplained"] * 4


def test_a_row_says_what_held() -> None:
    (row, *_) = state_rows(LOCKED)
    assert row.cause == "H1 lock_blocking"
    for words in ("lock held on public.items", "up to 40 wait", "failures a second"):
        assert words in row.held
    assert f"{at(0):%H:%M:%S}" in row.when

"""The aligned series of made incidents: what is drawn, what is not known, and what is left out."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime
from typing import Any

import pytest

from incident_rca.analysis.analyse import concluded
from incident_rca.analysis.observations import observe
from incident_rca.analysis.series import MOST_STEPS, aligned_series
from incident_rca.model import (
    AlignedSeries,
    Case,
    Gap,
    Lane,
    LaneName,
    Series,
    SourceState,
    TimeWindow,
)
from tests.analysis.cases import (
    OUTAGE,
    Row,
    at,
    blocked,
    counted,
    failing,
    gauge,
    heartbeat,
    levels,
    made_case,
    made_tables,
    p99,
    steps,
    usual,
    with_source,
)

PROBES = [heartbeat(second) for second in steps(-600, 600, 5)]


def series_of(case: Case | None = None, **rows: Iterable[Row]) -> tuple[AlignedSeries, ...]:
    """The series of these rows."""
    return aligned_series(observe(case or made_case(), made_tables(**rows)))


def value_at(aligned: AlignedSeries, series: Series, moment: datetime) -> float | None:
    position = int((moment - aligned.start).total_seconds() // aligned.step_seconds)
    return series.values[position]


def unknown_at(lane: Lane, moment: datetime) -> bool:
    return any(w.start <= moment < w.end for w in lane.not_recorded)


def whole(**rows: Any) -> dict[str, Any]:
    """Rows of all systems: a lock from 0 to 60, slow calls, a full pool, failures to 120."""
    return {
        "gateway": [*usual("GET /items"), *counted(OUTAGE)],
        "failures": OUTAGE,
        "locks": blocked(0, 60),
        "session_counts": PROBES,
        "metrics": [*p99(levels(40, 9_000, 10, 120)), *gauge(levels(4, 100, 20, 120))],
    } | rows


def test_every_lane_is_there_in_its_order() -> None:
    for aligned in series_of(**whole()):
        assert [lane.name for lane in aligned.lanes] == list(LaneName)
        for lane in aligned.lanes:
            assert all(len(s.values) == aligned.steps for s in lane.series)


def test_values_are_those_of_their_time() -> None:
    (aligned, *_) = series_of(**whole())
    waiters, latency, pool, failures = (
        aligned.lane(name).series[0]
        for name in (LaneName.LOCK_WAITERS, LaneName.LATENCY, LaneName.POOL, LaneName.FAILURES)
    )
    assert [value_at(aligned, waiters, at(s)) for s in (-30, 30, 90)] == [0, 5, 0]
    assert [value_at(aligned, latency, at(s)) for s in (-30, 60, 300)] == [40, 9_000, 40]
    assert [value_at(aligned, pool, at(s)) for s in (-30, 60, 300)] == [4, 100, 4]
    assert pool.limit == 100
    # One failure each two seconds, from 0 to 120.
    counts = sum(v or 0.0 for v in failures.values) * aligned.step_seconds
    assert counts == pytest.approx(len(OUTAGE))
    assert [value_at(aligned, failures, at(s)) for s in (-30, 300)] == [0, 0]


def test_what_no_source_recorded_is_unknown_and_not_zero() -> None:
    (aligned, *_) = series_of(**whole(locks=(), session_counts=(), metrics=()))
    case = made_case()
    for name in (LaneName.LATENCY, LaneName.POOL):
        lane = aligned.lane(name)
        assert lane.series == () and lane.not_recorded == (aligned.window,)
    unwatched = with_source(case, "locks", lambda s: replace(s, state=SourceState.FAILED))
    (aligned, *_) = series_of(unwatched, **whole(locks=(), session_counts=()))
    lane = aligned.lane(LaneName.LOCK_WAITERS)
    assert lane.series == () and lane.not_recorded == (aligned.window,)


def test_where_a_recorder_watched_and_nobody_waited_it_is_zero() -> None:
    (aligned, *_) = series_of(**whole(locks=()))
    lane = aligned.lane(LaneName.LOCK_WAITERS)
    assert [set(s.values) for s in lane.series] == [{0.0}] and not lane.not_recorded


def test_a_gap_of_a_gauge_is_a_gap_of_its_series() -> None:
    values: list[float | None] = [*levels(40, 9_000, 10, 120)]
    for position in range(90, 100):  # from 300 to 400 seconds after the first failure
        values[position] = None
    (aligned, *_) = series_of(**whole(metrics=p99(values)))
    lane = aligned.lane(LaneName.LATENCY)
    assert [value_at(aligned, lane.series[0], at(s)) for s in (295, 350, 405)] == [40, None, 40]
    assert unknown_at(lane, at(350)) and not unknown_at(lane, at(295))


def test_in_a_gap_of_the_gateway_log_what_it_has_is_at_least() -> None:
    gap = Gap(TimeWindow(at(30), at(60)))
    case = with_source(made_case(), "access", lambda s: replace(s, gaps=(gap,)))
    (aligned, *_) = series_of(case, **whole())
    lane = aligned.lane(LaneName.FAILURES)
    bounds = {aligned.moment(p) for p in lane.series[0].at_least}
    assert bounds and all(at(30) <= moment < at(60) for moment in bounds)
    quiet = with_source(
        case, "access", lambda s: replace(s, gaps=(Gap(TimeWindow(at(300), at(330))),))
    )
    (aligned, *_) = series_of(quiet, **whole())
    lane = aligned.lane(LaneName.FAILURES)
    assert unknown_at(lane, at(310)) and value_at(aligned, lane.series[0], at(310)) is None


def test_a_log_of_waits_says_at_least_so_many() -> None:
    case = with_source(made_case(), "locks", lambda s: replace(s, state=SourceState.FAILED))
    (aligned, *_) = series_of(case, **whole(session_counts=()))
    lane = aligned.lane(LaneName.LOCK_WAITERS)
    (series,) = lane.series
    assert value_at(aligned, series, at(30)) == 5 and value_at(aligned, series, at(90)) is None
    assert {p for p, v in enumerate(series.values) if v is not None} == set(series.at_least)
    assert unknown_at(lane, at(90)) and not unknown_at(lane, at(30))


def test_a_value_at_the_ceiling_of_its_histogram_is_at_least() -> None:
    (aligned, *_) = series_of(**whole(metrics=p99(levels(40, 10_000, 10, 120), ceiling=10_000)))
    series = aligned.lane(LaneName.LATENCY).series[0]
    assert {series.values[p] for p in series.at_least} == {10_000.0}
    assert len(series.at_least) == sum(v == 10_000 for v in series.values)


def test_many_series_are_cut_to_the_most_telling_and_the_rest_is_named() -> None:
    metrics = [
        row for n in range(50) for row in p99([20 + n] * 120, service=f"s{n:02}.S", method="call")
    ]
    slow = p99(levels(40, 9_000, 10, 120))
    (aligned, *_) = series_of(**whole(metrics=[*metrics, *slow]))
    lane = aligned.lane(LaneName.LATENCY)
    assert lane.series[0].name == "stock.Reserve p99"
    assert len(lane.series) == 6 and len(lane.left_out) == 45
    assert not {s.name for s in lane.series} & set(lane.left_out)


def test_starved_routes_come_before_others() -> None:
    gone = [
        r for r in usual("POST /mail", every=1, requests=2) if not at(0) < r["second"] < at(120)
    ]
    gateway = [*usual("GET /items", every=1, requests=9), *counted(OUTAGE), *gone]
    (aligned, *_) = series_of(**whole(gateway=gateway))
    lane = aligned.lane(LaneName.REQUESTS)
    assert lane.series[0].name == "POST /mail"
    assert [value_at(aligned, lane.series[0], at(s)) for s in (-30, 60, 300)] == [2, 0, 2]


def test_an_outage_in_a_long_window_has_series_of_its_own_time() -> None:
    case = made_case(window=(-40_000, 40_000))
    aligned, own = series_of(case, **whole())
    assert (aligned.incident, own.incident) == (None, 1)
    assert own.step_seconds < aligned.step_seconds and own.steps <= MOST_STEPS + 1
    assert own.window.start < at(0) and at(121) < own.window.end
    assert own.window.seconds < 1_200


def test_of_two_outages_each_request_is_counted_once() -> None:
    later = failing(steps(400, 460, 2))
    failures = [*OUTAGE, *later]
    rows = whole(failures=failures, gateway=[*usual("GET /items"), *counted(failures)])
    observed = observe(made_case(), made_tables(**rows))
    assert len(observed) == 2
    aligned = aligned_series(observed)[0]
    (failed,) = aligned.lane(LaneName.FAILURES).series
    assert sum(v or 0 for v in failed.values) * aligned.step_seconds == pytest.approx(len(failures))
    (asked,) = aligned.lane(LaneName.REQUESTS).series
    requests = sum(row["requests"] for row in rows["gateway"])
    assert sum(v or 0 for v in asked.values) * aligned.step_seconds == pytest.approx(requests)
    assert len(aligned.lane(LaneName.FAILURES).episodes) == 2


def test_all_that_it_cites_has_an_id() -> None:
    observed = observe(made_case(), made_tables(**whole()))
    analysis = replace(concluded(observed), series=aligned_series(observed))
    lanes = [lane for aligned in analysis.series for lane in aligned.lanes]
    cited = [e for lane in lanes for s in lane.series for e in s.evidence]
    cited += [e for lane in lanes for episode in lane.episodes for e in episode.evidence]
    assert cited
    assert set(analysis.cite(tuple(cited))) <= set(analysis.evidence_ids.values())


def test_nothing_at_all() -> None:
    empty = replace(made_case(), sources=())
    (aligned,) = series_of(empty)
    lanes = [lane for lane in aligned.lanes if lane.name is not LaneName.CHANGES]
    assert all(lane.not_recorded == (aligned.window,) and not lane.series for lane in lanes)

"""The replay of INC-2847 against its raw files, which are counted here by plain loops."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from incident_rca import pipeline, reported_case
from incident_rca.replaying import traffic_of
from incident_rca.report import what_if as shown
from incident_rca.whatif.comparing import as_it_was, compared
from incident_rca.whatif.figures import recorded_figures
from incident_rca.whatif.opossum import OpossumOptions
from incident_rca.whatif.protection import Protection
from incident_rca.whatif.replay import replay
from incident_rca.whatif.traffic import Traffic
from tests.golden import raw

ON_THE_POOL = (raw.ORDERS, raw.READS)


@pytest.fixture(scope="module")
def requests(demo: Path) -> list[raw.Request]:
    return [r for r in raw.requests(demo / "raw") if r.name in ON_THE_POOL]


def _moment(traffic: Traffic, at_ms: int) -> datetime:
    return traffic.start + timedelta(milliseconds=at_ms)


def test_the_traffic_is_what_the_log_holds(inc_2847: Traffic, requests: list[raw.Request]) -> None:
    begin, end = inc_2847.start, _moment(inc_2847, inc_2847.end_ms)
    inside = [r for r in requests if begin <= r.at < end]
    names = [route.name for route in inc_2847.routes]
    counted = Counter((names[r.route], r.status) for r in inc_2847.requests)
    assert counted == Counter((r.name, r.status) for r in inside)
    assert sum(r.status >= 500 for r in inside) == sum(r.status >= 500 for r in requests)


def test_what_was_withheld_comes_from_the_locks_and_not_from_the_failures(
    inc_2847: Traffic, demo: Path
) -> None:
    snapshots = raw.snapshots(demo / "raw")
    table = raw.oid_of(snapshots, "stock_reservations")
    blocked = [s.at for s in snapshots if s.waiting_for(table)]
    ((start, end),) = inc_2847.blocked
    assert _moment(inc_2847, start) <= min(blocked)
    assert max(blocked) <= _moment(inc_2847, end) <= max(blocked) + timedelta(seconds=2)
    ended = [r for r in raw.server_log(demo / "raw") if r.get("state_code") == "57P01"]
    first = min(raw.instant(r["timestamp"]) for r in ended)
    assert inc_2847.kept_until_ms is not None
    assert _moment(inc_2847, inc_2847.kept_until_ms) == first
    assert [route.name for route in inc_2847.routes if route.is_blocked] == [raw.ORDERS]
    assert {route.name: route.limit_ms for route in inc_2847.routes} == {
        raw.ORDERS: 60_000,
        raw.READS: 29_000,
    }


def test_failures_do_not_decide_the_replay(inc_2847: Traffic) -> None:
    """With each failure of the incident recorded as a success, the model says the same."""
    silent = replace(
        inc_2847,
        requests=tuple(
            r if r.fails else r._replace(status=200, latency_ms=20.0) for r in inc_2847.requests
        ),
    )
    assert replay(silent, Protection()) == replay(inc_2847, Protection())


def test_the_model_without_a_protection_is_near_what_was_recorded(
    inc_2847: Traffic, requests: list[raw.Request]
) -> None:
    told = compared(inc_2847, Protection(breaker=OpossumOptions(), deadline_ms=2_000))
    failed = Counter(r.name for r in requests if r.status >= 500)
    assert dict(told.recorded.by_route) == dict(failed)
    for name in ON_THE_POOL:
        assert told.unprotected.by_route[name] == pytest.approx(failed[name], rel=0.02)
    assert told.unprotected.pool_exhausted_after_seconds == pytest.approx(44.6, abs=1)
    assert told.unprotected.p99_ms == pytest.approx(told.recorded.p99_ms, rel=0.01)
    pairs = zip(told.recorded.held_by_step, told.unprotected.held_by_step, strict=True)
    apart = [abs(one - other) for one, other in pairs if one is not None and other is not None]
    assert len(apart) > 180
    assert sum(apart) / len(apart) < 3


def test_the_recorded_figures_are_those_of_the_log(
    inc_2847: Traffic, requests: list[raw.Request]
) -> None:
    found = recorded_figures(inc_2847)
    failing = raw.outage(requests)
    inside = [r for r in requests if failing[0].at <= r.at <= failing[-1].at]
    latencies = sorted(float(r.row["responseLatency"]) for r in inside)
    assert found.failed == len([r for r in requests if r.status >= 500])
    assert found.p50_ms == pytest.approx(latencies[len(latencies) // 2], abs=20)
    assert found.p99_ms == pytest.approx(latencies[int(0.99 * len(latencies))], abs=20)


def test_a_breaker_saves_the_reads_and_the_pool_but_not_without_its_deadline(
    inc_2847: Traffic,
) -> None:
    breaker = OpossumOptions(volume_threshold=5)
    told = compared(inc_2847, Protection(breaker=breaker, deadline_ms=2_000))
    for figures in (told.cancelled, told.left_running):
        assert figures.by_route[raw.READS] == 0
        assert figures.pool_exhausted_after_seconds is None
        assert figures.failed < 0.1 * told.recorded.failed
        assert figures.first_fast_failure_seconds == 2.0
        assert figures.refused > figures.refused_healthy > 0
    # Calls that run on keep their connections, as those did that were recorded.
    assert (told.cancelled.pool_peak or 0) < (told.left_running.pool_peak or 0)
    alone = compared(inc_2847, Protection(deadline_ms=2_000))
    assert alone.cancelled.pool_exhausted_after_seconds is None
    # A time-out alone frees the caller, not the connection: no better than what happened.
    assert alone.left_running.failed >= told.unprotected.failed
    assert alone.left_running.pool_peak == inc_2847.pool_size


def test_an_outage_that_goes_on_holds_its_connections_beyond_the_window(
    demo: Path, tmp_path: Path, requests: list[raw.Request]
) -> None:
    """The sample as it was known at 14:36, with the lock gone and the connections still held."""
    case = Path(shutil.copytree(demo, tmp_path / "INC-2847"))
    manifest = json.loads((case / "case.json").read_text())
    manifest["window"]["end"] = "2026-01-15T14:36:00Z"
    (case / "case.json").write_text(json.dumps(manifest))
    known, tables = pipeline.build_tables(case)
    made = traffic_of(reported_case.as_reported(known), tables, None)
    begin, end = made.start, datetime(2026, 1, 15, 14, 36, tzinfo=UTC)
    failed = sum(r.status >= 500 for r in requests if begin <= r.at < end)
    assert made.kept_until_ms is not None
    assert made.kept_until_ms > made.end_ms
    assert any("beyond the window" in premise.text for premise in made.premises)
    *_, fit = as_it_was(made)
    assert fit.failed_in_both + fit.failed_only_recorded == failed > 1_000
    assert fit.failed_only_recorded + fit.failed_only_in_model < 0.02 * failed


def test_the_figures_are_not_broken_on_a_narrow_screen(inc_2847: Traffic) -> None:
    told = compared(inc_2847, Protection(breaker=OpossumOptions(), deadline_ms=2_000))
    screen = StringIO()
    Console(width=80, file=screen).print(shown.screen(told, {}))
    lines = screen.getvalue().splitlines()
    assert max(map(len, lines)) <= 80
    for row in shown.rows(told):
        cells = (row.recorded, row.unprotected, row.error, row.cancelled, row.left_running)
        words = " ".join(cells).split()
        assert any(line.split()[-len(words) :] == words for line in lines), row

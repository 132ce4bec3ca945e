"""Windows that overlap: each call once, whatever the windows and in whatever order they come."""

from __future__ import annotations

import random
from dataclasses import replace

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from incident_rca.analysis.observations import Observations, observe
from incident_rca.analysis.traffic_links import bins_of, method_traffic
from incident_rca.analysis.windows import each_once
from incident_rca.model import Kind
from incident_rca.typed_frames import plain
from tests.analysis.cases import (
    OUTAGE,
    Row,
    analysed,
    at,
    codes,
    counted,
    levels,
    made_case,
    made_tables,
    p99,
    steps,
    usual,
    with_source,
)


def windows(calls: list[float], step: float, width: float, **columns: object) -> list[Row]:
    """Counts of calls over `width` seconds, one each `step` seconds, as a rate's query gives."""
    return [
        {
            "at": at(start),
            "bucket_seconds": width,
            "metric": "grpc.client.calls",
            "aggregate": "count",
            "service": "stock.stock",
            "method": "reserve",
            "status": "ok",
            "value": float(sum(start <= call < start + width for call in calls)),
        }
        | columns
        for start in steps(-300, 300, step)
    ]


def frame(rows: list[Row]) -> pd.DataFrame:
    return made_tables(metrics=rows).metrics


@pytest.mark.parametrize(("step", "width"), [(10, 10), (10, 20), (10, 60), (20, 50)])
def test_calls_are_counted_once(step: float, width: float) -> None:
    chance = random.Random(1)
    calls = [chance.uniform(-200, 200) for _ in range(1_000)]
    rows = windows(calls, step, width)
    again = random.Random(2).sample(rows, len(rows))
    for given_rows in (rows, again):
        once = each_once(frame(given_rows))
        assert once["value"].sum() == pytest.approx(1_000, rel=0.02)
        assert plain(once["bucket_seconds"]).sum() == pytest.approx(600 + width - step, abs=0.1)


def test_where_nothing_overlaps_nothing_is_changed() -> None:
    rows = frame(windows([1.0, 2.0], 10, 10))
    assert each_once(rows) is rows
    assert each_once(rows.iloc[:0]).empty


@given(gaps=st.lists(st.integers(1, 90), min_size=1, max_size=20), width=st.integers(1, 60))
def test_what_is_left_lies_apart(gaps: list[int], width: int) -> None:
    rows = windows([], 10, float(width))[: len(gaps)]
    starts = [sum(gaps[:n]) for n in range(len(rows))]
    moved: list[Row] = [
        dict(row) | {"at": at(s), "value": 1.0} for row, s in zip(rows, starts, strict=True)
    ]
    once = each_once(frame(moved))
    covered = {second for s in starts for second in range(s, s + width)}
    assert plain(once["bucket_seconds"]).sum() == pytest.approx(len(covered), abs=0.01)


def test_series_are_apart_from_each_other() -> None:
    """Two codes in the same windows are different calls."""
    rows = frame([*windows([5.0], 10, 10), *windows([5.0], 10, 10, status="internal")])
    assert each_once(rows)["value"].sum() == 2


# --- what comes of it -----------------------------------------------------------------------------


def seen_of(metrics: list[Row], resolution: float = 1.0) -> Observations:
    case = with_source(made_case(), "access", lambda s: replace(s, resolution_seconds=resolution))
    tables = made_tables(
        failures=OUTAGE, gateway=[*counted(OUTAGE), *usual("GET /items")], metrics=metrics
    )
    return observe(case, tables)[0]


def test_a_method_has_as_many_calls_as_were_made() -> None:
    chance = random.Random(3)
    calls = [chance.uniform(-200, 200) for _ in range(600)]
    for step, width in ((10, 10), (10, 60)):
        seen = seen_of(windows(calls, step, width))
        (method,) = method_traffic(seen, bins_of(seen))
        assert sum(method.calls.values()) == pytest.approx(600, rel=0.03)


def test_two_metrics_count_the_same_calls_and_two_programs_do_not() -> None:
    calls = [float(n) for n in range(100)]
    both = [*windows(calls, 10, 10), *windows(calls, 10, 10, metric="rpc.client.duration")]
    seen = seen_of(both)
    (method,) = method_traffic(seen, bins_of(seen))
    assert sum(method.calls.values()) == 100
    seen = seen_of([*windows(calls, 10, 10, owner="a"), *windows(calls, 10, 10, owner="b")])
    (method,) = method_traffic(seen, bins_of(seen))
    assert sum(method.calls.values()) == 200


def test_bins_are_no_narrower_than_the_log() -> None:
    metrics = windows([1.0], 10, 10)
    for resolution, seconds in ((1.0, 10.0), (60.0, 60.0)):
        assert bins_of(seen_of(metrics, resolution)).seconds == seconds


def test_codes_of_slow_calls_are_counted_once() -> None:
    """Forty calls that failed at one instant stand in six windows of a minute."""
    series = p99(levels(20, 30_000, 30, 130))
    over = windows([60.0] * 40, 10, 60, status="internal")
    analysis = analysed(failures=OUTAGE, gateway=counted(OUTAGE), metrics=[*series, *over])
    (shift,) = analysis.latency_shifts
    assert shift.status_counts == {"INTERNAL": 40}
    assert Kind.MISSING_DEADLINE in {h.kind for h in analysis.hypotheses}
    apart = [*series, *codes(60, internal=40)]
    analysis = analysed(failures=OUTAGE, gateway=counted(OUTAGE), metrics=apart)
    assert analysis.latency_shifts[0].status_counts == {"INTERNAL": 40}

"""Failures in the gateway's log against the gateway's own count of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import pytest

from incident_rca.analysis.gateway_crosscheck import BucketDifference, Crosscheck, crosscheck
from incident_rca.model import Analysis, Case, Kind, SourceState, System, TimeWindow, Verdict
from tests.analysis.cases import (
    LEAD_UP,
    OUTAGE,
    Row,
    analysed,
    at,
    counted,
    failing,
    gauge,
    levels,
    made_case,
    made_tables,
    of_kind,
    p99,
    served,
    source,
    the,
)

WINDOW = TimeWindow(at(-120), at(240))


def points(by_minute: Mapping[int, float | None], **columns: object) -> list[Row]:
    """The service's count, by minutes after the first failure."""
    return [
        {
            "at": at(60 * minute),
            "bucket_seconds": 60.0,
            "metric": "5XXError",
            "aggregate": "count",
            "unit": "count",
            "owner": "rest:a1/prod",
            "value": value,
        }
        | columns
        for minute, value in by_minute.items()
    ]


def check(seconds: list[float], metrics: list[Row], window: TimeWindow = WINDOW) -> Crosscheck:
    gateway = [*counted(failing(seconds)), served(10.0), served(70.0, status=404)]
    found = crosscheck(made_tables(gateway=gateway, metrics=metrics), window)
    assert found is not None
    return found


def test_a_log_that_has_all_failures_agrees() -> None:
    found = check([1, 2, 59, 60], points({-1: 0.0, 0: 3.0, 1: 1.0, 2: 0.0}))
    assert found.agrees and found.differences == ()
    assert (found.buckets, found.bucket_seconds, found.logged, found.counted) == (4, 60.0, 4, 4)


def test_a_log_that_lacks_failures_shows_when() -> None:
    found = check([1], points({0: 1.0, 1: 12.0}))
    assert not found.agrees
    assert found.differences == (BucketDifference(at(60), 0, 12),)


def test_a_failure_of_another_minute_is_a_difference_of_time_only() -> None:
    found = check([59], points({0: 0.0, 1: 1.0}))
    assert found.agrees
    assert [(d.logged, d.counted) for d in found.differences] == [(1, 0), (0, 1)]


@pytest.mark.parametrize("value", [None, ...])
def test_a_minute_without_a_point_is_unknown_and_not_zero(value: object) -> None:
    extra: dict[int, float | None] = {} if value is ... else {1: None}
    found = check([61], points({0: 0.0} | extra))
    assert found.differences == (BucketDifference(at(60), 1, None),)
    assert found.buckets == 1


def test_stages_are_taken_together() -> None:
    metrics = [*points({0: 1.0}), *points({0: 2.0}, owner="http:b2/prod", metric="5xx")]
    assert check([1, 2, 3], metrics).agrees


def test_what_is_not_wholly_within_the_window_is_left_out() -> None:
    window = TimeWindow(at(30), at(150))
    found = check([1, 61, 121], points({0: 5.0, 1: 1.0, 2: 7.0}), window)
    assert (found.logged, found.counted, found.differences) == (1, 1, ())


def test_without_the_services_count_there_is_nothing_to_check() -> None:
    for metrics in ([], points({0: None}), points({0: 1.0}, metric="Count")):
        assert (
            crosscheck(made_tables(gateway=counted(failing([1])), metrics=metrics), WINDOW) is None
        )


# --- in the analysis ------------------------------------------------------------------------------

# 60 requests of the usual outage fail, from 0 to 118 s; in these minutes as many were counted.
IN_MINUTES = {-1: 0.0, 0: 30.0, 1: 30.0, 2: 0.0, 3: 0.0}


def beside(
    by_minute: Mapping[int, float | None],
    *,
    failures: Sequence[Row] = OUTAGE,
    case: Case | None = None,
    metrics: Sequence[Row] = (),
) -> Analysis:
    """The usual outage in the log beside the gateway's own count."""
    return analysed(
        case,
        failures=failures,
        gateway=[*counted(failures), served(10.0)],
        metrics=[*points(by_minute), *metrics],
    )


def lacking(analysis: Analysis) -> list[str]:
    """The contradictions between log and count."""
    return [c.statement for c in analysis.contradictions if "The gateway counted" in c.statement]


def test_more_counted_than_logged_is_a_contradiction_that_cites_both() -> None:
    analysis = beside(IN_MINUTES | {1: 42.0})
    (statement,) = lacking(analysis)
    assert "counted 72 failures (5xx), its log holds 60" in statement
    (found,) = (c for c in analysis.contradictions if c.statement == statement)
    assert {(e.source, e.count) for e in found.evidence} == {("metrics", 72), ("access", 60)}
    assert analysis.failures_not_logged == 12
    assert all(e.system is System.GATEWAY for e in found.evidence)


def test_a_log_without_failures_is_not_said_to_have_had_none() -> None:
    analysis = beside({-1: 0.0, 0: 5.0, 1: 0.0}, failures=())
    assert analysis.outage is None and analysis.failures_not_logged == 5
    assert "counted 5 failures (5xx), its log holds 0" in lacking(analysis)[0]


@pytest.mark.parametrize(
    "by_minute",
    [IN_MINUTES, IN_MINUTES | {1: 12.0, 2: 18.0}, {0: None}, {}],
    ids=["alike", "a minute later", "no value", "no count"],
)
def test_where_time_explains_it_or_nothing_counted_there_is_no_contradiction(
    by_minute: Mapping[int, float | None],
) -> None:
    analysis = beside(by_minute)
    assert lacking(analysis) == [] and analysis.failures_not_logged == 0


def test_what_arrived_before_the_window_and_was_counted_in_it_is_not_lacking() -> None:
    first = round(-LEAD_UP / 60)
    assert lacking(beside(IN_MINUTES | {first: 4.0})) == []
    assert lacking(beside(IN_MINUTES | {first: 0.0, first + 1: 4.0})) != []


@pytest.mark.parametrize("kind", ["load_balancer_log", "load_balancer_rollup"])
def test_a_log_that_was_not_collected_lacks_nothing(kind: str) -> None:
    case = made_case(states={"access": SourceState.FAILED})
    assert lacking(beside({0: 5.0}, failures=(), case=case)) == []
    balancer = source("balancer", System.GATEWAY, kind)
    case = replace(case, sources=(*case.sources, balancer))
    assert lacking(beside({0: 5.0}, failures=(), case=case)) == []


def test_that_no_failing_route_calls_it_is_not_said_of_a_log_that_lacks_failures() -> None:
    slow = p99(levels(20, 30_000, 30, 130), service="mail.mail", method="send")
    whole = the(beside(IN_MINUTES, metrics=slow), Kind.DEPENDENCY_LATENCY)
    assert whole.verdict is Verdict.CONTRADICTED
    lacks = the(beside(IN_MINUTES | {1: 99.0}, metrics=slow), Kind.DEPENDENCY_LATENCY)
    assert lacks.verdict is not Verdict.CONTRADICTED


def test_metrics_of_the_gateway_are_no_calls_and_no_pools() -> None:
    """A stage's latency rises as a call's would, and its count is no gauge of connections."""
    high = levels(20, 30_000, 30, 130)
    stage = [
        dict(row) | {"service": None, "method": None, "owner": "rest:a1/prod", "metric": metric}
        for metric in ("Latency", "IntegrationLatency")
        for row in p99(high)
    ]
    count = gauge(levels(5, 100, 20, 110), metric="Count", owner="rest:a1/prod")
    analysis = beside(IN_MINUTES, metrics=[*stage, *count])
    assert analysis.latency_shifts == () and analysis.pool is None
    (slow,) = of_kind(analysis, Kind.DEPENDENCY_LATENCY)
    assert slow.verdict is Verdict.INSUFFICIENT


def test_empty_tables_are_no_problem() -> None:
    assert analysed().failures_not_logged == 0
    assert lacking(analysed(metrics=points({0: 0.0}))) == []

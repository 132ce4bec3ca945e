"""A pool at its limit: since when, until when, and whether the calls seen can have filled it."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from incident_rca.model import Analysis, Kind, PoolState, Role, SourceState, Stance, Verdict
from tests.analysis.cases import (
    OUTAGE,
    analysed,
    blocked,
    claims_of,
    counted,
    failing,
    gauge,
    levels,
    made_case,
    of_kind,
    p99,
    second_of,
    steps,
    the,
)


def with_gauge(values: Sequence[float | None]) -> Analysis:
    """The usual outage beside a gauge of a pool of 100."""
    return analysed(failures=OUTAGE, gateway=counted(OUTAGE), metrics=gauge(values))


def filled(*, per_second: float, latency_ms: float, full_after: float) -> PoolState:
    """A pool that was full so long after the first of steadily arriving, failing requests."""
    failures = failing(steps(0, 121, 1 / per_second), latency_ms=latency_ms)
    metrics = [
        *p99(levels(20, latency_ms, 0, 140)),
        *gauge(levels(5, 100, full_after, 140)),
    ]
    analysis = analysed(failures=failures, gateway=counted(failures), metrics=metrics)
    assert analysis.pool is not None
    return analysis.pool


def test_ten_a_second_for_thirty_seconds_fill_a_hundred() -> None:
    pool = filled(per_second=10, latency_ms=30_000, full_after=10)
    assert pool.consistent
    assert (pool.owner, pool.size, pool.size_basis) == ("stock", 100, "topology")
    assert second_of(pool.exhausted_at.lo) == 10


@pytest.mark.parametrize(
    ("per_second", "latency_ms", "full_after"),
    [
        (2.0, 30_000.0, 40.0),  # 60 of 100
        (10.0, 2_000.0, 10.0),  # 20 of 100
        (0.5, 30_000.0, 10.0),  # 15 of 100, whatever the gauge's own speed implies
    ],
)
def test_calls_too_few_or_too_short_cannot_fill_it(
    per_second: float, latency_ms: float, full_after: float
) -> None:
    pool = filled(per_second=per_second, latency_ms=latency_ms, full_after=full_after)
    assert not pool.consistent


def test_what_cannot_have_filled_it_is_a_contradiction() -> None:
    failures = failing(steps(0, 121, 0.5))
    metrics = [*p99(levels(20, 30_000, 0, 140)), *gauge(levels(5, 100, 40, 140))]
    analysis = analysed(failures=failures, gateway=counted(failures), metrics=metrics)
    assert analysis.pool is not None
    assert [c for c in analysis.contradictions if c.statement == f"{analysis.pool.note}."]


def test_still_full_in_the_last_bucket_has_an_open_end() -> None:
    analysis = with_gauge(levels(5, 100, 20, 600))
    assert analysis.pool is not None
    assert analysis.pool.exhausted_until.hi is None
    kinds = {event.kind for event in analysis.timeline}
    assert "pool_full" in kinds and "pool_freed" not in kinds


def test_a_pool_that_drained_has_a_closed_end() -> None:
    analysis = with_gauge(levels(5, 100, 20, 100))
    pool = analysis.pool
    assert pool is not None
    assert "pool_freed" in {event.kind for event in analysis.timeline}
    assert [second_of(i) for i in (pool.exhausted_at.lo, pool.exhausted_at.hi)] == [20, 30]
    assert [second_of(i) for i in (pool.exhausted_until.lo, pool.exhausted_until.hi)] == [90, 100]


@pytest.mark.parametrize("values", [[], [None] * 120, levels(5, 99, 20, 100)])
def test_without_a_full_gauge_there_is_no_pool(values: Sequence[float | None]) -> None:
    analysis = with_gauge(values)
    assert analysis.pool is None
    assert the(analysis, Kind.POOL_EXHAUSTION).verdict in (
        Verdict.INSUFFICIENT,
        Verdict.CONTRADICTED,
    )


def test_without_metrics_nothing_is_known_of_a_pool() -> None:
    case = made_case(states={"metrics": SourceState.SKIPPED})
    pool = the(analysed(case, failures=OUTAGE, gateway=counted(OUTAGE)), Kind.POOL_EXHAUSTION)
    assert pool.verdict is Verdict.INSUFFICIENT


def test_a_gauge_that_fell_silent_was_not_seen_full() -> None:
    """Missing buckets are missing: the pool explains the time in which it was seen full."""
    metrics = gauge([*levels(5, 100, 20, 50)[:65], *[None] * 55])
    analysis = analysed(
        failures=OUTAGE, gateway=counted(OUTAGE), metrics=metrics, locks=blocked(-1, 10)
    )
    explained = the(analysis, Kind.POOL_EXHAUSTION).explains_seconds
    assert 20 <= explained <= 40
    assert 10 + explained + analysis.unexplained_seconds == 118


def test_a_pool_sustains_nothing_where_no_trigger_is_known() -> None:
    pool = the(with_gauge(levels(5, 100, 20, 110)), Kind.POOL_EXHAUSTION)
    assert (pool.role, pool.explains_seconds) == (Role.CONTRIBUTING, 0)


def test_two_full_buckets_minutes_apart_are_not_one_state() -> None:
    values: list[float | None] = [5.0] * 120
    values[20] = values[75] = 100.0
    analysis = with_gauge(values)
    assert sum(h.explains_seconds for h in of_kind(analysis, Kind.POOL_EXHAUSTION)) == 0
    assert analysis.unexplained_seconds == 118


@pytest.mark.parametrize(("start", "end"), [(-500, -400), (300, 400)])
def test_a_pool_that_was_full_at_another_time_is_not_to_blame(start: float, end: float) -> None:
    found = of_kind(with_gauge(levels(5, 100, start, end)), Kind.POOL_EXHAUSTION)
    assert all(h.verdict is not Verdict.SUPPORTED for h in found)
    assert all(h.role is not Role.SUSTAINER for h in found)


def test_a_pool_never_fills_in_less_than_no_time() -> None:
    pool = with_gauge(levels(5, 100, -100, 100)).pool
    assert pool is not None
    assert pool.fill_seconds is None or pool.fill_seconds > 0
    assert pool.arrival_per_second is None or pool.arrival_per_second > 0


def test_a_pool_that_outlasts_the_lock_sustains() -> None:
    metrics = gauge(levels(5, 100, 20, 110))
    analysis = analysed(
        failures=OUTAGE, gateway=counted(OUTAGE), metrics=metrics, locks=blocked(-1, 60)
    )
    pool, lock = the(analysis, Kind.POOL_EXHAUSTION), the(analysis, Kind.LOCK_BLOCKING)
    assert (pool.role, lock.role) == (Role.SUSTAINER, Role.TRIGGER)
    assert lock.explains_seconds == 60
    # The gauge's last full bucket ends between 100 and 110 s.
    assert pool.explains_seconds == 45
    assert analysis.unexplained_seconds == 13


def test_a_pool_that_is_full_when_nothing_fails_any_more_sustains_nothing() -> None:
    analysis = analysed(
        failures=OUTAGE,
        gateway=counted(OUTAGE),
        metrics=gauge(levels(5, 100, 20, 150)),
        locks=blocked(-1, 130, waiters=50),
    )
    pool, lock = the(analysis, Kind.POOL_EXHAUSTION), the(analysis, Kind.LOCK_BLOCKING)
    assert (lock.role, lock.explains_seconds) == (Role.TRIGGER, 118)
    assert (pool.role, pool.explains_seconds) == (Role.CONTRIBUTING, 0)


def test_a_pool_of_a_service_that_nothing_failing_calls_is_contradicted() -> None:
    metrics = [
        *gauge(levels(5, 50, 20, 110), owner="mail-db"),
        *gauge([50.0] * 120, owner="mail-db", metric="db.client.connections.max"),
    ]
    pool = the(
        analysed(failures=OUTAGE, gateway=counted(OUTAGE), metrics=metrics), Kind.POOL_EXHAUSTION
    )
    assert pool.verdict is Verdict.CONTRADICTED
    assert claims_of(pool, "path", Stance.AGAINST)
    assert pool.explains_seconds == 0


def named_by_the_user(owner: str | None = "stock-db") -> PoolState | None:
    """A pool of 20 whose gauges have names that say nothing, as `pool` of the settings has them."""
    metrics = [
        *gauge(levels(5, 20, 20, 110), metric="acme.a", role="used", owner=owner),
        *gauge([20.0] * 120, metric="acme.b", role="max", owner=owner),
        *gauge(levels(0, 3, 20, 110), metric="acme.c", role="pending", owner=owner),
    ]
    return analysed(failures=OUTAGE, gateway=counted(OUTAGE), metrics=metrics).pool


def test_gauges_count_what_the_settings_say() -> None:
    pool = named_by_the_user()
    assert pool is not None
    assert (pool.owner, pool.size, pool.size_basis) == ("stock", 20, "gauge")
    assert [second_of(i) for i in (pool.exhausted_at.lo, pool.exhausted_at.hi)] == [20, 30]
    assert [e.seen for e in pool.evidence if "3 callers waited" in e.seen]


def test_what_the_settings_say_of_a_gauge_outranks_its_name() -> None:
    metrics = gauge([100.0] * 120, metric="db.client.connections.usage", role="max")
    metrics += gauge(levels(5, 100, 20, 110), metric="db.client.connections.max", role="used")
    pool = analysed(failures=OUTAGE, gateway=counted(OUTAGE), metrics=metrics).pool
    assert pool is not None
    assert (second_of(pool.exhausted_at.lo), pool.size) == (20, 100)


def test_gauges_that_no_tag_names_are_one_pool_of_their_source() -> None:
    pool = named_by_the_user(owner=None)
    assert pool is not None and pool.owner == "metrics"

"""Small traffics that tests write by hand, and the protections of a sweep."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime

from hypothesis import strategies as st

from incident_rca.whatif.protection import Protection
from incident_rca.whatif.sweep import axes_of, combinations, protection_at
from incident_rca.whatif.traffic import Request, Traffic, TrafficRoute, steps_in

WRITES, READS = 0, 1
ROUTES = (
    TrafficRoute(name="POST /orders", is_blocked=True, limit_ms=60_000),
    TrafficRoute(name="GET /stock", is_blocked=False, limit_ms=29_000),
)


def request(
    at_ms: int, route: int = WRITES, service_ms: int = 20, *, fails: bool = False
) -> Request:
    """A request that was answered in its service time."""
    return Request(at_ms, route, service_ms, fails, 500 if fails else 200, float(service_ms))


def traffic(
    requests: Iterable[Request],
    *,
    pool_size: int = 10,
    end_ms: int = 300_000,
    blocked: tuple[tuple[int, int], ...] = (),
    kept_until_ms: int | None = None,
    cut_ms: int | None = 30_000,
) -> Traffic:
    """A traffic of these requests, in order of time."""
    return Traffic(
        start=datetime(2026, 1, 15, 14, tzinfo=UTC),
        end_ms=end_ms,
        pool="stock",
        pool_size=pool_size,
        pool_exhausted=None,
        routes=ROUTES,
        requests=tuple(sorted(requests)),
        outage=(0, end_ms),
        blocked=blocked,
        kept_until_ms=kept_until_ms,
        cut_ms=cut_ms,
        held_by_step=(None,) * steps_in(end_ms),
        premises=(),
    )


def without_limits(given: Traffic) -> Traffic:
    """The traffic with a gateway that never gives up."""
    return replace(given, routes=tuple(replace(route, limit_ms=None) for route in given.routes))


def grid(base: Protection, *values: str) -> list[Protection]:
    """Every protection of a sweep over a base."""
    return [protection_at(base, settings) for settings in combinations(axes_of(base, values))]


# Few distinct instants and durations, so that calls, time-outs and releases meet in one ms.
INSTANTS = st.integers(0, 60).map(lambda n: 500 * n)
DURATIONS = st.sampled_from((1, 20, 500, 1_000, 2_500))
REQUESTS = st.lists(
    st.builds(
        lambda at, route, takes, fails: request(at, route, takes, fails=fails),
        INSTANTS,
        st.integers(0, 1),
        DURATIONS,
        st.booleans(),
    ),
    max_size=60,
)
TRAFFICS = st.builds(
    lambda requests, size, lock, kept, cut: traffic(
        requests, pool_size=size, blocked=lock, kept_until_ms=kept, cut_ms=cut, end_ms=40_000
    ),
    REQUESTS,
    st.integers(1, 6),
    st.sampled_from(((), ((5_000, 12_000),), ((2_000, 4_000), (10_000, 25_000)))),
    st.sampled_from((None, 30_000)),
    st.sampled_from((None, 1_000, 5_000)),
)

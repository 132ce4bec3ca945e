"""The unit of a latency metric: who says it, in which order, and that its size never does."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from incident_rca.errors import BadInput
from incident_rca.formats.metric_units import (
    Unit,
    at_least,
    ceiling_of,
    is_at_ceiling,
    is_time,
    quantile_of,
    unit_of,
)

HOME_MADE = "grpc.client.duration"
# Go's DefBuckets, the bounds of gRFC A66, and those of OpenTelemetry's SDK.
DEF_BUCKETS = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10]
A66 = [0, 0.00001, 0.0001, 0.001, 0.01, 0.1, 0.5, 1, 2, 5, 10, 20, 50, 100]
OTEL = [0, 5, 10, 25, 50, 75, 100, 250, 500, 750, 1000, 2500, 5000, 7500, 10000]
DATADOG_S = {"family": "time", "name": "second", "scale_factor": 1.0}
DATADOG_US = {"family": "time", "name": "microsecond", "scale_factor": 0.000001}


@pytest.mark.parametrize(
    ("payload", "factor"),
    [
        ("s", 1000.0),
        ("ms", 1.0),
        ("us", 0.001),
        ("ns", 0.000001),
        ("Seconds", 1000.0),
        ("Milliseconds", 1.0),
        ("Microseconds", 0.001),
        ("seconds", 1000.0),
        ("millisecond", 1.0),
        (DATADOG_S, 1000.0),
        (DATADOG_US, 0.001),
        ({"family": "time", "name": "millisecond"}, 1.0),
    ],
)
def test_the_answer_states_its_unit(payload: Any, factor: float) -> None:
    unit = unit_of(HOME_MADE, payload=payload)
    assert unit.factor_to_ms == pytest.approx(factor) and unit.basis == "payload"
    assert is_time(payload)


@pytest.mark.parametrize(
    ("metric", "expected"),
    [
        ("rpc.client.duration", Unit(1.0, "name")),
        ("rpc_client_duration_milliseconds_bucket", Unit(1.0, "name")),
        ("grpc_client_handling_seconds_bucket", Unit(1000.0, "name")),
        ("rpc_client_duration_seconds", Unit(1000.0, "suffix")),
        ("grpc.client.duration_ms", Unit(1.0, "suffix")),
        ("my.latency.ms", Unit(1.0, "suffix")),
        ("my_latency_us", Unit(0.001, "suffix")),
        ("my_latency_nanoseconds_sum", Unit(0.000001, "suffix")),
    ],
)
def test_a_name_states_its_unit(metric: str, expected: Unit) -> None:
    assert unit_of(metric) == expected


@pytest.mark.parametrize(
    ("bounds", "factor"),
    [(DEF_BUCKETS, 1000.0), (A66, 1000.0), (OTEL, 1.0), ([*DEF_BUCKETS, math.inf], 1000.0)],
)
def test_the_shape_of_a_histogram_states_its_unit(bounds: Sequence[float], factor: float) -> None:
    assert unit_of(HOME_MADE, bounds=bounds) == Unit(factor, "buckets")


def test_the_first_that_says_it_wins() -> None:
    """Each step says something else than the next: taken away one by one, the next one speaks."""
    metric = "rpc.client.duration"
    assert unit_of(metric, setting="us", payload="ns", bounds=A66) == Unit(0.001, "settings")
    assert unit_of(metric, payload="ns", bounds=A66) == Unit(0.000001, "payload")
    assert unit_of(metric, bounds=A66) == Unit(1.0, "name")
    assert unit_of("my.latency_ns", bounds=A66) == Unit(0.000001, "suffix")
    assert unit_of("my.latency", bounds=A66) == Unit(1000.0, "buckets")


@pytest.mark.parametrize("payload", [None, "", "1", "None", {}])
@pytest.mark.parametrize("bounds", [None, [], [math.inf], [1, 2, 3], [0.1, 1, 10], [10, 30_000]])
def test_what_nobody_says_is_refused_and_the_cure_named(
    payload: Any, bounds: Sequence[float] | None
) -> None:
    with pytest.raises(BadInput, match=r"grpc\.client\.duration is unknown") as caught:
        unit_of(HOME_MADE, payload=payload, bounds=bounds)
    assert 'unit = "ms"' in caught.value.hint


@pytest.mark.parametrize(
    "payload",
    ["By", "Percent", "Count", "Ms", {"family": "bytes", "name": "byte"}, {"family": "time"}],
)
def test_a_unit_that_is_no_time_is_refused(payload: str | Mapping[str, Any]) -> None:
    with pytest.raises(BadInput) as caught:
        unit_of("rpc.client.duration", payload=payload)
    assert "rpc.client.duration" in caught.value.message and caught.value.hint


def test_a_setting_that_is_no_unit_is_refused() -> None:
    with pytest.raises(BadInput, match="fortnight"):
        unit_of(HOME_MADE, setting="fortnight")


# --- ceilings -------------------------------------------------------------------------------------


def interpolated(samples: Sequence[float], bounds: Sequence[float], quantile: float) -> float:
    """histogram_quantile as Prometheus documents it, over raw samples."""
    rank = quantile * len(samples)
    below = 0
    for position, upper in enumerate(bounds):
        inside = sum((bounds[position - 1] if position else 0) < s <= upper for s in samples)
        if below + inside >= rank:
            lower = bounds[position - 1] if position else 0
            return lower + (upper - lower) * (rank - below) / inside
        below += inside
    return bounds[-1]


@pytest.mark.parametrize(
    ("bounds", "samples", "shown", "least"),
    [
        (DEF_BUCKETS, [30.0] * 50, 10.0, 10.0),
        (OTEL, [30_000.0] * 50, 10_000.0, 10_000.0),
        (A66, [30.0] * 50, 49.7, 20.0),
        (A66, [0.7] * 30, 0.995, 0.5),
    ],
)
def test_a_plateau_that_its_buckets_make_is_recognised(
    bounds: Sequence[float], samples: Sequence[float], shown: float, least: float
) -> None:
    value = interpolated(samples, bounds, 0.99)
    assert value == pytest.approx(shown)
    assert is_at_ceiling(value, bounds)
    assert at_least(value, bounds) == least <= min(samples)


@pytest.mark.parametrize(
    ("value", "bounds"), [(9.9, DEF_BUCKETS), (30.0, A66), (0.0, A66), (5.0, []), (49.7, [])]
)
def test_other_values_are_their_own(value: float, bounds: Sequence[float]) -> None:
    assert not is_at_ceiling(value, bounds) and at_least(value, bounds) is None


@given(st.lists(st.floats(0.001, 200.0), min_size=1, max_size=40), st.sampled_from([0.5, 0.99]))
def test_what_is_called_at_least_is_never_too_much(samples: list[float], quantile: float) -> None:
    """The call behind that share of the calls lasted as long as the artefact is said to prove."""
    proven = at_least(interpolated(samples, A66, quantile), A66, quantile=quantile)
    if proven is not None:
        behind = min(int(quantile * len(samples)), len(samples) - 1)
        assert sorted(samples)[behind] >= proven


def test_the_ceiling_is_the_top_finite_bound() -> None:
    assert ceiling_of([1.0, 10.0, math.inf]) == 10.0
    assert ceiling_of([math.inf]) is None is ceiling_of([])


@pytest.mark.parametrize(
    ("aggregate", "quantile"),
    [("p50", 0.5), ("p99.9", 0.999), ("avg", None), ("p", None), ("p999", None)],
)
def test_an_aggregate_names_its_quantile(aggregate: str, quantile: float | None) -> None:
    assert quantile_of(aggregate) == (None if quantile is None else pytest.approx(quantile))

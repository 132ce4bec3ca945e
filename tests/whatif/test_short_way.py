"""Calls that nothing can hold up are replayed in a short way: the same, to the millisecond."""

from __future__ import annotations

from unittest.mock import patch

from hypothesis import given, settings
from hypothesis import strategies as st

from incident_rca.whatif.breakers import Guard
from incident_rca.whatif.envoy import EnvoyOptions
from incident_rca.whatif.opossum import OpossumOptions
from incident_rca.whatif.options import BREAKERS
from incident_rca.whatif.protection import BreakerOptions, Protection
from incident_rca.whatif.replay import Answers, replay
from incident_rca.whatif.resilience4j import Resilience4jOptions
from incident_rca.whatif.traffic import Traffic
from tests.whatif.traffics import TRAFFICS, grid


def the_long_way(given_traffic: Traffic, protection: Protection) -> Answers:
    """The replay in which every call has a state and a timer of its own."""
    with patch.object(Guard, "waits_for", lambda _guard, _duration_ms: False):
        return replay(given_traffic, protection)


OPTIONS: st.SearchStrategy[BreakerOptions | None] = st.sampled_from(
    (
        None,
        OpossumOptions(volume_threshold=3, rolling_count_timeout_ms=2_000, reset_timeout_ms=1_000),
        Resilience4jOptions(
            sliding_window_size=4,
            minimum_number_of_calls=2,
            wait_duration_in_open_state_ms=1_000,
            permitted_number_of_calls_in_half_open_state=2,
        ),
        EnvoyOptions(
            consecutive_5xx=2,
            interval_ms=1_000,
            base_ejection_time_ms=1_000,
            max_ejection_percent=100,
            healthy_panic_percent=0,
            hosts=2,
        ),
    )
)
PROTECTIONS = st.builds(
    Protection,
    breaker=OPTIONS,
    deadline_ms=st.sampled_from((0, 20, 500, 1_000, 2_000)),
    cancels=st.booleans(),
    retries=st.integers(0, 2),
    backoff_ms=st.sampled_from((0, 100, 500)),
    places=st.sampled_from((None, 1, 3)),
    is_shared=st.booleans(),
    clients=st.integers(1, 2),
)


@settings(max_examples=300, deadline=None)
@given(TRAFFICS, PROTECTIONS)
def test_both_ways_answer_each_request_alike(made: Traffic, protection: Protection) -> None:
    assert replay(made, protection) == the_long_way(made, protection)


def test_both_ways_answer_the_sample_alike(inc_2847: Traffic) -> None:
    for breaker in BREAKERS.values():
        for one in grid(Protection(breaker=breaker()))[::150]:
            assert replay(inc_2847, one) == the_long_way(inc_2847, one)

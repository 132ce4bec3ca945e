"""Resilience4j and Envoy by the rules of their documentation, each told as a short story."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace

import pytest

from incident_rca.whatif.breakers import ERROR, FULL, OK, REFUSED, Guard, Policy, Settle
from incident_rca.whatif.envoy import Envoy, EnvoyOptions
from incident_rca.whatif.protection import BreakerOptions, policy_of
from incident_rca.whatif.resilience4j import Resilience4j, Resilience4jOptions
from incident_rca.whatif.translation import Translated, as_opossum, as_resilience4j
from incident_rca.whatif.virtual_time import VirtualTime
from tests.oracle.scenarios import call

Told = tuple[int, int, str]  # its instant, how many ms it takes, how it ends


def play(clock: VirtualTime, policy: Policy, calls: Iterable[Told], until: int) -> list[str]:
    """How each call ended, in the order of their instants."""
    guard = Guard(clock, policy, timeout_ms=0, places=None)
    told = list(calls)
    ended = ["-"] * len(told)

    def fire(number: int, takes: int, ends: str) -> None:
        def action(end: Settle) -> None:
            clock.at(clock.now + takes, end, ends)

        call(guard, action, lambda outcome: ended.__setitem__(number, outcome))

    for number, (at, takes, ends) in enumerate(told):
        clock.at(at, fire, number, takes, ends)
    clock.run_until(until)
    return ended


def resilience4j(options: Resilience4jOptions, calls: Iterable[Told]) -> list[str]:
    clock = VirtualTime()
    return play(clock, Resilience4j(clock, options), calls, 1_000_000)


def envoy(options: EnvoyOptions, calls: Iterable[Told]) -> list[str]:
    clock = VirtualTime()
    return play(clock, Envoy(clock, options), calls, 1_000_000)


def in_a_row(ends: Iterable[str], *, start: int = 0, step: int = 10, takes: int = 1) -> list[Told]:
    return [(start + step * number, takes, end) for number, end in enumerate(ends)]


FOUR = Resilience4jOptions(sliding_window_size=4, minimum_number_of_calls=4)


def test_resilience4j_opens_at_its_threshold_and_only_with_enough_calls() -> None:
    ended = resilience4j(FOUR, in_a_row([OK, OK, ERROR, ERROR, OK]))
    assert ended == [OK, OK, ERROR, ERROR, REFUSED]
    assert resilience4j(FOUR, in_a_row([ERROR, ERROR, ERROR])) == [ERROR] * 3


def test_resilience4j_needs_no_more_calls_than_its_window_holds() -> None:
    options = Resilience4jOptions(sliding_window_size=2, minimum_number_of_calls=100)
    assert resilience4j(options, in_a_row([ERROR, ERROR, OK])) == [ERROR, ERROR, REFUSED]


def test_resilience4j_does_not_count_calls_that_are_under_way() -> None:
    # Three calls hang; by opossum's count they would dilute the two failures.
    hanging = [(n, 500_000, ERROR) for n in range(3)]
    options = Resilience4jOptions(sliding_window_size=2, minimum_number_of_calls=2)
    ended = resilience4j(options, [*hanging, *in_a_row([ERROR, ERROR, OK], start=100)])
    assert ended == [ERROR] * 5 + [REFUSED]


@pytest.mark.parametrize(("probes", "after"), [([OK, OK], OK), ([OK, ERROR], REFUSED)])
def test_resilience4j_decides_once_all_permitted_calls_have_ended(
    probes: list[str], after: str
) -> None:
    options = Resilience4jOptions(
        sliding_window_size=4,
        minimum_number_of_calls=4,
        wait_duration_in_open_state_ms=1_000,
        permitted_number_of_calls_in_half_open_state=2,
    )
    opened = in_a_row([ERROR] * 4)
    # Both are let through before either has ended; a third one then is not.
    tried = [(1_500 + n, 100, end) for n, end in enumerate([*probes, OK])]
    ended = resilience4j(options, [*opened, (900, 1, OK), *tried, (1_700, 1, OK)])
    assert ended == [*[ERROR] * 4, REFUSED, *probes, REFUSED, after]


def test_resilience4j_begins_an_empty_window_when_it_closes() -> None:
    options = Resilience4jOptions(
        sliding_window_size=4,
        minimum_number_of_calls=4,
        wait_duration_in_open_state_ms=1_000,
        permitted_number_of_calls_in_half_open_state=1,
    )
    later = in_a_row([OK, ERROR, ERROR, OK, OK], start=2_000)
    ended = resilience4j(options, [*in_a_row([ERROR] * 4), *later])
    assert ended[4:] == [OK, ERROR, ERROR, OK, OK]


def test_resilience4j_opens_on_slow_calls_that_succeed() -> None:
    options = Resilience4jOptions(
        sliding_window_size=2, minimum_number_of_calls=2, slow_call_duration_threshold_ms=1_000
    )
    quick = [(0, 1_000, OK), (1, 1_000, OK), (5_000, 1, OK)]
    slow = [(0, 1_001, OK), (1, 1_001, OK), (5_000, 1, OK)]
    assert resilience4j(options, quick) == [OK, OK, OK]
    assert resilience4j(options, slow) == [OK, OK, REFUSED]


def test_resilience4j_forgets_calls_older_than_a_window_of_time() -> None:
    options = Resilience4jOptions(
        sliding_window_type="TIME_BASED", sliding_window_size=2, minimum_number_of_calls=2
    )
    assert resilience4j(options, [(0, 1, ERROR), (1_000, 1, ERROR), (1_500, 1, OK)])[2] == REFUSED
    assert resilience4j(options, [(0, 1, ERROR), (2_000, 1, ERROR), (2_500, 1, OK)])[2] == OK


@pytest.mark.parametrize("translated", [as_opossum, as_resilience4j])
def test_settings_for_no_breaker_never_open_whatever_fails(
    translated: Callable[[BreakerOptions | None], Translated],
) -> None:
    # One call that outlasts every window, then more failures in a row than any default asks for.
    calls = [(0, 100_000, ERROR), *in_a_row([ERROR] * 300, start=200_000)]
    clock = VirtualTime()
    ended = play(clock, policy_of(clock, translated(None).options), calls, 300_000)
    assert ended == [ERROR] * 301


FAST = EnvoyOptions(
    consecutive_5xx=3,
    interval_ms=1_000,
    base_ejection_time_ms=5_000,
    max_ejection_percent=100,
    healthy_panic_percent=0,
    update_merge_window_ms=0,
)


def test_envoy_ejects_after_failures_in_a_row_and_one_success_begins_anew() -> None:
    assert envoy(FAST, in_a_row([ERROR] * 3 + [OK])) == [ERROR] * 3 + [REFUSED]
    ended = envoy(FAST, in_a_row([ERROR, ERROR, OK, ERROR, ERROR, OK]))
    assert REFUSED not in ended


def test_envoy_calls_an_ejected_host_all_the_same_where_it_panics() -> None:
    options = EnvoyOptions(consecutive_5xx=3, max_ejection_percent=100)
    assert REFUSED not in envoy(options, in_a_row([ERROR] * 20))


def test_envoy_ejects_no_host_of_fewer_than_ten_by_default() -> None:
    options = EnvoyOptions(consecutive_5xx=3, healthy_panic_percent=0, hosts=9)
    assert REFUSED not in envoy(options, in_a_row([ERROR] * 100))


def test_a_host_of_envoy_returns_at_a_sweep_and_stays_away_longer_each_time() -> None:
    probes = [(at, 1, ERROR) for at in range(50, 40_000, 100)]
    ended = envoy(FAST, probes)
    called = [at for (at, _, _), end in zip(probes, ended, strict=True) if end == ERROR]
    # Ejected at 251 ms for 5 s, at 6,251 for 10 s, at 17,251 for 15 s; sweeps each whole second.
    bursts = [at for at in called if at - 100 not in called]
    assert bursts == [50, 6_050, 17_050, 33_050]


def test_a_change_soon_after_another_is_told_a_merge_window_later() -> None:
    probes = [(at, 1, ERROR) for at in range(50, 9_000, 100)]
    options = replace(FAST, update_merge_window_ms=1_000)
    ended = envoy(options, probes)
    called = [at for (at, _, _), end in zip(probes, ended, strict=True) if end == ERROR]
    # Told at once at 251 and 6,000 ms; ejected again at 6,251, and told of at 7,251.
    assert called == [50, 150, 250, *range(6_050, 7_251, 100)]


def test_envoy_does_not_blame_a_host_for_its_own_limit() -> None:
    clock = VirtualTime()
    breaker = Envoy(clock, FAST)
    for _ in range(10):
        breaker.failed(breaker.admit(), FULL)
    assert breaker.admit() is not None

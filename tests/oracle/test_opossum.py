"""Our opossum against the library itself, in virtual time; `make oracle` plays far more."""

from __future__ import annotations

from collections import Counter

import pytest

from incident_rca.whatif.opossum import Opossum
from tests.oracle.scenarios import (
    Scenario,
    first_difference,
    play_ours,
    play_real,
    scenarios,
)

SMALLER_SET = list(scenarios(seed=2847, number=200))


def test_every_event_is_that_of_the_library() -> None:
    real = play_real(SMALLER_SET, timeout_seconds=300)
    assert len(real) == len(SMALLER_SET)
    differences = [
        f"scenario {number}: {difference}"
        for number, (one, scenario) in enumerate(zip(real, SMALLER_SET, strict=True))
        if (difference := first_difference(one, play_ours(scenario)))
    ]
    assert not differences, "\n".join(differences[:5])
    seen = Counter(name for one in real for _, name in one["events"])
    for name in ("open", "close", "halfOpen", "timeout", "semaphoreLocked", "reject", "failure"):
        assert seen[name] > 50, f"the scenarios hardly reach {name}: {seen}"


def _at_the_threshold(breaker: Opossum, ticket: object, outcome: str) -> None:
    """A breaker that opens at its threshold, as others do."""
    before = breaker._options.error_threshold_percentage
    object.__setattr__(breaker._options, "error_threshold_percentage", before - 1e-9)
    Opossum_failed(breaker, ticket, outcome)
    object.__setattr__(breaker._options, "error_threshold_percentage", before)


Opossum_failed = Opossum.failed


def _warm_at_once(breaker: Opossum, ticket: object, outcome: str) -> None:
    """A breaker that knows no warm-up."""
    breaker._is_warming_up = False
    Opossum_failed(breaker, ticket, outcome)


def _forgetful(breaker: Opossum, ticket: object) -> None:
    """A breaker that empties its window when it closes."""
    was = breaker.state
    Opossum_succeeded(breaker, ticket)
    if was != breaker.state:
        for _ in range(len(breaker._window)):
            breaker._window.pop()
            breaker._window.appendleft([0] * len(breaker._totals))
        breaker._totals[:] = [0] * len(breaker._totals)


Opossum_succeeded = Opossum.succeeded


@pytest.mark.parametrize(
    ("method", "wrong"),
    [("failed", _at_the_threshold), ("failed", _warm_at_once), ("succeeded", _forgetful)],
)
def test_a_breaker_that_is_a_little_different_is_found_out(
    monkeypatch: pytest.MonkeyPatch, method: str, wrong: object
) -> None:
    real = play_real(SMALLER_SET, timeout_seconds=300)
    monkeypatch.setattr(Opossum, method, wrong)
    assert any(
        first_difference(one, play_ours(scenario))
        for one, scenario in zip(real, SMALLER_SET, strict=True)
    )


# A hundred calls in 45 s that all hang for 30 s, as in INC-2847.
HANGING = tuple((450 * number, 30_000, "error") for number in range(100))


@pytest.mark.parametrize(
    ("options", "opens_at", "admitted"),
    [
        # The library's own time-out of 10 s: 33 calls are let in before the rate is above 50 %.
        ({}, 14_500, 33),
        ({"timeout": 2_000, "volumeThreshold": 5}, 3_800, 9),
    ],
)
def test_the_reference_traffic_opens_the_library_and_ours_alike(
    options: dict[str, int], opens_at: int, admitted: int
) -> None:
    scenario = Scenario(options, HANGING, until=60_000)
    for told in (play_ours(scenario), *play_real([scenario], timeout_seconds=60)):
        first_open = next(at for at, name in told["events"] if name == "open")
        before = [name for at, name in told["events"] if at <= first_open]
        assert first_open == opens_at
        assert before.count("fire") - before.count("reject") == admitted

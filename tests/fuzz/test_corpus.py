"""What fuzzing begins from and what it once found: every reader holds, and none is slow."""

from __future__ import annotations

import pytest

from fuzz.mutations import mutated
from fuzz.targets import (
    ALLOWANCES,
    CORPUS,
    LARGE,
    LONGEST_SECONDS,
    TARGETS,
    Target,
    TooSlow,
    blown_up,
    checked,
    found_cases,
)

INPUTS = 30
# These open a database for each input, which takes a tenth of a second.
FEWER_INPUTS = dict.fromkeys(
    (
        "access_log",
        "cloudwatch_events",
        "concatenated_log",
        "execution_log",
        "exported_log",
        "load_balancer_log",
    ),
    6,
)


def cases() -> list[object]:
    return [
        pytest.param(name, data, id=f"{name}-{number}")
        for name, target in TARGETS.items()
        for number, data in enumerate((*target.seeds, *found_cases(name)))
    ]


@pytest.mark.parametrize(("name", "data"), cases())
def test_a_reader_holds(name: str, data: bytes) -> None:
    checked(TARGETS[name], data)


def test_every_kept_case_belongs_to_a_target() -> None:
    assert {path.name for path in CORPUS.iterdir()} <= set(TARGETS)


def test_slowness_is_told_and_so_is_what_breaks() -> None:
    def broken(data: bytes) -> None:
        raise RecursionError

    with pytest.raises(RecursionError):
        checked(Target(broken, ()), b"x")
    with pytest.raises(TooSlow):
        checked(Target(lambda data: sum(range(10**6)), (), 0.0), b"x")


def test_large_inputs_are_as_large_as_they_should_be() -> None:
    large = blown_up(b"ab\ncd")
    assert {len(data) for data in large} == {LARGE}
    assert any(b"\n" not in data and b"ab cd" in data for data in large)


@pytest.mark.parametrize("name", TARGETS)
def test_a_reader_holds_what_differs_a_little_from_what_it_reads(name: str) -> None:
    target = TARGETS[name]
    for data in mutated((*target.seeds, *found_cases(name)), FEWER_INPUTS.get(name, INPUTS), name):
        checked(target, data)


@pytest.mark.parametrize("name", [name for name in TARGETS if name not in ALLOWANCES])
def test_a_reader_is_quick_with_a_megabyte(name: str) -> None:
    """Those with an allowance take seconds, and `make fuzz` tries them."""
    checked(TARGETS[name], blown_up(TARGETS[name].seeds[0])[0])


def test_only_a_named_target_may_take_longer_and_says_why() -> None:
    longer = {
        n: t.longest_seconds for n, t in TARGETS.items() if t.longest_seconds != LONGEST_SECONDS
    }
    assert longer == {name: allowance.seconds for name, allowance in ALLOWANCES.items()}
    assert all(allowance.reason for allowance in ALLOWANCES.values())

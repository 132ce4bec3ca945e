"""What fuzzing begins from and what it once found: every reader holds, and none is slow."""

from __future__ import annotations

import pytest

from fuzz.targets import CORPUS, LARGE, TARGETS, Target, TooSlow, blown_up, checked, found_cases


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

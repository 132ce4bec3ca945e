"""How far a replay can be relied on: told request by request, and said where it is not far."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from incident_rca.cli import app
from incident_rca.demo import prepare_demo
from incident_rca.model import Fit
from incident_rca.whatif.comparing import compared
from incident_rca.whatif.protection import UNPROTECTED, Protection
from incident_rca.whatif.traffic import Request, Traffic
from tests.whatif.traffics import READS, request, traffic

LOCK = ((10_000, 100_000),)


def recorded_as(status: int, *requests: Request) -> list[Request]:
    return [one._replace(status=status) for one in requests]


def fit(requests: Sequence[Request], held: Sequence[int | None] = ()) -> Fit:
    made = traffic(requests, blocked=LOCK)
    if held:
        made = replace(made, held_by_step=(*held, *([None] * 30))[:30])
    # A deadline that no call reaches: as it was and with it are the same.
    return compared(made, UNPROTECTED).fit


# Writes in the lock are given up after 30 s by the model; reads are not held up.
WRITES = [request(20_000 + n) for n in range(5)]
STOCK = [request(40_000 + n, READS) for n in range(4)]


def test_each_request_is_told_rightly_or_not() -> None:
    found = fit(
        [
            *recorded_as(502, *WRITES[:3]),
            *recorded_as(200, *WRITES[3:]),
            *recorded_as(502, STOCK[0]),
            *recorded_as(200, *STOCK[1:]),
        ]
    )
    assert found.failed_in_both == 3
    assert found.failed_only_in_model == 2
    assert found.failed_only_recorded == 1


@pytest.mark.parametrize(("wrong", "is_doubted"), [(2, False), (3, True)])
def test_a_model_that_is_wrong_more_often_than_right_is_not_to_be_relied_on(
    wrong: int, is_doubted: bool
) -> None:
    # Of the five that the model fails, `wrong` did not fail.
    found = fit([*recorded_as(200, *WRITES[:wrong]), *recorded_as(502, *WRITES[wrong:])])
    doubts = [one for one in found.problems if "wrong about 3 requests and right about 2" in one]
    assert bool(doubts) == is_doubted


@pytest.mark.parametrize(
    ("held", "is_doubted"), [((0, 0, 5, 5, 5), False), ((0, 0, 1, 1, 1), True), ((None,), False)]
)
def test_a_pool_that_was_hardly_used_speaks_against_calls_that_hung_in_it(
    held: tuple[int | None, ...], is_doubted: bool
) -> None:
    found = fit(recorded_as(502, *WRITES), held)
    doubts = [one for one in found.problems if "5 at most where 1 were recorded" in one]
    assert bool(doubts) == is_doubted


def test_an_effect_that_is_smaller_than_the_error_is_not_sold_as_one() -> None:
    made = traffic([*recorded_as(502, *WRITES), *recorded_as(502, *STOCK)], blocked=LOCK)
    told = compared(made, Protection(deadline_ms=1_000))
    assert told.fit.failed_only_recorded == 4
    assert told.left_running.failed == told.unprotected.failed
    assert any("wrong about 4" in problem for problem in told.fit.problems)


def test_the_sample_is_told_request_by_request(inc_2847: Traffic) -> None:
    found = compared(inc_2847, Protection(deadline_ms=2_000)).fit
    failed = sum(one.status >= 500 for one in inc_2847.requests)
    assert found.failed_in_both + found.failed_only_recorded == failed
    assert found.failed_in_both > 0.98 * failed
    assert found.failed_only_in_model < 0.02 * failed


@pytest.mark.parametrize(
    ("sample", "is_doubted"), [("lab-index-build", False), ("lab-unrelated-lock", True)]
)
def test_the_screen_says_where_a_model_is_not_to_be_relied_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], sample: str, is_doubted: bool
) -> None:
    case = prepare_demo(tmp_path / sample, sample)
    words = ["whatif", str(case), "--deadline", "500ms", "--breaker", "none"]
    app(words, standalone_mode=False)
    assert ("Do not rely on it" in capsys.readouterr().out) == is_doubted

"""The figures of cases made by hand, and the README's table of them."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

from bench.figures import write_json
from score.baselines import BASELINES
from score.cases import Scored
from score.figures import GOALS, MEANINGS, figures_of, numbers_of, of_baseline, unbeaten
from score.judge import Explained, Found, Judged, Named, Ordered
from score.lab import LAB_GOALS, figures_of_lab
from score.run import as_table
from score.truth import Expected

ROOT = Path(__file__).resolve().parents[2]
RIGHT = Named(Expected.NAME, is_right=True, is_wrong=False, abstains=False)
WRONG = Named(Expected.NAME, is_right=False, is_wrong=True, abstains=False)
SILENT = Named(Expected.NAME, is_right=False, is_wrong=False, abstains=True)
ABSTAINS = Named(Expected.ABSTAIN, is_right=False, is_wrong=False, abstains=True)
SPEAKS = Named(Expected.ABSTAIN, is_right=True, is_wrong=False, abstains=False)
QUIET = Named(None, is_right=False, is_wrong=False, abstains=True)
TOLD = Ordered(is_determinable=True, is_asserted=True, is_wrong=False)
UNTOLD = Ordered(is_determinable=True, is_asserted=False, is_wrong=False)
TURNED = Ordered(is_determinable=False, is_asserted=True, is_wrong=True)


def scored(
    *named: Named,
    seed: int = 0,
    trusts_clocks: bool = True,
    supports: bool = False,
    onsets: tuple[Found, ...] = (),
    orders: tuple[Ordered, ...] = (),
    explained: tuple[Explained, ...] = (),
) -> Scored:
    judged = Judged(
        seed=seed,
        kind="made",
        named=named,
        supports_in_quiet=supports,
        onsets=onsets,
        orders=orders,
        explained=explained,
        trusts_clocks=trusts_clocks,
    )
    return Scored(judged, dict.fromkeys(BASELINES, (WRONG, RIGHT)))


def value(cases: list[Scored], name: str) -> float:
    (found,) = [f.value for f in figures_of(cases) if f.name == name]
    return found


def test_shares_are_of_those_that_were_asked() -> None:
    cases = [scored(RIGHT, WRONG), scored(SILENT), scored(RIGHT), scored(ABSTAINS, SPEAKS)]
    assert value(cases, "right_share") == 2 / 4
    assert value(cases, "wrongly_blamed") == 1
    assert value(cases, "abstain_share") == 1 / 2
    numbers = {"to be named": 4, "to abstain": 2, "open": 0, "quiet": 1}
    assert numbers_of([*cases, scored(QUIET)]) == numbers


def test_a_wrong_blame_counts_whatever_was_expected() -> None:
    for expected in (Expected.OPEN, Expected.ABSTAIN, None):
        named = Named(expected, is_right=False, is_wrong=True, abstains=False)
        assert value([scored(named)], "wrongly_blamed") == 1


def test_quiet_windows_that_say_something_are_counted() -> None:
    assert value([scored(QUIET, supports=True), scored(QUIET)], "quiet_supported") == 1


def test_orders_under_a_false_assumption_are_told_apart() -> None:
    cases = [scored(orders=(TOLD, UNTOLD, TURNED)), scored(orders=(TURNED,), trusts_clocks=False)]
    assert value(cases, "wrong_orders") == 1
    assert value(cases, "wrong_orders_beyond_bounds") == 1
    assert value(cases, "order_share") == 1 / 2


def test_widths_are_of_steps_and_coverage_of_all() -> None:
    onsets = (
        Found("lock", is_inside=True, width=1.0, is_ramp=False),
        Found("latency", is_inside=False, width=3.0, is_ramp=False),
        Found("latency", is_inside=True, width=99.0, is_ramp=True),
        Found("outage", is_inside=True, width=0.0, is_ramp=False),
        Found("pool", is_inside=False, width=None, is_ramp=False),
    )
    assert value([scored(onsets=onsets)], "onset_coverage") == 3 / 5
    assert value([scored(onsets=onsets)], "onset_width") == 2.0


def test_seconds_are_weighed_by_how_many_there_are() -> None:
    cases = [
        scored(explained=(Explained(10.0, 100.0),)),
        scored(explained=(Explained(0.0, 300.0),)),
    ]
    assert value(cases, "explained_error") == 10 / 400


def test_baselines_are_figures_of_the_same_cases_without_a_goal() -> None:
    figures = of_baseline([scored(RIGHT), scored(RIGHT)], "lock waits")
    shown = {f.name: (f.value, f.goal) for f in figures}
    assert shown["right_share (lock waits)"] == (0.5, None)
    assert shown["wrongly_blamed (lock waits)"] == (2.0, None)


def test_a_baseline_is_beaten_by_who_is_right_more_often_and_blames_no_more_wrongly() -> None:
    """Each baseline is made to be right once of twice, and wrong once."""
    for named, is_beaten in (
        ((RIGHT, RIGHT), True),
        ((RIGHT, WRONG), False),
        ((RIGHT, RIGHT, SPEAKS, replace(SPEAKS, is_wrong=True), WRONG, RIGHT, RIGHT), False),
        ((RIGHT, RIGHT, replace(ABSTAINS, is_wrong=True)), True),
    ):
        lines = [] if is_beaten else [f"not beaten: {name}" for name in BASELINES]
        assert unbeaten([scored(*named)]) == lines


def test_even_seeds_are_the_tuning_half() -> None:
    assert [scored(seed=seed).is_tuning for seed in (0, 1, 2, 3)] == [True, False, True, False]


def test_the_figures_are_written_in_the_documented_shape(tmp_path: Path) -> None:
    path = tmp_path / "score.json"
    write_json(figures_of([scored(RIGHT)]), path)
    rows = json.loads(path.read_text(encoding="utf-8"))
    assert [row["name"] for row in rows] == list(GOALS) == list(MEANINGS)
    assert rows[0] == {
        "name": "right_share",
        "value": 1.0,
        "unit": "share",
        "goal": ">= 0.95",
        "met": True,
    }


def test_the_readme_shows_the_table_that_the_command_prints() -> None:
    """Its names, goals and columns; the numbers are those of the run that it says."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"^```text score\n(.*?)^```$", readme, re.MULTILINE | re.DOTALL)
    lines = [line for line in block.splitlines() if line.strip()]
    figures = figures_of([scored(RIGHT)])
    others = [of_baseline([scored(RIGHT)], name) for name in BASELINES]
    table = as_table([figures] * 3, others, figures_of_lab([]))
    goals = {**GOALS, **LAB_GOALS}
    assert re.split(r"\s{2,}", lines[0].strip()) == [str(c.header) for c in table.columns]
    assert [line.split()[0] for line in lines[1:]] == list(goals)
    for line, (_, goal) in zip(lines[1:], goals.values(), strict=True):
        assert (goal or "") in line

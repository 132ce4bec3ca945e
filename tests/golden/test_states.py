"""The stretches of the demo's outage against loops over the raw files."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise

import pytest

from tests.golden.raw import Json, Request, Snapshot, instant

ANSWERS = {"yes", "no", "not recorded"}


def test_the_seconds_of_the_stretches_are_those_that_are_explained(report: Json) -> None:
    by_cause: Counter[str] = Counter()
    for stretch in report["states"]:
        by_cause[stretch["cause"]] += stretch["seconds"]
    assert sum(by_cause.values()) == report["outage"]["duration_seconds"]
    for hypothesis in report["hypotheses"]:
        assert by_cause[hypothesis["id"]] == hypothesis["explains"]["seconds"]
    assert by_cause["unexplained"] == report["unexplained"]["seconds"]


def test_the_stretches_fill_the_outage(report: Json, outage: list[Request]) -> None:
    found = report["states"]
    assert instant(found[0]["start"]) == outage[0].at
    assert instant(found[-1]["end"]) == outage[-1].at
    assert all(one["end"] == other["start"] for one, other in pairwise(found))
    for stretch in found:
        length = instant(stretch["end"]) - instant(stretch["start"])
        assert length.total_seconds() == pytest.approx(stretch["seconds"])


def test_failures_a_second_are_those_that_arrived(report: Json, outage: list[Request]) -> None:
    whole = 0
    for stretch in report["states"]:
        start, end = instant(stretch["start"]), instant(stretch["end"])
        is_last = stretch is report["states"][-1]
        arrived = sum(start <= r.at < end or (is_last and r.at == end) for r in outage)
        assert stretch["failures"]["number"] == pytest.approx(
            arrived / stretch["seconds"], abs=1e-3
        )
        whole += arrived
    assert whole == len(outage)


def test_waiters_are_those_of_the_snapshots(report: Json, snapshots: list[Snapshot]) -> None:
    """A second is judged at its middle, and one more session came to wait each half second."""
    held = 0.0
    for stretch in report["states"]:
        start, end = instant(stretch["start"]), instant(stretch["end"])
        inside = [s for s in snapshots if start <= s.at < end]
        queues = [len({r["pid"] for r in s.locks if not r["granted"]}) for s in inside]
        assert queues, stretch
        if stretch["lock_held"]["answer"] == "no":
            assert stretch["waiters"]["answer"] == "no"
            # At either edge a snapshot may lie beside the middle of its second.
            assert not any(queues[1:-1])
        else:
            assert stretch["lock_held"]["answer"] == stretch["waiters"]["answer"] == "yes"
            assert abs(stretch["waiters"]["number"] - max(queues)) <= 2
            held += stretch["seconds"]
    assert held == pytest.approx(
        sum(any(not r["granted"] for r in s.locks) for s in snapshots), abs=4
    )


def test_each_answer_is_one_of_three_and_cites_evidence(report: Json) -> None:
    known = {e["id"] for e in report["evidence"]}
    for stretch in report["states"]:
        states = [value for value in stretch.values() if isinstance(value, dict)]
        assert len(states) == 7
        for state in states:
            assert state["answer"] in ANSWERS
            assert state["evidence"] and set(state["evidence"]) <= known

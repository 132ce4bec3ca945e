"""The charts of INC-2847 beside its raw files: what is drawn is what a loop over them counts."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from pathlib import Path

import pytest

from incident_rca.model import AlignedSeries, LaneName, Series
from tests.golden import raw
from tests.golden.running import Demo

PICTURE = Path(__file__).resolve().parent.parent.parent / "docs" / "inc-2847-timeline.svg"


@pytest.fixture
def aligned(demo: Demo) -> AlignedSeries:
    """The series of the whole window: the outage takes half of it."""
    (only,) = demo.analysis.series
    return only


def series(aligned: AlignedSeries, lane: LaneName, name: str) -> Series:
    (found,) = [s for s in aligned.lane(lane).series if s.name == name]
    return found


def test_failures_are_those_of_the_access_log(
    aligned: AlignedSeries, requests: list[raw.Request]
) -> None:
    width = timedelta(seconds=aligned.step_seconds)
    counts: Counter[tuple[int, int]] = Counter()
    for request in requests:
        if request.status >= 500 and aligned.window.start <= request.at < aligned.window.end:
            counts[request.status, (request.at - aligned.start) // width] += 1
    assert {status for status, _ in counts} == {500, 502, 503, 504}
    for status in (500, 502, 503, 504):
        drawn = series(aligned, LaneName.FAILURES, f"HTTP {status}").values
        by_step = [
            counts[status, position] / aligned.step_seconds for position in range(aligned.steps)
        ]
        assert drawn == pytest.approx(by_step)


def test_waiters_are_those_of_the_snapshots(
    aligned: AlignedSeries, snapshots: list[raw.Snapshot], contended: int
) -> None:
    drawn = series(aligned, LaneName.LOCK_WAITERS, "public.stock_reservations").values
    checked = 0
    for snapshot in snapshots:
        position = int((snapshot.at - aligned.start).total_seconds() // aligned.step_seconds)
        waiting = len(snapshot.waiting_for(contended))
        value = drawn[position]
        assert value is not None and value >= waiting
        checked += waiting == value == 100
    assert checked > 100
    assert max(v for v in drawn if v is not None) == 100


def test_the_readme_shows_the_picture_of_the_demo(demo: Demo) -> None:
    drawn = (demo.folder / "charts" / "timeline.svg").read_text(encoding="utf-8")
    assert PICTURE.read_text(encoding="utf-8") == drawn, "copy the demo's charts/timeline.svg there"
    readme = (PICTURE.parent.parent / "README.md").read_text(encoding="utf-8")
    assert f"](docs/{PICTURE.name})" in readme

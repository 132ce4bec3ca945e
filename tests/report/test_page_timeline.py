"""The timelines of the page: paths, places and values against the series they were drawn from."""

from __future__ import annotations

import json
import re
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from incident_rca.model import Analysis, LaneName
from incident_rca.report.page.document import to_html
from incident_rca.report.page.drawn_lanes import nice_top, path_of, ticks
from incident_rca.report.wording import Clock
from tests.report.incident import HOSTILE, at, hostile_from
from tests.report.measured import STEPS, series
from tests.report.page_reading import Element, by_id, data_of, read


@pytest.fixture(scope="module")
def chart(analysis: Analysis) -> Element:
    return by_id(read(to_html(replace(analysis, series=(series(),)))))["chart-1"]


def heights(path: str) -> dict[int, float]:
    """The height at the start of each step that a path passes, by walking along it."""
    x, y = 0, 0.0
    found: dict[int, float] = {}
    for command, numbers in re.findall(r"([MHVZ])([\d. ]*)", path):
        if command == "M":
            left, down = numbers.split()
            x, y = int(left), float(down)
        elif command == "V":
            y = float(numbers)
        elif command == "H":
            found |= dict.fromkeys(range(x, int(numbers)), y)
            x = int(numbers)
    return found


@given(
    st.lists(st.none() | st.sampled_from([0.0, 1.0, 2.5, 40.0, 99.0, 100.0]), max_size=40),
    st.sampled_from([100.0, 120.0]),
)
def test_a_path_passes_each_value_and_breaks_where_there_is_none(
    values: list[float | None], top: float
) -> None:
    drawn = heights(path_of(values, top))
    assert sorted(drawn) == [n for n, value in enumerate(values) if value is not None]
    for step, height in drawn.items():
        value = values[step]
        assert value is not None
        assert (100 - height) / 92 * top == pytest.approx(value, abs=top / 900)


@given(st.floats(min_value=0.001, max_value=1e7))
def test_the_top_of_a_lane_is_near_and_hardly_passed(highest: float) -> None:
    top = nice_top(highest)
    assert highest <= 1.005 * top
    assert top <= max(0.01, 1.7 * highest)


def test_the_values_to_read_are_those_of_the_series(chart: Element) -> None:
    data = data_of(chart)
    told = {name: line["values"] for name, line in zip(names(chart), data["lines"], strict=True)}
    recorded = {one.name: list(one.values) for lane in series().lanes for one in lane.series}
    assert told == recorded
    assert (data["start_ms"], data["steps"]) == (int(at("14:10:00").timestamp()) * 1000, STEPS)
    (bounded,) = [line["at_least"] for line in data["lines"] if line["at_least"]]
    assert bounded == [13]


def names(chart: Element) -> list[str]:
    return [e.text for e in chart.all("span", "key-name")]


def test_an_episode_stands_where_it_was_with_its_bounds(chart: Element) -> None:
    (lane,) = chart.all("div", "lock_waiters")
    (maybe,), (sure,) = lane.all("rect", "maybe"), lane.all("rect", "sure")
    # In minutes from 14:10:00: surely held from 14:23:01 to 14:27:00.
    assert float(maybe.attributes["x"]) == pytest.approx(13, abs=0.001)
    assert float(sure.attributes["x"]) == pytest.approx(13 + 1 / 60, abs=0.001)
    assert float(sure.attributes["width"]) == pytest.approx(4 - 1 / 60, abs=0.001)


def test_an_open_end_reaches_the_end_of_the_drawing(chart: Element) -> None:
    (lane,) = chart.all("div", "changes")
    (maybe,) = lane.all("rect", "maybe")
    x, width = (float(maybe.attributes[key]) for key in ("x", "width"))
    assert x + width == pytest.approx(STEPS, abs=0.001)


def test_what_is_not_recorded_is_said_and_never_drawn_as_zero(chart: Element) -> None:
    (latency,) = chart.all("div", "latency")
    assert "not recorded" in latency.text and not latency.all("path", "line")
    (pool,) = chart.all("div", "pool")
    (gap,) = pool.all("rect", "gap")
    assert (gap.attributes["x"], gap.attributes["width"]) == ("13", "1")
    assert 13 not in heights(pool.all("path", "line")[0].attributes["d"])
    (failures,) = chart.all("div", "failures")
    assert "not drawn: HTTP 418" in failures.text


def test_each_piece_of_evidence_can_be_pointed_at_where_it_lies(
    analysis: Analysis, chart: Element
) -> None:
    told = {short: (lo, hi) for short, lo, hi in data_of(chart)["evidence"]}
    for evidence in analysis.evidence:
        short = analysis.evidence_ids[evidence.digest]
        assert evidence.at.lo is not None and evidence.at.hi is not None
        if evidence.at.hi < at("14:10:00"):
            assert short not in told
            continue
        first = (evidence.at.lo - at("14:10:00")).total_seconds() / 60
        last = (evidence.at.hi - at("14:10:00")).total_seconds() / 60
        assert told[short] == pytest.approx((max(0.0, first), min(last, STEPS)), abs=0.001)


def test_ticks_stand_on_round_times_each_level_finer_than_the_one_before(
    analysis: Analysis,
) -> None:
    found = ticks(series(), Clock.of(analysis))
    levels = sorted({tick.level for tick in found})
    numbers = [sum(tick.level == level for tick in found) for level in levels]
    assert numbers == sorted(numbers) and numbers[0] in range(3, 6)
    coarse = [tick.label for tick in found if tick.level == 0]
    assert all(label.endswith("0:00") for label in coarse)
    assert {tick.label: tick.at for tick in found}["14:30:00"] == 20


def test_what_a_script_reads_holds_nothing_invisible_and_no_endless_line(
    analysis: Analysis,
) -> None:
    hostile = hostile_from(replace(analysis, series=(series(),)), HOSTILE)
    data = data_of(by_id(read(to_html(hostile)))["chart-1"])
    titles = [title for title, *_ in data["events"]]
    # All but the one before the window.
    assert len(titles) == len(analysis.timeline) - 1
    assert all(title and len(title) <= 200 for title in titles)
    assert not re.search(
        r"[\x00-\x1f\x7f-\x9f\u200b-\u200f\u202a-\u202e\u2066-\u2069]",
        json.dumps(data, ensure_ascii=False),
    )


def test_an_incident_that_fills_a_part_has_a_chart_of_its_own(analysis: Analysis) -> None:
    around = replace(series(), incident=1, start=at("14:20:00"), step_seconds=1.0)
    page = by_id(read(to_html(replace(analysis, series=(series(), around)))))
    assert "The whole window" in page["chart-1"].text
    assert "Around outage 1" in page["chart-2"].text
    assert [lane.name for lane in around.lanes] == list(LaneName)

"""The charts of made incidents: as specifications, as SVG, as words."""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import cache
from itertools import combinations
from typing import Any
from xml.etree import ElementTree

import altair as alt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from incident_rca.analysis.analyse import concluded
from incident_rca.analysis.observations import observe
from incident_rca.analysis.series import aligned_series
from incident_rca.model import (
    AlignedSeries,
    Analysis,
    Case,
    Kind,
    Lane,
    LaneName,
    Role,
    Series,
    SourceState,
    TimeWindow,
)
from incident_rca.report.charts import charts_of
from incident_rca.report.charts.canvas import FONT, STROKES, WIDTH, fitting, width_of
from incident_rca.report.charts.chart import Chart
from incident_rca.report.charts.drawing import to_png, to_svg
from incident_rca.report.coarser import coarser
from incident_rca.report.markdown import to_markdown
from tests.analysis.cases import (
    OUTAGE,
    at,
    blocked,
    counted,
    failing,
    gauge,
    heartbeat,
    levels,
    made_case,
    made_tables,
    p99,
    steps,
    usual,
    with_source,
)
from tests.report.incident import HOSTILE

PROBES = [heartbeat(second) for second in steps(-600, 600, 5)]


def analysed(case: Case | None = None, **rows: Any) -> Analysis:
    """The analysis, with its series, of a lock, slow calls, a full pool and failures, changed."""
    whole = {
        "gateway": [*usual("GET /items", every=1, requests=2), *counted(OUTAGE)],
        "failures": OUTAGE,
        "locks": blocked(0, 60),
        "session_counts": PROBES,
        "metrics": [*p99(levels(40, 9_000, 10, 120)), *gauge(levels(4, 100, 20, 120))],
    }
    observed = observe(case or made_case(), made_tables(**(whole | rows)))
    return replace(concluded(observed), series=aligned_series(observed))


def quiet() -> Analysis:
    """Nothing failed, nobody was seen waiting."""
    metrics = p99([40.0] * 120)
    return analysed(gateway=usual("GET /items"), failures=(), locks=(), metrics=metrics)


def without_locks() -> Analysis:
    """Nothing watched the locks, and no pool is known."""
    case = with_source(made_case(), "locks", lambda s: replace(s, state=SourceState.FAILED))
    return analysed(case, locks=(), session_counts=(), metrics=p99(levels(40, 9_000, 10, 120)))


def two_outages() -> Analysis:
    """Two outages of which neither lies in the picture of the other."""
    failures = [*OUTAGE, *failing(steps(20_000, 20_060, 2), status=504)]
    case = made_case(window=(-600, 40_000))
    return analysed(case, failures=failures, gateway=[*usual("GET /items"), *counted(failures)])


def hostile() -> Analysis:
    """Names that would be markup."""
    named: dict[str, Any] = {
        "relation": HOSTILE,
        "holder_application": HOSTILE,
        "holder_statement": HOSTILE,
    }
    failures = [{**row, "error_type": HOSTILE} for row in OUTAGE]
    return analysed(locks=blocked(0, 60, **named), failures=failures)


CASES = {
    "whole": analysed,
    "quiet": quiet,
    "without locks": without_locks,
    "two outages": two_outages,
    "hostile": hostile,
}


@cache
def made(name: str) -> Analysis:
    return CASES[name]()


@cache
def drawn(name: str) -> Mapping[str, tuple[Chart, str]]:
    """The charts of a case with their SVG."""
    return {chart.name: (chart, to_svg(chart.spec)) for chart in charts_of(made(name))}


def texts(svg: str) -> list[str]:
    """All that stands in a picture as text."""
    return [t.text or "" for t in ElementTree.fromstring(svg).iter() if t.tag.endswith("}text")]


def rows_of(chart: Chart, mark: str) -> list[list[dict[str, Any]]]:
    """The rows of each layer with such marks."""
    layers = chart.spec["layer"]
    return [layer["data"]["values"] for layer in layers if layer["mark"]["type"] == mark]


@pytest.mark.parametrize("name", CASES)
def test_altair_finds_no_fault_in_any_specification(name: str) -> None:
    assert drawn(name)
    for chart, _ in drawn(name).values():
        alt.Chart.from_dict(dict(chart.spec), validate=True)


def test_which_charts_there_are() -> None:
    assert set(drawn("whole")) == {"timeline", "error-types", "blocking-tree"}
    assert set(drawn("quiet")) == {"timeline"}
    assert set(drawn("without locks")) == {"timeline", "error-types"}
    assert set(drawn("two outages")) == {"timeline", "timeline-2", "error-types", "blocking-tree"}
    assert charts_of(replace(made("whole"), series=(), lock_episodes=())) == ()


@pytest.mark.parametrize("name", CASES)
def test_a_picture_is_as_wide_as_a_ticket_and_says_what_it_shows(name: str) -> None:
    for chart, svg in drawn(name).values():
        root = ElementTree.fromstring(svg)
        assert root.get("width") == str(WIDTH)
        assert 100 < float(root.get("height") or 0) < 900
        assert (root.get("role"), root.get("aria-label")) == ("img", chart.alt)
        png = to_png(svg)
        assert png.startswith(b"\x89PNG")
        assert struct.unpack(">I", png[16:20]) == (2 * WIDTH,)


@pytest.mark.parametrize("name", CASES)
def test_no_place_depends_on_how_wide_a_font_is(name: str) -> None:
    # "monospace" is the converter's own Liberation Mono, whose glyphs have other widths.
    for chart, svg in drawn(name).values():
        assert set(re.findall(r'font-family="([^"]*)"', svg)) == {FONT}
        other = {**chart.spec, "config": {**chart.spec["config"], "font": "Liberation Mono"}}
        assert to_svg(other).replace("Liberation Mono", FONT) == svg


def test_the_same_lines_as_in_the_series() -> None:
    chart, _ = drawn("whole")["timeline"]
    highest = sorted(
        max(r["value"] for r in rows if r["value"] is not None) for rows in rows_of(chart, "line")
    )
    # Failures and requests a second, sessions, connections, milliseconds.
    assert highest == [1, 2.5, 5, 100, 9_000]
    assert all(rows[-1]["value"] is None for rows in rows_of(chart, "line"))


def test_what_is_not_recorded_is_hatched_and_named_and_no_line() -> None:
    chart, svg = drawn("without locks")["timeline"]
    assert texts(svg).count("not recorded") == 2
    assert texts(svg).count("not recorded in this case") == 2
    assert "Sessions waiting for locks: not recorded in this case." in chart.alt
    assert "Pool connections in use: not recorded in this case." in chart.alt
    assert texts(drawn("quiet")["timeline"][1]).count("not recorded in this case") == 1
    # Latency, failures, and requests of one route.
    assert len(rows_of(chart, "line")) == 3


def test_nobody_waited_is_not_the_same_as_not_recorded() -> None:
    chart, _ = drawn("quiet")["timeline"]
    assert "Sessions waiting for locks: nobody was seen waiting." in chart.alt
    assert "Failed requests a second: no outage found." in chart.alt
    assert "trigger" not in chart.alt


def test_a_gap_breaks_the_line() -> None:
    values: list[float | None] = [*levels(40, 9_000, 10, 120)]
    values[64:68] = [None] * 4  # from 40 to 80 seconds after the first failure
    (chart, *_) = charts_of(analysed(metrics=p99(values)))
    (latency,) = [r for r in rows_of(chart, "line") if any(x["value"] == 9_000 for x in r)]
    breaks = [row["at"] for row in latency if row["value"] is None]
    assert breaks[0] == int(at(40).timestamp() * 1000) + 1
    assert len(breaks) == 2


def test_lower_bounds_are_marked() -> None:
    capped = analysed(metrics=p99(levels(40, 10_000, 10, 120), ceiling=10_000))
    (chart, *_) = charts_of(capped)
    marks = [rows for rows in rows_of(chart, "point") if rows != [{"value": 1}]]
    assert [{row["value"] for row in rows} for rows in marks] == [{10_000}]
    assert "at least 10,000 ms" in chart.alt
    plain, _ = drawn("whole")["timeline"]
    assert [rows for rows in rows_of(plain, "point") if rows != [{"value": 1}]] == []


def test_each_outage_has_its_picture_with_its_own_trigger() -> None:
    first, second = (drawn("two outages")[name][0] for name in ("timeline", "timeline-2"))
    assert "60 requests failed" in first.alt and "30 requests failed" in second.alt
    assert "lock_blocking" in first.alt and "lock_blocking" not in second.alt
    assert all("of a window of" in chart.notes[0] for chart in (first, second))


def test_the_alternative_text_says_the_finding() -> None:
    alts = {name: chart.alt for name, (chart, _) in drawn("whole").items()}
    timeline = alts["timeline"]
    assert "SHARE on public.items by pid 7 (migrate), 14:22:59" in timeline
    assert "up to 5 for public.items" in timeline and "60 requests failed" in timeline
    assert "stock: all 100 in use, 14:23:20" in timeline
    assert "stock.Reserve: at least 9,000 ms, 14:23:01" in timeline
    assert re.match(
        r"All systems on one axis of time, 2026-01-15, [\d:]{8} to [\d:]{8} UTC\. "
        r"Candidate trigger: H1, lock_blocking, shop\.public\.items, \w+\. Sessions",
        timeline,
    )
    assert "INTEGRATION_FAILURE: 60, 100 % of those that failed" in alts["error-types"]
    assert "5 sessions waited for public.items, up to 5 at once" in alts["blocking-tree"]


def test_failures_that_are_not_in_the_log_are_told() -> None:
    (chart, *_) = charts_of(replace(made("quiet"), failures_not_logged=1_250))
    assert "no outage found; 1,250 more were counted than are logged" in chart.alt


def test_a_lock_that_caused_nothing_is_called_coincident() -> None:
    analysis = made("whole")
    (lock,) = [h for h in analysis.hypotheses if h.kind is Kind.LOCK_BLOCKING]
    for role, word in ((Role.COINCIDENT, " (H1: coincident)"), (Role.TRIGGER, "")):
        others = [h for h in analysis.hypotheses if h.kind is not Kind.LOCK_BLOCKING]
        changed = replace(analysis, hypotheses=(replace(lock, role=role), *others))
        alts = {chart.name: chart.alt for chart in charts_of(changed)}
        assert f"SHARE on public.items by pid 7 (migrate){word}, 14" in alts["timeline"]
        assert f"held SHARE on public.items{word} from" in alts["blocking-tree"]


def test_of_many_outages_some_are_drawn_and_the_others_counted() -> None:
    failures = [row for n in range(6) for row in failing(steps(n * 9_000, n * 9_000 + 60, 2))]
    case = made_case(window=(-600, 60_000))
    gateway = [*usual("GET /items", until=60_000), *counted(failures)]
    charts = charts_of(analysed(case, failures=failures, gateway=gateway, locks=(), metrics=()))
    names = [chart.name for chart in charts if chart.name.startswith("timeline")]
    assert names == ["timeline", "timeline-2", "timeline-3", "timeline-4"]
    assert charts[0].notes[-1] == "2 more outages of the window have no picture"


def test_many_series_are_cut_and_the_rest_is_named() -> None:
    metrics = [
        row for n in range(50) for row in p99([20] * 120, service=f"s{n:02}.S", method="call")
    ]
    slow = p99(levels(40, 9_000, 10, 120))
    (chart, *_) = charts_of(analysed(metrics=[*metrics, *slow]))
    (note,) = [n for n in chart.notes if n.startswith("Latency of gRPC calls: not drawn are ")]
    assert note.endswith("and 44 more")
    lines = [r for r in rows_of(chart, "line") if any(x["value"] in (20, 40) for x in r)]
    assert len(lines) == len(STROKES)


def test_hostile_names_are_text_and_nothing_else() -> None:
    for chart, svg in drawn("hostile").values():
        tags = {element.tag.rpartition("}")[2] for element in ElementTree.fromstring(svg).iter()}
        assert tags <= {"svg", "rect", "g", "path", "line", "text", "defs", "clipPath"}
        assert not re.search(r"[\x00-\x08\x0b-\x1f\u202a-\u202e\u2066-\u2069]", svg + chart.alt)
        assert len(chart.alt) <= 1_200
    tokens = MarkdownIt().parse(to_markdown(made("hostile"), charts_of(made("hostile"))))
    inside = [child for token in tokens for child in token.children or ()]
    found = [
        t.attrGet("src") or t.attrGet("href") for t in inside if t.type in ("image", "link_open")
    ]
    assert len(found) == 7
    assert all(re.fullmatch(r"charts/[a-z0-9-]+\.(png|svg)", str(target)) for target in found)


def test_the_report_shows_each_chart_with_its_words_and_evidence() -> None:
    analysis = made("whole")
    text = to_markdown(analysis, charts_of(analysis))
    for name in ("timeline", "error-types", "blocking-tree"):
        assert re.search(rf"^!\[.{{40,}}\]\(charts/{name}\.png\)$", text, re.M)
        (line,) = re.findall(rf"^{name}, also as \[SVG\].*$", text, re.M)
        assert re.search(r"\[[LMGC][0-9a-f]{4,}", line)
    assert "charts/" not in to_markdown(analysis)


def test_lines_can_be_told_apart_without_colour() -> None:
    def light(colour: str) -> float:
        red, green, blue = (int(colour[n : n + 2], 16) for n in (1, 3, 5))
        return 0.2126 * red + 0.7152 * green + 0.0722 * blue

    for one, other in combinations(STROKES, 2):
        assert one.dash != other.dash
    assert light(STROKES[0].colour) + 50 < min(light(s.colour) for s in STROKES[1:])


@given(said=st.text(max_size=80), room=st.floats(0, 400), bold=st.booleans())
def test_a_text_is_cut_to_its_room(said: str, room: float, bold: bool) -> None:
    shown = fitting(said, room, bold=bold)
    assert width_of(shown, bold=bold) <= room or shown == ""
    assert "\n" not in shown


def lanes() -> Iterator[AlignedSeries]:
    values = (1.0, None, 3.0, 5.0, None, None, 7.0)
    for name in (LaneName.POOL, LaneName.FAILURES):
        series = Series(name="a", values=values, at_least=(0, 3))
        lane = Lane(name=name, unit="", series=(series,))
        yield AlignedSeries(incident=None, start=at(0), step_seconds=2.0, steps=7, lanes=(lane,))


def test_joined_steps_have_the_highest_value_or_the_mean_of_rates() -> None:
    highest, mean = (coarser(aligned, 4) for aligned in lanes())
    assert highest.lanes[0].series[0].values == (1.0, 5.0, None, 7.0)
    assert mean.lanes[0].series[0].values == (1.0, 4.0, None, 7.0)
    for joined in (highest, mean):
        assert (joined.step_seconds, joined.steps) == (4.0, 4)
        assert joined.lanes[0].series[0].at_least == (0, 1)
    assert [coarser(a, 7) for a in lanes()] == list(lanes())


def test_a_window_of_days_names_dates() -> None:
    analysis = made("quiet")
    start, end = at(0), at(3 * 86_400)
    whole = replace(analysis.series[0], start=start, step_seconds=8_640.0, steps=30, lanes=())
    days = replace(whole, lanes=analysis.series[0].lanes)
    assert days.window == TimeWindow(start, end)
    (chart, *_) = charts_of(replace(analysis, series=(days,)))
    assert "01-16" in texts(to_svg(chart.spec))

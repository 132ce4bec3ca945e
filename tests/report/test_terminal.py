"""The terminal's renderables: complete, narrow enough, and never marked up by text from logs."""

from __future__ import annotations

import io
import re
from dataclasses import replace

import pytest
from rich.console import Console, RenderableType

from incident_rca.model import AlignedSeries, Analysis, Lane, LaneName, Series, Span, Verdict
from incident_rca.report.terminal import explanation, timeline
from incident_rca.report.terminal_summary import summary
from incident_rca.report.wording import SYSTEM_NAMES
from tests.report.incident import about_another_outage, at


def rendered(renderable: RenderableType, width: int = 100, *, color: bool = False) -> str:
    out = io.StringIO()
    console = Console(
        file=out, width=width, force_terminal=color, color_system="standard" if color else None
    )
    console.print(renderable)
    return out.getvalue()


def squeezed(text: str) -> str:
    return re.sub(r"\s+", "", text)


def everything(analysis: Analysis) -> list[RenderableType]:
    return [
        summary(analysis, {"Report": "INC-2847/report.md"}),
        timeline(analysis),
        *(explanation(analysis, h) for h in analysis.hypotheses),
    ]


def test_the_summary_fits_one_screen(analysis: Analysis) -> None:
    text = rendered(summary(analysis, {"Report": "INC-2847/report.md"}))
    assert len(text.splitlines()) <= 34


@pytest.mark.parametrize("width", [40, 60, 80, 100, 160])
def test_the_summary_keeps_its_numbers_at_any_width(analysis: Analysis, width: int) -> None:
    written = {"Report": "INC-2847/report.md", "Page": "INC-2847/report.html"}
    text = rendered(summary(analysis, written, width), width)
    assert "…" not in text
    assert all(len(line) <= width for line in text.splitlines())
    whole = squeezed(text)
    for number in ("1,247 (100 %)", "310 (77.1 %)", "80.1 %", "240 s", "1,157 s", "0 s (0 %"):
        assert squeezed(number) in whole
    for hypothesis in analysis.hypotheses:
        assert squeezed(hypothesis.object) in whole
        assert hypothesis.verdict.value in whole
    for endpoint in analysis.endpoints:
        assert squeezed(endpoint.name) in whole
    for words in (
        "INC-2847/report.md",
        "INC-2847/report.html",
        "H1:CREATEINDEX",
        "H2:100sessions",
        "2;first:ASHARElock",
        "1critical,1high",
    ):
        assert words in whole


@pytest.mark.parametrize("width", [100, 160])
def test_the_timeline_has_a_column_for_each_system(analysis: Analysis, width: int) -> None:
    text = rendered(timeline(analysis, width), width)
    head = text.splitlines()[0].split("  ")
    assert [name.strip() for name in head if name.strip()] == [
        "time",
        "PostgreSQL",
        "gRPC metrics",
        "gateway",
        "changes",
    ]
    assert "…" not in text
    for event in analysis.timeline:
        assert analysis.cite(event.evidence)[0] in text


@pytest.mark.parametrize("width", [60, 80])
def test_a_narrow_timeline_names_the_system_beside_each_event(
    analysis: Analysis, width: int
) -> None:
    text = rendered(timeline(analysis, width), width)
    assert text.splitlines()[0].split() == ["time", "system", "event"]
    assert "…" not in text and all(len(line) <= width for line in text.splitlines())
    rows = [line for line in text.splitlines() if re.match(r"\d\d:\d\d:\d\d", line)]
    assert len(rows) == len(analysis.timeline)
    for event in analysis.timeline:
        assert squeezed(event.title)[:12] in squeezed(text)
        assert analysis.cite(event.evidence)[0] in text


def test_on_a_phone_each_event_stands_below_its_time(analysis: Analysis) -> None:
    text = rendered(timeline(analysis, 40), 40)
    assert "…" not in text and all(len(line) <= 40 for line in text.splitlines())
    heads = [line for line in text.splitlines() if re.match(r"\d\d:\d\d:\d\d", line)]
    assert len(heads) == len(analysis.timeline)
    for event, head in zip(analysis.timeline, heads, strict=True):
        assert SYSTEM_NAMES[event.system] in head
        assert squeezed(event.title)[:12] in squeezed(text)
        assert analysis.cite(event.evidence)[0] in text
    assert text.rstrip().endswith("UTC.")


def test_systems_without_events_are_named_below_the_timeline(analysis: Analysis) -> None:
    only = tuple(event for event in analysis.timeline if event.system.value == "gateway")
    text = rendered(timeline(replace(analysis, timeline=only)))
    assert "No event from: PostgreSQL, gRPC metrics, changes" in text


def test_an_explanation_shows_each_claim_with_its_rows(analysis: Analysis) -> None:
    text = rendered(explanation(analysis, analysis.hypotheses[0]))
    for number in ("H1.1 for, path", "H1.2 for, mechanism", "H1.4 against, recovery"):
        assert number in text
    assert squeezed(text).count("781:mode=[red]PID48291holdsShareLock") == 1
    assert "(its rows stand above)" in text
    assert "raw/locks.ndjson:781" in text and "How to confirm" in text


@pytest.mark.parametrize("width", [80, 100])
@pytest.mark.parametrize("color", [False, True])
def test_hostile_text_is_shown_and_does_nothing(hostile: Analysis, width: int, color: bool) -> None:
    for renderable in everything(hostile):
        text = rendered(renderable, width, color=color)
        bare = re.sub(r"\x1b\[[0-9;]*m", "", text)
        assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", bare)
        assert "<script>" in squeezed(bare) or "ok" in bare
    shown = rendered(explanation(hostile, hostile.hypotheses[0]))
    assert "mode=[red]" in squeezed(shown)


def test_no_outage_no_hypothesis_and_ongoing(analysis: Analysis) -> None:
    calm = replace(analysis, outage=None, hypotheses=(), error_types=(), phases=())
    text = rendered(summary(calm, {"Report": "r.md"}))
    assert "No outage was found" in text and "No hypothesis" not in text
    assert analysis.outage is not None
    outage = replace(analysis.outage, ongoing=True, end=Span(at("14:54:59"), None))
    text = rendered(summary(replace(analysis, outage=outage), {"Report": "r.md"}))
    assert "still going on" in text
    weak = tuple(replace(h, verdict=Verdict.WEAK) for h in analysis.hypotheses)
    text = rendered(summary(replace(analysis, hypotheses=weak), {"Report": "r.md"}))
    assert "No hypothesis is supported by the data" in text


def test_what_started_another_outage_is_no_candidate_for_the_largest(analysis: Analysis) -> None:
    text = rendered(summary(about_another_outage(analysis), {"Report": "r"}), 160)
    assert "Candidate" not in text and "Kept going" not in text
    assert "outage 2, 14:50:00" in text and "started by H1" in text


def test_a_rule_with_several_findings_is_named_once(analysis: Analysis) -> None:
    first, *rest = analysis.findings
    again = replace(first, statement="another service has none either")
    text = rendered(
        summary(replace(analysis, findings=(first, again, *rest)), {"Report": "r"}), 160
    )
    assert text.count(first.rule) == 1
    assert f"2 {first.severity.value}" in text and f"{first.rule} (2)" in text


def test_a_missing_system_is_warned_about(analysis: Analysis) -> None:
    sources = tuple(s for s in analysis.case.sources if s.system.value != "postgres")
    text = rendered(
        summary(replace(analysis, case=replace(analysis.case, sources=sources)), {"Report": "r.md"})
    )
    assert "Warning" in text and "PostgreSQL: not in this case" in text


def test_series_stand_above_the_events(analysis: Analysis) -> None:
    series = Series(name="stock", values=(1.0, 100.0), limit=100.0)
    lanes = tuple(
        Lane(name=name, unit="", series=(series,) if name is LaneName.POOL else ())
        for name in LaneName
    )
    aligned = AlignedSeries(
        incident=None, start=at("14:20:00"), step_seconds=600.0, steps=2, lanes=lanes
    )
    drawn_on = replace(analysis, series=(aligned,))
    first = rendered(summary(drawn_on, {}, 80, is_ascii=True), 80)
    assert re.search(r"^pool stock +\.# 100 of 100$", first, re.M)
    text = rendered(timeline(drawn_on, 80, is_ascii=True), 80)
    drawn, events = text.split("\n\n", 1)
    assert re.search(r"^pool stock +\.# 100 of 100$", drawn, re.M)
    assert events == rendered(timeline(analysis, 80), 80)

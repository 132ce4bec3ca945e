"""A window without an outage: what was read says so, and is cited."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from io import StringIO
from typing import Any

import pytest
from rich.console import Console

from incident_rca.analysis.analyse import analyse
from incident_rca.model import Analysis
from incident_rca.report.markdown import by_template, to_markdown
from incident_rca.report.page.document import to_html
from incident_rca.report.summary import sentences
from incident_rca.report.terminal_summary import summary
from tests.analysis.cases import (
    OUTAGE,
    at,
    blocked,
    counted,
    heartbeat,
    made_case,
    made_tables,
    steps,
    usual,
)

REQUESTS = usual("GET /items", every=1, requests=2)
PROBES = [heartbeat(second) for second in steps(-600, 600, 5)]


def calm(**rows: Any) -> Analysis:
    whole: dict[str, Any] = {"gateway": REQUESTS, "session_counts": PROBES}
    return analyse(made_case(window=(-600, 600)), made_tables(**(whole | rows)))


def said(analysis: Analysis) -> str:
    return " ".join(sentence.plain for sentence in sentences(analysis))


def test_that_nothing_failed_is_said_of_all_requests_and_cites_them() -> None:
    analysis = calm()
    assert f"none of {analysis.requests:,} requests failed" in said(analysis)
    requests, samples = analysis.looked_at
    assert requests.count == analysis.requests > 0
    assert "none of them failed" in requests.seen
    assert samples.count == len(PROBES) and "in none of which" in samples.seen
    assert set(analysis.looked_at) <= set(analysis.evidence)
    for text in (to_markdown(analysis), to_html(analysis)):
        assert "holds no evidence" not in text and "holds no requests" not in text


def test_a_lock_that_was_waited_for_is_not_said_to_be_none() -> None:
    _, samples = calm(locks=blocked(0, 60)).looked_at
    assert "in none of which" not in samples.seen


def test_without_requests_the_samples_are_cited() -> None:
    assert [e.count for e in calm(gateway=()).looked_at] == [len(PROBES)]


def test_where_no_row_is_of_the_window_the_sources_are_cited() -> None:
    analysis = calm(gateway=(), session_counts=())
    assert analysis.looked_at and all("source" in e.seen for e in analysis.looked_at)
    assert sentences(analysis)


@pytest.mark.parametrize("shown", [to_markdown, to_html])
def test_an_outage_says_itself_what_was_read(shown: Callable[[Analysis], str]) -> None:
    analysis = calm(gateway=[*REQUESTS, *counted(OUTAGE)], failures=OUTAGE)
    assert analysis.outage is not None and analysis.looked_at == ()
    assert "no outage was found" not in shown(analysis).lower()


SILENT = [row for row in REQUESTS if abs((row["second"] - at(0)).total_seconds()) > 300]


@pytest.mark.parametrize(
    ("rows", "says"),
    [
        ({}, "No outage was found"),
        ({"gateway": SILENT}, "stopped coming"),
        ({"gateway": ()}, "cannot be told"),
    ],
)
def test_every_place_says_what_the_summary_says(rows: dict[str, Any], says: str) -> None:
    analysis = calm(**rows)
    if says == "cannot be told":
        logs = {s.name for s in analysis.case.gateway_logs}
        others = tuple(s for s in analysis.case.sources if s.name not in logs)
        analysis = replace(analysis, case=replace(analysis.case, sources=others))
    assert analysis.outage is None and says in said(analysis)
    markdown = to_markdown(analysis)
    for heading in ("The cascade, step by step", "Summary"):
        part = markdown.partition(f"## {heading}")[2].partition("\n## ")[0]
        bare = part.replace("`", "").replace("\\", "")
        assert all(sentence.plain in bare for sentence in sentences(analysis)), heading
    parts = ("answers", "cascade", "failure_modes", "options")
    for name in parts:
        made = by_template(analysis, f'{{% include "{name}.md.j2" %}}', "own.md.j2")
        assert says in made and "shows no outage" not in made, name
    for text in (markdown, to_html(analysis), shown_in_terminal(analysis)):
        assert says in text
        assert says != "cannot be told" or "no outage" not in text.lower()


def shown_in_terminal(analysis: Analysis) -> str:
    console = Console(width=400, file=StringIO(), record=True)
    console.print(summary(analysis, {}))
    return console.export_text()

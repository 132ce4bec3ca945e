"""report.md: what it says, and that no text from evidence can change its structure."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from markdown_it.token import Token

from incident_rca.model import (
    Analysis,
    ClockBasis,
    Clocks,
    ErrorBurst,
    Role,
    SourceClock,
    SourceState,
    Span,
    Uncited,
    Verdict,
)
from incident_rca.report.blocks import edited_blocks
from incident_rca.report.markdown import to_markdown
from incident_rca.report.safe_text import clean
from tests.report.incident import FIRST, about_another_outage, at, hostile_from

SECTIONS = [
    "Summary",
    "Impact",
    "Data sources and gaps",
    "Timeline (UTC)",
    "Questions and answers",
    "Detection and response",
    "Trigger (candidate)",
    "The cascade, step by step",
    "Hypotheses, ranked",
    "Contributing factors",
    "Mitigation and recovery",
    "Lessons",
    "Action items",
    "Options compared",
    "Failure modes, seen and not seen",
    "Open questions",
    "Glossary",
    "Appendix",
]
MARKER = re.compile(r"<!-- incident-rca:(begin [a-z]+ sha256:[0-9a-f]{8}|end [a-z]+) -->\n?")


def parsed(text: str) -> list[Token]:
    parser = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])
    return parser.parse(text)


def every(tokens: list[Token]) -> Iterator[Token]:
    for token in tokens:
        yield token
        yield from every(token.children or [])


def shape(text: str) -> list[str]:
    """The structure of a document: its blocks, without what stands in them.

    The glossary is left out: it has an entry for each term that the rest uses.
    """
    return [
        f"{token.type}:{token.tag}"
        for token in parsed(text.replace(section(text, "Glossary"), ""))
        if token.type not in ("inline", "html_block")
    ]


def section(text: str, name: str) -> str:
    return re.split(r"^## ", text.split(f"\n## {name}\n")[1], flags=re.M)[0]


def test_sections_stand_in_their_order(analysis: Analysis) -> None:
    assert re.findall(r"^## (.*)$", to_markdown(analysis), re.M) == SECTIONS


def test_two_runs_are_equal(analysis: Analysis) -> None:
    assert to_markdown(analysis) == to_markdown(analysis)


def test_a_hostile_case_has_the_shape_of_a_harmless_one(
    harmless: Analysis, hostile: Analysis
) -> None:
    assert shape(to_markdown(hostile)) == shape(to_markdown(harmless))


@pytest.fixture(scope="module")
def harmless_shape(harmless: Analysis) -> list[str]:
    return shape(to_markdown(harmless))


@settings(max_examples=25, deadline=None)
@given(text=st.text(alphabet="#-+=>|`~*_[]()<>&!@:/\\$ \n1.a\u202e\x1b", min_size=1, max_size=60))
def test_no_text_at_all_changes_the_shape(
    analysis: Analysis, harmless_shape: list[str], text: str
) -> None:
    assume(clean(text))
    document = to_markdown(hostile_from(analysis, text))
    assert shape(document) == harmless_shape
    assert edited_blocks(document) == []


def test_a_hostile_case_brings_no_html_link_or_image(hostile: Analysis) -> None:
    tokens = list(every(parsed(to_markdown(hostile))))
    html = [token.content for token in tokens if token.type.startswith("html_")]
    assert html and all(MARKER.fullmatch(content) for content in html)
    assert not [t for t in tokens if t.type in ("link_open", "image", "s_open")]
    assert {t.content for t in tokens if t.type == "em_open"} == {""}


def test_a_hostile_case_brings_nothing_invisible_and_no_live_address(hostile: Analysis) -> None:
    text = to_markdown(hostile)
    assert not re.search(
        r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u200b-\u200f\u202a-\u202e\u2066-\u2069]", text
    )
    prose = [t.content for t in every(parsed(text)) if t.type == "text"]
    assert not [line for line in prose if "https://" in line or "@everyone" in line]
    assert any("<script>alert(1)</script>" in line for line in prose)


def test_tables_are_narrow_and_even(analysis: Analysis, hostile: Analysis) -> None:
    for text in (to_markdown(analysis), to_markdown(hostile)):
        cells: list[int] = []
        for token in parsed(text):
            if token.type == "tr_open":
                cells.append(0)
            elif token.type in ("th_open", "td_open"):
                cells[-1] += 1
        assert cells and max(cells) <= 5


def test_no_feature_that_a_ticket_system_drops(analysis: Analysis) -> None:
    text = to_markdown(analysis)
    for feature in ("<br", "<details", "mermaid", "- [ ]", "[^", "[!"):
        assert feature not in text
    assert not text.startswith("---")


def test_each_line_that_states_something_cites_evidence(analysis: Analysis) -> None:
    text = to_markdown(analysis)
    known = set(analysis.evidence_ids.values())
    lines = [line for line in section(text, "Summary").splitlines() if line.startswith("- ")]
    lines += [line for line in text.splitlines() if re.match(r"- \*?\*?[HA]\d", line)]
    rows = [*section(text, "Impact").splitlines(), *section(text, "Timeline (UTC)").splitlines()]
    lines += [r for r in rows if r.startswith("| ") and "Evidence |" not in r and "---" not in r]
    assert len(lines) > 40
    for line in lines:
        cited = re.findall(r"\b[LMGCS][0-9a-f]{4,}\b", line)
        assert cited and set(cited) <= known, line


def test_every_cited_id_stands_in_the_appendix(analysis: Analysis) -> None:
    head, appendix = to_markdown(analysis).split("\n## Appendix\n")
    for cited in set(re.findall(r"\b[LMGCS][0-9a-f]{4}\b", head)) - {"G1a2b"}:
        assert f"| {cited} | " in appendix


def test_an_uncited_sentence_cannot_be_rendered(analysis: Analysis) -> None:
    assert analysis.outage is not None
    bare = replace(analysis, outage=replace(analysis.outage, evidence=()))
    with pytest.raises(Uncited):
        to_markdown(bare)
    first, *others = analysis.endpoints
    with pytest.raises(Uncited):
        to_markdown(replace(analysis, endpoints=(replace(first, evidence=()), *others)))


def test_summary_to_timeline_fit_one_screen(analysis: Analysis) -> None:
    text = to_markdown(analysis)
    shown = text.split("\n## Summary\n")[1].split("\n## Questions")[0].splitlines()
    visible = [line for line in shown if line.strip() and not line.startswith(("<!--", "| ---"))]
    assert len(visible) <= 60


def test_a_long_timeline_is_cut_and_stands_whole_in_the_appendix(analysis: Analysis) -> None:
    event = analysis.timeline[0]
    many = tuple(replace(event, title=f"Quiet thing {n}") for n in range(50))
    text = to_markdown(replace(analysis, timeline=(*many, *analysis.timeline)))
    short = section(text, "Timeline (UTC)")
    assert "most telling of 62 events" in short and short.count("Quiet thing") < 20
    assert "First 502 on POST /api/orders" in short and "CREATE INDEX takes" in short
    assert text.split("### Whole timeline")[1].count("Quiet thing") == 50


def test_wording_never_states_a_root_cause(analysis: Analysis) -> None:
    text = to_markdown(analysis)
    assert "root cause" not in text.lower()
    assert "Candidate trigger H1" in text and "**Draft, generated, not reviewed**" in text


def test_without_support_the_report_says_so(analysis: Analysis) -> None:
    weak = tuple(replace(h, verdict=Verdict.WEAK) for h in analysis.hypotheses)
    text = to_markdown(replace(analysis, hypotheses=weak))
    assert "**No hypothesis is supported by the data.**" in section(text, "Summary")
    assert "**No hypothesis is supported by the data.**" in section(text, "Hypotheses, ranked")


def test_without_hypotheses_the_report_says_so(analysis: Analysis) -> None:
    text = to_markdown(replace(analysis, hypotheses=(), unexplained_seconds=1397.0))
    assert "No hypothesis qualifies as the trigger" in section(text, "Trigger (candidate)")
    assert "Unexplained: 1,397 s (100 % of the outage)" in section(text, "Summary")


def test_what_started_another_outage_did_not_start_the_largest(analysis: Analysis) -> None:
    text = to_markdown(about_another_outage(analysis))
    summary, trigger = section(text, "Summary"), section(text, "Trigger (candidate)")
    assert "What started the outage is not known" in summary
    assert "Candidate trigger" not in summary and "kept it going" not in summary
    assert "No hypothesis qualifies as the trigger of outage 1" in trigger
    assert "**H1**, outage 2, verdict supported" in trigger


def test_the_appendix_has_the_clocks_that_the_analysis_used(analysis: Analysis) -> None:
    source = analysis.case.sources[0]
    used = SourceClock(
        source=source.name,
        system=source.system,
        bounds=(39.5, 40.25),
        basis=ClockBasis.SHARED_IDS,
        moved_seconds=40,
    )
    text = to_markdown(replace(analysis, clocks=Clocks(sources=(used,))))
    (row,) = [r for r in section(text, "Appendix").splitlines() if "shared ids" in r]
    assert row.startswith(f"| {source.name} |") and "+39.5 to +40.25 s" in row


def test_no_outage(analysis: Analysis) -> None:
    calm = replace(
        analysis, outage=None, failed_requests=2, error_types=(), phases=(), hypotheses=()
    )
    summary = section(to_markdown(calm), "Summary")
    assert "No outage was found" in summary and "2 of 3,880 requests failed" in summary
    assert "No hypothesis" not in summary


def test_no_gateway_log_is_not_no_outage(analysis: Analysis) -> None:
    sources = tuple(s for s in analysis.case.sources if s.system.value != "gateway")
    blind = replace(
        analysis,
        case=replace(analysis.case, sources=sources),
        outage=None,
        endpoints=(),
        error_types=(),
        baselines=(),
    )
    summary = section(to_markdown(blind), "Summary")
    assert "cannot be told" in summary and "**Warning:** gateway: not in this case." in summary


def test_nothing_at_all(analysis: Analysis) -> None:
    empty = Analysis(
        case=replace(analysis.case, sources=()),
        outage=None,
        baselines=(),
        requests=0,
        failed_requests=0,
        endpoints=(),
        error_types=(),
        lock_episodes=(),
        latency_shifts=(),
        pool=None,
        timeline=(),
        phases=(),
        hypotheses=(),
        unexplained_seconds=0.0,
        contradictions=(),
        findings=(),
        questions=(),
        evidence=(),
        evidence_ids={},
    )
    assert "holds no evidence" in section(to_markdown(empty), "Summary")


def test_ongoing(analysis: Analysis) -> None:
    outage = ErrorBurst(
        start=Span.at(at("14:23:01")),
        onset=Span.at(at("14:23:01")),
        end=Span(at("14:54:59"), None),
        duration_seconds=1918.0,
        ongoing=True,
        failures=1557,
        blips=(),
        evidence=(FIRST,),
    )
    text = to_markdown(replace(analysis, outage=outage))
    assert "still going on when the window ended, at 14:55:00 UTC" in section(text, "Summary")
    assert "still going on" in section(text, "Impact")


@pytest.mark.parametrize("state", [SourceState.FAILED, SourceState.PARTIAL, SourceState.EMPTY])
def test_a_source_that_is_not_whole_is_named_twice(analysis: Analysis, state: SourceState) -> None:
    sources = tuple(
        replace(s, state=state, reason="hash differs") if s.name == "lock recording" else s
        for s in analysis.case.sources
    )
    text = to_markdown(replace(analysis, case=replace(analysis.case, sources=sources)))
    warning = f"**Warning:** lock recording: {state.value} (hash differs). Cost: "
    assert warning in section(text, "Summary")
    assert warning in section(text, "Data sources and gaps")


@pytest.mark.parametrize("state", [SourceState.SKIPPED, SourceState.EMPTY])
def test_a_source_without_rows_beside_a_whole_one_is_no_warning(
    analysis: Analysis, state: SourceState
) -> None:
    sources = tuple(
        replace(s, state=state) if s.name == "pool gauge" else s for s in analysis.case.sources
    )
    assert "**Warning:**" not in to_markdown(
        replace(analysis, case=replace(analysis.case, sources=sources))
    )


def test_coincident_and_ruled_out_stand_at_the_end(analysis: Analysis) -> None:
    text = section(to_markdown(analysis), "Hypotheses, ranked")
    assert "### H5" not in text
    assert text.index("### H4") < text.index("- **H5**") < text.index("### What does not fit")
    assert any(h.role is Role.COINCIDENT for h in analysis.hypotheses)

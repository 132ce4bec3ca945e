"""report.html: what it says and links, and that no text from evidence can become markup."""

from __future__ import annotations

import base64
import hashlib
import re
from dataclasses import replace

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from incident_rca.model import Analysis, SourceState
from incident_rca.report.glossary import TERMS
from incident_rca.report.page.document import to_html
from incident_rca.report.safe_text import clean
from tests.report.incident import HOSTILE, hostile_from
from tests.report.measured import series, sweep
from tests.report.page_reading import Element, by_id, read, shape


@pytest.fixture(scope="module")
def whole(analysis: Analysis) -> Analysis:
    """The incident with series and a sweep, so that each section of the page has something."""
    return replace(analysis, series=(series(),), sweep=sweep())


@pytest.fixture(scope="module")
def page(whole: Analysis) -> Element:
    return read(to_html(whole))


@pytest.fixture(scope="module")
def hostile_page(whole: Analysis) -> str:
    return to_html(hostile_from(whole, HOSTILE))


def test_two_runs_are_equal(whole: Analysis) -> None:
    assert to_html(whole) == to_html(whole)


def test_every_claim_stands_with_links_to_all_of_its_rows(whole: Analysis, page: Element) -> None:
    places = by_id(page)
    for hypothesis in whole.hypotheses:
        for number, claim in enumerate(hypothesis.claims, start=1):
            shown = places[f"{hypothesis.id}.{number}"]
            linked = [a.attributes["href"] for a in shown.all("a", "ev")]
            assert linked == [f"#e-{i}" for i in whole.cite(claim.evidence)]
            assert claim.text.rstrip(".") in shown.text


def test_every_piece_of_evidence_stands_with_its_rows_and_leads_back(
    whole: Analysis, page: Element
) -> None:
    places = by_id(page)
    for evidence in whole.evidence:
        shown = places[f"e-{whole.evidence_ids[evidence.digest]}"]
        assert evidence.seen in shown.text and evidence.file in shown.text
        if evidence.rows:
            assert str(evidence.rows[0]) in shown.text and str(evidence.rows[1]) in shown.text
        assert all(row in shown.text for row in evidence.excerpt)
        resting = {
            f"#{h.id}.{n}"
            for h in whole.hypotheses
            for n, claim in enumerate(h.claims, start=1)
            if evidence in claim.evidence
        }
        assert resting <= {a.attributes["href"] for a in shown.all("a")}


def test_every_link_leads_to_a_place_of_the_page(page: Element) -> None:
    places = by_id(page)
    links = page.all("a")
    assert len(links) > 100
    assert [a for a in links if a.attributes["href"][1:] not in places] == []


def test_a_browser_may_run_what_the_page_holds_and_nothing_else(page: Element) -> None:
    (policy,) = [
        m.attributes["content"]
        for m in page.all("meta")
        if m.attributes.get("http-equiv") == "Content-Security-Policy"
    ]
    assert "default-src 'none'" in policy and "unsafe" not in policy and "http" not in policy
    scripts = [s for s in page.all("script") if "type" not in s.attributes]
    assert scripts and page.all("style")
    for element in (*scripts, *page.all("style")):
        digest = base64.b64encode(hashlib.sha256(element.text.encode()).digest()).decode()
        allowed = f"{element.tag}-src [^;]*'sha256-{re.escape(digest)}'"
        assert re.search(allowed, policy)


def test_nothing_is_loaded_and_nothing_stands_inline(page: Element) -> None:
    for element in page.every():
        for name, value in element.attributes.items():
            assert not name.startswith("on") and name not in ("style", "src", "srcset", "action")
            assert name != "href" or value.startswith("#")
    for style in page.all("style"):
        assert "url(" not in style.text and "@import" not in style.text


def test_a_hostile_case_has_the_shape_of_a_harmless_one(page: Element, hostile_page: str) -> None:
    assert shape(read(hostile_page)) == shape(page)


@settings(max_examples=15, deadline=None)
@given(text=st.text(alphabet="<>\"'&/=!-`{}%#;:\\$ \naZ1\u202e\x1b\x00", min_size=1, max_size=60))
def test_no_text_at_all_changes_the_shape(whole: Analysis, page: Element, text: str) -> None:
    assume(clean(text))
    assert shape(read(to_html(hostile_from(whole, text)))) == shape(page)


def test_a_hostile_case_shows_its_text_and_nothing_invisible(hostile_page: str) -> None:
    assert not re.search(
        r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u200b-\u200f\u202a-\u202e\u2066-\u2069]", hostile_page
    )
    assert "<script>alert(1)</script>" not in hostile_page
    assert "<script>alert(1)</script>" in read(hostile_page).text


def test_a_lone_surrogate_does_not_stop_the_page(whole: Analysis) -> None:
    case = replace(whole.case, title="half a \ud83d sign")
    assert "half a" in to_html(replace(whole, case=case))


def test_each_term_is_explained_where_it_is_first_used(page: Element) -> None:
    (main,) = page.all("main")
    marked = main.all("a", "term")
    anchors = [a.attributes["href"][1:] for a in marked]
    assert len(anchors) == len(set(anchors)) > 5
    places = by_id(page)
    meanings = {
        f"g-{name.lower().replace(' ', '-').replace('_', '-')}": m for name, m in TERMS.items()
    }
    listed = [key for key in places if key.startswith("g-")]
    assert sorted(listed) == sorted(anchors)
    assert all(meanings[key] in places[key].text for key in listed)
    # Nothing before a mark uses its term.
    (first,) = [a for a in marked if a.attributes["href"] == "#g-trigger"]
    before = main.text[: main.text.index(first.text)]
    assert not re.search(r"\btriggers?\b", before, re.I)


def test_no_outage_no_evidence_and_no_series_are_said(analysis: Analysis) -> None:
    bare = replace(
        analysis,
        outage=None,
        evidence=(),
        evidence_ids={},
        endpoints=(),
        error_types=(),
        lock_episodes=(),
        latency_shifts=(),
        pool=None,
        starvations=(),
        timeline=(),
        phases=(),
        hypotheses=(),
        states=(),
        contradictions=(),
        findings=(),
        questions=(),
        baselines=(),
        requests=0,
        failed_requests=0,
    )
    page = read(to_html(bare))
    text = page.text
    # What is only said of an outage explains no term here.
    assert [a.text for a in page.all("a", "term")] == [] and "trigger" not in by_id(page)[
        "glossary"
    ].text
    assert "This case holds no evidence" in text
    assert "No event was found in the window." in text
    assert "No session was seen waiting for a lock." in text
    assert "this case holds no requests" in text


def test_a_source_that_failed_is_said_above_all_and_its_absence_is_no_finding(
    analysis: Analysis,
) -> None:
    sources = tuple(
        replace(s, state=SourceState.FAILED, reason="its hash differs")
        if s.name == "lock recording"
        else s
        for s in analysis.case.sources
    )
    gone = replace(analysis, case=replace(analysis.case, sources=sources), lock_episodes=())
    page = read(to_html(gone))
    places = by_id(page)
    assert "its hash differs" in places["summary"].text
    assert "this case holds no recording of locks" in places["locks"].text


def test_the_decisions_after_a_failed_call_take_the_way_that_was_seen(page: Element) -> None:
    steps = by_id(page)["flow"].all("li", "decision")
    ways = {step.all("h3")[0].text.split("?")[0]: step for step in steps}
    no_deadline = ways["Does a deadline end the call"]
    (taken,) = no_deadline.all("p", "taken")
    assert taken.text.startswith("No") and no_deadline.all("a", "ev")
    retries = ways["Do callers try again and multiply the load"]
    assert retries.all("p", "taken") == [] and "not recorded" in retries.text


def test_a_command_in_a_remedy_is_code(whole: Analysis) -> None:
    first, *rest = whole.findings
    said = replace(first, remedy="Run `incident-rca <b>c</b> && d`, or `e`")
    shown = read(to_html(replace(whole, findings=(said, *rest))))
    (cell,) = [c for c in shown.all("td") if c.text.startswith("Run ")]
    assert [code.text for code in cell.all("code")] == ["incident-rca <b>c</b> && d"]
    assert cell.text.startswith("Run incident-rca <b>c</b> && d, or `e`.")

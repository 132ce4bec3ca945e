"""Generated blocks: sealed, found again, and never written over what people wrote."""

from __future__ import annotations

from dataclasses import replace

import pytest

from incident_rca.errors import EditedReport
from incident_rca.model import Analysis
from incident_rca.report.blocks import (
    NAMES,
    edited_blocks,
    generated_only,
    merge,
    split_blocks,
    without_markers,
)
from incident_rca.report.markdown import to_markdown


@pytest.fixture(scope="module")
def text(analysis: Analysis) -> str:
    return to_markdown(analysis)


def test_a_fresh_report_is_unedited_and_has_each_block_once(text: str) -> None:
    assert edited_blocks(text) == []
    assert tuple(generated_only(text)) == NAMES
    assert [part.name for part in split_blocks(text) if part.name] == list(NAMES)


def test_a_report_of_hostile_text_is_unedited(hostile: Analysis) -> None:
    assert edited_blocks(to_markdown(hostile)) == []


def test_merging_a_report_with_itself_changes_nothing(text: str) -> None:
    assert merge(text, text) == text


def test_line_endings_of_another_system_are_no_edit(text: str) -> None:
    foreign = text.replace("\n", "\r\n")
    assert edited_blocks(foreign) == []
    assert generated_only(foreign) == generated_only(text)


def test_human_text_outlives_a_new_analysis(analysis: Analysis, text: str) -> None:
    written = text.replace("- Author: TODO(owner): role or team", "- Author: the payments team")
    written = written.replace("## Lessons\n", "## Lessons\n\nWe were lucky: <!-- a note -->\n")
    fresh = to_markdown(replace(analysis, questions=("A new question?",)))
    merged = merge(written, fresh)
    assert "the payments team" in merged and "We were lucky" in merged
    assert "A new question?" in merged and "Which step turned" not in merged
    assert edited_blocks(merged) == [] and merge(merged, fresh) == merged


@pytest.mark.parametrize(
    ("old", "new", "name"),
    [
        ("1,247 of its 1,247", "1,200 of its 1,247", "summary"),
        ("<!-- incident-rca:end impact -->", "", "impact"),
        ("<!-- incident-rca:begin questions", "<!-- other", "questions"),
        ("Use CREATE INDEX CONCURRENTLY", "Use CONCURRENTLY", "actions"),
    ],
)
def test_an_edit_inside_a_block_is_named_and_refused(
    text: str, old: str, new: str, name: str
) -> None:
    edited = text.replace(old, new, 1)
    assert edited != text and name in edited_blocks(edited)
    with pytest.raises(EditedReport, match=name) as refusal:
        merge(edited, text)
    assert refusal.value.hint


def test_a_doubled_block_is_an_edit(text: str) -> None:
    block = text[text.index("<!-- incident-rca:begin trigger") :].split("\n## ")[0]
    assert edited_blocks(text + block) == ["trigger"]


def test_a_file_that_is_no_report_is_not_overwritten(text: str) -> None:
    with pytest.raises(EditedReport):
        merge("# Notes\n", text)


def without_section(text: str, heading: str) -> str:
    """A report as a version wrote it that did not know this section."""
    start = text.index(f"\n## {heading}\n")
    return text[:start] + text[text.index("\n## ", start + 1) :]


@pytest.mark.parametrize(
    "headings",
    [
        ["Questions and answers"],
        ["Options compared"],
        ["Options compared", "Failure modes, seen and not seen"],
        ["Appendix"],
        ["Glossary", "Summary", "The cascade, step by step"],
    ],
)
def test_a_report_of_an_older_version_gets_the_sections_that_it_lacks(
    text: str, headings: list[str]
) -> None:
    older = text.replace("- Author: TODO(owner): role or team", "- Author: the payments team")
    older = older.replace("| A1 | TODO(owner): team", "| A1 | payments")
    written = older
    for heading in headings:
        written = without_section(written + "\n## ", heading).removesuffix("\n## ")
    assert edited_blocks(written)
    merged = merge(written, text)
    assert [line for line in merged.splitlines() if line] == [
        line for line in older.splitlines() if line
    ]
    assert edited_blocks(merged) == [] and merge(merged, text) == merged


def test_a_section_whose_heading_stays_is_not_written_over(text: str) -> None:
    start = text.index("<!-- incident-rca:begin cascade")
    end = text.index("<!-- incident-rca:end cascade -->\n")
    emptied = text[:start] + "Our own story.\n" + text[end:].split("\n", 1)[1]
    with pytest.raises(EditedReport, match="cascade"):
        merge(emptied, text)


def test_without_markers_only_the_markers_are_gone(text: str) -> None:
    shown = without_markers(text)
    assert "incident-rca:begin" not in shown and "incident-rca:end" not in shown
    kept = [line for line in text.splitlines() if line and not line.startswith("<!-- incident-rca")]
    assert [line for line in shown.splitlines() if line] == kept

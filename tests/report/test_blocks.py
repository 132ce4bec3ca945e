"""Generated blocks: sealed, found again, and never written over what people wrote."""

from __future__ import annotations

from dataclasses import replace

import pytest

from incident_rca.errors import EditedReport
from incident_rca.model import Analysis
from incident_rca.report.blocks import NAMES, edited_blocks, generated_only, merge, split_blocks
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

"""Text of any origin shows itself and means nothing else, to a real CommonMark parser."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from markdown_it.token import Token

from incident_rca.report.safe_text import clean, code_block, code_span, escape, with_code

PARSER = MarkdownIt("commonmark").enable(["table", "strikethrough"])
NASTY = st.text(
    alphabet=st.sampled_from("ab1 .|\\`*_<>&;#-+=~[](){}!@:/$\n\t\r\"'%")
    | st.characters(categories=("L", "N", "P", "S", "Cc", "Cf", "Zl")),
    max_size=40,
)


def shown(tokens: list[Token]) -> str:
    """What a reader sees of inline tokens, code spans included."""
    return "".join(token.content for token in tokens)


def cells_of(markdown: str) -> list[list[Token]]:
    tokens = PARSER.parse(f"| a | b |\n| --- | --- |\n| {markdown} | z |\n")
    return [token.children or [] for token in tokens if token.type == "inline"]


@given(NASTY)
def test_escaped_text_is_one_paragraph_that_shows_it(text: str) -> None:
    tokens = PARSER.parse(escape(text))
    if not clean(text):
        assert tokens == []
        return
    assert [token.type for token in tokens] == ["paragraph_open", "inline", "paragraph_close"]
    children = tokens[1].children or []
    assert {child.type for child in children} <= {"text", "text_special", "code_inline"}
    assert shown(children).replace(" ", "") == clean(text).replace(" ", "")


@given(NASTY)
def test_escaped_text_stays_in_its_cell(text: str) -> None:
    cells = cells_of(escape(text))
    assert len(cells) == 4 and shown(cells[3]) == "z"
    assert shown(cells[2]).replace(" ", "") == clean(text).replace(" ", "")


@given(NASTY)
def test_a_code_span_stays_in_its_cell_and_shows_its_text(text: str) -> None:
    cells = cells_of(code_span(text))
    assert len(cells) == 4 and shown(cells[3]) == "z"
    if clean(text):
        assert [token.type for token in cells[2] if token.content] == ["code_inline"]
        assert shown(cells[2]).strip() == clean(text)


@given(NASTY)
def test_a_code_block_is_one_fence(text: str) -> None:
    tokens = PARSER.parse(f"{code_block(text, 'sql')}\n\nafter\n")
    assert [t.type for t in tokens] == ["fence", "paragraph_open", "inline", "paragraph_close"]
    assert tokens[0].info == "sql"


def test_a_code_block_cannot_hold_a_block_marker() -> None:
    block = code_block("x\n<!-- incident-rca:end appendix -->\ny")
    assert "\n <!-- incident-rca:end" in block


@pytest.mark.parametrize(
    "text",
    [
        "PID 48291 (migrate) held stock_reservations for 240.5 s",
        "inventory.Inventory/Reserve: 30,000 ms, ~17 %, 5 < 6 & 7 > 3",
        "GET /api/inventory/{sku} - see the log!",
        "-5 ms, v1.2.3, a+b=c, #x, C#7",
        "-- a comment",
    ],
)
def test_ordinary_text_is_left_as_it_is(text: str) -> None:
    assert escape(text) == text


@pytest.mark.parametrize("text", ["#3", "acme/shop#12", "GH-7", "gh-7"])
def test_what_github_links_to_an_issue_is_code(text: str) -> None:
    assert escape(f"as in {text}, said twice: {text}") == f"as in `{text}`, said twice: `{text}`"


def test_a_long_word_is_looked_through_once() -> None:
    # A search that begins anew at each letter would take hours.
    text = "a" * 1_000_000 + "/" + "b" * 1_000_000
    assert escape(text) == text


@pytest.mark.parametrize(
    "text",
    ["# one", "- one", "+ one", "1. one", "2) one", "---", "===", "> one", "~~~ one", ":---"],
)
def test_the_start_of_a_line_is_never_markup(text: str) -> None:
    for document in (escape(text), f"before\n{escape(text)}\n"):
        kinds = [token.type for token in PARSER.parse(document)]
        assert kinds == ["paragraph_open", "inline", "paragraph_close"]


def test_a_query_keeps_its_lines_and_indentation() -> None:
    assert code_block("a\n  b\n\nc\n", "sql") == "```sql\na\n  b\n\nc\n```"


@given(NASTY, NASTY, NASTY)
def test_a_command_in_a_sentence_is_code_and_the_rest_shows_itself(
    before: str, inside: str, after: str
) -> None:
    # An escape sequence ends with what comes next, be it the sign of code.
    before, inside, after = (re.sub("[`\x1b\x9b]", "", text) for text in (before, inside, after))
    _, _, cell, _ = cells_of(with_code(f"say {before} `incident-rca x{inside}` {after}"))
    assert {child.type for child in cell} <= {"text", "text_special", "code_inline"}
    assert "code_inline" in {
        child.type for child in cell if child.content == clean(f"incident-rca x{inside}")
    }
    whole = clean(f"say {before} incident-rca x{inside} {after}")
    assert shown(cell).replace(" ", "") == whole.replace(" ", "")

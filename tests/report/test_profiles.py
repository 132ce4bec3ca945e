"""The forms for other systems: nothing of the report is lost, and no text becomes markup."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import replace

import pytest
from markdown_it import MarkdownIt

from incident_rca.model import Analysis, SourceState
from incident_rca.report.markdown import to_markdown
from incident_rca.report.profiles import Profile, rendered

WIKI = (Profile.JIRA, Profile.CONFLUENCE)
FOLDED = (Profile.GITHUB, Profile.GITLAB)
# An unescaped character of the wiki markup that only text from evidence could bring.
LIVE = re.compile(r"(?<!\\)[!~^\[]")


def without_code(wiki: str) -> str:
    """Wiki markup without its blocks of code, which show what they hold."""
    code = r"\{noformat\}\n.*?\n\{noformat\}|\{code:\w+\}\n.*?\n\{code\}"
    return re.sub(code, "", wiki, flags=re.S)


def words(text: str) -> Counter[str]:
    """Every word and number of a text."""
    return Counter(re.findall(r"[^\W_]+", text))


def without_comments(text: str) -> str:
    return re.sub(r"<!-- incident-rca:(begin|end) .*? -->", "", text)


@pytest.fixture(scope="module", params=["analysis", "hostile"])
def document(request: pytest.FixtureRequest) -> str:
    found: Analysis = request.getfixturevalue(request.param)
    return to_markdown(found)


@pytest.mark.parametrize("profile", Profile)
def test_no_word_number_or_id_is_lost(document: str, profile: Profile) -> None:
    shown = rendered(document, profile).replace("&bsol;", "\\").replace("&amp;", "&")
    # What a language of a code block is called shows nowhere; an escape is no letter.
    plain = re.sub(r"^`{3,}\w+$", "", without_comments(document), flags=re.M)
    lost = words(plain) - words(shown)
    assert len(words(plain)) > 300
    assert set(lost) <= {
        "1",
        "2",
        "3",
        "4",
        "5",
        "6",
    }  # the numbers of the steps, where they are marks
    if profile not in WIKI:
        assert not lost


@pytest.mark.parametrize("profile", Profile)
def test_no_marker_of_a_block_is_left(document: str, profile: Profile) -> None:
    shown = rendered(document, profile)
    assert not re.search(r"^<!-- incident-rca:", shown, re.M)


@pytest.mark.parametrize("profile", Profile)
def test_what_people_wrote_goes_along(analysis: Analysis, profile: Profile) -> None:
    document = to_markdown(analysis)
    written = document.replace("- Author: TODO(owner): role or team", "- Author: payments, *Ada*")
    written = written.replace("## Lessons\n", "## Lessons\n\n1. one\n2. two\n\n> quoted\n")
    shown = rendered(written, profile)
    assert "payments, " in shown and "Ada" in shown
    assert "two" in shown and "quoted" in shown


@pytest.mark.parametrize("profile", FOLDED)
def test_the_appendix_is_folded_and_warnings_stand_out(
    analysis: Analysis, profile: Profile
) -> None:
    sources = tuple(
        replace(s, state=SourceState.FAILED, reason="gone") if s.name == "pool gauge" else s
        for s in analysis.case.sources
    )
    document = to_markdown(replace(analysis, case=replace(analysis.case, sources=sources)))
    shown = rendered(document, profile)
    sections = re.findall(r"^### (.*)$", document.split("\n## Appendix\n")[1], re.M)
    assert re.findall(r"<summary>(.*)</summary>", shown) == sections and len(sections) > 4
    assert shown.count("<details>") == shown.count("</details>") == len(sections)
    mark = "WARNING" if profile is Profile.GITHUB else "warning"
    assert shown.count(f"> [!{mark}]\n> pool gauge: failed") == 2
    assert "**Warning:**" in document and "**Warning:**" not in shown


@pytest.mark.parametrize("profile", FOLDED)
def test_folded_markdown_holds_the_same_blocks(document: str, profile: Profile) -> None:
    parser = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])

    def blocks(text: str) -> Counter[str]:
        return Counter(t.type for t in parser.parse(text) if t.type != "html_block")

    before, after = blocks(without_comments(document)), blocks(rendered(document, profile))
    folded = rendered(document, profile).count("<details>")
    assert before["heading_open"] - after["heading_open"] == folded
    for kind in ("table_open", "tr_open", "td_open", "list_item_open", "fence"):
        assert before[kind] == after[kind] > 0


@pytest.mark.parametrize("profile", WIKI)
def test_no_text_becomes_wiki_markup(hostile: Analysis, profile: Profile) -> None:
    shown = rendered(to_markdown(hostile), profile)
    prose = without_code(shown)
    macros = re.findall(r"(?<!\\)\{(?!\{)[a-z]+[^{}\n]*\}", re.sub(r"\{\{.*?\}\}", "", prose))
    assert {re.sub(r":.*", "}", macro) for macro in macros} <= {"{expand}"}
    assert not LIVE.search(prose)
    assert "\\[a\\]" in prose and "\\{\\{ 7 * 7 \\}\\}" in prose


@pytest.mark.parametrize("profile", WIKI)
def test_rows_of_a_wiki_table_have_as_many_cells_as_its_head(
    document: str, profile: Profile
) -> None:
    heads = 0
    cells = 0
    for line in without_code(rendered(document, profile)).splitlines():
        bars = re.findall(r"(?<!\\)\|+", line) if line.startswith("|") else []
        if line.startswith("||"):
            heads, cells = heads + 1, len(bars)
        elif bars:
            assert len(bars) == cells, line
    assert heads > 10


def test_a_code_block_cannot_be_left() -> None:
    text = "```sql\nselect '{code}'\n```\n\n```text\n{noformat}\nx\n```\n\n```sql\nselect 1\n```\n"
    shown = rendered(text, Profile.JIRA)
    assert shown == (
        "{noformat}\nselect '{code}'\n{noformat}\n\n"
        "{noformat}\n{ noformat}\nx\n{noformat}\n\n"
        "{code:sql}\nselect 1\n{code}\n"
    )


@pytest.mark.parametrize(
    ("markdown", "wiki"),
    [
        ("**a** *b* `c|d` ~~e~~", "*a* _b_ {{c\\|d}} -e-"),
        ("\\# a", "\\# a"),
        ("\\- a", "\\- a"),
        ("h1. a", "h1\\. a"),
        ("a\\\\b", "a&bsol;b"),
        ("a \\&lt; b & c", "a &amp;lt; b & c"),
        ("[a](http://b.example/c)", "[a|http://b.example/c]"),
        ("- a\n  1. b\n  2. c\n- d", "* a\n*# b\n*# c\n* d"),
        ("1. a\n   - b\n", "# a\n#* b"),
        ("![a *b*](charts/c-d.png)", "!c-d.png! a _b_"),
        ("![a](http://b.example/c.png)", "http://b.example/c.png a"),
        ("> a", "{quote}\na\n{quote}"),
        ("a\\\nb", "a\\\\\nb"),
        ("---", "----"),
        ("<b>x</b>", "<b>x</b>"),
        ("<!-- a note -->", ""),
        ("a -- b", "a \\-\\- b"),
        ("so:) and (x)", "so\\:) and \\(x)"),
    ],
)
def test_markdown_as_wiki_markup(markdown: str, wiki: str) -> None:
    assert rendered(markdown, Profile.JIRA) == f"{wiki}\n"


def test_text_alone_keeps_the_order_and_the_nesting() -> None:
    text = "# A\n\n## B\n\n1. **a**\n   - b\n\n"
    text += "| x | y |\n| - | - |\n| `1\\|2` | [z](http://q.example) |\n"
    assert rendered(text, Profile.PLAIN) == (
        "A\n=\n\nB\n-\n\n1. a\n   - b\n\nx | y\n1|2 | z (http://q.example)\n"
    )

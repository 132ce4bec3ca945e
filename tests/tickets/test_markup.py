"""What each system shows of a digest: all of it, within its limits, and hostile text harmless."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import chain, pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from incident_rca.attaching import Parcel, target_of
from incident_rca.errors import BadSettings
from incident_rca.report.digest import Digest, Section, digest, line_of, runs_of
from incident_rca.report.summary import Code
from incident_rca.settings import Settings
from incident_rca.tickets import SYSTEMS, system_of
from incident_rca.tickets.delivery import Content, Post
from incident_rca.tickets.packing import markdown_parts, packed, without_charts
from incident_rca.tickets.wire import rehearsing
from tests.tickets import jira_server
from tests.tickets.labs import slack_texts

TARGETS = {
    "jira": "INC-2847",
    "github": "acme/shop#12",
    "pagerduty": "Q1A2B3C4D5E6F7",
    "slack": "#incidents",
    "file": "out",
}
HOSTILE = (
    "@here",
    "@channel and @everyone",
    "<!here> <!channel> <!subteam^S123|oncall>",
    "<@U012AB3CD> <#C012|general>",
    "@octocat @acme/oncall",
    "[~accountid:5b10ac8d82e05b22cc7d4ef5] [~ann]",
    "see #1234, acme/shop#7 and GH-99",
    "fixes #12",
    "`code` ``` fence ~~~ | pipe | **bold** _it_ ~s~",
    "<script>alert(1)</script> <img src=x onerror=alert(1)>",
    "![x](https://evil.example/track.png) [y](javascript:alert(1))",
    "https://evil.example/?q=1 www.evil.example",
    "\x1b[31mred\x1b[0m \x07 \u202egnp.exe\u202c \u200b zero",
    "{code}x{code} {noformat} h1. big",
    ":warning: &lt;b&gt; &amp; & < >",
    "line one\n# heading\n- item\n> quote",
    "x" * 3_000,
)


def posts_of(name: str, told: Digest, report: str = "# RCA\n") -> tuple[Post, ...]:
    system, target = system_of(f"{name}:{TARGETS[name]}")
    ticket = system.ticket("https://tickets.example", target, rehearsing([]))
    return ticket.posts(Content(told, report, f"{name}:{target}"))


def texts(name: str, post: Post) -> str:
    """The words of a post as a reader of that system sees them."""
    match name:
        case "jira":
            return "".join(jira_server.adf_texts(post.content))
        case "slack":
            return "".join(slack_texts(post.content["blocks"]))
        case "pagerduty":
            return str(post.content)
    source = post.content if name == "github" else post.content["text"]
    return "\n".join(token.content for token in inline_tokens(source))


def inline_tokens(source: str) -> Iterator[Any]:
    """Every piece of a Markdown document, as CommonMark reads it with tables and links of text."""
    parser = MarkdownIt("commonmark", {"linkify": False}).enable(["table", "strikethrough"])
    for token in parser.parse(source):
        yield from token.children or ([token] if token.content and not token.children else [])


def hostile_digest() -> Digest:
    lines = tuple((f"said {text} and ", Code(text), ".") for text in HOSTILE)
    sections = (Section("Summary", tuple(line_of(*line) for line in lines)),)
    return Digest("INC-1: <!here> @all #1", ("opening",), sections, "INC-1 @here", "0.1.0")


# --- all of it ---------------------------------------------------------------------------------


@pytest.mark.parametrize("name", TARGETS)
def test_every_word_of_the_digest_is_there(name: str, parcel: Parcel) -> None:
    told = digest(parcel.analysis)
    whole = "\n".join(texts(name, post) for post in posts_of(name, told))
    words = {told.title, *"".join(told.opening).split()}
    for section in told.sections:
        assert section.title.lower() in whole.lower()
        words.update(run for line in section.lines for run in line if isinstance(run, Code))
        words.update(word for line in section.lines for run in line for word in run.split())
    assert not [word for word in words if word not in whole]


def test_the_digest_says_what_the_report_says_first(parcel: Parcel) -> None:
    told = digest(parcel.analysis)
    document = json.loads((parcel.folder / "report.json").read_text())
    lines = {s.title: ["".join(line) for line in s.lines] for s in told.sections}
    markdown = parcel.report.split("## Summary")[1].split("## Impact")[0]
    stated = re.findall(r"^- (.*) \[[^]]*\]$", markdown, re.MULTILINE)
    said = [line.rpartition(" [")[0] for line in lines["Summary"]]
    assert said == [line.replace("`", "").replace("\\", "") for line in stated]
    endpoints = document["impact"]["endpoints"]
    assert len(lines["Endpoints"]) == len(endpoints)
    for line, endpoint in zip(lines["Endpoints"], endpoints, strict=True):
        assert line.startswith(f"{endpoint['method']} {endpoint['route']}: {endpoint['impact']}")
        assert f"of {endpoint['requests']:,} requests failed" in line
        assert endpoint["evidence"][0] in line
    hypotheses = document["hypotheses"]
    assert [line.split()[0] for line in lines["Hypotheses"][:-1]] == [
        h["id"] for h in hypotheses[:6]
    ]
    assert lines["Hypotheses"][-1] == f"+ {len(hypotheses) - 6} more in report.md"
    assert len(lines["Findings"]) == len(document["findings"])
    known = {e["id"] for e in document["evidence"]}
    cited = set(re.findall(r"\b[LMGCS][0-9a-f]{4,}\b", " ".join(chain(*lines.values()))))
    assert cited and cited <= known


def test_a_sentence_in_runs_is_the_sentence() -> None:
    class Shown:
        pattern = "Users of {} got {}, {} of {}."
        values = (Code("GET /{id}"), "502", "1", "2")

    shown: Any = Shown()
    runs = list(runs_of(shown))
    assert "".join(runs) == "Users of GET /{id} got 502, 1 of 2."
    assert [run for run in runs if isinstance(run, Code)] == ["GET /{id}"]


# --- harmless ----------------------------------------------------------------------------------


def test_jira_gets_text_nodes_only(parcel: Parcel) -> None:
    (post,) = posts_of("jira", hostile_digest())
    assert jira_server.invalid_adf(post.content) == ""
    assert set(re.findall(r'"type": "(\w+)"', json.dumps(post.content))) == {
        "doc", "heading", "paragraph", "bulletList", "listItem", "text", "code", "rule"
    }  # fmt: skip
    assert_shown("jira", post)


def test_slack_gets_rich_text_of_text_only() -> None:
    (post,) = posts_of("slack", hostile_digest())
    assert set(re.findall(r'"type": "(\w+)"', json.dumps(post.content["blocks"]))) == {
        "rich_text", "rich_text_section", "rich_text_list", "text"
    }  # fmt: skip
    assert "<" not in post.content["text"] and "&lt;!here&gt;" in post.content["text"]
    assert_shown("slack", post)


@pytest.mark.parametrize("name", ["github", "file"])
def test_markdown_gets_no_mention_reference_link_or_html(name: str) -> None:
    post = posts_of(name, hostile_digest())[0]
    source = post.content if name == "github" else post.content["text"]
    kinds = {token.type for token in inline_tokens(source)}
    assert kinds <= {"text", "code_inline", "text_special", "softbreak"}, kinds
    said = " ".join(t.content for t in inline_tokens(source) if t.type == "text")
    for active in (r"(?<!\w)@\w", r"#\d", r"\bGH-\d", r"https?://", r"www\."):
        assert not re.search(active, said), active
    # Headings are ours alone: the title, the one section, and none of the text.
    assert re.findall(r"^#+ .*$", source, re.MULTILINE)[1:] == ["### Summary"]


def test_pagerduty_gets_one_line_each() -> None:
    (post,) = posts_of("pagerduty", hostile_digest())
    assert len([line for line in post.content.splitlines() if line.startswith("- said")]) == len(
        HOSTILE
    )
    assert_shown("pagerduty", post)


def assert_shown(name: str, post: Post) -> None:
    """Nothing invisible is left, and what is visible is shown as it is."""
    whole = texts(name, post)
    assert not re.search("[\x00-\x09\x0b-\x1f\u200b\u202a-\u202e]", whole)
    for text in ("<!here> <!channel>", "@octocat", "<script>alert(1)</script>", "{code}x{code}"):
        assert text in whole


# --- within limits -----------------------------------------------------------------------------

LIMITS: dict[str, tuple[Callable[[Any], int], int]] = {
    "jira": (lambda content: len(json.dumps(content, ensure_ascii=False)), 32_767),
    "github": (len, 65_536),
    "pagerduty": (len, 10_000),
    "slack": (lambda content: len(json.dumps(content["blocks"], ensure_ascii=False)), 13_100),
}


@pytest.mark.parametrize("name", LIMITS)
def test_a_long_digest_goes_in_parts_that_end_with_sections(name: str) -> None:
    line = ("ü" * 400, Code("z" * 90))
    sections = tuple(Section(f"Piece {n}", (line,) * 5) for n in range(30))
    huge = Section("Huge", tuple((f"{n} ", *line) for n in range(300)))
    told = Digest("INC-1", ("opening",), (*sections, huge), "INC-1", "0.1.0")
    posts = posts_of(name, told)
    size, limit = LIMITS[name]
    assert len(posts) > 2 and all(size(post.content) <= limit for post in posts)
    assert len({post.mark for post in posts}) == len(posts)
    shown = [texts(name, post) for post in posts]
    for number in range(30):
        # A section that fits is in one post only, with all of its lines.
        held = [text for text in shown if re.search(rf"\bpiece {number}\b", text, re.IGNORECASE)]
        assert len(held) == 1
    assert [f"part {n} of {len(posts)}" in text for n, text in enumerate(shown, 1)]
    counted = [int(n) for text in shown for n in re.findall(r"(?<!\S)(\d+) ü", text)]
    assert counted == list(range(300))


def sections_of(lengths: list[list[int]]) -> list[Section]:
    """A section for each list, with a line of each length."""
    return [
        Section(f"s{n}", tuple((f"{n}.{m} ".ljust(length, "x"),) for m, length in enumerate(lines)))
        for n, lines in enumerate(lengths)
    ]


def measured(sections: Any) -> int:
    return sum(len(s.title) + sum(len(run) for line in s.lines for run in line) for s in sections)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.lists(st.integers(5, 30), min_size=1, max_size=8), max_size=8), st.integers(40, 120)
)
def test_packing_loses_nothing_and_keeps_to_the_limit(lengths: list[list[int]], limit: int) -> None:
    sections = sections_of(lengths)
    posts = packed(sections, measured, limit)
    assert all(measured(post) <= limit for post in posts)
    told = [(piece.title, line) for post in posts for piece in post for line in piece.lines]
    assert told == [(section.title, line) for section in sections for line in section.lines]
    # No two neighbours would have fitted together.
    assert not [1 for a, b in pairwise(posts) if measured((*a, b[0])) <= limit]


def test_a_line_that_fits_nowhere_is_an_error() -> None:
    with pytest.raises(ValueError, match="larger than a post of 10"):
        packed([Section("t", (("x" * 20,),))], measured, 10)


blocks_of_markdown = st.lists(
    st.one_of(
        st.integers(1, 9).map(lambda n: "word " * n + "\n" * (n % 3) + "\n"),
        st.sampled_from(["## One\n", "### Two\n", "#### Three\n\n"]),
        st.integers(1, 6).map(lambda n: "| h |\n| --- |\n" + "| cell |\n" * n + "\n"),
        st.integers(1, 6).map(lambda n: "```text\n## no heading\n" + "x\n" * n + "```\n\n"),
        st.just("~~~~\n```\n~~~~\n"),
    ),
    max_size=12,
).map("".join)


@settings(max_examples=60, deadline=None)
@given(blocks_of_markdown, st.integers(60, 200))
def test_markdown_in_parts_is_the_same_document(text: str, limit: int) -> None:
    parts = markdown_parts(text, limit)
    assert all(len(part) <= limit for part in parts)
    whole, pieces = rendered(text), [line for part in parts for line in rendered(part)]
    # A table or code that was cut has its head again: nothing else may be there twice.
    repeated = {"h", "## no heading"}
    assert [line for line in pieces if line not in repeated] == [
        line for line in whole if line not in repeated
    ]
    assert pieces.count("h") >= whole.count("h")


def test_code_of_one_long_line_is_closed_in_each_part() -> None:
    parts = markdown_parts("```text\n" + "x" * 300 + "\n```\n\nbehind it\n", 100)
    assert all(len(part) <= 100 for part in parts)
    assert "".join(line for part in parts for line in rendered(part)) == "x" * 300 + "behind it"
    for part in parts:
        tokens = MarkdownIt("commonmark").parse(f"{part}\n---\nfooter\n")
        assert [t.content for t in tokens if t.type == "inline"][-1] == "footer"


def rendered(text: str) -> list[str]:
    """The lines of every heading, paragraph, cell and code of a document, in order."""
    parser = MarkdownIt("commonmark").enable("table")
    contents = (t.content for t in parser.parse(text) if t.type in ("inline", "fence"))
    lines = (line.strip() for content in contents for line in content.splitlines())
    return [line for line in lines if line]


def test_a_report_is_cut_at_a_heading_where_it_can_be(parcel: Parcel) -> None:
    parts = markdown_parts(parcel.report, 12_000)
    assert len(parts) > 2 and "".join(parts) == parcel.report
    assert all(part.startswith(("## ", "### ")) for part in parts[1:])


def test_charts_beside_the_report_are_told_not_shown() -> None:
    picture = r"![502s \[G1\] by minute](charts/a.png)"
    text = f"{picture}\n\na, also as [SVG](charts/a.svg); b\n\n```\n{picture}\n```\n[z](https://e.example)\n"
    assert without_charts(text) == (
        "502s \\[G1\\] by minute (charts/a.png, kept with the case)\n\n"
        "a, also as SVG (charts/a.svg, kept with the case); b\n\n"
        f"```\n{picture}\n```\n[z](https://e.example)\n"
    )


@pytest.mark.parametrize(
    "to",
    ["jira", "jira:", "jira:inc-1", "jira:INC-1/../x", "github:acme/shop", "github:a/b#0",
     "github:../b#1", "github:acme/..#1", "pagerduty:12", "pagerduty:a/b",
     "slack:incidents", "slack:#a b", "file:", "teams:x", "", "INC-1"],
)  # fmt: skip
def test_what_names_no_ticket_is_refused(to: str) -> None:
    known = replace(Settings(), tickets_jira="https://acme.atlassian.net")
    with pytest.raises(BadSettings) as raised:
        target_of(to, known, {})
    assert any(system.form in raised.value.hint for system in SYSTEMS)

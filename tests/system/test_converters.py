"""The forms of a report, read by the converters of those who made them: nothing is lost.

cmark-gfm is GitHub's own reader of Markdown; pandoc reads Jira's wiki markup, and writes it.
"""

from __future__ import annotations

import html
import json
import re
import subprocess
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest

from incident_rca import pipeline
from incident_rca.demo import prepare_demo
from incident_rca.report.markdown import to_markdown
from incident_rca.report.profiles import Profile, rendered
from tests.report.incident import HOSTILE, hostile_from, reference

EXTENSIONS = "-e table -e strikethrough -e autolink -e tagfilter".split()
GFM = ("cmark-gfm", "--unsafe", "-t", "html", *EXTENSIONS)
STEPS = Counter(str(number) for number in range(1, 7))


def converted(text: str, *command: str) -> str:
    done = subprocess.run(command, input=text, capture_output=True, encoding="utf-8", check=True)
    return done.stdout


def as_github(markdown: str) -> str:
    """What a reader sees on GitHub: the text of the HTML that its reader makes."""
    return html.unescape(re.sub(r"<!--.*?-->|<[^>]*>", " ", converted(markdown, *GFM)))


def as_wiki(markup: str) -> str:
    """What a reader sees of wiki markup."""
    return converted(markup, "pandoc", "-f", "jira", "-t", "plain", "--wrap=none")


READERS: Mapping[Profile, Callable[[str], str]] = {
    Profile.GITHUB: as_github,
    Profile.GITLAB: as_github,
    Profile.JIRA: as_wiki,
    Profile.CONFLUENCE: as_wiki,
    Profile.PLAIN: str,
}


def words(text: str) -> Counter[str]:
    return Counter(re.findall(r"[^\W_]+", text.casefold()))


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = prepare_demo(tmp_path_factory.mktemp("demo") / "INC-2847")
    return to_markdown(pipeline.analyse_case(folder))


@pytest.fixture(params=["sample", "hostile"])
def document(request: pytest.FixtureRequest, sample: str) -> str:
    is_sample = request.param == "sample"
    return sample if is_sample else to_markdown(hostile_from(reference(), HOSTILE))


def test_each_form_shows_every_word_of_the_report(document: str) -> None:
    told = words(converted(document, "pandoc", "-f", "gfm", "-t", "plain", "--wrap=none"))
    told -= STEPS  # HTML numbers the steps by its own
    assert sum(told.values()) > 2000
    for profile, reader in READERS.items():
        lost = told - words(reader(rendered(document, profile)))
        assert lost == Counter(), profile


def test_each_form_shows_every_id(document: str) -> None:
    ids = re.compile(r"\b[LMGCS][0-9a-f]{4,}\b")
    told = Counter(ids.findall(document))
    assert len(told) > 15
    for profile, reader in READERS.items():
        assert told - Counter(ids.findall(reader(rendered(document, profile)))) == Counter(), (
            profile
        )


def test_the_report_survives_a_conversion_that_is_not_ours(sample: str) -> None:
    wiki = converted(sample, "pandoc", "-f", "gfm", "-t", "jira")
    told = words(as_github(sample))
    assert told - words(as_wiki(wiki)) == Counter()


def kinds(tree: Any) -> Iterator[str]:
    """The kinds of the nodes of a pandoc tree."""
    if isinstance(tree, dict):
        if "t" in tree:
            yield tree["t"]
        for inner in tree.values():
            yield from kinds(inner)
    elif isinstance(tree, list):
        for inner in tree:
            yield from kinds(inner)


def test_no_text_of_a_log_is_markup_in_a_wiki() -> None:
    shown = rendered(to_markdown(hostile_from(reference(), HOSTILE)), Profile.JIRA)
    tree = json.loads(converted(shown, "pandoc", "-f", "jira", "-t", "json"))
    found = Counter(kinds(tree["blocks"]))
    harmless = rendered(to_markdown(hostile_from(reference(), "harmless")), Profile.JIRA)
    same = json.loads(converted(harmless, "pandoc", "-f", "jira", "-t", "json"))
    usual = Counter(kinds(same["blocks"]))
    assert not {"Link", "Image"} & set(found)
    for kind in ("Header", "Table", "CodeBlock", "Strong", "Strikeout", "HorizontalRule"):
        assert found[kind] == usual[kind], kind


def test_a_fold_of_github_opens_on_what_it_holds(sample: str) -> None:
    page = converted(rendered(sample, Profile.GITHUB), *GFM)
    folds = re.findall(r"<details>\s*<summary>(.*?)</summary>(.*?)</details>", page, re.S)
    assert folds[0][0] == "Who blocked whom"
    (evidence,) = [inside for title, inside in folds if title == "Evidence"]
    assert evidence.count("<tr>") > 40 and "<pre>" in folds[0][1]
    assert page.count("<details>") == len(folds)

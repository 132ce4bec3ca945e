"""A team's own template: the same objects, the same rules, and errors that say where."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from incident_rca.errors import BadTemplate
from incident_rca.model import Analysis
from incident_rca.report.blocks import without_markers
from incident_rca.report.markdown import by_template, to_markdown, view_of

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "templates.md"
OWN = ROOT / "incident_rca" / "report" / "templates" / "report.md.j2"


def test_the_reports_own_template_gives_the_report(analysis: Analysis) -> None:
    text = by_template(analysis, OWN.read_text(encoding="utf-8"), "team.md.j2")
    assert text == without_markers(to_markdown(analysis))


def test_the_page_names_what_a_template_may_use(analysis: Analysis) -> None:
    cells = re.findall(r"^\| (`.*?) \|", PAGE.read_text(encoding="utf-8"), re.M)
    named = [name for cell in cells for name in re.findall(r"`(\w+)`", cell)]
    assert sorted(named) == sorted(view_of(analysis))


def test_the_example_of_the_page_cites_what_it_says(analysis: Analysis) -> None:
    (example,) = re.findall(r"```jinja\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.S)
    text = by_template(analysis, example, "example.md.j2")
    assert text.startswith("# Orders fail while an index is built")
    known = set(analysis.evidence_ids.values())
    lines = [line for line in text.splitlines() if re.match(r" *- |\| `", line)]
    assert len(lines) > 15
    for line in lines:
        assert set(re.findall(r"\b[LMGCS][0-9a-f]{4}\b", line)) & known, line


@pytest.mark.parametrize(
    ("source", "line", "words"),
    [
        ("a\n{{ nothing_known }}", 2, "'nothing_known' is undefined"),
        ("{{ a.no_such_thing }}", 1, "no_such_thing"),
        ("a\nb\n{% if %}", 3, "Expected an expression"),
        ("{% for x in a.endpoints %}\n", 1, "Unexpected end of template"),
        ("a\n{{ line_ids(()) }}", 2, "cites no evidence"),
        ("\n\n{{ 1 / 0 }}", 3, "division by zero"),
        ('{% include "other.md.j2" %}', 1, "no part is called other.md.j2"),
        ("a\n{{ case.id | no_filter }}", 2, "No filter named 'no_filter'"),
    ],
)
def test_an_error_names_file_and_line(
    analysis: Analysis, source: str, line: int, words: str
) -> None:
    with pytest.raises(BadTemplate) as refusal:
        by_template(analysis, source, "teams/own.md.j2")
    assert refusal.value.message.startswith(f"teams/own.md.j2:{line}: ")
    assert words in refusal.value.message and refusal.value.hint


@pytest.mark.parametrize(
    "source",
    [
        "{{ a.__class__.__mro__ }}",
        "{{ said.__globals__ }}",
        "{{ words.lock_modes }}",
        "{{ what_if.Console }}",
        "{{ ranked.append(1) }}",
        "{% for x in range(10 ** 9) %}{% endfor %}",
        "{{ ''.__class__ }}",
    ],
)
def test_a_template_stays_in_its_sandbox(analysis: Analysis, source: str) -> None:
    with pytest.raises(BadTemplate):
        by_template(analysis, source, "own.md.j2")


def test_what_a_template_puts_out_is_text(hostile: Analysis) -> None:
    text = by_template(hostile, "{{ case.title }}\n\n{{ case.id | code }}\n", "own.md.j2")
    assert "\\<script>" in text and "\\[a\\]" in text
    assert not re.search(r"(?<!\\)<script", text.split("\n\n")[0])

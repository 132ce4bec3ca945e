"""`report --profile` and `--template`: the document on stdout, report.md beside it as always."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.cli.conftest import CopyCase
from tests.cli.running import Ran, refused, run


def ids_in(text: str) -> set[str]:
    return set(re.findall(r"\b[LMGCS][0-9a-f]{4}\b", text))


@pytest.mark.parametrize("profile", ["github", "gitlab", "jira", "confluence", "plain"])
def test_a_form_is_printed_with_what_people_wrote(copy_small: CopyCase, profile: str) -> None:
    case = copy_small()
    path = case / "report.md"
    written = path.read_text().replace(
        "- Author: TODO(owner): role or team", "- Author: night shift"
    )
    path.write_text(written)
    ran = run(case.parent, "report", "INC-1", "--profile", profile)
    assert ran.code == 0
    assert "night shift" in ran.out and "incident-rca:begin" not in ran.out
    assert ids_in(written) <= ids_in(ran.out) and len(ids_in(written)) > 5
    assert path.read_text() == written


def test_a_template_is_printed_in_any_form(copy_small: CopyCase) -> None:
    case = copy_small()
    template = case.parent / "own.md.j2"
    bullets = "{% for t, e in summary %}\n- {{ t }} [{{ line_ids(e) }}]\n{% endfor %}\n"
    template.write_text("# {{ case.id }}\n\n" + bullets)
    before = (case / "report.md").read_text()
    plain = run(case.parent, "report", "INC-1", "--template", "own.md.j2")
    assert plain.code == 0 and plain.out.startswith("# INC-1\n\n- ") and ids_in(plain.out)
    wiki = run(case.parent, "report", "INC-1", "--template", "own.md.j2", "--profile", "jira")
    assert wiki.out.startswith("h1. INC-1\n\n* ") and ids_in(wiki.out) == ids_in(plain.out)
    assert (case / "report.md").read_text() == before


def test_what_is_hidden_is_told_beside_the_document_not_in_it(copy_small: CopyCase) -> None:
    folder = copy_small().parent
    alone = run(folder, "report", "INC-1", "--profile", "plain")
    told = run(folder, "report", "INC-1", "--profile", "plain", "--show-redactions")
    assert told.out == alone.out and len(told.err) > len(alone.err)


def test_a_template_with_an_error_is_refused_by_file_and_line(copy_small: CopyCase) -> None:
    case = copy_small()
    (case.parent / "own.md.j2").write_text("a\n{{ b }}\n")
    ran = refused(2, case.parent, "report", "INC-1", "--template", "own.md.j2")
    assert ran.errors == ["error: own.md.j2:2: 'b' is undefined"]
    (case.parent / "own.md.j2").write_bytes(b"\xff\xfe\x00")
    ran = refused(2, case.parent, "report", "INC-1", "--template", "own.md.j2")
    assert ran.errors == ["error: own.md.j2: is no text in UTF-8"]


@pytest.mark.parametrize("option", [("--profile", "jira"), ("--template", "own.md.j2")])
def test_json_is_another_document(copy_small: CopyCase, option: tuple[str, str]) -> None:
    case = copy_small()
    (case.parent / "own.md.j2").write_text("a")
    refused(2, case.parent, "report", "INC-1", "--json", *option)


def test_a_report_that_is_too_long_for_a_field_is_said_so(demo: tuple[Path, Ran]) -> None:
    folder, _ = demo
    ran = run(folder.parent, "report", "demo", "--profile", "jira")
    assert ran.code == 0
    (hint,) = ran.hints
    assert hint.startswith(f"hint: {len(ran.out):,} characters") and "32,767" in hint
    assert run(folder.parent, "report", "demo", "--profile", "gitlab").hints == []

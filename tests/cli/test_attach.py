"""`attach` as a user runs it: shown first, sent with --yes; what it prints and how it exits."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cli.running import Ran, refused, run, tree
from tests.tickets import jira_server, slack_server
from tests.tickets.http_service import Answer, Fault
from tests.tickets.labs import Lab, running_lab


@pytest.fixture
def case(demo: tuple[Path, Ran], tmp_path: Path) -> Path:
    return Path(shutil.copytree(demo[0], tmp_path / "INC-2847"))


@pytest.fixture
def jira() -> Iterator[Lab]:
    with running_lab("jira") as lab:
        yield lab


@pytest.fixture
def slack() -> Iterator[Lab]:
    with running_lab("slack") as lab:
        yield lab


def attach(cwd: Path, *words: str, **environ: str) -> Ran:
    return run(cwd, "attach", "INC-2847", *words, **environ)


def test_without_yes_everything_is_shown_and_nothing_sent(
    case: Path, tmp_path: Path, jira: Lab
) -> None:
    before = tree(case)
    url = {"INCIDENT_RCA_TICKETS_JIRA": jira.service.url}
    ran = attach(tmp_path, "--to", jira.to, **url)
    assert (ran.code, jira.service.heard, tree(case)) == (0, [], before)
    assert f"POST {jira.service.url}/rest/api/3/issue/INC-2847/comment" in ran.out.splitlines()
    assert "Authorization: <made of JIRA_EMAIL, JIRA_API_TOKEN>" in ran.out
    assert '"text": "INC-2847: Orders fail with 502"' in ran.out
    assert "report.json, application/json, " in ran.out
    assert ran.err.splitlines()[-2:] == [
        "hint: set JIRA_EMAIL and JIRA_API_TOKEN before you send it",
        "Nothing was sent: with --yes it is.",
    ]
    shown = attach(tmp_path, "--to", jira.to, "--json", **jira.variables)
    (told,) = json.loads(shown.out)
    assert (told["to"], told["at"], told["missing"]) == (jira.to, jira.service.url, [])
    assert [r["what"] for r in told["requests"]][:2] == ["add comment 1 of 1", "attach report.md"]
    assert not [v for v in jira.environ.values() if v in shown.out + shown.err]


def test_with_yes_it_is_sent_and_then_updated(case: Path, tmp_path: Path, jira: Lab) -> None:
    ran = attach(tmp_path, "--to", jira.to, "--yes", **jira.variables)
    lines = [line.split() for line in ran.out.splitlines()]
    assert ran.code == 0 and ran.err == f"{jira.to} at {jira.service.url}\n"
    assert [(line[0], line[1]) for line in lines[:2]] == [
        ("posted", "comment"), ("attached", "report.md")
    ]  # fmt: skip
    assert len(jira.posts()) == 1 and "Orders fail with 502" in jira.posts()[0]
    sent = dict(jira.files())
    assert sent["report.json"] == (case / "report.json").read_bytes()
    again = attach(tmp_path, "--to", jira.to, "--yes", "--json", **jira.variables)
    (told,) = json.loads(again.out)
    assert {outcome["did"] for outcome in told["outcomes"]} == {"unchanged"}
    report = case / "report.md"
    report.write_text(report.read_text().replace("TODO(owner): role or team", "on call"))
    third = attach(tmp_path, "--to", jira.to, "--yes", "--quiet", **jira.variables)
    assert (third.code, third.out, third.err) == (0, "", "")
    assert b"on call" in dict(jira.files())["report.md"]
    assert len(jira.files()) == len(sent)
    verified = run(tmp_path, "verify", "INC-2847")
    assert verified.code == 0, verified.err


def test_a_part_that_failed_is_told_and_completed(
    case: Path, tmp_path: Path, jira: Lab, slack: Lab
) -> None:
    jira.holder.largest_file = (case / "report.json").stat().st_size - 1
    environ = {**jira.variables, **slack.variables}
    words = ("--to", jira.to, "--to", slack.to, "--yes")
    ran = attach(tmp_path, *words, **environ)
    assert ran.code == 3
    failed = [line for line in ran.out.splitlines() if line.startswith("failed")]
    large = [name for name, sent in slack.files() if len(sent) > jira.holder.largest_file]
    assert "report.json" in large and len(failed) == len(large)
    for name in large:
        (line,) = (line for line in failed if name in line)
        assert "status 413" in line
    assert "hint: too large for it" in ran.out
    assert "report.json" in dict(slack.files())
    jira.holder.largest_file = 1_000_000
    assert attach(tmp_path, *words, **environ).code == 0
    assert dict(jira.files())["report.json"] == (case / "report.json").read_bytes()


def test_where_nothing_got_there_it_exits_with_4(case: Path, tmp_path: Path, slack: Lab) -> None:
    slack.service.faults.append(Fault(answer=Answer({"ok": False, "error": "not_in_channel"})))
    ran = attach(tmp_path, "--to", slack.to, "--yes", **slack.variables)
    assert ran.code == 4 and "invite the app to the channel" in ran.out
    gone = {**slack.variables, "INCIDENT_RCA_TICKETS_SLACK": "http://127.0.0.1:1/api"}
    ran = attach(tmp_path, "--to", slack.to, "--yes", "--quiet", **gone)
    assert ran.code == 4 and "cannot be reached" in ran.out
    assert slack_server.TOKEN not in ran.out + ran.err
    assert not (case / "attached.json").exists()


def test_a_token_that_is_missing_is_told_before_anything_is_sent(
    case: Path, tmp_path: Path, jira: Lab, slack: Lab
) -> None:
    environ: dict[str, Any] = {**jira.variables, **slack.variables}
    del environ["SLACK_BOT_TOKEN"]
    words = ("attach", "INC-2847", "--to", jira.to, "--to", slack.to, "--yes")
    ran = refused(2, tmp_path, *words, **environ)
    assert "SLACK_BOT_TOKEN" in ran.errors[0]
    assert (jira.service.heard, slack.service.heard) == ([], [])


def test_what_cannot_be_attached(case: Path, tmp_path: Path, jira: Lab) -> None:
    ran = refused(2, tmp_path, "attach", "INC-2847", "--to", "teams:x")
    assert "jira:INC-2847" in ran.hints[0] and "slack:#channel" in ran.hints[0]
    refused(2, tmp_path, "attach", "INC-9", "--to", jira.to, **jira.variables)
    (case / "report.md").unlink()
    ran = refused(2, tmp_path, "attach", "INC-2847", "--to", jira.to, **jira.variables)
    assert ran.hints == ["hint: incident-rca report INC-2847"]
    clear = {**jira.variables, "INCIDENT_RCA_TICKETS_JIRA": "http://acme.example"}
    ran = attach(tmp_path, "--to", jira.to, **clear)
    assert ran.code == 2 and "https://" in ran.errors[0]


def test_doctor_and_config_name_the_tokens_without_showing_them(tmp_path: Path) -> None:
    given = {"JIRA_API_TOKEN": jira_server.TOKEN, "PGHOST": "127.0.0.1", "PGPORT": "1"}
    ran = run(tmp_path, "doctor", "--json", **given)
    tickets = json.loads(ran.out)["tickets"]
    assert tickets["jira"] == {"JIRA_EMAIL": False, "JIRA_API_TOKEN": True}
    assert tickets["slack"] == {"SLACK_BOT_TOKEN": False} and "file" not in tickets
    shown = run(tmp_path, "doctor", **given)
    assert "JIRA_EMAIL not set, JIRA_API_TOKEN set (masked)" in shown.out
    config = run(tmp_path, "config", "show", **given)
    assert "tickets.jira" in config.out and "SLACK_BOT_TOKEN" in config.out
    assert jira_server.TOKEN not in ran.out + shown.out + config.out

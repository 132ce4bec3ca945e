"""A part that does not get there: what is told, what is noted, how a run completes it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from incident_rca.attaching import Parcel, attach, parcel_of, rehearse, require_variables, target_of
from incident_rca.errors import BadInput, BadSettings
from incident_rca.settings import Settings
from incident_rca.tickets import slack
from incident_rca.tickets.delivery import Did, Outcome, TakesFiles
from incident_rca.tickets.ledger import LEDGER, read_entry
from incident_rca.tickets.showing import outcome_as_text
from incident_rca.tickets.wire import Refused, Request, rehearsing
from tests.sources.fake_clock import FakeClock
from tests.tickets import jira_server, slack_server
from tests.tickets.http_service import Answer, Fault
from tests.tickets.labs import Lab, add_pictures, running_lab


def told(outcomes: list[Outcome]) -> list[tuple[str, str]]:
    return [(outcome.what, outcome.did.value) for outcome in outcomes]


def test_a_file_that_is_too_large_keeps_no_other_away(parcel: Parcel) -> None:
    with running_lab("jira") as lab:
        lab.holder.largest_file = (parcel.folder / "report.json").stat().st_size - 1
        first = lab.attach(parcel)
        assert told(first) == [
            ("comment 1 of 1", "posted"),
            ("report.md", "attached"),
            ("report.html", "attached"),
            ("report.json", "failed"),
            ("charts/errors.svg", "attached"),
            ("charts/timeline.png", "attached"),
        ]
        assert "status 413" in first[3].why and "maximum permitted size" in first[3].why
        assert "too large" in outcome_as_text(first[3])
        lab.holder.largest_file = 1_000_000
        assert [did for _, did in told(lab.attach(parcel))].count("attached") == 1
        assert len(lab.files()) == 5


def test_after_an_error_of_the_ticket_nothing_more_is_tried(parcel: Parcel) -> None:
    with running_lab("jira") as lab:
        lab.service.faults += [
            Fault("fine"),
            Fault(answer=Answer({"errorMessages": ["You may not."], "errors": {}}, 403)),
        ]
        first = lab.attach(parcel)
        assert [did for _, did in told(first)] == ["posted", "failed", *["not sent"] * 4]
        assert "You may not." in first[1].why and "JIRA_API_TOKEN" in first[1].hint
        assert len(lab.service.heard) == 2
        assert {did for _, did in told(lab.attach(parcel))} == {"unchanged", "attached"}


@pytest.mark.parametrize("name", ["jira", "github", "pagerduty", "slack"])
def test_a_wrong_token_is_told_and_never_shown(name: str, parcel: Parcel) -> None:
    with running_lab(name) as lab:
        wrong = {key: f"wrong-{value}-wrong" for key, value in lab.environ.items()}
        outcomes = replace(lab, environ=wrong).attach(parcel)
        assert outcomes[0].did is Did.FAILED
        assert {outcome.did for outcome in outcomes[1:]} <= {Did.NOT_SENT}
        said = "".join(map(outcome_as_text, outcomes))
        assert any(key in said for key in wrong)
        assert not [value for value in wrong.values() if value in said]
        assert (
            not (parcel.folder / LEDGER).exists()
            or read_entry(parcel.folder, lab.to, target_of(lab.to, lab.settings, {}).at).posts == ()
        )


def test_a_ticket_that_is_not_there(parcel: Parcel) -> None:
    with running_lab("jira") as lab:
        (first, *rest) = replace(lab, to="jira:INC-9").attach(parcel)
        assert first.did is Did.FAILED and "does not exist" in first.why
        assert {outcome.did for outcome in rest} == {Did.NOT_SENT}


def test_a_stall_leaves_it_open_and_the_next_run_looks(parcel: Parcel) -> None:
    with running_lab("pagerduty") as lab:
        lab.service.faults.append(Fault("stalled"))
        (first,) = lab.attach(parcel, timeout_seconds=0.4)
        assert first.did is Did.UNKNOWN and len(lab.posts()) == 1
        (second,) = lab.attach(parcel)
        assert second.did is Did.UPDATED
        assert lab.service.lines()[1].startswith("GET ") and len(lab.posts()) == 1


def test_an_answer_that_is_lost_twice_is_still_open(lab: Lab, parcel: Parcel) -> None:
    # It is sent, looked for, and sent again: now it is there, and nobody says so.
    lab.service.faults += [Fault("unheard"), Fault("fine"), Fault("unanswered")]
    assert lab.attach(parcel)[0].did is Did.UNKNOWN and len(lab.posts()) == 1
    assert all(outcome.did.is_done for outcome in lab.attach(parcel))
    assert len(lab.posts()) == (2 if lab.name == "github" else 1)


@pytest.mark.parametrize("name", ["jira", "slack"])
def test_a_file_that_changed_while_it_was_open_whether_it_arrived(
    name: str, parcel: Parcel, monkeypatch: pytest.MonkeyPatch
) -> None:
    with running_lab(name) as lab:
        lost = Fault("unanswered", of="attachments" if name == "jira" else "completeUpload")
        lab.service.faults.append(lost)
        with monkeypatch.context() as patched:
            # As if the process had ended there.
            patched.setattr("incident_rca.tickets.delivery._looked_for", _interrupted)
            with pytest.raises(KeyboardInterrupt):
                lab.attach(parcel)
        assert [file for file, _ in lab.files()] == ["report.md"]
        report = parcel.folder / "report.md"
        report.write_text(report.read_text() + "\nWhat we learnt.\n")
        anew = parcel_of(parcel.folder, parcel.analysis)
        outcomes = dict(told(lab.attach(anew)))
        assert outcomes["report.md"] == "replaced"
        assert lab.files() == sorted((file.base_name, file.content) for file in anew.files)


def _interrupted(*_: object) -> None:
    raise KeyboardInterrupt


# --- Slack, where looking needs more than posting ------------------------------------------------


def test_a_channel_by_its_name_is_posted_to_and_updated_by_its_id(parcel: Parcel) -> None:
    with running_lab("slack") as lab:
        named = replace(lab, to=f"slack:{slack_server.NAME}")
        first = named.attach(parcel)
        assert first[0].id.startswith(f"{slack_server.CHANNEL}/")
        threads = {thread for _, _, thread in lab.holder.files.values()}
        assert threads == {first[0].id.partition("/")[2]}
        assert {outcome.did for outcome in named.attach(parcel)} == {Did.UNCHANGED}


def test_where_nobody_can_look_nothing_is_sent_again_unasked(parcel: Parcel) -> None:
    with running_lab("slack") as lab:
        named = replace(lab, to=f"slack:{slack_server.NAME}")
        lab.service.faults.append(Fault("unanswered"))
        for _ in range(2):
            outcomes = named.attach(parcel)
            assert [o.did for o in outcomes[:2]] == [Did.UNKNOWN, Did.NOT_SENT]
            assert "--resend" in outcomes[0].hint and "#incidents" in outcomes[0].why
            assert len(lab.posts()) == 1
        shown, problems = rehearse(parcel, target_of(named.to, named.settings, {}), resends=False)
        assert shown == [] and problems[0].did is Did.UNKNOWN
        assert all(o.did.is_done for o in named.attach(parcel, resends=True))
        assert len(lab.posts()) == 2


def test_a_scope_that_is_missing_is_named(parcel: Parcel) -> None:
    with running_lab("slack") as lab:
        lab.holder.scopes.clear()
        lab.service.faults.append(Fault("unanswered", of="completeUpload"))
        outcomes = lab.attach(parcel)
        unknown = next(o for o in outcomes if o.did is Did.UNKNOWN)
        assert "missing_scope (it needs files:read)" in unknown.why
        lab.holder.scopes.add("files:read")
        assert all(o.did.is_done for o in lab.attach(parcel))
        assert len(lab.files()) == 5


def test_a_stall_in_an_upload_is_begun_anew(parcel: Parcel) -> None:
    with running_lab("slack") as lab:
        lab.service.faults.append(Fault("unheard", of="POST /upload"))
        assert all(o.did.is_done for o in lab.attach(parcel))
        assert len(lab.files()) == 5 and lab.clock.slept == [1.0]


# --- a folder ------------------------------------------------------------------------------------


def attach_to_folder(parcel: Parcel, folder: Path) -> list[Outcome]:
    target = target_of(f"file:{folder}", Settings(), {})
    return list(attach(parcel, target, environ={}, clock=FakeClock(), timeout_seconds=10.0))


def test_a_folder_gets_everything_and_then_what_changed(parcel: Parcel, tmp_path: Path) -> None:
    shared = tmp_path / "shared"
    shared.mkdir()
    assert {o.did for o in attach_to_folder(parcel, shared)} == {Did.POSTED, Did.ATTACHED}
    there = {p.relative_to(shared / "INC-2847").as_posix(): p.read_bytes()
             for p in shared.rglob("*") if p.is_file()}  # fmt: skip
    assert {name: there[name] for name in there if name != "summary.md"} == {
        file.name: file.content for file in parcel.files
    }
    assert b"## INC-2847: Orders fail with 502" in there["summary.md"]
    (parcel.folder / "report.html").write_text("anew")
    (parcel.folder / "charts" / "errors.svg").unlink()
    anew = parcel_of(parcel.folder, parcel.analysis)
    dids = dict(told(attach_to_folder(anew, shared)))
    assert (dids["report.html"], dids["charts/errors.svg"]) == ("replaced", "removed")
    assert (shared / "INC-2847" / "report.html").read_text() == "anew"
    assert not (shared / "INC-2847" / "charts" / "errors.svg").exists()
    assert {o.did for o in attach_to_folder(anew, shared)} == {Did.UNCHANGED}


def test_a_folder_with_something_else_in_it_is_left_alone(parcel: Parcel, tmp_path: Path) -> None:
    mine = tmp_path / "shared" / "INC-2847" / "summary.md"
    mine.parent.mkdir(parents=True)
    mine.write_text("written by hand\n")
    first = attach_to_folder(parcel, tmp_path / "shared")[0]
    assert first.did is Did.FAILED and "none of ours" in first.why
    assert mine.read_text() == "written by hand\n" and len(list(mine.parent.iterdir())) == 1


@pytest.mark.parametrize(("place", "why"), [("gone", "there is no folder"), (".", "a case itself")])
def test_a_folder_that_will_not_do(parcel: Parcel, tmp_path: Path, place: str, why: str) -> None:
    before = sorted(parcel.folder.rglob("*"))
    first = attach_to_folder(parcel, tmp_path / place)[0]
    assert first.did is Did.FAILED and why in first.why
    assert sorted(parcel.folder.rglob("*")) == before


# --- what is attached ----------------------------------------------------------------------------


def test_a_chart_goes_as_png_where_there_is_one(parcel: Parcel) -> None:
    assert [file.name for file in parcel.files] == [
        "report.md", "report.html", "report.json", "charts/errors.svg", "charts/timeline.png"
    ]  # fmt: skip


def test_a_report_that_is_not_of_this_evidence_is_not_sent(parcel: Parcel) -> None:
    report = parcel.folder / "report.json"
    document = json.loads(report.read_text())
    document["impact"]["failed_requests"] = 1
    report.write_text(json.dumps(document))
    with pytest.raises(BadInput, match="not what the evidence gives") as raised:
        parcel_of(parcel.folder, parcel.analysis)
    assert raised.value.hint == f"incident-rca report {parcel.folder}"
    report.unlink()
    with pytest.raises(BadInput, match="no report to attach"):
        parcel_of(parcel.folder, parcel.analysis)


def test_a_ledger_that_is_damaged_is_not_overwritten(parcel: Parcel) -> None:
    with running_lab("jira") as lab:
        lab.attach(parcel)
        for text in ("{", "[]", '{"attached_schema": 2, "tickets": []}', '{"tickets": [1]}'):
            (parcel.folder / LEDGER).write_text(text)
            with pytest.raises(BadInput, match="cannot be read as what was attached"):
                lab.attach(parcel)
            assert (parcel.folder / LEDGER).read_text() == text
        assert len(lab.posts()) == 1


def test_a_ledger_keeps_tickets_apart(parcel: Parcel) -> None:
    with running_lab("jira") as one, running_lab("jira") as other:
        one.attach(parcel)
        assert other.attach(parcel)[0].did is Did.POSTED
        assert one.attach(parcel)[0].did is Did.UNCHANGED
        text = (parcel.folder / LEDGER).read_text()
        assert not [s for s in (jira_server.TOKEN, jira_server.EMAIL) if s in text]


def test_what_the_environment_lacks_is_named() -> None:
    target = target_of("pagerduty:Q1A2B3C4", Settings(), {"PAGERDUTY_TOKEN": "x"})
    assert target.missing == ("PAGERDUTY_FROM",)
    with pytest.raises(BadSettings, match="needs PAGERDUTY_FROM in the environment"):
        require_variables(target)
    with pytest.raises(BadSettings, match="which Jira"):
        target_of("jira:INC-1", Settings(), {})


def test_pictures_are_optional(parcel: Parcel) -> None:
    add_pictures(parcel.folder)
    (parcel.folder / "report.html").unlink()
    for chart in (parcel.folder / "charts").iterdir():
        chart.unlink()
    names = [file.name for file in parcel_of(parcel.folder, parcel.analysis).files]
    assert names == ["report.md", "report.json"]


def test_a_link_in_a_case_leads_nowhere(parcel: Parcel, tmp_path: Path) -> None:
    secret = tmp_path / "id_ed25519"
    secret.write_text("not for a ticket")
    add_pictures(parcel.folder)
    (parcel.folder / "charts" / "more.png").symlink_to(secret)
    (parcel.folder / "report.html").unlink()
    (parcel.folder / "report.html").symlink_to(secret)
    files = parcel_of(parcel.folder, parcel.analysis).files
    assert files and not [f.name for f in files if b"not for a ticket" in f.content]
    (parcel.folder / "report.md").unlink()
    (parcel.folder / "report.md").symlink_to(secret)
    with pytest.raises(BadInput, match="no report to attach"):
        parcel_of(parcel.folder, parcel.analysis)


def test_without_its_message_slack_is_given_no_file(parcel: Parcel) -> None:
    sent: list[Request] = []
    ticket = slack.SYSTEM.ticket("https://slack.com/api", "#incidents", rehearsing(sent))
    assert isinstance(ticket, TakesFiles)
    with pytest.raises(Refused, match="no message") as raised:
        ticket.attach(parcel.files[0], "")
    assert raised.value.is_of_this and sent == []

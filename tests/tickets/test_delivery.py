"""Over HTTP, for every system: what is posted, updated, and left alone; and whatever goes wrong."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from incident_rca import attaching, pipeline
from incident_rca.attaching import Parcel, parcel_of, rehearse, target_of
from incident_rca.errors import CaseInUse
from incident_rca.one_writer import locked
from incident_rca.tickets import wire
from incident_rca.tickets.delivery import Did, Outcome
from incident_rca.tickets.ledger import LEDGER, read_entry
from incident_rca.tickets.showing import request_as_text
from incident_rca.tickets.wire import Connection, Form, Json, Request, Upload
from tests.tickets import slack_server
from tests.tickets.http_service import Answer, Fault, Heard
from tests.tickets.labs import Lab, running_lab

FILES = ["errors.svg", "report.html", "report.json", "report.md", "timeline.png"]
# Headers that every client of HTTP sends, and that say nothing.
AUTOMATIC = {"Host", "Accept", "Accept-Encoding", "Content-Length"}


def dids(outcomes: list[Outcome]) -> set[Did]:
    return {outcome.did for outcome in outcomes}


def changed(parcel: Parcel) -> Parcel:
    """The same case reported anew: another title, a page that changed, a chart that went."""
    analysis = replace(parcel.analysis, case=replace(parcel.analysis.case, title="Orders fail"))
    (parcel.folder / "report.md").unlink()
    pipeline.write_reports(parcel.folder, analysis)
    (parcel.folder / "report.html").write_text("<!doctype html><title>anew</title>\n")
    (parcel.folder / "charts" / "errors.svg").unlink()
    return parcel_of(parcel.folder, analysis)


def assert_is_there_once(lab: Lab, parcel: Parcel) -> None:
    """The posts and files of this parcel, none of them twice and none of an older one."""
    title = parcel.analysis.case.title
    posts = lab.posts()
    assert len(posts) == (2 if lab.name == "github" else 1)
    assert f"INC-2847: {title}\n" in posts[0] or f"INC-2847: {title}" in posts[0].splitlines()[0]
    assert "supported" in posts[0] and "mark " in posts[0]
    if lab.name == "github":
        assert f"# RCA: {title}" in posts[1] and "Who blocked whom" in posts[1]
    if lab.name in ("jira", "slack"):
        wanted = sorted((file.base_name, file.content) for file in parcel.files)
        assert lab.files() == wanted


# --- what is sent -----------------------------------------------------------------------------


def test_it_is_posted_once_and_then_left_alone(lab: Lab, parcel: Parcel) -> None:
    first = lab.attach(parcel)
    assert dids(first) <= {Did.POSTED, Did.ATTACHED}, first
    assert_is_there_once(lab, parcel)
    if lab.files():
        assert [name for name, _ in lab.files()] == FILES
    lab.service.heard.clear()
    assert dids(lab.attach(parcel)) == {Did.UNCHANGED}
    assert lab.service.heard == []


def test_what_changed_is_put_in_the_place_of_what_was_there(lab: Lab, parcel: Parcel) -> None:
    lab.attach(parcel)
    ids = read_entry(parcel.folder, lab.to, target_of(lab.to, lab.settings, {}).at).posts
    anew = changed(parcel)
    outcomes = lab.attach(anew)
    assert all(outcome.did.is_done for outcome in outcomes)
    assert outcomes[0].did is Did.UPDATED and outcomes[0].id == ids[0].id
    assert_is_there_once(lab, anew)
    assert dids(lab.attach(anew)) == {Did.UNCHANGED}


def test_a_post_that_somebody_deleted_is_made_again(lab: Lab, parcel: Parcel) -> None:
    lab.attach(parcel)
    for held in ("comments", "notes", "messages"):
        getattr(lab.holder, held, {}).clear()
    anew = changed(parcel)
    outcomes = lab.attach(anew)
    assert outcomes[0].did is Did.POSTED
    assert f"INC-2847: {anew.analysis.case.title}" in lab.posts()[0]


def test_a_report_that_became_shorter_takes_its_surplus_posts_away(parcel: Parcel) -> None:
    with running_lab("github") as lab:
        long = parcel.report + "\n## More\n\n" + "word " * 30_000
        files = [f for f in parcel.files if f.name != "report.md"]
        md = next(f for f in parcel.files if f.name == "report.md")
        grown = replace(parcel, files=(replace(md, content=long.encode()), *files))
        assert len(lab.attach(grown)) == 5 == len(lab.posts())
        assert all(len(post) <= 65_536 for post in lab.posts())
        outcomes = lab.attach(parcel)
        assert [outcome.did for outcome in outcomes][2:] == [Did.REMOVED] * 3
        assert_is_there_once(lab, parcel)


def test_a_dry_run_shows_what_a_real_run_sends(lab: Lab, parcel: Parcel) -> None:
    target = target_of(lab.to, lab.settings, {})
    shown, problems = rehearse(parcel, target)
    assert (problems, lab.service.heard) == ([], []) and not (parcel.folder / LEDGER).exists()
    assert target.missing == tuple(lab.environ)
    lab.attach(parcel)
    assert len(shown) == len(lab.service.heard)
    for request, heard in zip(shown, lab.service.heard, strict=True):
        assert request.method == heard.method
        # Where a file goes, only an answer tells.
        assert request.is_bare or request.url == f"{lab.service.url}{heard.path}"
        assert_same_body(request, heard)
        text = request_as_text(request, target.system)
        assert ("Authorization: <made of " in text) == ("Authorization" in heard.headers)
        told = {line.partition(":")[0] for line in text.partition("\n\n")[0].splitlines()[2:]}
        assert told - AUTOMATIC == set(heard.headers) - AUTOMATIC


def assert_same_body(request: Request, heard: Heard) -> None:
    match request.body:
        case Json(document):
            assert heard.document == document
        case Form(fields):
            for name, value in fields.items():
                assert "<" in value or heard.form[name] == value
            assert heard.form.keys() == fields.keys()
        case Upload(file, ""):
            assert heard.body == file.content
        case Upload(file, name):
            assert heard.parts() == [(name, file.base_name, file.content)]


def test_a_case_is_attached_by_one_process_at_a_time(parcel: Parcel) -> None:
    with running_lab("jira") as lab, locked(parcel.folder), pytest.raises(CaseInUse):
        lab.attach(parcel)


# --- what goes wrong --------------------------------------------------------------------------


@pytest.fixture
def short(parcel: Parcel) -> Parcel:
    """The parcel with two of its files, for tests of many runs."""
    kept = [file for file in parcel.files if file.name in ("report.md", "report.html")]
    return replace(parcel, files=tuple(kept))


def moments(lab: Lab, parcel: Parcel) -> list[int]:
    """The number of the first request of each kind of a run, and of the last one."""
    lab.attach(parcel)
    (parcel.folder / LEDGER).unlink()
    kinds = [
        "upload" if one.path.startswith(slack_server.UPLOADS) else f"{one.method} {one.path}"
        for one in lab.service.heard
    ]
    return sorted({kinds.index(kind) for kind in kinds} | {len(kinds) - 1})


MISHAPS = {
    "unheard": Fault("unheard"),
    "unanswered": Fault("unanswered"),
    "halved": Fault("halved"),
    "500": Fault(answer=Answer({"message": "x"}, 500)),
    "503": Fault(answer=Answer(b"<html>busy</html>", 503)),
    "429": Fault(answer=Answer({}, 429, {"Retry-After": "3"})),
    "html": Fault(answer=Answer(b"<html>Log in</html>")),
    "null": Fault(answer=Answer(b"null")),
    "other": Fault(answer=Answer({"id": None, "note": [], "comments": 1, "ok": "yes"})),
    "list": Fault(answer=Answer([7])),
}


@pytest.mark.parametrize("mishap", MISHAPS)
def test_one_mishap_anywhere_doubles_nothing(lab: Lab, short: Parcel, mishap: str) -> None:
    for number in moments(lab, short):
        with running_lab(lab.name) as again:
            fine = Fault("fine")
            again.service.faults += [fine] * number + [MISHAPS[mishap]]
            first = again.attach(short)
            assert not again.service.faults, number
            assert dids(first) <= {Did.POSTED, Did.ATTACHED, Did.FAILED, Did.NOT_SENT}, first
            again.attach(short)
            assert_is_there_once(again, short)
            (short.folder / LEDGER).unlink()


@pytest.mark.parametrize("is_done", [False, True], ids=["before", "after"])
def test_a_process_that_is_killed_anywhere_is_completed(
    lab: Lab, short: Parcel, is_done: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    send = wire.send
    for number in moments(lab, short):
        left = [number]

        def kill(connection: Connection, request: Request, left: list[int] = left) -> Any:
            left[0] -= 1
            if left[0] < 0 and is_done:
                send(connection, request)
            if left[0] < 0:
                raise KeyboardInterrupt
            return send(connection, request)

        with running_lab(lab.name) as again:
            with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
                patched.setattr(attaching, "send", kill)
                again.attach(short)
            outcomes = again.attach(short)
            assert all(outcome.did.is_done for outcome in outcomes), outcomes
            assert_is_there_once(again, short)
            (short.folder / LEDGER).unlink()

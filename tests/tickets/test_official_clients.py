"""The systems' own clients, sent to the same servers: they must ask for what we ask for."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import pytest

from incident_rca.attaching import Parcel, target_of
from incident_rca.report.digest import digest
from incident_rca.sources import http
from incident_rca.sources.tally import Tally
from incident_rca.tickets.delivery import Content, Post
from incident_rca.tickets.wire import Attachment, Connection, send
from tests.tickets import github_server, jira_server, pagerduty_server, slack_server
from tests.tickets.http_service import Heard
from tests.tickets.labs import Lab, running_lab

FILE = Attachment("report.md", "text/markdown", "# RCA: « Orders » fail\n".encode())


def asked(heard: Heard) -> dict[str, Any]:
    """A request as far as the service acts on it: no user agent, boundary or order of keys."""
    body: Any = heard.body
    if heard.body and heard.content_type == "application/json":
        body = heard.document
    elif heard.content_type == "multipart/form-data":
        body = (heard.parts(), heard.header("X-Atlassian-Token"))
    elif heard.path.startswith("/api/") and heard.body:
        body = {k: json.loads(v) if v[:1] in "[{" else v for k, v in heard.form.items()}
    scheme, _, token = heard.header("Authorization").partition(" ")
    # GitHub takes a token of either kind behind either word.
    scheme = "Bearer" if scheme == "token" else scheme
    return {
        "line": f"{heard.method} {heard.path}",
        "query": dict(heard.query),
        "token": (scheme, token),
        "from": heard.header("From"),
        "body": body,
    }


def heard_of(lab: Lab, act: Callable[[], object]) -> list[dict[str, Any]]:
    """What the server heard while `act` ran."""
    lab.service.heard.clear()
    act()
    return [asked(heard) for heard in lab.service.heard]


@contextmanager
def ours(name: str, parcel: Parcel) -> Iterator[tuple[Lab, Any, Post]]:
    """A running system, the ticket in it by our own sender, and the first post for it."""
    with running_lab(name) as lab:
        target = target_of(lab.to, lab.settings, lab.environ)
        system = target.system
        with http.opened(target.at, headers=system.headers(lab.environ)) as site:
            told = (system.variables, system.explain, system.refused)
            sender = partial(send, Connection(site, Tally(lab.clock), *told))
            ticket = system.ticket(target.at, target.ticket, sender)
            content = Content(digest(parcel.analysis), parcel.report, lab.to)
            yield lab, ticket, ticket.posts(content)[0]


def test_jira(parcel: Parcel) -> None:
    from jira import JIRA

    with ours("jira", parcel) as (lab, ticket, post):
        client = JIRA(
            server=lab.service.url,
            basic_auth=(jira_server.EMAIL, jira_server.TOKEN),
            options={"rest_api_version": "3"},
            get_server_info=False,
            max_retries=0,
        )
        key = jira_server.KEY
        # Its types are of version 2, where a body is a text; it hands on what it is given.
        given: Any = post.content
        created = heard_of(lab, lambda: ticket.create(post))
        assert created == heard_of(lab, lambda: client.add_comment(key, given))

        first, second = sorted(lab.holder.comments, key=int)
        comment = client.comment(key, first)
        # It reads the comment again when it has written it.
        updated = heard_of(lab, lambda: ticket.update(first, post))
        assert updated == heard_of(lab, lambda: comment.update(body=given))[:1]
        removed = heard_of(lab, lambda: ticket.remove(first))
        assert [one["line"].replace(first, second) for one in removed] == [
            one["line"] for one in heard_of(lab, client.comment(key, second).delete)
        ]

        attached = heard_of(lab, lambda: ticket.attach(FILE, ""))
        stream: Any = io.BytesIO(FILE.content)
        theirs = heard_of(lab, lambda: client.add_attachment(key, stream, filename=FILE.name))
        assert attached == theirs
        assert list(lab.holder.attachments.values()) == [(FILE.name, FILE.content)] * 2


def test_github(parcel: Parcel) -> None:
    from ghapi import core

    with ours("github", parcel) as (lab, ticket, post):
        owner, repository = github_server.REPOSITORY.split("/")
        make: Any = core.GhApi
        client = make(
            owner, repository, token=github_server.TOKEN, gh_host=lab.service.url, sync=True
        )
        number = int(github_server.NUMBER)
        created = heard_of(lab, lambda: ticket.create(post))
        assert created == heard_of(
            lab, lambda: client.issues.create_comment(number, body=post.content)
        )
        first, second = lab.holder.comments
        updated = heard_of(lab, lambda: ticket.update(first, post))
        assert updated == heard_of(
            lab, lambda: client.issues.update_comment(int(first), body=post.content)
        )
        listed = heard_of(lab, lambda: ticket.find(post))
        assert listed == heard_of(
            lab, lambda: client.issues.list_comments(number, per_page=100, page=1)
        )
        removed = heard_of(lab, lambda: ticket.remove(first))
        theirs = heard_of(lab, lambda: client.issues.delete_comment(int(second)))
        assert [one["line"].replace(first, second) for one in removed] == [theirs[0]["line"]]
        assert lab.holder.comments == {}


def test_pagerduty(parcel: Parcel) -> None:
    from pagerduty import RestApiV2Client

    with ours("pagerduty", parcel) as (lab, ticket, post):
        client = RestApiV2Client(pagerduty_server.TOKEN, default_from=pagerduty_server.USER)
        client._url = lab.service.url  # the public one takes only https
        notes = f"/incidents/{pagerduty_server.INCIDENT}/notes"
        given = {"content": post.content}
        created = heard_of(lab, lambda: ticket.create(post))
        assert created == heard_of(lab, lambda: client.rpost(notes, json=given))
        first, second = lab.holder.notes
        updated = heard_of(lab, lambda: ticket.update(first, post))
        assert updated == heard_of(lab, lambda: client.rput(f"{notes}/{first}", json=given))
        listed = heard_of(lab, lambda: ticket.find(post))
        assert [o["line"] for o in listed] == [
            o["line"] for o in heard_of(lab, lambda: client.rget(notes))
        ]
        ticket.remove(first)
        client.rdelete(f"{notes}/{second}")
        assert lab.holder.notes == {}


# Its upload leaves a socket to the garbage collector.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_slack(parcel: Parcel) -> None:
    from slack_sdk import WebClient

    with ours("slack", parcel) as (lab, ticket, post):
        client = WebClient(slack_server.TOKEN, base_url=f"{lab.service.url}/api/")
        channel = slack_server.CHANNEL
        shown = {"text": post.content["text"], "blocks": post.content["blocks"]}
        created = heard_of(lab, lambda: ticket.create(post))
        assert created == heard_of(
            lab,
            lambda: client.chat_postMessage(
                channel=channel,
                **shown,
                parse="none",
                link_names=False,
                unfurl_links=False,
                unfurl_media=False,
                mrkdwn=False,
            ),
        )
        ts = sorted(lab.holder.messages)[0]
        id = f"{channel}/{ts}"
        updated = heard_of(lab, lambda: ticket.update(id, post))
        assert updated == heard_of(
            lab,
            lambda: client.chat_update(
                channel=channel, ts=ts, **shown, parse="none", link_names=False
            ),
        )

        attached = heard_of(lab, lambda: ticket.attach(FILE, id))
        theirs = heard_of(
            lab,
            lambda: client.files_upload_v2(
                filename=FILE.name,
                content=FILE.content,
                title=FILE.name,
                channel=channel,
                thread_ts=ts,
            ),
        )
        one, other = lab.holder.files
        assert json.loads(json.dumps(attached, default=str).replace(one, other)) == json.loads(
            json.dumps(theirs, default=str)
        )
        assert lab.holder.files[one] == lab.holder.files[other] == (FILE.name, FILE.content, ts)
        listed = heard_of(lab, lambda: ticket.find_attached("x", 1, id, frozenset()))
        assert listed == heard_of(lab, lambda: client.files_list(channel=channel, count=100))
        looked = heard_of(lab, lambda: ticket.find(post))
        assert looked == heard_of(
            lab, lambda: client.conversations_history(channel=channel, limit=200)
        )
        ticket.detach(one)
        client.files_delete(file=other)
        assert lab.holder.files == {}


def test_a_difference_would_be_seen() -> None:
    """The comparison itself: another path, query, token, body or user is another request."""
    heard = Heard("POST", "/api/x", {"a": "b"}, {"Authorization": "Bearer t"}, b"c=d")
    others = (
        Heard("PUT", "/api/x", {"a": "b"}, {"Authorization": "Bearer t"}, b"c=d"),
        Heard("POST", "/api/x", {}, {"Authorization": "Bearer t"}, b"c=d"),
        Heard("POST", "/api/x", {"a": "b"}, {"Authorization": "Bearer u"}, b"c=d"),
        Heard("POST", "/api/x", {"a": "b"}, {"Authorization": "Bearer t"}, b"c=e"),
        Heard("POST", "/api/x", {"a": "b"}, {"Authorization": "Bearer t", "From": "x"}, b"c=d"),
    )
    assert not [other for other in others if asked(other) == asked(heard)]


@pytest.mark.parametrize("secret", [jira_server.TOKEN, github_server.TOKEN, slack_server.TOKEN])
def test_no_address_ever_holds_a_token(secret: str, parcel: Parcel) -> None:
    for name in ("jira", "github", "slack"):
        with running_lab(name) as lab:
            lab.attach(parcel)
            assert not [one for one in lab.service.heard if secret in f"{one.path}{one.query}"]

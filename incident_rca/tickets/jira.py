"""Jira Cloud, REST API v3: a comment in the Atlassian Document Format, and attachments.

"Issue comments" and "Issue attachments" of the API's reference. Text of a document node is never
markup, and a mention is a node of its own: so no text can notify anybody.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from incident_rca.errors import BadSettings
from incident_rca.report.digest import Line, Section
from incident_rca.report.summary import Code
from incident_rca.settings import Settings
from incident_rca.tickets.delivery import Content, Post
from incident_rca.tickets.packing import packed
from incident_rca.tickets.system import System, bad_target, records, said_in
from incident_rca.tickets.wire import Attachment, Json, Request, Sender, Upload

FORM = "jira:INC-2847"
# "The entered text is too long. It exceeds the allowed limit of 32,767 characters." Which of a
# document's characters Jira counts is not said: its whole JSON stays below.
LONGEST_COMMENT = 32_000
COMMENTS_LOOKED_THROUGH = 100
_KEY = re.compile(r"[A-Z][A-Z0-9_]+-[1-9][0-9]*")


@dataclass(frozen=True, slots=True)
class Jira:
    """An issue; `key` is that of a project and a number."""

    url: str
    key: str
    send: Sender

    def posts(self, content: Content) -> tuple[Post, ...]:
        digest = content.digest
        opening = [_heading(digest.title, 2), _paragraph(digest.opening)]

        def document(sections: Sequence[Section], footer: str) -> dict[str, Any]:
            body = [node for section in sections for node in _section(section)]
            nodes = [*opening, *body, {"type": "rule"}, _paragraph((footer,))]
            return {"type": "doc", "version": 1, "content": nodes}

        def size(sections: Sequence[Section]) -> int:
            nodes = document(sections, content.longest_footer)
            return len(json.dumps(nodes, ensure_ascii=False))

        parts = packed(digest.sections, size, LONGEST_COMMENT)
        return content.posts("comment", parts, document)

    def create(self, post: Post) -> str:
        answer = self.send(
            Request(
                what=f"add {post.name}",
                method="POST",
                url=self._of_issue("comment"),
                body=Json({"body": post.content}),
                answer={"id": "<id of the comment>"},
                repeatable=False,
            )
        )
        return str(answer["id"])

    def update(self, id: str, post: Post) -> None:
        self.send(
            Request(
                what=f"update {post.name}",
                method="PUT",
                url=f"{self._of_issue('comment')}/{id}",
                body=Json({"body": post.content}),
            )
        )

    def remove(self, id: str) -> None:
        url = f"{self._of_issue('comment')}/{id}"
        self.send(Request(what=f"delete comment {id}", method="DELETE", url=url))

    def find(self, post: Post) -> str | None:
        query = f"orderBy=-created&maxResults={COMMENTS_LOOKED_THROUGH}"
        url = f"{self._of_issue('comment')}?{query}"
        answer = self.send(
            Request(what="list comments", method="GET", url=url, answer={"comments": []})
        )
        there = records(answer["comments"])
        marked = (c for c in there if post.mark in json.dumps(c.get("body")))
        return next((str(comment["id"]) for comment in marked), None)

    def attach(self, file: Attachment, beside: str) -> str:
        answer = self.send(
            Request(
                what=f"attach {file.name}",
                method="POST",
                url=self._of_issue("attachments"),
                body=Upload(file, "file"),
                headers={"X-Atlassian-Token": "no-check"},
                answer=[{"id": f"<id of {file.name}>"}],
                repeatable=False,
            )
        )
        return str(answer[0]["id"])

    def detach(self, id: str) -> None:
        url = f"{self.url}/rest/api/3/attachment/{id}"
        self.send(Request(what=f"delete attachment {id}", method="DELETE", url=url))

    def find_attached(self, name: str, size: int, beside: str, known: frozenset[str]) -> str | None:
        url = f"{self.url}/rest/api/3/issue/{self.key}?fields=attachment"
        answer = self.send(
            Request(
                what="list attachments",
                method="GET",
                url=url,
                answer={"fields": {"attachment": []}},
            )
        )
        there = records(answer["fields"]["attachment"])
        same = (str(a["id"]) for a in there if (a.get("filename"), a.get("size")) == (name, size))
        return next((id for id in same if id not in known), None)

    def _of_issue(self, what: str) -> str:
        return f"{self.url}/rest/api/3/issue/{self.key}/{what}"


def _heading(text: str, level: int) -> dict[str, Any]:
    return {
        "type": "heading",
        "attrs": {"level": level},
        "content": [{"type": "text", "text": text}],
    }


def _paragraph(line: Line) -> dict[str, Any]:
    return {"type": "paragraph", "content": [_text(run) for run in line]}


def _text(run: str) -> dict[str, Any]:
    marks = {"marks": [{"type": "code"}]} if isinstance(run, Code) else {}
    return {"type": "text", "text": str(run), **marks}


def _section(section: Section) -> list[dict[str, Any]]:
    items = [{"type": "listItem", "content": [_paragraph(line)]} for line in section.lines]
    return [_heading(section.title, 3), {"type": "bulletList", "content": items}]


def _ticket(url: str, target: str, send: Sender) -> Jira:
    if not _KEY.fullmatch(target):
        raise bad_target(FORM, target)
    return Jira(url, target, send)


def _url(settings: Settings, target: str) -> str:
    if not settings.tickets_jira:
        raise BadSettings(
            "which Jira it is in stands nowhere",
            hint='write jira = "https://NAME.atlassian.net" into [tickets] of incident-rca.toml, '
            "or set INCIDENT_RCA_TICKETS_JIRA",
        )
    return settings.tickets_jira


def _headers(given: Mapping[str, str]) -> Mapping[str, str]:
    pair = f"{given['JIRA_EMAIL']}:{given['JIRA_API_TOKEN']}".encode()
    return {"Authorization": f"Basic {base64.b64encode(pair).decode()}"}


def _explain(document: object) -> str:
    """What Jira's ErrorCollection says."""
    return said_in(document, "errorMessages", "errors")


SYSTEM = System(
    name="jira",
    form=FORM,
    url=_url,
    ticket=_ticket,
    variables=("JIRA_EMAIL", "JIRA_API_TOKEN"),
    headers=_headers,
    explain=_explain,
)

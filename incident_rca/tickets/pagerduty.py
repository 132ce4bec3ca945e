"""PagerDuty, REST API v2: notes on an incident. A note is plain text, and takes no files.

"Create a note on an incident": whoever has no token of their own names a user by the header From.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from incident_rca.report.digest import Digest, Section
from incident_rca.settings import Settings
from incident_rca.tickets.delivery import Content, Post
from incident_rca.tickets.packing import packed
from incident_rca.tickets.system import System, bad_target, records, said_in
from incident_rca.tickets.wire import Json, Request, Sender

FORM = "pagerduty:Q1A2B3C4D5E6F7"
# The reference names no limit; a note is read on a phone, so one of ours stays far below any.
LONGEST_NOTE = 10_000
HEADERS = {"Accept": "application/vnd.pagerduty+json;version=2"}
_ID = re.compile(r"[A-Z0-9]{5,20}")


@dataclass(frozen=True, slots=True)
class PagerDuty:
    """An incident, by its id (not its number)."""

    url: str
    incident: str
    send: Sender

    def posts(self, content: Content) -> tuple[Post, ...]:
        room = LONGEST_NOTE - len(content.longest_footer) - 1
        digest = content.digest
        parts = packed(digest.sections, lambda sections: len(_text(digest, sections)), room)
        return content.posts("note", parts, lambda part, end: f"{_text(digest, part)}\n{end}")

    def create(self, post: Post) -> str:
        answer = self.send(
            Request(
                what=f"add {post.name}",
                method="POST",
                url=self._notes(),
                body=Json({"note": {"content": post.content}}),
                headers=HEADERS,
                answer={"note": {"id": "<id of the note>"}},
                repeatable=False,
            )
        )
        return str(answer["note"]["id"])

    def update(self, id: str, post: Post) -> None:
        self.send(
            Request(
                what=f"update {post.name}",
                method="PUT",
                url=f"{self._notes()}/{id}",
                body=Json({"note": {"content": post.content}}),
                headers=HEADERS,
            )
        )

    def remove(self, id: str) -> None:
        url = f"{self._notes()}/{id}"
        self.send(Request(what=f"delete note {id}", method="DELETE", url=url, headers=HEADERS))

    def find(self, post: Post) -> str | None:
        answer = self.send(
            Request(
                what="list notes",
                method="GET",
                url=self._notes(),
                headers=HEADERS,
                answer={"notes": []},
            )
        )
        there = records(answer["notes"])
        marked = (n for n in there if post.mark in str(n.get("content")))
        return next((str(note["id"]) for note in marked), None)

    def _notes(self) -> str:
        return f"{self.url}/incidents/{self.incident}/notes"


def _text(digest: Digest, sections: Sequence[Section]) -> str:
    lines = [digest.title, "".join(digest.opening), ""]
    for section in sections:
        lines += [section.title.upper(), *(f"- {''.join(line)}" for line in section.lines), ""]
    return "\n".join(lines)


def _ticket(url: str, target: str, send: Sender) -> PagerDuty:
    if not _ID.fullmatch(target):
        raise bad_target(FORM, target)
    return PagerDuty(url, target, send)


def _url(settings: Settings, target: str) -> str:
    return settings.tickets_pagerduty


def _headers(given: Mapping[str, str]) -> Mapping[str, str]:
    token = f"Token token={given['PAGERDUTY_TOKEN']}"
    return {"Authorization": token, "From": given["PAGERDUTY_FROM"]}


def _explain(document: object) -> str:
    given = document if isinstance(document, Mapping) else {}
    error = given.get("error")
    named = error if isinstance(error, Mapping) else {"message": error}
    return said_in(named, "message", "errors")


SYSTEM = System(
    name="pagerduty",
    form=FORM,
    url=_url,
    ticket=_ticket,
    variables=("PAGERDUTY_TOKEN", "PAGERDUTY_FROM"),
    headers=_headers,
    explain=_explain,
)

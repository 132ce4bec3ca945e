"""Slack, Web API: a message of rich text, and files in its thread.

Each text of a rich_text block is shown as it is ("Rich text block"): a mention is an element of its
own, so no text can notify anybody. Slack answers 200 with `ok: false` where it refuses.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from incident_rca.redact import plain
from incident_rca.report.digest import Digest, Line, Section
from incident_rca.report.summary import Code
from incident_rca.settings import Settings
from incident_rca.tickets.delivery import Content, Post
from incident_rca.tickets.packing import packed
from incident_rca.tickets.system import System, bad_target, records
from incident_rca.tickets.wire import Attachment, Body, Form, Json, Refused, Request, Sender, Upload

FORM = "slack:#channel"
# Nothing says so, but beyond 13,100 characters of blocks Slack answers msg_blocks_too_long
# (github.com/slackapi/bolt-js/issues/2509): their whole JSON stays below.
LONGEST_BLOCKS = 12_000
MESSAGES_LOOKED_THROUGH = 200
FILES_LOOKED_THROUGH = 100
_CHANNEL = re.compile(r"#[^\s#@<>&,:/]{1,80}|[CGD][A-Z0-9]{8,}")
# Errors that say that what was named is not there, as 404 does elsewhere.
_GONE = ("message_not_found", "file_not_found", "file_deleted")


@dataclass(frozen=True, slots=True)
class Slack:
    """A channel, by its name with # or by its id. A message's id is `CHANNEL/TS`."""

    url: str
    channel: str
    send: Sender

    def posts(self, content: Content) -> tuple[Post, ...]:
        digest = content.digest

        def blocks(sections: Sequence[Section], footer: str) -> list[dict[str, Any]]:
            opening = _paragraphs([(Bold(digest.title),), digest.opening])
            return [opening, *map(_section, sections), _paragraphs([(footer,)])]

        def size(sections: Sequence[Section]) -> int:
            return len(json.dumps(blocks(sections, content.longest_footer), ensure_ascii=False))

        parts = packed(digest.sections, size, LONGEST_BLOCKS)
        notice = _notice(digest)
        return content.posts(
            "message", parts, lambda part, end: {"text": notice, "blocks": blocks(part, end)}
        )

    def create(self, post: Post) -> str:
        quiet = {"unfurl_links": False, "unfurl_media": False, "mrkdwn": False}
        answer = self._call(
            "chat.postMessage",
            f"post {post.name}",
            Json({"channel": self.channel, **post.content, **_UNPARSED, **quiet}),
            answer={"channel": "<id of the channel>", "ts": "<ts of the message>"},
            repeatable=False,
        )
        return f"{answer['channel']}/{answer['ts']}"

    def update(self, id: str, post: Post) -> None:
        channel, _, ts = id.partition("/")
        body = Json({"channel": channel, "ts": ts, **post.content, **_UNPARSED})
        self._call("chat.update", f"update {post.name}", body)

    def remove(self, id: str) -> None:
        channel, _, ts = id.partition("/")
        self._call("chat.delete", f"delete message {id}", Form({"channel": channel, "ts": ts}))

    def find(self, post: Post) -> str | None:
        if self.channel.startswith("#"):
            raise Refused(
                0,
                "no_channel_id",
                f"messages are listed by a channel's id, and {self.channel} is only a name",
            )
        fields = Form({"channel": self.channel, "limit": str(MESSAGES_LOOKED_THROUGH)})
        answer = self._call(
            "conversations.history", "list messages", fields, answer={"messages": []}
        )
        there = records(answer["messages"], "ts")
        marked = (m for m in there if post.mark in json.dumps(m.get("blocks")))
        return next((f"{self.channel}/{message['ts']}" for message in marked), None)

    def attach(self, file: Attachment, beside: str) -> str:
        channel, _, ts = beside.partition("/")
        if not ts:
            why = "there is no message in whose thread it would stand"
            raise Refused(400, "no_message", why, hint="attach again once the message is there")
        length = len(file.content)
        place = self._call(
            "files.getUploadURLExternal",
            f"ask where {file.name} goes",
            Form({"filename": file.base_name, "length": str(length)}),
            answer={
                "upload_url": f"<upload url of {file.name}>",
                "file_id": f"<id of {file.name}>",
            },
        )
        self.send(
            Request(
                what=f"upload {file.name}",
                method="POST",
                url=str(place["upload_url"]),
                body=Upload(file),
                is_bare=True,
            )
        )
        files = json.dumps([{"id": place["file_id"], "title": file.base_name}])
        self._call(
            "files.completeUploadExternal",
            f"share {file.name} in the thread",
            Form({"files": files, "channel_id": channel, "thread_ts": ts}),
            repeatable=False,
        )
        return str(place["file_id"])

    def detach(self, id: str) -> None:
        self._call("files.delete", f"delete file {id}", Form({"file": id}))

    def find_attached(self, name: str, size: int, beside: str, known: frozenset[str]) -> str | None:
        channel = beside.partition("/")[0]
        fields = Form({"channel": channel, "count": str(FILES_LOOKED_THROUGH)})
        answer = self._call("files.list", "list files", fields, answer={"files": []})
        there = records(answer["files"])
        same = (str(f["id"]) for f in there if (f.get("name"), f.get("size")) == (name, size))
        return next((id for id in same if id not in known), None)

    def _call(
        self,
        method: str,
        what: str,
        body: Body,
        *,
        answer: Any = None,
        repeatable: bool = True,
    ) -> Any:
        return self.send(
            Request(
                what=what,
                method="POST",
                url=f"{self.url}/{method}",
                body=body,
                answer={"ok": True, **(answer or {})},
                repeatable=repeatable,
            )
        )


class Bold(str):
    """A run that stands out."""

    __slots__ = ()


# The text beside the blocks is what notifications show: nothing in it becomes a mention or a link.
_UNPARSED = {"parse": "none", "link_names": False}
_HINTS = {
    "not_in_channel": "invite the app to the channel",
    "channel_not_found": "name a channel that the app can see, or invite the app to it",
    "edit_window_closed": "nobody may edit it any more: take its entry out of attached.json",
    "missing_scope": "the app needs chat:write and files:write; to look for what may have arrived, "
    "channels:history and files:read",
}


def _refused(request: Request, document: Any) -> Refused | None:
    """What a method that is not ok says, None for one that is."""
    if not isinstance(document, Mapping) or document.get("ok") is not False:
        return None
    method = request.url.rpartition("/")[2]
    error = plain(str(document.get("error") or "no reason"), 100)
    needed = document.get("needed")
    is_gone = error in _GONE
    is_of_this = error in (
        "msg_blocks_too_long",
        "msg_too_long",
        "file_too_large",
        "invalid_blocks",
    )
    status = 404 if is_gone else 413 if is_of_this else 403
    scope = f" (it needs {plain(needed, 100)})" if isinstance(needed, str) else ""
    hint = _HINTS.get(error, "check SLACK_BOT_TOKEN" if "auth" in error or "token" in error else "")
    return Refused(status, error, f"Slack refuses {method}: {error}{scope}", hint=hint)


def _notice(digest: Digest) -> str:
    """The title, in which & < > are no markup."""
    text = digest.title
    for sign, entity in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;")):
        text = text.replace(sign, entity)
    return text


def _paragraphs(lines: Sequence[Line]) -> dict[str, Any]:
    return {"type": "rich_text", "elements": [_runs(line) for line in lines]}


def _section(section: Section) -> dict[str, Any]:
    items = {
        "type": "rich_text_list",
        "style": "bullet",
        "elements": [_runs(line) for line in section.lines],
    }
    return {"type": "rich_text", "elements": [_runs((Bold(section.title),)), items]}


def _runs(line: Line) -> dict[str, Any]:
    return {"type": "rich_text_section", "elements": [_run(run) for run in line]}


def _run(run: str) -> dict[str, Any]:
    style = "code" if isinstance(run, Code) else "bold" if isinstance(run, Bold) else ""
    return {"type": "text", "text": str(run), **({"style": {style: True}} if style else {})}


def _ticket(url: str, target: str, send: Sender) -> Slack:
    if not _CHANNEL.fullmatch(target):
        raise bad_target(FORM, target)
    return Slack(url, target, send)


def _url(settings: Settings, target: str) -> str:
    return settings.tickets_slack


def _headers(given: Mapping[str, str]) -> Mapping[str, str]:
    return {"Authorization": f"Bearer {given['SLACK_BOT_TOKEN']}"}


SYSTEM = System(
    name="slack",
    form=FORM,
    url=_url,
    ticket=_ticket,
    variables=("SLACK_BOT_TOKEN",),
    headers=_headers,
    refused=_refused,
)

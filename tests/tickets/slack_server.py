"""A channel of Slack as its Web API shows it; refuses what the API refuses, with status 200."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from tests.tickets.http_service import Answer, Heard

TOKEN = "xoxb-17653672481-of-the-app"
CHANNEL, NAME = "C0INCIDENTS", "#incidents"
MOST_BLOCKS = 50
# What was observed, not documented: github.com/slackapi/bolt-js/issues/2509.
LONGEST_BLOCKS = 13_100
UPLOADS = "/upload/v1/"


@dataclass
class Channel:
    """Its messages by ts and the files shared in it; `url` is where the server is.

    `pending` are files that were announced: name, length and what was uploaded of them. `scopes`
    is what the token may do beside chat:write and files:write.
    """

    url: str = ""
    messages: dict[str, dict[str, Any]] = field(default_factory=dict)
    files: dict[str, tuple[str, bytes, str]] = field(default_factory=dict)
    pending: dict[str, tuple[str, int, bytes]] = field(default_factory=dict)
    scopes: set[str] = field(default_factory=lambda: {"channels:history", "files:read"})
    last_id: int = 0

    def answer(self, heard: Heard) -> Answer:
        if heard.path.startswith(UPLOADS):
            return self._upload(heard)
        if heard.header("Authorization") != f"Bearer {TOKEN}":
            return _no("invalid_auth" if heard.header("Authorization") else "not_authed")
        is_json = heard.content_type == "application/json"
        given = heard.document if is_json else heard.form
        methods = {
            "/api/chat.postMessage": self._post,
            "/api/chat.update": self._update,
            "/api/chat.delete": self._delete_message,
            "/api/conversations.history": self._history,
            "/api/files.getUploadURLExternal": self._announce,
            "/api/files.completeUploadExternal": self._complete,
            "/api/files.delete": self._delete_file,
            "/api/files.list": self._list,
        }
        method = methods.get(heard.path)
        return method(given) if method else _no("unknown_method")

    def _post(self, given: Any) -> Answer:
        if given["channel"] not in (NAME, CHANNEL):
            return _no("channel_not_found")
        if wrong := _wrong(given):
            return _no(wrong)
        ts = f"1768489200.{self._new():06d}"
        self.messages[ts] = given
        return _yes(channel=CHANNEL, ts=ts, message={"text": given["text"]})

    def _update(self, given: Any) -> Answer:
        # Only ids of channels will do here.
        if given["channel"] != CHANNEL:
            return _no("channel_not_found")
        if given["ts"] not in self.messages:
            return _no("message_not_found")
        if wrong := _wrong(given):
            return _no(wrong)
        self.messages[given["ts"]] = given
        return _yes(channel=CHANNEL, ts=given["ts"])

    def _delete_message(self, given: Any) -> Answer:
        known = given["channel"] == CHANNEL and self.messages.pop(given["ts"], None)
        return _yes() if known else _no("message_not_found")

    def _history(self, given: Any) -> Answer:
        if "channels:history" not in self.scopes:
            return _no("missing_scope", needed="channels:history", provided="chat:write")
        if given["channel"] != CHANNEL:
            return _no("channel_not_found")
        newest = sorted(self.messages, reverse=True)[: int(given["limit"])]
        return _yes(messages=[{"ts": ts, "blocks": self.messages[ts]["blocks"]} for ts in newest])

    def _announce(self, given: Any) -> Answer:
        id = f"F{self._new():08d}"
        self.pending[id] = (given["filename"], int(given["length"]), b"")
        return _yes(upload_url=f"{self.url}{UPLOADS}{id}", file_id=id)

    def _upload(self, heard: Heard) -> Answer:
        # Whoever has the address may upload; a token has no business there.
        id = heard.path.removeprefix(UPLOADS)
        if heard.header("Authorization") or id not in self.pending:
            return Answer(b"no", 400, {"Content-Type": "text/plain"})
        name, length, _ = self.pending[id]
        if len(heard.body) != length:
            return Answer(b"length mismatch", 400, {"Content-Type": "text/plain"})
        self.pending[id] = (name, length, heard.body)
        return Answer(f"OK - {length}".encode(), 200, {"Content-Type": "text/plain"})

    def _complete(self, given: Any) -> Answer:
        files = given["files"]
        files = json.loads(files) if isinstance(files, str) else files
        if given["channel_id"] != CHANNEL or given["thread_ts"] not in self.messages:
            return _no("channel_not_found")
        for file in files:
            name, length, content = self.pending.pop(file["id"], ("", -1, b""))
            if len(content) != length:
                return _no("file_not_found")
            self.files[file["id"]] = (name, content, given["thread_ts"])
        return _yes(files=[{"id": file["id"]} for file in files])

    def _delete_file(self, given: Any) -> Answer:
        return _yes() if self.files.pop(given["file"], None) else _no("file_not_found")

    def _list(self, given: Any) -> Answer:
        if "files:read" not in self.scopes:
            return _no("missing_scope", needed="files:read", provided="files:write")
        found = [
            {"id": id, "name": name, "size": len(content)}
            for id, (name, content, _) in self.files.items()
        ]
        return _yes(files=found if given["channel"] == CHANNEL else [])

    def _new(self) -> int:
        self.last_id += 1
        return self.last_id


def _wrong(given: Any) -> str:
    blocks = given["blocks"]
    if len(blocks) > MOST_BLOCKS or not all(b["type"] == "rich_text" for b in blocks):
        return "invalid_blocks"
    return (
        "msg_blocks_too_long"
        if len(json.dumps(blocks, ensure_ascii=False)) > LONGEST_BLOCKS
        else ""
    )


def _yes(**more: Any) -> Answer:
    return Answer({"ok": True, **more})


def _no(error: str, **more: Any) -> Answer:
    return Answer({"ok": False, "error": error, **more})

"""An issue of Jira Cloud as its REST API v3 shows it; refuses what the API refuses."""

from __future__ import annotations

import base64
import json
import re
from dataclasses import dataclass, field
from typing import Any

from tests.tickets.http_service import Answer, Heard

EMAIL, TOKEN = "ann@example.com", "ATATT3xFfGF0-of-ann"
KEY = "INC-2847"
LONGEST_TEXT = 32_767
_API = "/rest/api/3"
# Which nodes may stand in which, of those that a comment of ours may have (the ADF schema).
_INSIDE = {
    "doc": {"heading", "paragraph", "bulletList", "rule"},
    "heading": {"text"},
    "paragraph": {"text"},
    "bulletList": {"listItem"},
    "listItem": {"paragraph", "bulletList"},
}


@dataclass
class Issue:
    """What the issue holds; `largest_file` is the site's limit of attachments, in bytes."""

    comments: dict[str, Any] = field(default_factory=dict)
    attachments: dict[str, tuple[str, bytes]] = field(default_factory=dict)
    largest_file: int = 10_000_000
    last_id: int = 10_000

    def answer(self, heard: Heard) -> Answer:
        pair = base64.b64encode(f"{EMAIL}:{TOKEN}".encode()).decode()
        if heard.header("Authorization") != f"Basic {pair}":
            return Answer({"message": "Client must be authenticated to access this resource."}, 401)
        path = heard.path.removeprefix(_API)
        if attached := re.fullmatch(r"/attachment/(\d+)", path):
            return self._delete(heard, self.attachments, attached[1])
        if not path.startswith(f"/issue/{KEY}"):
            text = "Issue does not exist or you do not have permission to see it."
            return Answer({"errorMessages": [text], "errors": {}}, 404)
        match heard.method, path.removeprefix(f"/issue/{KEY}").split("/"):
            case "GET", [""]:
                files = [self._file(id) for id in self.attachments]
                return Answer({"fields": {"attachment": files}})
            case "POST", ["", "attachments"]:
                return self._attach(heard)
            case "GET", ["", "comment"]:
                newest = sorted(self.comments, key=int, reverse=True)
                most = int(heard.query.get("maxResults", "50"))
                shown = [self._shown(heard, id) for id in newest[:most]]
                return Answer({"comments": shown, "total": len(newest)})
            case "POST", ["", "comment"]:
                return self._comment(heard, self._new_id(), 201)
            case "GET", ["", "comment", id] if id in self.comments:
                return Answer(self._shown(heard, id))
            case "PUT", ["", "comment", id] if id in self.comments:
                return self._comment(heard, id, 200)
            case "DELETE", ["", "comment", id]:
                return self._delete(heard, self.comments, id)
        return Answer({"errorMessages": ["Can not find a comment for the id."], "errors": {}}, 404)

    def texts(self, id: str) -> str:
        """Every text of a comment in order."""
        return "".join(adf_texts(self.comments[id]))

    def _comment(self, heard: Heard, id: str, status: int) -> Answer:
        if heard.content_type != "application/json":
            return Answer({"errorMessages": ["Unsupported Media Type"]}, 415)
        body = heard.document["body"]
        if wrong := invalid_adf(body):
            errors = {"comment": f"Comment body is not valid! {wrong}"}
            return Answer({"errorMessages": ["INVALID_INPUT"], "errors": errors}, 400)
        if len(json.dumps(body, ensure_ascii=False)) > LONGEST_TEXT:
            text = "It exceeds the allowed limit of 32,767 characters."
            errors = {"comment": f"The entered text is too long. {text}"}
            return Answer({"errorMessages": [], "errors": errors}, 400)
        self.comments[id] = body
        return Answer(self._shown(heard, id), status)

    def _shown(self, heard: Heard, id: str) -> dict[str, Any]:
        url = f"http://{heard.header('Host')}{_API}/issue/{KEY}/comment/{id}"
        return {"self": url, "id": id, "body": self.comments[id]}

    def _attach(self, heard: Heard) -> Answer:
        if heard.header("X-Atlassian-Token") != "no-check":
            return Answer(b"XSRF check failed", 403, {"Content-Type": "text/plain"})
        if heard.content_type != "multipart/form-data":
            return Answer({"errorMessages": ["Unsupported Media Type"]}, 415)
        added = []
        for name, file_name, content in heard.parts():
            if name != "file" or not file_name:
                continue
            if len(content) > self.largest_file:
                text = f"The file {file_name} exceeds its maximum permitted size"
                return Answer({"errorMessages": [text], "errors": {}}, 413)
            id = self._new_id()
            self.attachments[id] = (file_name, content)
            added.append(self._file(id))
        return Answer(added)

    def _file(self, id: str) -> dict[str, Any]:
        name, content = self.attachments[id]
        return {"id": id, "filename": name, "size": len(content)}

    def _delete(self, heard: Heard, held: dict[str, Any], id: str) -> Answer:
        if heard.method != "DELETE" or held.pop(id, None) is None:
            return Answer({"errorMessages": [f"{id} is not there"], "errors": {}}, 404)
        return Answer(status=204)

    def _new_id(self) -> str:
        self.last_id += 1
        return str(self.last_id)


def invalid_adf(node: Any) -> str:
    """What is wrong with a document, "" for nothing."""
    if node.get("type") != "doc" or node.get("version") != 1:
        return "no document of version 1"
    return _invalid_inside(node)


def _invalid_inside(node: Any) -> str:
    kind = node["type"]
    if kind == "heading" and node.get("attrs", {}).get("level") not in range(1, 7):
        return "a heading of no level"
    if kind == "text":
        marks = [mark["type"] for mark in node.get("marks", [])]
        fine = isinstance(node["text"], str) and node["text"] and set(marks) <= {"code", "strong"}
        return "" if fine else "a bad text"
    inside = node.get("content", [])
    if kind in ("bulletList", "listItem", "doc") and not inside:
        return f"an empty {kind}"
    if bad := [child["type"] for child in inside if child["type"] not in _INSIDE.get(kind, ())]:
        return f"{bad[0]} in {kind}"
    return next(filter(None, map(_invalid_inside, inside)), "")


def adf_texts(node: Any) -> list[str]:
    """Every text of a document in order, with a line end behind each node above them."""
    if node["type"] == "text":
        return [node["text"]]
    return [text for child in node.get("content", []) for text in adf_texts(child)] + ["\n"]

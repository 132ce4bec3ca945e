"""The notes of an incident as PagerDuty's REST API v2 shows them."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

from tests.tickets.http_service import Answer, Heard

TOKEN, USER = "u+PagerDutyTokenOfAnn", "ann@example.com"
INCIDENT = "Q1A2B3C4D5E6F7"


@dataclass
class Incident:
    """Its notes by id."""

    notes: dict[str, str] = field(default_factory=dict)
    last_id: int = 0

    def answer(self, heard: Heard) -> Answer:
        if heard.header("Authorization") != f"Token token={TOKEN}":
            return Answer({"error": "Unauthorized"}, 401)
        if heard.header("Accept") != "application/vnd.pagerduty+json;version=2":
            return _error(400, "Invalid Input Provided", "Accept header is required")
        if heard.method in ("POST", "PUT") and heard.header("From") != USER:
            return _error(400, "Invalid Input Provided", "From header is required")
        found = re.fullmatch(rf"/incidents/{INCIDENT}/notes(?:/(\w+))?", heard.path)
        if found is None or (found[1] and found[1] not in self.notes):
            return _error(404, "Not Found")
        match heard.method, found[1]:
            case "GET", None:
                return Answer({"notes": [self._note(id) for id in self.notes]})
            case "POST", None:
                self.last_id += 1
                return self._write(heard, f"PNOTE{self.last_id}", 201)
            case "PUT", str(id):
                return self._write(heard, id, 200)
            case "DELETE", str(id):
                del self.notes[id]
                return Answer(status=204)
        return _error(404, "Not Found")

    def _write(self, heard: Heard, id: str, status: int) -> Answer:
        content = heard.document.get("note", {}).get("content")
        if not isinstance(content, str) or not content.strip():
            return _error(400, "Invalid Input Provided", "Content can't be blank")
        self.notes[id] = content
        return Answer({"note": self._note(id)}, status)

    def _note(self, id: str) -> dict[str, Any]:
        return {"id": id, "content": self.notes[id], "user": {"summary": "Ann"}}


def _error(status: int, message: str, *errors: str) -> Answer:
    return Answer({"error": {"code": 2000 + status, "message": message, "errors": errors}}, status)

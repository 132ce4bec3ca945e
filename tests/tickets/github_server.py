"""The comments of an issue as GitHub's REST API shows them; refuses what the API refuses."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

from tests.tickets.http_service import Answer, Heard

TOKEN = "github_pat_11ABCDEFG0of_ann_and_nobody_else"
REPOSITORY, NUMBER = "acme/shop", "12"
LONGEST_BODY = 65_536


@dataclass
class Issue:
    """Its comments by id, the oldest first."""

    comments: dict[str, str] = field(default_factory=dict)
    last_id: int = 2_000_000_000

    def answer(self, heard: Heard) -> Answer:
        if not heard.header("User-Agent"):
            return Answer(b"Request forbidden by administrative rules.", 403)
        if heard.header("Authorization") not in (f"Bearer {TOKEN}", f"token {TOKEN}"):
            return Answer({"message": "Bad credentials", "status": "401"}, 401)
        of_issue = f"/repos/{REPOSITORY}/issues/{NUMBER}/comments"
        if heard.path == of_issue and heard.method == "GET":
            size, page = (int(heard.query.get(k, d)) for k, d in (("per_page", 30), ("page", 1)))
            shown = list(self.comments)[(page - 1) * size : page * size]
            return Answer([self._comment(id) for id in shown])
        if heard.path == of_issue and heard.method == "POST":
            self.last_id += 1
            return self._write(heard, str(self.last_id), 201)
        one = re.fullmatch(rf"/repos/{REPOSITORY}/issues/comments/(\d+)", heard.path)
        if one is None or one[1] not in self.comments:
            return Answer({"message": "Not Found", "status": "404"}, 404)
        if heard.method == "PATCH":
            return self._write(heard, one[1], 200)
        if heard.method == "DELETE":
            del self.comments[one[1]]
            return Answer(status=204)
        return Answer({"message": "Not Found"}, 404)

    def _write(self, heard: Heard, id: str, status: int) -> Answer:
        body = heard.document.get("body")
        if not isinstance(body, str) or not body or len(body) > LONGEST_BODY:
            wrong = f"body is too long (maximum is {LONGEST_BODY} characters)"
            errors = [{"resource": "IssueComment", "code": "unprocessable", "message": wrong}]
            return Answer({"message": "Validation Failed", "errors": errors}, 422)
        self.comments[id] = body
        return Answer(self._comment(id), status)

    def _comment(self, id: str) -> dict[str, Any]:
        return {"id": int(id), "body": self.comments[id], "user": {"login": "ann"}}

"""GitHub issues: the digest and then report.md itself, as comments in GitHub's Markdown.

"REST API endpoints for issue comments". GitHub has no API that attaches a file to an issue, and a
secret gist can be read by whoever has its address: so the report, which is text, is posted, and the
page and the charts stay with the case.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from incident_rca.report.digest import Section
from incident_rca.settings import Settings
from incident_rca.tickets import markdown
from incident_rca.tickets.delivery import Content, Post
from incident_rca.tickets.packing import markdown_parts, packed, without_charts
from incident_rca.tickets.system import System, bad_target, records, said_in
from incident_rca.tickets.wire import Json, Request, Sender

FORM = "github:owner/repo#12"
# "body is too long (maximum is 65536 characters)"; some room for signs that may count as two.
LONGEST_COMMENT = 65_000
COMMENTS_A_PAGE = 100
MOST_PAGES = 50
HEADERS = {"Accept": "application/vnd.github+json", "X-GitHub-Api-Version": "2022-11-28"}
_TARGET = re.compile(r"([A-Za-z0-9][A-Za-z0-9-]*)/(?!\.\.?#)([A-Za-z0-9._-]+)#([1-9][0-9]*)")


@dataclass(frozen=True, slots=True)
class GitHub:
    """An issue or pull request; `path` is `/repos/OWNER/REPO`."""

    url: str
    path: str
    number: str
    send: Sender

    def posts(self, content: Content) -> tuple[Post, ...]:
        digest = content.digest
        room = LONGEST_COMMENT - len(markdown.footed("", content.longest_footer))

        def size(sections: Sequence[Section]) -> int:
            return len(markdown.told(digest, sections))

        told = [markdown.told(digest, part) for part in packed(digest.sections, size, room)]
        report = markdown_parts(without_charts(content.report), room)
        return content.posts("comment", [*told, *report], markdown.footed)

    def create(self, post: Post) -> str:
        answer = self.send(
            Request(
                what=f"add {post.name}",
                method="POST",
                url=f"{self.url}{self.path}/issues/{self.number}/comments",
                body=Json({"body": post.content}),
                headers=HEADERS,
                answer={"id": "<id of the comment>"},
                repeatable=False,
            )
        )
        return str(answer["id"])

    def update(self, id: str, post: Post) -> None:
        self.send(
            Request(
                what=f"update {post.name}",
                method="PATCH",
                url=self._comment(id),
                body=Json({"body": post.content}),
                headers=HEADERS,
            )
        )

    def remove(self, id: str) -> None:
        what = f"delete comment {id}"
        self.send(Request(what=what, method="DELETE", url=self._comment(id), headers=HEADERS))

    def find(self, post: Post) -> str | None:
        for page in range(1, MOST_PAGES + 1):
            query = f"per_page={COMMENTS_A_PAGE}&page={page}"
            url = f"{self.url}{self.path}/issues/{self.number}/comments?{query}"
            comments = self.send(
                Request(what="list comments", method="GET", url=url, headers=HEADERS, answer=[])
            )
            for comment in records(comments):
                if post.mark in str(comment.get("body")):
                    return str(comment["id"])
            if len(comments) < COMMENTS_A_PAGE:
                return None
        return None

    def _comment(self, id: str) -> str:
        return f"{self.url}{self.path}/issues/comments/{id}"


def _ticket(url: str, target: str, send: Sender) -> GitHub:
    found = _TARGET.fullmatch(target)
    if found is None:
        raise bad_target(FORM, target)
    owner, repository, number = found.groups()
    return GitHub(url, f"/repos/{owner}/{repository}", number, send)


def _url(settings: Settings, target: str) -> str:
    return settings.tickets_github


def _headers(given: Mapping[str, str]) -> Mapping[str, str]:
    return {"Authorization": f"Bearer {given['GITHUB_TOKEN']}"}


def _explain(document: object) -> str:
    return said_in(document, "message", "errors")


SYSTEM = System(
    name="github",
    form=FORM,
    url=_url,
    ticket=_ticket,
    variables=("GITHUB_TOKEN",),
    headers=_headers,
    explain=_explain,
)

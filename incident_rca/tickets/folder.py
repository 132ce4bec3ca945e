"""A folder that people share: the digest as summary.md and the files, in a folder for the case."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

from incident_rca.case import MANIFEST
from incident_rca.settings import Settings
from incident_rca.sources.http import Failed
from incident_rca.tickets import markdown
from incident_rca.tickets.delivery import Content, Post
from incident_rca.tickets.system import System, bad_target
from incident_rca.tickets.wire import Attachment, Refused, Request, Sender, Text, Upload, encoded

FORM = "file:FOLDER"
SUMMARY = "summary.md"
_NOT_IN_NAMES = re.compile(r"[^\w.-]+|^\.+")


@dataclass(frozen=True, slots=True)
class Folder:
    """A folder; what is in it of a case has its path below it as id."""

    folder: str
    send: Sender

    def posts(self, content: Content) -> tuple[Post, ...]:
        digest = content.digest
        text = markdown.told(digest, digest.sections)
        name = f"{_NOT_IN_NAMES.sub('_', digest.case) or 'case'}/{SUMMARY}"
        footer = content.footer(1, 1)
        document = {"name": name, "text": markdown.footed(text, footer)}
        return (Post(SUMMARY, content.mark(1), document),)

    def create(self, post: Post) -> str:
        there = self._read(post)
        if there is not None and post.mark not in there:
            raise Refused(
                409,
                "not_ours",
                f"{self.folder}/{post.content['name']} is there already, and is none of ours",
                hint="name another folder, or move it away",
            )
        return self._write(post)

    def update(self, id: str, post: Post) -> None:
        self._write(post)

    def remove(self, id: str) -> None:
        self.send(Request(what=f"delete {id}", method="delete", url=f"{self.folder}/{id}"))

    def find(self, post: Post) -> str | None:
        there = self._read(post)
        return str(post.content["name"]) if there and post.mark in there else None

    def attach(self, file: Attachment, beside: str) -> str:
        id = f"{beside.rpartition('/')[0]}/{file.name}"
        url = f"{self.folder}/{id}"
        self.send(Request(what=f"write {id}", method="write", url=url, body=Upload(file)))
        return id

    def detach(self, id: str) -> None:
        self.remove(id)

    def find_attached(self, name: str, size: int, beside: str, known: frozenset[str]) -> str | None:
        """None: what is written again is in the place of what was there."""
        return None

    def _read(self, post: Post) -> str | None:
        name = post.content["name"]
        request = Request(what=f"read {name}", method="read", url=f"{self.folder}/{name}")
        text: str | None = self.send(request)
        return text

    def _write(self, post: Post) -> str:
        name, text = str(post.content["name"]), str(post.content["text"])
        url = f"{self.folder}/{name}"
        self.send(Request(what=f"write {post.name}", method="write", url=url, body=Text(text)))
        return name


def on_disk(request: Request) -> str | None:
    """Does what a request asks for in a file; the text of one that was read."""
    path = Path(request.url)
    try:
        match request.method, request.body:
            case "read", _:
                return _read(path)
            case "delete", _:
                path.unlink(missing_ok=True)
            case "write", body:
                _write(path, encoded(body)[1])
    except OSError as error:
        why = error.strerror or str(error)
        raise Failed("disk", f"{path}: {why}", hint="check path and rights") from error
    return None


def _read(path: Path) -> str | None:
    """The text of a summary, None where there is none; raises OSError where none may be."""
    place = path.parent
    if not place.parent.is_dir():
        raise FileNotFoundError(0, f"there is no folder {place.parent}")
    if (place / MANIFEST).exists():
        raise FileExistsError(0, f"{place} is a case itself")
    return path.read_text(encoding="utf-8", errors="replace") if path.exists() else None


def _write(path: Path, content: bytes) -> None:
    """Writes a file in one step, and the folders that it needs."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    beside.write_bytes(content)
    beside.replace(path)


def _ticket(url: str, target: str, send: Sender) -> Folder:
    return Folder(url, send)


def _place(settings: Settings, target: str) -> str:
    """Where the folder is from wherever it is named."""
    if not target:
        raise bad_target(FORM, target)
    return str(Path(target).expanduser().absolute())


SYSTEM = System(name="file", form=FORM, url=_place, ticket=_ticket, sender=on_disk)

"""Posts and files to one ticket: what is new is added, what changed replaced, the rest left alone.

Each step is noted in the case before and after it is taken, so a run that was cut off anywhere is
completed by the next one, and nothing is posted twice.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import partial
from typing import Any, Protocol, TypeVar, runtime_checkable

import msgspec

from incident_rca.errors import IncidentRcaError
from incident_rca.report.digest import Digest
from incident_rca.tickets.ledger import Entry, Sent, with_file, with_post
from incident_rca.tickets.wire import Attachment, Refused, Unsure

MARK_DIGITS = 12
Part = TypeVar("Part")


@dataclass(frozen=True, slots=True)
class Post:
    """A post in the system's own markup; `mark` stands in it and tells it from any other."""

    name: str
    mark: str
    content: Any

    @property
    def sha256(self) -> str:
        return hashlib.sha256(msgspec.json.encode(self.content, order="sorted")).hexdigest()


@dataclass(frozen=True, slots=True)
class Content:
    """What is told of a case: its digest, its whole report as text, and the marks of its posts."""

    digest: Digest
    report: str
    to: str

    def mark(self, number: int) -> str:
        """Twelve hex digits, the same for the same post of the same case on any machine."""
        text = f"{self.digest.case}\n{self.to}\n{number}"
        return hashlib.sha256(text.encode()).hexdigest()[:MARK_DIGITS]

    def footer(self, number: int, total: int) -> str:
        """The last line of a post: who wrote it, of what, and its mark."""
        part = f", part {number} of {total}" if total > 1 else ""
        who = f"incident-rca {self.digest.tool_version}, case {self.digest.case}"
        return f"{who}{part}, mark {self.mark(number)}"

    @property
    def longest_footer(self) -> str:
        """One that no footer is longer than."""
        return self.footer(999, 999)

    def posts(
        self, kind: str, parts: Sequence[Part], told: Callable[[Part, str], Any]
    ) -> tuple[Post, ...]:
        """A post for each part: `told` makes its content of the part and of its footer."""
        total = len(parts)
        return tuple(
            Post(
                f"{kind} {number} of {total}",
                self.mark(number),
                told(part, self.footer(number, total)),
            )
            for number, part in enumerate(parts, 1)
        )


class Ticket(Protocol):
    """Where a case goes to. Each method sends at once; all raise Refused, Unsure and Failed."""

    def posts(self, content: Content) -> tuple[Post, ...]:
        """The posts that tell the content, each within the limits of the system."""

    def create(self, post: Post) -> str:
        """Adds a post; its id."""

    def update(self, id: str, post: Post) -> None:
        """Puts a post in the place of one that is there."""

    def remove(self, id: str) -> None:
        """Takes a post away."""

    def find(self, post: Post) -> str | None:
        """The id of the post with the mark of this one, None where there is none."""


@runtime_checkable
class TakesFiles(Protocol):
    """What a ticket that files can be attached to has beside that."""

    def attach(self, file: Attachment, beside: str) -> str:
        """Adds a file, beside the post of that id; its own id."""

    def detach(self, id: str) -> None:
        """Takes a file away."""

    def find_attached(self, name: str, size: int, beside: str, known: frozenset[str]) -> str | None:
        """The id of a file of that name and size in bytes that is none of those known."""


class Did(StrEnum):
    """What became of a post or file."""

    POSTED = "posted"
    ATTACHED = "attached"
    UPDATED = "updated"
    REPLACED = "replaced"
    UNCHANGED = "unchanged"
    REMOVED = "removed"
    FAILED = "failed"
    UNKNOWN = "unknown"
    NOT_SENT = "not sent"

    @property
    def is_done(self) -> bool:
        return self not in (Did.FAILED, Did.UNKNOWN, Did.NOT_SENT)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one thing; `why` and `hint` where it did not get there."""

    what: str
    did: Did
    id: str = ""
    why: str = ""
    hint: str = ""


@dataclass(slots=True)
class Delivery:
    """One run to one ticket. `entry` is what the ticket has; `keep` notes each change of it.

    `pause` waits before it is looked for what may have arrived. With `resends` nothing is looked
    for: it is sent again.
    """

    ticket: Ticket
    entry: Entry
    keep: Callable[[Entry], None]
    pause: Callable[[], None]
    resends: bool = False

    def run(self, posts: Sequence[Post], files: Sequence[Attachment]) -> Iterator[Outcome]:
        """Each outcome as soon as it is there; after an error of the whole ticket none is sent."""
        is_over = False
        for what, step in self._steps(posts, files):
            if is_over:
                yield Outcome(what, Did.NOT_SENT)
                continue
            try:
                yield step(what)
            except Unsure as error:
                yield Outcome(what, Did.UNKNOWN, why=error.message, hint=error.hint)
                is_over = True
            except IncidentRcaError as error:
                yield Outcome(what, Did.FAILED, why=error.message, hint=error.hint)
                is_over = not (isinstance(error, Refused) and error.is_of_this)

    def _steps(
        self, posts: Sequence[Post], files: Sequence[Attachment]
    ) -> Iterator[tuple[str, Callable[[str], Outcome]]]:
        for number, post in enumerate(posts):
            yield post.name, partial(self._post, number, post)
        # The last one first, so that those before keep their places.
        for number in range(len(self.entry.posts) - 1, len(posts) - 1, -1):
            yield f"surplus post {number + 1}", self._remove_last
        there = self.ticket
        if not isinstance(there, TakesFiles):
            return
        for file in files:
            yield file.name, partial(self._file, there, file)
        for name in sorted(set(self.entry.files) - {file.name for file in files}):
            yield name, partial(self._drop, there, name)
        for id in self.entry.stale:
            yield f"older file {id}", partial(self._remove_stale, there, id)

    # --- posts --------------------------------------------------------------------------------

    def _post(self, number: int, post: Post, what: str) -> Outcome:
        before = self.entry.posts[number] if number < len(self.entry.posts) else None
        if before is not None and not before.id and not self.resends:
            # It may have arrived in an earlier run, perhaps with another content.
            found = _looked_for(lambda: self.ticket.find(post))
            before = Sent(found, "") if found else None
        if before is not None and before.id:
            if before.sha256 == post.sha256:
                return Outcome(what, Did.UNCHANGED, before.id)
            try:
                self.ticket.update(before.id, post)
            except Refused as error:
                if not error.is_gone:
                    raise
            else:
                self._note(with_post(self.entry, number, Sent(before.id, post.sha256)))
                return Outcome(what, Did.UPDATED, before.id)
        as_before = self.entry
        self._note(with_post(self.entry, number, Sent("", post.sha256)))
        id = self._once(as_before, lambda: self.ticket.create(post), lambda: self.ticket.find(post))
        self._note(with_post(self.entry, number, Sent(id, post.sha256)))
        return Outcome(what, Did.POSTED, id)

    def _remove_last(self, what: str) -> Outcome:
        id = self.entry.posts[-1].id
        self._unless_gone(self.ticket.remove, id)
        self._note(replace(self.entry, posts=self.entry.posts[:-1]))
        return Outcome(what, Did.REMOVED, id)

    # --- files --------------------------------------------------------------------------------

    def _file(self, there: TakesFiles, file: Attachment, what: str) -> Outcome:
        before = self.entry.files.get(file.name)
        beside = self.entry.posts[0].id if self.entry.posts else ""

        def find(size: int) -> str | None:
            return there.find_attached(file.base_name, size, beside, self.entry.file_ids)

        if before is not None and not before.id and not self.resends:
            # It may have arrived in an earlier run, perhaps with another content.
            found = _looked_for(partial(find, before.size))
            before = replace(before, id=found) if found else None
            if before is not None:
                self._note(with_file(self.entry, file.name, before))
        if before is not None and before.id and before.sha256 == file.sha256:
            return Outcome(what, Did.UNCHANGED, before.id)
        as_before = self.entry
        sent = Sent("", file.sha256, len(file.content))
        self._note(with_file(self.entry, file.name, sent))
        id = self._once(as_before, lambda: there.attach(file, beside), partial(find, sent.size))
        self._note(with_file(self.entry, file.name, replace(sent, id=id)))
        return Outcome(what, Did.REPLACED if before is not None and before.id else Did.ATTACHED, id)

    def _drop(self, there: TakesFiles, name: str, what: str) -> Outcome:
        id = self.entry.files[name].id
        self._unless_gone(there.detach, id)
        left = {n: sent for n, sent in self.entry.files.items() if n != name}
        self._note(replace(self.entry, files=left))
        return Outcome(what, Did.REMOVED, id)

    def _remove_stale(self, there: TakesFiles, id: str, what: str) -> Outcome:
        if not all(sent.id for sent in self.entry.files.values()):
            return Outcome(what, Did.NOT_SENT, id, why="what takes its place may not be there")
        self._unless_gone(there.detach, id)
        self._note(replace(self.entry, stale=tuple(i for i in self.entry.stale if i != id)))
        return Outcome(what, Did.REMOVED, id)

    # --- both ---------------------------------------------------------------------------------

    def _once(
        self, as_before: Entry, send: Callable[[], str], find: Callable[[], str | None]
    ) -> str:
        """The id of what is sent; where the answer was lost it is looked for, and sent once more.

        What was surely not sent is not noted as perhaps sent.
        """
        try:
            return send()
        except Unsure:
            found = _looked_for(find, self.pause)
            return found if found is not None else self._again(as_before, send)
        except IncidentRcaError:
            self._note(as_before)
            raise

    def _again(self, as_before: Entry, send: Callable[[], str]) -> str:
        try:
            return send()
        except IncidentRcaError as error:
            if not isinstance(error, Unsure):
                self._note(as_before)
            raise

    def _unless_gone(self, remove: Callable[[str], None], id: str) -> None:
        try:
            if id:
                remove(id)
        except Refused as error:
            if not error.is_gone:
                raise

    def _note(self, entry: Entry) -> None:
        self.entry = entry
        self.keep(entry)


def _looked_for(
    find: Callable[[], str | None], pause: Callable[[], None] = lambda: None
) -> str | None:
    """What is found after a pause; raises Unsure where it cannot be looked for."""
    try:
        pause()
        return find()
    except IncidentRcaError as error:
        hint = "look yourself; if it is not there, attach again with --resend"
        raise Unsure(
            f"it may be there already, and that cannot be seen: {error.message}",
            hint=f"{error.hint}; or {hint}" if error.hint else hint,
        ) from error

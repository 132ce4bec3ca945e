"""What a case has sent to which ticket, kept in the case: the ids that a later run updates."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import msgspec

from incident_rca import case as case_folder
from incident_rca.errors import BadInput
from incident_rca.json_text import decode

LEDGER = "attached.json"
LEDGER_SCHEMA = 1


@dataclass(frozen=True, slots=True)
class Sent:
    """What was sent, and its id there; no id while nobody knows whether it arrived.

    `size` is that of a file in bytes.
    """

    id: str
    sha256: str
    size: int = 0


@dataclass(frozen=True, slots=True)
class Entry:
    """What one ticket has of this case: posts in order, files by name, ids of files to remove."""

    to: str
    at: str
    posts: tuple[Sent, ...] = ()
    files: Mapping[str, Sent] = field(default_factory=dict, hash=False)
    stale: tuple[str, ...] = ()

    @property
    def file_ids(self) -> frozenset[str]:
        """The ids of all files there that are ours."""
        return frozenset((*(sent.id for sent in self.files.values()), *self.stale))


def read_entry(folder: Path, to: str, at: str) -> Entry:
    """What the case has sent to a ticket, an empty entry for nothing yet; raises BadInput."""
    known = (entry for entry in _read(folder) if (entry.to, entry.at) == (to, at))
    return next(known, Entry(to, at))


def write_entry(folder: Path, entry: Entry) -> None:
    """Puts the entry into the case in place of the one for the same ticket, in one step.

    Where nothing is noted any more, no file is left.
    """
    tickets = [e for e in _read(folder) if (e.to, e.at) != (entry.to, entry.at)]
    tickets += [entry] if entry.posts or entry.files or entry.stale else []
    tickets.sort(key=lambda e: (e.to, e.at))
    if not tickets:
        (folder / LEDGER).unlink(missing_ok=True)
        return
    document = {"attached_schema": LEDGER_SCHEMA, "tickets": msgspec.to_builtins(tickets)}
    text = json.dumps(document, indent=2, ensure_ascii=False) + "\n"
    case_folder.write_text(folder / LEDGER, text)


def with_post(entry: Entry, number: int, sent: Sent) -> Entry:
    """The entry with that post, the next one or one that it has."""
    return replace(entry, posts=(*entry.posts[:number], sent, *entry.posts[number + 1 :]))


def with_file(entry: Entry, name: str, sent: Sent) -> Entry:
    """The entry with that file; one of another id that it takes the place of is to be removed."""
    before = entry.files.get(name, Sent("", ""))
    stale = tuple(id for id in (*entry.stale, before.id) if id not in ("", sent.id))
    return replace(entry, files={**entry.files, name: sent}, stale=stale)


def _read(folder: Path) -> list[Entry]:
    path = folder / LEDGER
    if not path.is_file():
        return []
    try:
        document = decode(path.read_bytes())
        schema = msgspec.convert(document["attached_schema"], int)
        if schema != LEDGER_SCHEMA:
            raise ValueError(f"its schema is {schema}, not {LEDGER_SCHEMA}")
        return msgspec.convert(document["tickets"], list[Entry])
    except (KeyError, TypeError, ValueError) as error:
        raise BadInput(
            f"{path}: cannot be read as what was attached ({error})",
            hint="restore it; without it a new post is made beside the one that is there",
        ) from error

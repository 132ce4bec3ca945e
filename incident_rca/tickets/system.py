"""What a ticket system is to `attach`: how a ticket is named, what it needs, how it is reached."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from incident_rca.errors import BadSettings
from incident_rca.settings import Settings
from incident_rca.tickets.delivery import Ticket
from incident_rca.tickets.wire import Refused, Request, Sender


@dataclass(frozen=True, slots=True)
class System:
    """One ticket system. `form` shows how a target is written, `url` says where its API is.

    `variables` of the environment hold what proves who we are; `headers` makes it of them. The
    system of no variables is reached without the network, by a sender of its own.
    """

    name: str
    form: str
    url: Callable[[Settings, str], str]
    ticket: Callable[[str, str, Sender], Ticket]
    variables: tuple[str, ...] = ()
    headers: Callable[[Mapping[str, str]], Mapping[str, str]] = lambda given: {}
    explain: Callable[[object], str] = lambda document: ""
    refused: Callable[[Request, Any], Refused | None] = lambda request, document: None
    sender: Sender | None = None


def bad_target(form: str, target: str) -> BadSettings:
    """The error of a target that is not written as it must be."""
    name = form.partition(":")[0]
    return BadSettings(f"`{name}:{target}` names no ticket", hint=f"write it as {form}")


def texts_of(value: object) -> list[str]:
    """Every text in a part of an error's document, in order: what a service says of it."""
    if isinstance(value, str):
        return [value]
    if isinstance(value, Mapping):
        return [f"{key}: {text}" for key, inner in value.items() for text in texts_of(inner)]
    if isinstance(value, list):
        return [text for inner in value for text in texts_of(inner)]
    return []


def said_in(document: object, *keys: str) -> str:
    """What a service says of an error under these keys of its document, as one line."""
    given = document if isinstance(document, Mapping) else {}
    return "; ".join(texts_of([given.get(key) for key in keys]))


def records(listed: list[Any], id: str = "id") -> list[Mapping[str, Any]]:
    """What an answer lists, as far as each has an id."""
    return [item for item in listed if isinstance(item, Mapping) and item.get(id)]

"""A request as a person reads it before it is sent, and as JSON; no secret stands in either."""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Mapping
from typing import Any

from incident_rca.redact import plain
from incident_rca.tickets.delivery import Outcome
from incident_rca.tickets.system import System
from incident_rca.tickets.wire import USER_AGENT, Form, Json, Request, Text, Upload, encoded

LONGEST_ANSWER = 600


def request_as_text(request: Request, system: System) -> str:
    """What it does, its first line, its headers and its body; of a file its name and hash."""
    lines = [f"# {request.what}", f"{request.method} {request.url}"]
    lines += [f"{name}: {value}" for name, value in _headers(request, system).items()]
    return "\n".join([*lines, "", *_body_as_text(request)])


def request_as_json(request: Request, system: System) -> dict[str, Any]:
    """The same for another program."""
    return {
        "what": request.what,
        "method": request.method,
        "url": request.url,
        "headers": dict(_headers(request, system)),
        "body": _body_as_json(request),
    }


def outcome_as_text(outcome: Outcome) -> str:
    """`posted     comment 1 of 1  10042`, and why where it did not get there."""
    line = f"{outcome.did.value:<9}  {plain(outcome.what, 120)}"
    line += f"  {plain(outcome.id, 120)}" if outcome.id else ""
    line += f": {plain(outcome.why, LONGEST_ANSWER)}" if outcome.why else ""
    return line + (f"\n           hint: {plain(outcome.hint, 300)}" if outcome.hint else "")


def outcome_as_json(outcome: Outcome) -> dict[str, Any]:
    """The same for another program; what is empty is null."""
    return {
        "what": outcome.what,
        "did": outcome.did.value,
        "id": outcome.id or None,
        "why": plain(outcome.why, LONGEST_ANSWER) or None,
        "hint": outcome.hint or None,
    }


def _headers(request: Request, system: System) -> Mapping[str, str]:
    """Each header; for those that prove who we are, what they are made of."""
    if system.sender is not None:
        return {}
    content_type, _ = encoded(request.body)
    made_of = f"<made of {', '.join(system.variables)}>"
    secret = system.headers(dict.fromkeys(system.variables, ""))
    return {
        **({} if request.is_bare else dict.fromkeys(secret, made_of)),
        "User-Agent": USER_AGENT,
        **request.headers,
        # The boundary of a multipart body is another one each time.
        **({"Content-Type": content_type.partition("; boundary")[0]} if request.body else {}),
    }


def _body_as_text(request: Request) -> list[str]:
    match request.body:
        case Json(document):
            return [_printable(json.dumps(document, indent=2, ensure_ascii=False)), ""]
        case Form(fields):
            return [*(f"{name} = {_printable(value)}" for name, value in fields.items()), ""]
        case Text(text):
            return [_printable(text)]
        case Upload(file, name):
            where = f"in the field {name!r} of a form" if name else "as it is"
            size = f"{len(file.content):,} bytes, SHA-256 {file.sha256}"
            return [f"{file.name}, {file.media_type}, {size}, {where}", ""]
        case None:
            return []


def _body_as_json(request: Request) -> Any:
    match request.body:
        case Json(document):
            return document
        case Form(fields):
            return dict(fields)
        case Text(text):
            return text
        case Upload(file, name):
            return {
                "file": file.name,
                "media_type": file.media_type,
                "bytes": len(file.content),
                "sha256": file.sha256,
                "field": name or None,
            }
        case None:
            return None


def _printable(text: str) -> str:
    """The text with what a terminal would act on, or nobody would see, as its code."""
    return re.sub(r"[^\n]", lambda found: _coded(found[0]), text)


def _coded(sign: str) -> str:
    is_hidden = unicodedata.category(sign) in ("Cc", "Cf", "Cs")
    return f"\\u{ord(sign):04x}" if is_hidden else sign

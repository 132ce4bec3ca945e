"""Settings -> the text of an incident-rca.toml that says the same; pure."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import fields

from incident_rca.model import Basis, Route, Service
from incident_rca.model.services import GatewayStage
from incident_rca.redact import is_invisible, plain
from incident_rca.settings import SCALARS, Settings
from incident_rca.settings_services import SECTIONS

Notes = Mapping[tuple[str, str], Sequence[str]]

LONGEST_LINE = 98
# Editors break a line there, which a basic string may not hold as it looks.
_LINE_ENDS = "\u2028\u2029"
_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")
# What the fields of a service or route are called differently in the file.
_NOT_KEYS = frozenset({"name", "basis"})


def to_toml(settings: Settings, *, head: Sequence[str] = (), notes: Notes | None = None) -> str:
    """The text that `load_settings` reads back as equal settings; defaults are left out.

    `head` are comments at the top. `notes` are comments above the key of a table, such as
    `("services.stock", "pool_size")` or `("routes.GET /items", "calls")`, with the key "" above the
    table itself.
    """
    known = notes or {}
    blocks = [
        list(_comments(head)),
        *_scalars(settings),
        *_asked(settings),
        _clocks(settings),
        *(_service(service, known) for service in settings.topology.services),
        *(_route(route, known) for route in settings.topology.routes),
    ]
    return "\n\n".join("\n".join(block) for block in blocks if block) + "\n"


def assignment(key: str, value: object) -> str:
    """One `key = value`.

    >>> print(assignment("grpc", ("a.B/C",)), assignment("pool", {"used": 'a"b'}))
    grpc = ["a.B/C"] pool = { used = "a\\"b" }
    """
    return f"{_key(key)} = {_value(value)}"


def comment(text: str) -> Iterator[str]:
    """A text of any kind as lines that are comments, none of them too long to read.

    Nothing invisible is left of it: a mark that turns the direction would show another line.

    >>> list(comment("one\\nline"))
    ['# one line']
    """
    line = "#"
    for word in plain(text, limit=len(text) + 1).split(" "):
        if len(line) + 1 + len(word) > LONGEST_LINE and line != "#":
            yield line
            line = "#  "
        line += f" {word}"
    yield line.rstrip()


def _comments(texts: Iterable[str]) -> Iterator[str]:
    for text in texts:
        yield from comment(text)


def _scalars(settings: Settings) -> Iterator[list[str]]:
    """The lines of each table of single values that are not the defaults."""
    tables: dict[tuple[str, ...], list[str]] = {(): []}
    default = Settings()
    for name, (place, _) in SCALARS.items():
        value = getattr(settings, name)
        if value != getattr(default, name):
            tables.setdefault(place[:-1], []).append(assignment(place[-1], value))
    for table, lines in tables.items():
        yield [f"[{'.'.join(table)}]", *lines] if table else lines


def _asked(settings: Settings) -> Iterator[list[str]]:
    for section in SECTIONS:
        for service in getattr(settings.services, section):
            lines = [f"[[{section}]]"]
            for field in fields(service):
                value = getattr(service, field.name)
                if field.name == "headers":
                    value = {header: f"${variable}" for header, variable in value.items()}
                # An empty value is that of a key which is not there.
                if value and value != field.default:
                    lines.append(assignment(field.name, value))
            yield lines


def _clocks(settings: Settings) -> list[str]:
    assumed = Settings().clock_offset_seconds
    lines = [
        assignment(clock, list(bounds))
        for clock, bounds in settings.clock_offset_seconds.items()
        if bounds != assumed.get(clock)
    ]
    return ["[clock_offset_seconds]", *lines] if lines else []


def _service(service: Service, notes: Notes) -> list[str]:
    table = f"services.{service.name}"
    return [
        *_comments(notes.get((table, ""), ())),
        f"[services.{_key(service.name)}]",
        *_keys(service, table, notes),
    ]


def _route(route: Route, notes: Notes) -> list[str]:
    table = f"routes.{route.name}"
    return [*_comments(notes.get((table, ""), ())), "[[routes]]", *_keys(route, table, notes)]


def _keys(part: Service | Route, table: str, notes: Notes) -> Iterator[str]:
    if part.basis is Basis.INFERRED:
        yield assignment("inferred", True)
    for field in fields(part):
        value = getattr(part, field.name)
        if field.name not in _NOT_KEYS and value not in ((), None):
            yield from _comments(notes.get((table, field.name), ()))
            yield assignment(field.name, value)


def _key(name: str) -> str:
    return name if _BARE_KEY.fullmatch(name) else _string(name)


def _string(text: str) -> str:
    """A basic string: TOML's escapes are JSON's, and DEL besides (TOML 1.0, "String").

    What cannot be seen is escaped too: it reads back as it is, and shows itself in an editor.
    """
    quoted = json.dumps(text, ensure_ascii=False)
    return "".join(
        f"\\U{ord(sign):08x}" if is_invisible(sign) or sign in _LINE_ENDS else sign
        for sign in quoted
    )


def _value(value: object) -> str:
    match value:
        case bool():
            return "true" if value else "false"
        case str():
            return _string(value)
        case int() | float():
            return repr(value)
        case GatewayStage():
            return _string(value.text)
        case Mapping():
            pairs = ", ".join(assignment(str(key), item) for key, item in value.items())
            return f"{{ {pairs} }}"
        case list() | tuple():
            return f"[{', '.join(_value(item) for item in value)}]"
        case _:
            raise TypeError(f"settings hold no {type(value).__name__}")

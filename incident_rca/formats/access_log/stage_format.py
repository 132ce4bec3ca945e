"""A stage's access-log format string -> what reads its lines: the template, turned round.

The format of a stage is any text of one line over `$context.*` (`accessLogSettings.format` of
`get_stage`). A JSON one gives each variable the key that its user chose. Any other one, and one
that is no valid JSON itself, becomes a regular expression: the text between the variables is
literal, and a value ends where the next literal text begins.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from incident_rca.formats.access_log.variables import VALUE_PATTERNS, VARIABLES, lacks_of
from incident_rca.json_text import decode

_VARIABLE = re.compile(r"\$context\.([A-Za-z]\w*(?:\.[A-Za-z]\w*)*)|\$\{context\.([\w.]+)\}")
_MARK = re.compile("\ue000(\\d+)\ue001")
_XML = re.compile(r"\s*<[A-Za-z_]")


@dataclass(frozen=True, slots=True, kw_only=True)
class LineFormat:
    """How the lines of one stage are read.

    `kind` is `json`, `clf`, `csv`, `xml` or `text`. `keys` has, for each variable of `$context`
    (without that prefix) that can be read, its key in the JSON (nested keys joined by dots), or the
    name of its group in `pattern`. `paths` has a JSON's keys one by one. `pattern` matches a whole
    line, and `groups` names its groups; of a JSON format they are for the lines that are no valid
    JSON. `lacks` says what the format cannot tell. `text` is the format itself.
    """

    kind: str
    keys: Mapping[str, str] = field(hash=False)
    paths: Mapping[str, tuple[str, ...]] = field(hash=False)
    pattern: re.Pattern[str] | None
    groups: Mapping[str, str] = field(hash=False)
    lacks: tuple[str, ...]
    text: str = ""


def compile_format(text: str) -> LineFormat:
    r"""The reader of the lines that a stage writes with this format string.

    Raises ValueError where the text names no variable of `$context`.

    >>> compile_format('{"s": $context.status, "i": {"e": "$context.integration.error"}}').keys
    mappingproxy({'status': 's', 'integration.error': 'i.e'})
    >>> clf = compile_format('$context.identity.sourceIp [$context.requestTime] $context.status')
    >>> clf.kind, clf.pattern.match('::1 [15/Jan/2026:14:10:00 +0000] 502')[clf.keys['status']]
    ('clf', '502')
    """
    text = text.strip()
    pieces = list(_pieces(text))
    if not any(name for _, name in pieces):
        raise ValueError("the format names no variable of $context")
    pattern, groups = _pattern(pieces, _separator(text))
    paths = _json_paths(pieces) if text.startswith("{") else {}
    wanted = {name for _, name in pieces} & {*VARIABLES}
    is_json = bool(paths) and wanted <= paths.keys()
    keys = _joined(paths) if is_json else groups
    return LineFormat(
        kind="json" if is_json else _kind_of(text),
        keys=MappingProxyType(keys),
        paths=MappingProxyType(paths if is_json else {}),
        pattern=pattern,
        groups=MappingProxyType(groups),
        lacks=lacks_of(frozenset(keys)),
        text=text,
    )


def json_format(paths: Mapping[str, tuple[str, ...]]) -> LineFormat:
    """The reader of JSON lines with these keys, where no format string is known."""
    return LineFormat(
        kind="json",
        keys=MappingProxyType(_joined(paths)),
        paths=MappingProxyType(dict(paths)),
        pattern=None,
        groups=MappingProxyType({}),
        lacks=lacks_of(frozenset(paths)),
    )


def _joined(paths: Mapping[str, tuple[str, ...]]) -> dict[str, str]:
    return {name: ".".join(path) for name, path in paths.items()}


def _pieces(text: str) -> Iterator[tuple[str, str]]:
    """Each variable with the literal text before it; the last piece has no variable."""
    at = 0
    for found in _VARIABLE.finditer(text):
        yield text[at : found.start()], found[1] or found[2]
        at = found.end()
    yield text[at:], ""


def _kind_of(text: str) -> str:
    if text.startswith("{"):
        return "text"
    if _XML.match(text):
        return "xml"
    if _separator(text):
        return "csv"
    return "clf" if "[$context.requestTime]" in text else "text"


def _separator(text: str) -> str:
    """The comma of a format that is nothing but variables between commas."""
    bare = _VARIABLE.sub("", text)
    return "," if "," in bare and not bare.replace(",", "").replace('"', "").strip() else ""


# --- formats that are JSON ------------------------------------------------------------------------


def _json_paths(pieces: list[tuple[str, str]]) -> dict[str, tuple[str, ...]]:
    """The keys of the variables that are a value of their own; empty where it is no JSON."""
    template, inside = "", False
    for position, (literal, name) in enumerate(pieces):
        template += literal
        inside = _ends_inside(literal, inside)
        if name:
            mark = f"\ue000{position}\ue001"
            template += mark if inside else f'"{mark}"'
    try:
        document = decode(template.encode())
    except ValueError:
        return {}
    found: dict[str, tuple[str, ...]] = {}
    for path, value in _leaves(document, ()):
        if mark_found := _MARK.fullmatch(value.strip(' "')):
            found.setdefault(pieces[int(mark_found[1])][1], path)
    return found


def _ends_inside(literal: str, inside: bool) -> bool:
    """Whether a JSON text stands inside of a string behind this much more of it."""
    escaped = False
    for character in literal:
        if character == '"' and not escaped:
            inside = not inside
        escaped = character == "\\" and not escaped
    return inside


def _leaves(value: Any, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], str]]:
    """The texts of a document with their keys; what stands in arrays has none."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _leaves(inner, (*path, key))
    elif isinstance(value, str):
        yield path, value


# --- formats that are any text --------------------------------------------------------------------


def _pattern(
    pieces: list[tuple[str, str]], separator: str
) -> tuple[re.Pattern[str], dict[str, str]]:
    """A pattern of the whole line and the group of each variable.

    A value is taken up to the first place where the next literal stands, and given back never
    (possessive), so a line that does not fit fails in linear time. The last value alone runs to the
    literal at the line's end. Where variables touch, those of a known form can be read; from the
    first other one on, they are one value of nobody.
    """
    groups: dict[str, str] = {}
    parts: list[str] = []
    is_blurred = False
    for position, (literal, name) in enumerate(pieces):
        parts.append(re.escape(literal))
        if not name:
            continue
        following, is_last = pieces[position + 1][0], position + 2 == len(pieces)
        touches = not following and not is_last
        is_blurred = is_blurred and not literal
        is_blurred = is_blurred or (touches and name not in VALUE_PATTERNS)
        if is_blurred and touches:
            continue
        value = _value("" if is_blurred else name, following, separator, is_last)
        if is_blurred or name in groups or name not in VARIABLES:
            parts.append(value)
            continue
        groups[name] = f"v{position}"
        parts.append(f"(?P<v{position}>{value})")
    return re.compile("".join(parts), re.DOTALL), groups


def _value(name: str, following: str, separator: str, is_last: bool) -> str:
    if name in VALUE_PATTERNS:
        return f"(?>{VALUE_PATTERNS[name]})"
    if separator:
        return r"[^,\"]*+" if following.startswith('"') else "[^,]*+"
    return ".*" if is_last else f"(?:(?!{re.escape(following)}).)*+"

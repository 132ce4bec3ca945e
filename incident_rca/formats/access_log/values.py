"""One line of an access log and its format -> the values of the variables, or nothing."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from incident_rca.formats.access_log.stage_format import LineFormat
from incident_rca.formats.lines import decode, object_of

# A longer line is not searched for what may be wrong with its JSON.
LONGEST_REPAIR = 64 * 1024
LONGEST_VALUE = 16 * 1024
DEEPEST = 20
_KEY = re.compile(r'\s{0,9}"([^"\\]{1,200})"\s{0,9}:\s{0,9}')
_STRING_END = re.compile(r'"(?=\s{0,9}(?:,\s{0,9}"[^"\\]{1,200}"\s{0,9}:|\}\s{0,9}(?:[,}]|\Z)))')
_BARE = re.compile(r'[^\s,{}"\[\]]{1,80}')
_NEXT = re.compile(r"\s{0,9}([,}])")


def values_of(line_format: LineFormat, line: bytes) -> dict[str, str] | None:
    """The values by variable of `$context`; absent ones are left out. None: not of this format.

    A JSON line that is no valid JSON is read by the format's pattern, or repaired.
    """
    if line_format.kind == "json":
        document = object_of(line)
        if document is None and (values := _by_pattern(line_format, line)) is not None:
            return values
        document = document or repaired_object(line)
        return None if document is None else _at_paths(line_format, document)
    return _by_pattern(line_format, line)


def _by_pattern(line_format: LineFormat, line: bytes) -> dict[str, str] | None:
    if line_format.pattern is None:
        return None
    found = line_format.pattern.fullmatch(line.decode("utf-8", "replace").strip())
    if found is None:
        return None
    return {name: found[group].strip(' "') for name, group in line_format.groups.items()}


def _at_paths(line_format: LineFormat, document: Mapping[str, Any]) -> dict[str, str]:
    values = {}
    for name, path in line_format.paths.items():
        value: Any = document
        for key in path:
            value = value.get(key) if isinstance(value, dict) else None
        if isinstance(value, str | int | float) and not isinstance(value, bool):
            values[name] = str(value)[:LONGEST_VALUE]
    return values


def repaired_object(line: bytes) -> Mapping[str, Any] | None:
    r"""The object of a line that is no valid JSON because values were put into it as they were.

    Known from real logs: a number's place that is `-`, quotation marks within a text
    (`$context.error.messageString` brings its own). A text ends at the quotation mark that a key or
    the object's end follows. None where the line is anything else.

    >>> repaired_object(b'{"a": -, "m": " "Endpoint request timed out"", "z": 1}')
    {'a': '-', 'm': ' "Endpoint request timed out"', 'z': '1'}
    >>> repaired_object(b'{"a": 1') is None
    True
    """
    text = line.decode("utf-8", "replace").strip()
    if len(text) > LONGEST_REPAIR or not text.startswith("{"):
        return None
    try:
        found, end = _object(text, 1, 0)
    except ValueError:
        return None
    return found if end == len(text) else None


def _object(text: str, at: int, depth: int) -> tuple[dict[str, Any], int]:
    """The object whose first key begins at `at`, and where it ends; raises ValueError."""
    if depth > DEEPEST:
        raise ValueError("too deep")
    found: dict[str, Any] = {}
    while True:
        key = _KEY.match(text, at)
        if key is None:
            raise ValueError("no key")
        found[key[1]], at = _value(text, key.end(), depth)
        following = _NEXT.match(text, at)
        if following is None:
            raise ValueError("no end of a value")
        at = following.end()
        if following[1] == "}":
            return found, at


def _value(text: str, at: int, depth: int) -> tuple[Any, int]:
    start = text[at : at + 1]
    if start == "{":
        return _object(text, at + 1, depth + 1)
    if start == '"':
        end = _STRING_END.search(text, at + 1)
        if end is None:
            raise ValueError("no end of a text")
        return _unescaped(text[at + 1 : end.start()]), end.end()
    bare = _BARE.match(text, at)
    if bare is None:
        raise ValueError("no value")
    return bare[0], bare.end()


def _unescaped(text: str) -> str:
    try:
        value = decode(f'"{text}"'.encode())
    except ValueError:
        return text
    return value if isinstance(value, str) else text

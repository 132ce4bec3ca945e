"""One line of an access log and its format -> the values of the variables, or nothing."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from functools import cache
from typing import Any

from incident_rca.formats.access_log.stage_format import LineFormat
from incident_rca.formats.lines import object_of
from incident_rca.json_text import decode

# A longer line is not searched for what may be wrong with its JSON.
LONGEST_REPAIR = 64 * 1024
LONGEST_VALUE = 16 * 1024
DEEPEST = 20
_KEY = re.compile(r'\s{0,9}"([^"\\]{1,200})"\s{0,9}:\s{0,9}')
_STRING_END = re.compile(r'"(?=\s{0,9}(?:,\s{0,9}"[^"\\]{1,200}"\s{0,9}:|\}\s{0,9}(?:[,}]|\Z)))')
_BARE = re.compile(r'[^\s,{}"\[\]]{1,80}')
_NEXT = re.compile(r"\s{0,9}([,}])")
# What may stand between a key and its colon.
_GAPS = (b"\t", b"\r", b'" ')
# An object that begins elsewhere than as the value of a key, with what stands before and its key.
_BEGIN = re.compile(r'([^\s:])\s{0,9}\{\s{0,9}"([^"\\]{1,200})"\s{0,9}:')


def values_of(line_format: LineFormat, line: bytes) -> dict[str, str] | None:
    """The values by variable of `$context`; absent ones are left out. None: not of this format.

    A JSON line that is no valid JSON is read by the format's pattern, or repaired. Where a key
    stands twice its first value counts: so DuckDB and Athena read it, and they cannot do otherwise.
    """
    if line_format.kind != "json":
        return _by_pattern(line_format, line)
    document = object_of(line)
    if document is not None:
        return _at_paths(line_format, _with_first_values(line_format, line, document))
    if not _is_joined(_text_of(line)) and (values := _by_pattern(line_format, line)) is not None:
        return values
    document = repaired_object(line)
    return None if document is None else _at_paths(line_format, document)


def _by_pattern(line_format: LineFormat, line: bytes) -> dict[str, str] | None:
    if line_format.pattern is None:
        return None
    found = line_format.pattern.fullmatch(_text_of(line))
    if found is None:
        return None
    return {name: found[group].strip(' "') for name, group in line_format.groups.items()}


def _text_of(line: bytes) -> str:
    return line.decode("utf-8", "replace").strip()


@cache
def _quoted_keys(line_format: LineFormat) -> tuple[bytes, ...]:
    keys = {key for path in line_format.paths.values() for key in path}
    return tuple(f'"{key}"'.encode() for key in keys)


def _with_first_values(
    line_format: LineFormat, line: bytes, document: Mapping[str, Any]
) -> Mapping[str, Any]:
    """The object of a line in which the first value of each key counts; in `document` the last."""
    # Of most lines it is seen at once that they have as many keys as were kept.
    if line.count(b'":') == len(document) and not any(gap in line for gap in _GAPS):
        return document
    is_once = all(line.count(key) <= 1 for key in _quoted_keys(line_format))
    if is_once and b"\\u" not in line:
        return document
    try:
        found = json.loads(_text_of(line), object_pairs_hook=_firsts, parse_int=str)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _firsts(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    return dict(reversed(pairs))


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
    the object's end follows. None where the line is anything else, two objects too: the second's
    values would be taken for those of the first.

    >>> repaired_object(b'{"a": -, "m": " "Endpoint request timed out"", "z": 1}')
    {'a': '-', 'm': ' "Endpoint request timed out"', 'z': '1'}
    >>> repaired_object(b'{"a": 1') is None
    True
    >>> repaired_object(b'{"a": "1"}{"a": "2"}') is None
    True
    """
    text = _text_of(line)
    if len(text) > LONGEST_REPAIR or not text.startswith("{") or _is_joined(text):
        return None
    try:
        found, end = _object(text, 1, 0)
    except ValueError:
        return None
    return found if end == len(text) else None


def _is_joined(text: str) -> bool:
    """Whether an object begins behind the end of another, or as the first one did.

    So it is where files without a last line end were put together, or a writer was stopped.
    """
    first = _KEY.match(text, 1)
    return first is not None and any(
        found[1] == "}" or found[2] == first[1] for found in _BEGIN.finditer(text, 1)
    )


def _object(text: str, at: int, depth: int) -> tuple[dict[str, Any], int]:
    """The object whose first key begins at `at`, and where it ends; raises ValueError."""
    if depth > DEEPEST:
        raise ValueError("too deep")
    found: dict[str, Any] = {}
    while True:
        key = _KEY.match(text, at)
        if key is None:
            raise ValueError("no key")
        value, at = _value(text, key.end(), depth)
        found.setdefault(key[1], value)
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

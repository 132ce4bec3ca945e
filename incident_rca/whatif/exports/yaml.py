"""Nested settings as block YAML: keys, strings, numbers and truth values, nothing else."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import TypeAlias

Value: TypeAlias = "str | int | float | bool | Mapping[str, Value] | Sequence[Value]"

# What a parser reads as a string in any case; all else is quoted.
_PLAIN = re.compile(r"[A-Za-z][A-Za-z0-9_./-]*")
_RESERVED = frozenset({"true", "false", "yes", "no", "on", "off", "null", "y", "n"})


def block(settings: Mapping[str, Value]) -> str:
    """The settings as a YAML document, without its marker."""
    return "\n".join(_lines(settings)) + "\n"


def _lines(settings: Mapping[str, Value]) -> Iterator[str]:
    for key, value in settings.items():
        if isinstance(value, Mapping):
            yield f"{_scalar(key)}:"
            yield from (f"  {line}" for line in _lines(value))
        elif isinstance(value, Sequence) and not isinstance(value, str):
            yield f"{_scalar(key)}:"
            for item in value:
                yield from (f"  {line}" for line in _item(item))
        else:
            yield f"{_scalar(key)}: {_scalar(value)}"


def _item(value: Value) -> Iterator[str]:
    if not isinstance(value, Mapping):
        yield f"- {_scalar(value)}"
        return
    first, *others = _lines(value)
    yield f"- {first}"
    yield from (f"  {line}" for line in others)


def _scalar(value: Value) -> str:
    if isinstance(value, str):
        is_plain = _PLAIN.fullmatch(value) and value.casefold() not in _RESERVED
        return value if is_plain else json.dumps(value, ensure_ascii=False)
    return json.dumps(value)

"""Loads the query files of `queries/` by name, with what their headers say."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from types import MappingProxyType

from incident_rca.packaged import packaged_path

_COMMENT = re.compile(r"\s*(?:--|#) ?(?P<text>.*)")
_ENTRY = re.compile(r"(?P<key>[a-z_]+):\s*(?P<value>.*)")
_NEXT_ENTRY = re.compile(r"\s{2,}(?=[a-z_]+:\s)")


@dataclass(frozen=True, slots=True)
class Query:
    """A query file: `text` is the whole file, as an engineer may paste it."""

    name: str
    text: str
    headers: Mapping[str, str]


def parse_headers(text: str) -> Mapping[str, str]:
    """The `key: value` entries of the comment lines that `text` starts with.

    Two entries on one line stand at least two spaces apart. A comment line without a key continues
    the entry above it; an empty one ends the header.

    >>> dict(parse_headers("-- title: Lock waits\\n-- source: postgres   timeout: 3s\\nSELECT 1"))
    {'title': 'Lock waits', 'source': 'postgres', 'timeout': '3s'}
    """
    headers: dict[str, str] = {}
    key = ""
    for line in text.splitlines():
        comment = _COMMENT.fullmatch(line)
        if comment is None or not comment["text"].strip():
            break
        for part in _NEXT_ENTRY.split(comment["text"].strip()):
            entry = _ENTRY.fullmatch(part)
            if entry is not None:
                key = entry["key"]
                headers[key] = entry["value"].strip()
            elif key:
                headers[key] = f"{headers[key]} {part}".strip()
    return MappingProxyType(headers)


@cache
def load_query(name: str) -> Query:
    """The query in the file `queries/NAME`, such as `duckdb/access_log_gateway.sql`.

    A name without a file is a mistake in this program and raises LookupError.
    """
    path = packaged_path("queries", *name.split("/"))
    if not path.is_file():
        raise LookupError(f"not a query file: queries/{name}")
    text = path.read_text(encoding="utf-8")
    return Query(name=name, text=text, headers=parse_headers(text))

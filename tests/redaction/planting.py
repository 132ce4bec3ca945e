"""Secrets put into one place after the other of a raw file, and all texts that come out of it."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from random import Random
from typing import Any

from incident_rca.model import Case
from incident_rca.tables import SCHEMAS, TABLE_NAMES, Tables
from tests.redaction import planted
from tests.redaction.filling import TELLING, pieces_of

_SQL = re.compile(r"\b(?:INSERT|CREATE|UPDATE|SELECT) ")
_STEPS = tuple[str | int, ...]


class Garden:
    """Draws secrets, puts them behind texts, and remembers them."""

    def __init__(self, seed: int) -> None:
        self.rng = Random(seed)
        self.secrets: list[str] = []

    def behind(self, text: str, *, is_sql: bool = False) -> str:
        """The text with an e-mail address, an address, a key and a password behind it.

        In a statement they stand where data can stand: in a comment and in a literal.
        """
        rng = self.rng
        found = (
            planted.email(rng),
            rng.choice([planted.ipv4, planted.ipv6])(rng),
            planted.drawn(rng, planted.SHAPED),
            planted.chars(rng, 14),
        )
        self.secrets += found
        if is_sql or _SQL.search(text):
            return "{} /* {} */ WHERE a = '{} {} password={}'".format(text, *found)
        return "{} {} {} {} password={}".format(text, *found)

    def left_in(self, texts: Sequence[str]) -> list[tuple[str, str]]:
        """Each secret that is left in one of the texts, and that text."""
        seen = {text[at : at + TELLING] for text in set(texts) for at in range(len(text))}
        found = {p for secret in self.secrets for p in pieces_of(secret) if p in seen}
        return [(piece, next(t for t in texts if piece in t)) for piece in sorted(found)]


def leaves(value: Any, at: _STEPS = ()) -> Iterator[_STEPS]:
    """Where the texts of a JSON value stand; a text that is JSON itself is looked into."""
    if isinstance(value, str):
        inner = _inner(value)
        yield from leaves(inner, (*at, "json:")) if inner is not None else [at]
    elif isinstance(value, dict):
        for key, part in value.items():
            yield from leaves(part, (*at, key))
    elif isinstance(value, list):
        for number, part in enumerate(value):
            yield from leaves(part, (*at, number))


def planted_at(value: Any, at: _STEPS, garden: Garden) -> Any:
    """The JSON value with secrets behind the text at that place."""
    if not at:
        return garden.behind(value)
    step, rest = at[0], at[1:]
    if step == "json:":
        return json.dumps(planted_at(json.loads(value), rest, garden))
    changed = copy.copy(value)
    changed[step] = planted_at(value[step], rest, garden)
    return changed


def _inner(text: str) -> Any:
    try:
        return json.loads(text) if text.startswith("{") else None
    except ValueError:
        return None


def planted_documents(document: Any, garden: Garden) -> Iterator[str]:
    """The document with secrets in its first text, in its second, and so on."""
    for at in leaves(document):
        yield json.dumps(planted_at(document, at, garden))


def planted_files(lines: Sequence[str], garden: Garden) -> Iterator[str]:
    """Files of JSON lines, each with secrets in one more text of one of its lines."""
    documents = [json.loads(line) for line in lines]
    for number, document in enumerate(documents):
        for at in leaves(document):
            changed = json.dumps(planted_at(document, at, garden))
            yield "\n".join([*lines[:number], changed, *lines[number + 1 :]])


def planted_rows(lines: Sequence[str], garden: Garden) -> str:
    """One file: line n has secrets in its n-th text; of the lines of one kind, all texts."""
    out = []
    for number, line in enumerate(lines):
        start = line.index("{") if "{" in line else len(line)
        document = json.loads(line[start:])
        places = list(leaves(document))
        at = places[number % len(places)]
        out.append(line[:start] + json.dumps(planted_at(document, at, garden)))
    return "\n".join(out)


def planted_words(lines: Sequence[str], garden: Garden) -> Iterator[str]:
    """Files of plain lines, each with secrets behind one more word of one line."""
    for number, line in enumerate(lines):
        words, is_sql = line.split(" "), _SQL.search(line) is not None
        for place in range(len(words)):
            changed = [
                *words[:place],
                garden.behind(words[place], is_sql=is_sql),
                *words[place + 1 :],
            ]
            yield "\n".join([*lines[:number], " ".join(changed), *lines[number + 1 :]])


def texts_of(case: Case, tables: Tables) -> list[str]:
    """Every text of a case as it is reported, and of its tables."""
    found = [str(value) for value in strings(asdict(case))]
    for name in TABLE_NAMES:
        frame = getattr(tables, name)
        for column, kind in SCHEMAS[name].items():
            found += map(str, frame[column].dropna().unique()) if kind == "VARCHAR" else ()
    return found


def strings(value: Any) -> Iterator[str]:
    """The texts in a value."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for part in value.values():
            yield from strings(part)
    elif isinstance(value, list | tuple):
        for part in value:
            yield from strings(part)

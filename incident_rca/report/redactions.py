"""What a report hides: of each kind how many values and at how many places, never a value."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from rich.table import Table
from rich.text import Text

from incident_rca.report.numbers import grouped
from incident_rca.secret_shapes import KINDS

# `<ip-3>`, and `<ip>` where a text was not numbered because it is no row of a table.
_HIDDEN = re.compile(rf"<(?P<kind>{'|'.join(KINDS)})(?:-(?P<number>[0-9]+))?>")
_PARAMETER = re.compile(r"\$[0-9]{1,5}\b")
_LITERAL = "literal"
# What was asked is shown as it was asked: its parameters are its own.
_AS_ASKED = "query"
NAMES: Mapping[str, tuple[str, str]] = {
    "card": ("card number", "card numbers"),
    "email": ("e-mail address", "e-mail addresses"),
    "ip": ("IP address", "IP addresses"),
    "secret": ("secret", "secrets"),
    "user": ("id of a user", "ids of users"),
    "value": ("quoted value", "quoted values"),
}


@dataclass(frozen=True, slots=True)
class Redaction:
    """What is hidden of one kind; `values` is None where equal values are not told apart."""

    kind: str
    values: int | None
    places: int


def redactions(contract: Mapping[str, Any]) -> tuple[Redaction, ...]:
    """What report.json hides, by kind; of statements, literals and parameters count alike."""
    places = dict.fromkeys(KINDS, 0)
    values: dict[str, set[str]] = {kind: set() for kind in KINDS}
    literals = 0
    for key, text in _texts("", contract):
        for found in _HIDDEN.finditer(text):
            places[found["kind"]] += 1
            values[found["kind"]].update([found["number"]] if found["number"] else ())
        literals += 0 if key == _AS_ASKED else len(_PARAMETER.findall(text))
    numbered = [Redaction(kind, len(values[kind]), n) for kind, n in places.items() if n]
    return (*numbered, *([Redaction(_LITERAL, None, literals)] if literals else ()))


def _texts(key: str, value: Any) -> Iterator[tuple[str, str]]:
    if isinstance(value, str):
        yield key, value
    elif isinstance(value, Mapping):
        for name, part in value.items():
            yield from _texts(name, part)
    elif isinstance(value, list):
        for part in value:
            yield from _texts(key, part)


def in_contract(found: tuple[Redaction, ...]) -> list[dict[str, Any]]:
    """The redactions as report.json has them."""
    return [{"kind": r.kind, "values": r.values, "places": r.places} for r in found]


def in_words(contract: Mapping[str, Any]) -> str:
    """What the report hides, in a sentence or two, by the counts that it states."""
    rows = contract["redactions"]
    hidden = [_counted(row["kind"], row["values"]) for row in rows if row["values"]]
    hidden += ["literals of statements ($1)"] if any(r["kind"] == _LITERAL for r in rows) else []
    if not hidden:
        return "Nothing that this report shows had to be hidden."
    return f"Hidden: {', '.join(hidden)}. One value has one number throughout."


def _counted(kind: str, values: int) -> str:
    return f"{grouped(values)} {NAMES[kind][values != 1]} (<{kind}-1>)"


def screen(contract: Mapping[str, Any]) -> Table | Text:
    """The kinds as a table for the terminal."""
    rows = contract["redactions"]
    if not rows:
        return Text(in_words(contract))
    table = Table(box=None, pad_edge=False)
    for name in ("hidden", "values", "places", "shown as"):
        table.add_column(name, justify="right" if name in ("values", "places") else "left")
    for row in rows:
        kind, values = row["kind"], row["values"]
        if kind == _LITERAL:
            named, shown = "literals or parameters of statements", "$1"
        else:
            named, shown = NAMES[kind][1], f"<{kind}-1>"
        cells = (named, "–" if values is None else grouped(values), grouped(row["places"]), shown)
        table.add_row(*map(Text, cells))
    return table

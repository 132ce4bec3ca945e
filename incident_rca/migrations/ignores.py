"""`-- incident-rca: ignore RULE because …`: what somebody decided, and why."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass

from incident_rca.migrations import grammar
from incident_rca.migrations.script import Lines, Place
from incident_rca.settings_document import nearest

_MARK = re.compile(r"--\s*incident-rca:\s*(?P<said>.*?)\s*$")
_IGNORE = re.compile(r"ignore\s+(?P<rules>[\w-]+(?:\s*,\s*[\w-]+)*)(?:\s+because\s+(?P<why>\S.*))?")


@dataclass(frozen=True, slots=True, kw_only=True)
class Ignore:
    """One rule that a comment sets aside for a statement; `reason` is never empty."""

    rule: str
    reason: str
    place: Place
    alone: bool  # on a line of its own: for the next statement, else for the one on its line


@dataclass(frozen=True, slots=True, kw_only=True)
class BadIgnore:
    """A comment that sets nothing aside, and why."""

    place: Place
    what: str


def read_ignores(
    text: str, known: Collection[str]
) -> tuple[tuple[Ignore, ...], tuple[BadIgnore, ...]]:
    """The comments of a file that speak to this program, in their order."""
    good: list[Ignore] = []
    bad: list[BadIgnore] = []
    if "incident-rca:" not in text:
        return (), ()
    for place, comment, alone in _comments(text):
        mark = _MARK.match(comment)
        if mark is None:
            continue
        said = _IGNORE.fullmatch(mark["said"])
        if said is None:
            what = "is not understood: write `-- incident-rca: ignore RULE because …`"
            bad.append(BadIgnore(place=place, what=f"`{mark['said']}` {what}"))
            continue
        for rule in re.split(r"\s*,\s*", said["rules"]):
            if rule not in known:
                hint = nearest(rule, known)
                what = f"there is no rule `{rule}`{': ' + hint if hint else ''}"
                bad.append(BadIgnore(place=place, what=what))
            elif not said["why"]:
                what = f"`{rule}` is not ignored without a reason: add `because …`"
                bad.append(BadIgnore(place=place, what=what))
            else:
                good.append(Ignore(rule=rule, reason=said["why"], place=place, alone=alone))
    return tuple(good), tuple(bad)


def _comments(text: str) -> list[tuple[Place, str, bool]]:
    """Each comment to the end of a line: where it begins, its text, whether it has its line alone.

    By the grammar's own tokens; where those cannot be read, by its looks.
    """
    found = grammar.tokens(text)
    lines = Lines(text)
    if isinstance(found, grammar.Unreadable):
        spans = [(m.start(), m.group().decode()) for m in re.finditer(rb"--[^\n]*", lines.data)]
    else:
        spans = [(t.start, lines.cut(t.start, t.end)) for t in found if t.kind == "SQL_COMMENT"]
    rows = text.split("\n")
    out = []
    for start, comment in spans:
        place = lines.place(start)
        alone = not rows[place.line - 1][: place.column - 1].strip()
        out.append((place, comment, alone))
    return out

"""The statements inside DO blocks and functions, placed where they stand in the file."""

from __future__ import annotations

from dataclasses import replace

from incident_rca.migrations import grammar, plpgsql
from incident_rca.migrations.operations import Block, CreateFunction
from incident_rca.migrations.script import Lines, NotChecked, Place, Statement, read_script

_DYNAMIC = "it runs SQL that is put together at run time: not known here"


# From its line on a text is looked for so far beyond its own length: behind comments and blanks.
_FAR = 1000


def statements_inside(
    outer: Statement,
) -> tuple[tuple[Statement, ...], tuple[NotChecked, ...]]:
    """The statements of a DO block's or function's body, and what of it could not be read."""
    of = outer.operation
    if not isinstance(of, Block | CreateFunction) or not of.body:
        return (), ()
    origin = _origin(outer, of.body)
    if of.language == "sql":
        script = read_script(of.body)
        found = [_moved(s, outer, origin) for s in script.statements]
        missed = [
            NotChecked(start=_place(outer, origin, n.start), reason=n.reason)
            for n in script.not_checked
        ]
        if script.refused:
            missed.append(NotChecked(start=outer.start, reason=script.refused))
        return tuple(found), tuple(missed)
    if of.language != "plpgsql":
        return (), (NotChecked(start=outer.start, reason=f"its code is in {of.language}"),)
    inner = plpgsql.body_statements(outer.text)
    if isinstance(inner, grammar.Unreadable):
        return (), (NotChecked(start=outer.start, reason=inner.message),)
    return _placed(outer, of.body, origin, inner)


def _placed(
    outer: Statement, body: str, origin: Place | None, inner: tuple[plpgsql.Inner, ...]
) -> tuple[tuple[Statement, ...], tuple[NotChecked, ...]]:
    found: list[Statement] = []
    missed: list[NotChecked] = []
    lines = Lines(body)
    behind = 0
    for item in inner:
        line = min(item.line, len(lines.starts))
        needle = (item.text or "").encode()
        at = _found(lines.data, max(lines.starts[line - 1], behind), needle)
        behind = at + len(needle)
        start = _place(outer, origin, lines.place(at))
        if item.text is None:
            missed.append(NotChecked(start=start, reason=_DYNAMIC))
            continue
        parsed = grammar.parse(item.text)
        if isinstance(parsed, grammar.Unreadable):
            # Assignments and cursors of PL/pgSQL are no statements of SQL.
            if parsed.message == grammar.TOO_DEEP:
                missed.append(NotChecked(start=start, reason=parsed.message))
            continue
        found += [
            Statement(
                text=item.text,
                start=start,
                end=_place(outer, origin, lines.place(at + len(needle))),
                operation=p.operation,
                within=outer.start,
            )
            for p in parsed
        ]
    return tuple(found), tuple(missed)


def _found(data: bytes, at: int, needle: bytes) -> int:
    """Where a text stands, from a place on; behind the blanks there where it is not found."""
    offset = data.find(needle, at, at + len(needle) + _FAR) if needle else -1
    if offset >= 0:
        return offset
    while data[at : at + 1].isspace():
        at += 1
    return at


def _moved(statement: Statement, outer: Statement, origin: Place | None) -> Statement:
    return replace(
        statement,
        start=_place(outer, origin, statement.start),
        end=_place(outer, origin, statement.end),
        within=outer.start,
    )


def _origin(outer: Statement, body: str) -> Place | None:
    """Where a body begins in the file; None where quotes were doubled, so that it is another."""
    at = outer.text.find(body)
    if at < 0:
        return None
    before = outer.text[:at]
    if "\n" not in before:
        return Place(outer.start.line, outer.start.column + at)
    return Place(outer.start.line + before.count("\n"), at - before.rfind("\n"))


def _place(outer: Statement, origin: Place | None, inside: Place) -> Place:
    """A place of the body as a place of the file, the statement's own where that is not known."""
    if origin is None:
        return outer.start
    if inside.line > 1:
        return Place(origin.line + inside.line - 1, inside.column)
    return Place(origin.line, origin.column + inside.column - 1)

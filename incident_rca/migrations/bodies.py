"""The statements inside DO blocks and functions, placed where they stand in the file."""

from __future__ import annotations

from dataclasses import replace

from incident_rca.migrations import grammar, plpgsql
from incident_rca.migrations.operations import Block, CreateFunction
from incident_rca.migrations.script import Lines, NotChecked, Place, Statement, read_script

_DYNAMIC = "it runs SQL that is put together at run time: not known here"


def statements_inside(
    outer: Statement,
) -> tuple[tuple[Statement, ...], tuple[NotChecked, ...]]:
    """The statements of a DO block's or function's body, and what of it could not be read."""
    of = outer.operation
    if not isinstance(of, Block | CreateFunction) or not of.body:
        return (), ()
    if of.language == "sql":
        script = read_script(of.body)
        found = [_moved(s, outer, of.body) for s in script.statements]
        missed = [
            NotChecked(start=_place(outer, of.body, n.start), reason=n.reason)
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
    return _placed(outer, of.body, inner)


def _placed(
    outer: Statement, body: str, inner: tuple[plpgsql.Inner, ...]
) -> tuple[tuple[Statement, ...], tuple[NotChecked, ...]]:
    found: list[Statement] = []
    missed: list[NotChecked] = []
    lines = Lines(body)
    for item in inner:
        here = min(item.line, len(lines.starts)) - 1
        at = lines.starts[here]
        data = lines.data[at:]
        text = item.text or ""
        offset = data.find(text.encode()) if text else -1
        blanks = len(data) - len(data.lstrip()) if offset < 0 else 0
        start = lines.place(at + max(offset, blanks))
        if item.text is None:
            missed.append(NotChecked(start=_place(outer, body, start), reason=_DYNAMIC))
            continue
        parsed = grammar.parse(text)
        if isinstance(parsed, grammar.Unreadable):
            # Assignments and cursors of PL/pgSQL are no statements of SQL.
            continue
        end = lines.place(at + max(offset, blanks) + len(text.encode()))
        found += [
            Statement(
                text=text,
                start=_place(outer, body, start),
                end=_place(outer, body, end),
                operation=p.operation,
                within=outer.start,
            )
            for p in parsed
        ]
    return tuple(found), tuple(missed)


def _moved(statement: Statement, outer: Statement, body: str) -> Statement:
    return replace(
        statement,
        start=_place(outer, body, statement.start),
        end=_place(outer, body, statement.end),
        within=outer.start,
    )


def _place(outer: Statement, body: str, inside: Place) -> Place:
    """A place of the body as a place of the file; the statement's own where quotes were doubled."""
    at = outer.text.find(body)
    if at < 0:
        return outer.start
    before = outer.text[:at]
    line = outer.start.line + before.count("\n") + inside.line - 1
    if inside.line > 1:
        return Place(line, inside.column)
    first = len(before) - before.rfind("\n") - 1 if "\n" in before else None
    column = first if first is not None else outer.start.column - 1 + len(before)
    return Place(line, column + inside.column)

"""A migration file as its statements in their places; what cannot be read is said."""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

from incident_rca.migrations import grammar
from incident_rca.migrations.operations import Operation, ResetSession
from incident_rca.migrations.psql import Cleaned, cleaned
from incident_rca.migrations.templates import template_in, variable_in


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """Line and column, both from 1, the column in characters."""

    line: int
    column: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Statement:
    """A statement as it stands in the file; `within` is where its DO block or function begins."""

    text: str
    start: Place
    end: Place
    operation: Operation
    within: Place | None = None

    @property
    def in_body(self) -> bool:
        return self.within is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class NotChecked:
    """Something that would run and that this program did not understand."""

    start: Place
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Script:
    """`refused` says why nothing of the file was read; `passed_over` counts psql's own commands."""

    text: str
    statements: tuple[Statement, ...] = ()
    not_checked: tuple[NotChecked, ...] = ()
    passed_over: int = 0
    refused: str = ""


@dataclass(frozen=True)
class Lines:
    """Turns byte offsets of a text into places."""

    text: str

    @cached_property
    def data(self) -> bytes:
        return self.text.encode()

    @cached_property
    def starts(self) -> list[int]:
        return [0, *(m.end() for m in re.finditer(b"\n", self.data))]

    @cached_property
    def inside(self) -> list[int]:
        """The offsets at which no character begins, in order."""
        return [m.start() for m in re.finditer(b"[\x80-\xbf]", self.data)]

    def place(self, offset: int) -> Place:
        # A line may hold a whole file of statements, so it is not counted through for each.
        line = bisect_right(self.starts, offset)
        start = self.starts[line - 1]
        none = bisect_left(self.inside, offset) - bisect_left(self.inside, start)
        return Place(line, offset - start - none + 1)

    def cut(self, start: int, end: int) -> str:
        return self.data[start:end].decode(errors="replace")


def read_script(text: str) -> Script:
    """The statements of a file in their order. A statement that is wrong hides no other."""
    # The grammar is written in C, to which a zero byte is the end of all.
    text = text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\x00", "\ufffd")
    whole = grammar.parse(text)
    if not isinstance(whole, grammar.Unreadable):
        lines = Lines(text)
        return Script(text=text, statements=tuple(_statement(p, lines) for p in whole))
    clean = cleaned(text)
    if template := template_in(clean.text):
        line = text.count("\n", 0, template.at) + 1
        return Script(text=text, refused=f"line {line}: {template.message}")
    lines = Lines(clean.text)
    read: list[Statement] = []
    missed: list[NotChecked] = []
    for piece in _pieces(clean.text):
        _read_piece(piece, lines, read, missed)
    _add_commands(clean, lines, read, missed)
    return Script(
        text=text,
        statements=tuple(sorted(read, key=lambda s: s.start)),
        not_checked=tuple(sorted(missed, key=lambda n: n.start)),
        passed_over=len(clean.commands),
    )


def _statement(parsed: grammar.Parsed, lines: Lines, offset: int = 0) -> Statement:
    start, end = parsed.start + offset, parsed.end + offset
    text = lines.cut(start, end)
    return Statement(
        text=text.rstrip(),
        start=lines.place(start),
        end=lines.place(start + len(text.rstrip().encode())),
        operation=parsed.operation,
    )


def _read_piece(
    piece: tuple[int, int], lines: Lines, read: list[Statement], missed: list[NotChecked]
) -> None:
    start, end = piece
    text = lines.cut(start, end)
    parsed = grammar.parse(text)
    if not isinstance(parsed, grammar.Unreadable):
        read.extend(_statement(p, lines, start) for p in parsed)
        return
    # An open parenthesis takes in all that follows.
    parts = list(_pieces_by_lines(text))
    if len(parts) > 1:
        for begin, stop in parts:
            _read_piece((start + begin, start + stop), lines, read, missed)
        return
    reason = variable_in(text) or parsed.message
    missed.append(NotChecked(start=lines.place(start + parsed.at), reason=reason))


def _pieces(text: str) -> Iterator[tuple[int, int]]:
    """Where each statement begins and ends, by its tokens; by its lines where a quote is open."""
    tokens = grammar.tokens(text)
    if isinstance(tokens, grammar.Unreadable):
        yield from _pieces_by_lines(text)
        return
    start, depth, atomic, before = -1, 0, 0, ""
    for token in tokens:
        if token.kind in ("SQL_COMMENT", "C_COMMENT"):
            continue
        if token.kind == "ASCII_59" and depth <= 0 and not atomic:
            if start >= 0:
                yield start, token.start
            start, depth, before = -1, 0, ""
            continue
        if start < 0:
            start = token.start
        depth += (token.kind == "ASCII_40") - (token.kind == "ASCII_41")
        # The body of an SQL function: BEGIN ATOMIC … END, in which CASE has an END too.
        if token.kind == "ATOMIC" and before == "BEGIN_P":
            atomic = 1
        elif atomic:
            atomic += (token.kind == "CASE") - (token.kind == "END_P")
        before = token.kind
    if start >= 0:
        yield start, len(text.encode())


_END_OF_LINE = re.compile(r";[ \t]*(?:--[^\n]*)?(?:\n|\Z)")


def _pieces_by_lines(text: str) -> Iterator[tuple[int, int]]:
    """Cuts behind each semicolon that ends a line: the best that can be done with open quotes."""
    at = offset = 0
    for match in [*_END_OF_LINE.finditer(text), None]:
        end = match.start() if match else len(text)
        piece = text[at:end]
        stop = offset + len(piece.encode())
        if piece.strip():
            yield stop - len(piece.lstrip().encode()), stop
        at = match.end() if match else end
        offset = stop + len(text[end:at].encode())


_INCLUDED = "it includes another file: lint that too"
_RUNNING = {
    **dict.fromkeys(("i", "ir", "include", "include_relative"), _INCLUDED),
    "gexec": "\\gexec runs what a query returns: not known here",
}
_CONNECTING = ("c", "connect")


def _add_commands(
    clean: Cleaned, lines: Lines, read: list[Statement], missed: list[NotChecked]
) -> None:
    """What psql's own commands change: a new connection, or SQL that stands elsewhere."""
    at = offset = 0
    for command in clean.commands:
        offset += len(clean.text[at : command.at].encode())
        at, name = command.at, command.name
        if name not in _CONNECTING and name not in _RUNNING:
            continue
        place = lines.place(offset)
        if name in _RUNNING:
            missed.append(NotChecked(start=place, reason=_RUNNING[name]))
        else:
            reset = ResetSession()
            read.append(Statement(text=f"\\{name}", start=place, end=place, operation=reset))

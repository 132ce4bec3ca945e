"""Sections into posts of a limited size, cut at their ends; Markdown likewise."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from incident_rca.report.digest import Section

_FENCE = re.compile(r" {0,3}(`{3,}|~{3,})")
_HEADING = re.compile(r"#{2,6} ")
_OF_CHARTS = re.compile(r"!?\[((?:\\.|[^\]\\\n])*)\]\((charts/[^()\s]+)\)")
_RULE = re.compile(r"\|[ :|-]+\|\s*")


def packed(
    sections: Sequence[Section], size: Callable[[Sequence[Section]], int], limit: int
) -> tuple[tuple[Section, ...], ...]:
    """The sections in as few posts as their order allows, each at most `limit` by `size`.

    One that is larger is cut between its lines. Raises ValueError where a line alone is too large.
    """
    posts: list[tuple[Section, ...]] = []
    current: tuple[Section, ...] = ()
    for section in sections:
        for piece in _cut(section, size, limit):
            if current and size((*current, piece)) > limit:
                posts.append(current)
                current = ()
            current = (*current, piece)
    return (*posts, current) if current or not posts else tuple(posts)


def _cut(
    section: Section, size: Callable[[Sequence[Section]], int], limit: int
) -> tuple[Section, ...]:
    if size([section]) <= limit:
        return (section,)
    if len(section.lines) < 2:
        raise ValueError(f"a line of {section.title!r} is larger than a post of {limit}")
    middle = len(section.lines) // 2
    halves = (section.lines[:middle], section.lines[middle:])
    return tuple(
        piece for lines in halves for piece in _cut(Section(section.title, lines), size, limit)
    )


# --- Markdown ---------------------------------------------------------------------------------


def markdown_parts(text: str, limit: int) -> tuple[str, ...]:
    """A Markdown document in parts of at most `limit` characters, cut at headings where possible.

    Else between blocks, and a table or code longer than that between its lines: then each piece
    has the table's head, or the fence, again.
    """
    if len(text) <= limit:
        return (text,)
    parts: list[str] = []
    current = ""
    for piece in _pieces(_sections(text), limit):
        if current and len(current) + len(piece) > limit:
            parts.append(current)
            current = ""
        current += piece
    return (*parts, current)


def without_charts(text: str) -> str:
    """The document with what each chart says and where it is, for a place without its files."""
    return "".join(
        line if code else _OF_CHARTS.sub(r"\1 (\2, kept with the case)", line)
        for line, code in _with_fences(text)
    )


def _pieces(sections: Sequence[str], limit: int) -> list[str]:
    """Each section whole, or its blocks, or the pieces of these."""
    pieces: list[str] = []
    for section in sections:
        if len(section) <= limit:
            pieces.append(section)
            continue
        for block in _blocks(section):
            pieces += [block] if len(block) <= limit else _lines_in_pieces(block, limit)
    return pieces


def _sections(text: str) -> list[str]:
    """The text cut before each heading that stands in no code."""
    parts: list[str] = []
    for line, code in _with_fences(text):
        if not parts or (not code and _HEADING.match(line)):
            parts.append("")
        parts[-1] += line
    return parts


def _blocks(text: str) -> list[str]:
    """The text cut behind empty lines that stand in no code, around all code and before tables."""
    parts: list[str] = []
    was_in, was_empty = 0, False
    lines = _with_fences(text)
    for (line, code), (below, _) in zip(lines, [*lines[1:], ("", 0)], strict=True):
        is_empty = not line.strip() and not code
        is_head = not code and bool(_RULE.fullmatch(below))
        if not parts or (not is_empty and (was_empty or is_head or code != was_in)):
            parts.append("")
        parts[-1] += line
        was_in, was_empty = (was_in if is_empty else code), is_empty
    return parts


def _with_fences(text: str) -> list[tuple[str, int]]:
    """Each line with its end, and the number of the fenced code that it belongs to, 0 for none."""
    fence = ""
    number = 0
    lines = []
    for line in _lines(text):
        mark = _FENCE.match(line)
        if mark and not fence:
            fence = mark[1]
            number += 1
            lines.append((line, number))
            continue
        lines.append((line, number if fence else 0))
        if mark and fence and mark[1].startswith(fence) and line.strip() == mark[1]:
            fence = ""
    return lines


def _lines(text: str) -> list[str]:
    return re.findall(r"[^\n]*\n|[^\n]+", text)


def _lines_in_pieces(block: str, limit: int) -> list[str]:
    """A block cut between its lines; a line of its own that is too long is cut as well."""
    lines = _lines(block)
    head, foot = "", ""
    if len(lines) > 1 and _RULE.fullmatch(lines[1]):
        head = lines[0] + lines[1]
        lines = lines[2:]
    elif mark := _FENCE.match(lines[0]):
        head, foot = lines[0], f"{mark[1]}\n\n"
        lines = [line for line in lines[1:] if line.strip() != mark[1]]
    room = limit - len(head) - len(foot) - 1
    pieces: list[str] = []
    current = ""
    for line in (row[at : at + room] for row in lines for at in range(0, len(row), room)):
        if current and len(current) + len(line) > room:
            pieces.append(current)
            current = ""
        current += line
    pieces.append(current)
    # Behind a line that was cut in two the fence would not stand in a line of its own.
    ends = ("\n" if foot and not piece.endswith("\n") else "" for piece in pieces)
    return [f"{head}{piece}{end}{foot}" for piece, end in zip(pieces, ends, strict=True)]

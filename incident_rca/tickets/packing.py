"""Sections into posts of a limited size, cut at their ends; Markdown likewise."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from incident_rca.report.digest import Section

_FENCE = re.compile(r" {0,3}(`{3,}|~{3,})")
_HEADING = re.compile(r"#{2,6} ")
_LOCAL_IMAGE = re.compile(r"!\[([^\]\n]*)\]\((?!https?:)([^()\s]+)\)")
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


def without_local_images(text: str) -> str:
    """The document with what each picture says and where it is, for a place without its files."""
    return "".join(
        line if is_code else _LOCAL_IMAGE.sub(r"\1 (\2, kept with the case)", line)
        for line, is_code in _with_fences(text)
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
    return _cut_before(text, _HEADING.match)


def _blocks(text: str) -> list[str]:
    """The text cut behind each run of empty lines that stands in no code."""
    blocks: list[str] = []
    is_new = True
    for line, is_code in _with_fences(text):
        is_empty = not line.strip() and not is_code
        if is_new and not is_empty:
            blocks.append("")
        is_new = is_empty
        blocks[-1:] = ["".join(blocks[-1:]) + line]
    return blocks


def _cut_before(text: str, is_start: Callable[[str], object]) -> list[str]:
    parts: list[str] = [""]
    for line, is_code in _with_fences(text):
        if not is_code and is_start(line):
            parts.append("")
        parts[-1] += line
    return [part for part in parts if part]


def _with_fences(text: str) -> list[tuple[str, bool]]:
    """Each line with its end, and whether it belongs to fenced code."""
    fence = ""
    lines = []
    for line in _lines(text):
        mark = _FENCE.match(line)
        lines.append((line, bool(fence or mark)))
        if mark and not fence:
            fence = mark[1]
        elif mark and mark[1].startswith(fence) and line.strip() == mark[1]:
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
    room = limit - len(head) - len(foot)
    pieces: list[str] = []
    current = ""
    for line in (row[at : at + room] for row in lines for at in range(0, len(row), room)):
        if current and len(current) + len(line) > room:
            pieces.append(f"{head}{current}{foot}")
            current = ""
        current += line
    return [*pieces, f"{head}{current}{foot}"]

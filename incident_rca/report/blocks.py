"""The generated parts of a report, marked so that people can edit everything around them."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass

from incident_rca.errors import EditedReport

NAMES = (
    "header",
    "summary",
    "impact",
    "sources",
    "timeline",
    "answers",
    "trigger",
    "cascade",
    "hypotheses",
    "contributing",
    "actions",
    "options",
    "failures",
    "questions",
    "glossary",
    "appendix",
)
_BEGIN = re.compile(r"<!-- incident-rca:begin ([a-z_]+)(?: sha256:([0-9a-f]+))? -->\s*")
_END = re.compile(r"<!-- incident-rca:end ([a-z_]+) -->\s*")
HASH_DIGITS = 8
_HEADING = "## "


@dataclass(frozen=True, slots=True)
class Part:
    """A stretch of a report: a generated block, or (with no name) text that belongs to people.

    `stated` is the hash in the block's marker; `closed` is false where the end marker is gone.
    """

    text: str
    name: str | None = None
    stated: str = ""
    closed: bool = True

    @property
    def is_edited(self) -> bool:
        return self.name is not None and (not self.closed or self.stated != digest(self.text))


def digest(text: str) -> str:
    """The short hash of a block's text, blind to line endings and blanks at the ends of lines."""
    lines = (line.rstrip() for line in text.split("\n"))
    return hashlib.sha256("\n".join(lines).strip("\n").encode()).hexdigest()[:HASH_DIGITS]


def split_blocks(text: str) -> tuple[Part, ...]:
    """The parts of a report in order; a block without an end marker reaches to the next one."""
    parts: list[Part] = []
    lines: list[str] = []
    name: str | None = None
    stated = ""
    for line in text.split("\n"):
        begin, end = _BEGIN.fullmatch(line), _END.fullmatch(line)
        if begin is None and (end is None or end[1] != name):
            lines.append(line)
            continue
        if name is not None or lines:
            closed = name is None or end is not None
            parts.append(Part("\n".join(lines), name, stated, closed))
        name, stated = (begin[1], begin[2] or "") if begin else (None, "")
        lines = []
    if name is not None or lines:
        parts.append(Part("\n".join(lines), name, stated, closed=name is None))
    return tuple(parts)


def edited_blocks(text: str) -> list[str]:
    """Names of the blocks that are not as they were generated: changed, missing or doubled."""
    blocks = [part for part in split_blocks(text) if part.name is not None]
    names = [block.name for block in blocks]
    changed = {block.name for block in blocks if block.is_edited}
    uneven = {name for name in NAMES if names.count(name) != 1}
    return sorted(name for name in changed | uneven if name is not None)


def generated_only(text: str) -> dict[str, str]:
    """The text of each generated block by name, line endings and trailing blanks evened out."""
    return {
        part.name: "\n".join(line.rstrip() for line in part.text.split("\n"))
        for part in split_blocks(text)
        if part.name is not None
    }


def without_markers(text: str) -> str:
    """`text` for a reader who will not generate it again: no markers, one blank line at most."""
    kept = "\n".join(part.text.strip("\n") + "\n" for part in split_blocks(text))
    return re.sub(r"\n{3,}", "\n\n", kept).strip("\n") + "\n"


def seal(text: str) -> str:
    """`text` with the hash of each block written into its begin marker."""
    return _join(split_blocks(text))


def merge(existing: str, fresh: str) -> str:
    """The generated blocks of `fresh` in the text that people wrote around those of `existing`.

    A section that `existing` lacks with its heading, as one by an older version may, comes as it is
    in `fresh`.
    """
    added = _new_sections(existing, fresh)
    edited = [name for name in edited_blocks(existing) if name not in added]
    if edited:
        raise EditedReport(
            f"the report was edited inside its generated parts: {', '.join(edited)}",
            hint="move what you wrote to between the generated parts, or write with --force",
        )
    new = {part.name: part for part in split_blocks(fresh) if part.name is not None}
    old = [part for part in split_blocks(existing) if _kept(part, new)]
    for name, section in added.items():
        old = _with_section(old, list(new)[list(new).index(name) - 1], section)
    return _join(tuple(part if part.name is None else new[part.name] for part in old))


def _new_sections(existing: str, fresh: str) -> dict[str, tuple[Part, Part, Part]]:
    """The sections of `fresh` of which `existing` has neither block nor heading, by their block.

    Each is its heading, its block and what stands behind that for people to fill in.
    """
    lines = set(existing.split("\n"))
    known = {part.name for part in split_blocks(existing)}
    parts = split_blocks(fresh)
    found: dict[str, tuple[Part, Part, Part]] = {}
    for before, block, after in zip(parts, parts[1:], (*parts[2:], Part("")), strict=False):
        heading = before.text.strip("\n").split("\n")[-1]
        is_new = heading.startswith(_HEADING) and heading not in lines
        if block.name is not None and block.name not in known and is_new:
            tail, _ = _cut_at_heading(after.text if after.name is None else "")
            found[block.name] = (Part(f"{heading}\n"), block, Part(tail))
    return found


def _with_section(
    parts: list[Part], behind: str | None, section: tuple[Part, Part, Part]
) -> list[Part]:
    """`parts` with a section before the first heading that comes behind the block `behind`."""
    place = next((n for n, part in enumerate(parts) if part.name == behind), -1) + 1
    if not 0 < place < len(parts) or parts[place].name is not None:
        return [*parts[:place], *section, *parts[place:]]
    before, rest = _cut_at_heading(parts[place].text)
    return [*parts[:place], Part(before), *section, Part(rest), *parts[place + 1 :]]


def _cut_at_heading(text: str) -> tuple[str, str]:
    """What stands before the first heading of a section, and the rest."""
    lines = text.split("\n")
    place = next((n for n, line in enumerate(lines) if line.startswith(_HEADING)), len(lines))
    return "\n".join(lines[:place]), "\n".join(lines[place:])


def _kept(part: Part, new: dict[str, Part]) -> bool:
    return part.name is None or part.name in new


def _join(parts: tuple[Part, ...]) -> str:
    lines: list[str] = []
    for part in parts:
        if part.name is None:
            lines.append(part.text)
            continue
        lines.append(f"<!-- incident-rca:begin {part.name} sha256:{digest(part.text)} -->")
        lines.append(part.text)
        lines.append(f"<!-- incident-rca:end {part.name} -->")
    return "\n".join(lines).strip("\n") + "\n"

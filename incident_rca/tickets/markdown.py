"""A digest as Markdown: for GitHub, and for a file that people read."""

from __future__ import annotations

from collections.abc import Sequence

from incident_rca.report.digest import Digest, Line, Section
from incident_rca.report.safe_text import code_span, escape
from incident_rca.report.summary import Code


def told(digest: Digest, sections: Sequence[Section]) -> str:
    """The title, the opening and these sections, each a list."""
    opening = f"## {_line((digest.title,))}\n\n{_line(digest.opening)}\n"
    return "\n".join([opening, *map(_section, sections)])


def footed(text: str, footer: str) -> str:
    """The text with a last line below a rule."""
    return f"{text.rstrip()}\n\n---\n{escape(footer)}\n"


def _section(section: Section) -> str:
    items = (f"- {_line(line)}" for line in section.lines)
    return "\n".join([f"### {section.title}", "", *items, ""])


def _line(line: Line) -> str:
    runs = (
        code_span(run, in_table=False) if isinstance(run, Code) else _prose(run) for run in line
    )
    return "".join(runs)


def _prose(run: str) -> str:
    """The run escaped, with the blanks that it has at its ends."""
    before, after = " " * run[:1].isspace(), " " * run[-1:].isspace()
    return f"{before}{escape(run)}{after}"

"""Text of any origin as HTML: it shows what was written, and explains a term at its first use."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from markupsafe import Markup, escape

from incident_rca.redact import plain
from incident_rca.report import glossary
from incident_rca.report.safe_text import NOTHING, clean, quoted
from incident_rca.report.summary import Code, Sentence

_TERM = Markup('<a class="term" href="#g-{}">{}</a>')
_CODE = Markup("<code>{}</code>")


@dataclass(slots=True)
class FirstUses:
    """Marks each term of the glossary where the page first uses it: the order of calls counts."""

    seen: set[str] = field(default_factory=set)

    def marked(self, text: str) -> Markup:
        """The text as `visible` has it, each term that is new in it as a link to its meaning."""
        return Markup("").join(self._piece(piece) for piece in glossary.pieces(visible(text)))

    def quoted(self, text: str) -> Markup:
        """A sentence as `marked` has it, and commands of ours in it as code."""
        shown = (
            code(piece, len(piece)) if is_code else self.marked(piece)
            for piece, is_code in quoted(text)
        )
        return Markup("").join(shown)

    def _piece(self, piece: glossary.Piece) -> Markup:
        if piece.term is None or piece.term.name in self.seen:
            return escape(piece.text)
        self.seen.add(piece.term.name)
        return _TERM.format(piece.term.anchor, piece.text)

    def said(self, sentence: Sentence) -> Markup:
        """A sentence of the summary: its pattern and its values, routes and relations as code."""
        parts = sentence.pattern.split("{}")
        shown = [self.marked(parts[0])]
        for value, part in zip(sentence.values, parts[1:], strict=True):
            shown.append(code(value) if isinstance(value, Code) else self.marked(value))
            shown.append(self.marked(part))
        return Markup("").join(shown)

    def used(self) -> tuple[glossary.Term, ...]:
        """The terms that were marked, in the order of the glossary."""
        return tuple(
            glossary.Term(name, meaning)
            for name, meaning in glossary.TERMS.items()
            if name in self.seen
        )


def visible(text: str) -> str:
    """`text` on one line without anything invisible; a blank at either end stays one.

    >>> visible(" of \\u202e5\\n ")
    ' of 5 '
    """
    lead, tail = text[:1].isspace(), text[-1:].isspace() and bool(text.strip())
    return f"{' ' if lead else ''}{clean(text)}{' ' if tail else ''}"


def code(text: str, limit: int = 400) -> Markup:
    """`text` as code on one line, a dash where there is none."""
    shown = plain(text, limit)
    return _CODE.format(shown) if shown else escape(NOTHING)


def lines(text: str, limit: int = 4000) -> Markup:
    """`text` as it stands in a preformatted block: its lines, and nothing invisible."""
    shown = (
        line[: len(line) - len(line.lstrip(" "))] + plain(line, len(line) + 1)
        for line in re.split(r"\r\n|\r|\n", text.strip("\r\n")[:limit])
    )
    return escape("\n".join(shown))

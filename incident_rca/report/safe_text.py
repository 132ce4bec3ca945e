"""Text of any origin made safe for Markdown: it can change what is said, never the document."""

from __future__ import annotations

import re
from collections.abc import Iterator

from incident_rca.redact import plain

MARKER_START = "<!-- incident-rca:"
NOTHING = "–"

_HREF = r"(?:https?://|ftp://|www\.)[^\s`|<>\\]+"
_MENTION = r"(?<!\w)@\w[\w/.-]*"
# GitHub links these to an issue of that number, which then shows that it was named.
_REFERENCE = r"(?<![\w.&/#-])(?:(?:[\w.-]+/[\w.-]+)?#|GH-)[0-9]+\b"
_TOKEN = re.compile(f"({_HREF}|{_MENTION}|{_REFERENCE})", re.I)

# Each alternative is one way in which CommonMark, its tables or GitHub read a character as markup.
_SPECIAL = re.compile(
    r"""
      \\(?=[!-/:-@\[-`{-~]|$)            # a backslash that would escape what follows
    | [`*|\[\]$]                         # code, emphasis, table cell, link, formula
    | (?<![^\W_])_ | _(?![^\W_])         # emphasis; an underscore inside a word is none
    | <(?=[A-Za-z/!?]|$)                 # HTML, autolink
    | &(?=\#?\w+;)                       # entity
    | (?<=[^\s(])~ | ~(?=[~\s]|$)        # strikethrough, fence
    """,
    re.X,
)
_LINE_START = re.compile(
    r"""
      \#(?=\#*(?:\s|$)) | [-+](?=\s|$) | [-=](?=[-=\s]*$) | : (?=-) | > | /(?=[a-z])
    """,
    re.X,
)
# A command of ours in a sentence; what else stands between backticks may be a text of a log.
_COMMAND = re.compile("`(incident-rca [^`]+)`")
_ORDERED = re.compile(r"(\d{1,9})([.)])(?=\s|$)")


class Markdown(str):
    """Text that is Markdown already: the only kind that a template puts out as it stands."""

    __slots__ = ()


def clean(text: str) -> str:
    """`text` on one line, with single blanks and without anything invisible.

    >>> clean("a\\x1b[31mred\\x1b[0m\\r\\n\\u202eb")
    'ared b'
    """
    return " ".join(plain(text, len(text) + 1).split())


def escape(text: str) -> Markdown:
    """One line of prose, or a table cell, that shows `text` and means nothing else.

    >>> print(escape("a|b *c* <script> order_items (1.5 s) 5 < 6"))
    a\\|b \\*c\\* \\<script> order_items (1.5 s) 5 < 6
    >>> print(escape("see http://evil.example/_x_, #12 and @all"))
    see `http://evil.example/_x_,` `#12` and `@all`
    """
    parts: list[str] = []
    for position, part in enumerate(_TOKEN.split(clean(text))):
        if position % 2 == 0:
            parts.append(_SPECIAL.sub(r"\\\g<0>", part))
            continue
        # In code no address or number becomes a link, and nobody who is named is notified.
        parts.append((" " if parts[-1].endswith("`") else "") + code_span(part))
    line = "".join(parts)
    line = _LINE_START.sub(r"\\\g<0>", line, count=1) if _LINE_START.match(line) else line
    return Markdown(_ORDERED.sub(r"\1\\\2", line, count=1) if _ORDERED.match(line) else line)


def code_span(text: str, *, in_table: bool = True) -> Markdown:
    """A code span that shows `text`; its pipes are escaped, because a table row splits at them.

    >>> print(code_span("a`b|c"))
    ``a`b\\|c``
    """
    content = clean(text)
    if not content:
        return Markdown(NOTHING)
    fence = "`" * (_longest_run(content) + 1 if "`" in content else 1)
    pad = " " if content.startswith("`") or content.endswith("`") else ""
    shown = content.replace("|", "\\|") if in_table else content
    return Markdown(f"{fence}{pad}{shown}{pad}{fence}")


def quoted(text: str) -> Iterator[tuple[str, bool]]:
    """The pieces of a sentence, and which of them are commands of ours between backticks.

    >>> list(quoted("run `incident-rca lint`, or `x`"))
    [('run ', False), ('incident-rca lint', True), (', or `x`', False)]
    """
    for position, piece in enumerate(_COMMAND.split(text)):
        if piece:
            yield piece, position % 2 == 1


def with_code(text: str) -> Markdown:
    """A sentence as `escape` has it, and commands of ours in it as code.

    >>> print(with_code("run `incident-rca lint *.sql` *now*"))
    run `incident-rca lint *.sql` \\*now\\*
    """
    shown = (code_span(piece) if is_code else _inside(piece) for piece, is_code in quoted(text))
    return Markdown("".join(shown))


def _inside(piece: str) -> str:
    # Between code the blanks at both ends are those between words.
    lead, tail = piece[:1].isspace(), piece[-1:].isspace() and bool(piece.strip())
    return f"{' ' * lead}{escape(piece)}{' ' * tail}"


def code_block(text: str, language: str = "text") -> Markdown:
    """A fenced block that shows `text`; nothing in it ends the fence or is a block marker."""
    lines = [_code_line(line) for line in re.split(r"\r\n|\r|\n", text.strip("\r\n"))]
    fence = "`" * max(3, _longest_run("\n".join(lines)) + 1)
    word = re.sub(r"[^a-z]", "", language.lower())
    return Markdown("\n".join([fence + word, *lines, fence]))


def _code_line(line: str) -> str:
    # Indented a little, a line that looks like the marker of a block is none.
    indent = line[: len(line) - len(line.lstrip(" "))]
    shown = plain(line, len(line) + 1)
    return (
        f" {indent}{shown}" if shown.startswith(MARKER_START) else indent + shown if shown else ""
    )


def _longest_run(text: str) -> int:
    return max((len(run) for run in re.findall("`+", text)), default=0)

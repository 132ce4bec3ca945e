"""psql's own commands and the data of COPY, blanked out so that every place stays the same."""

from __future__ import annotations

import re
from dataclasses import dataclass

_TOKEN = re.compile(
    r"""(?P<comment>--[^\n]*)
    | (?P<block>/\*)
    | (?P<string>[eE]'(?:[^'\\]|\\.|'')*'|'(?:[^']|'')*'|"(?:[^"]|"")*")
    | (?P<dollar>\$(?:[^\W\d]\w*)?\$)
    | (?P<command>\\(?P<name>[A-Za-z_]+|[!?.;])[^\n\\]*)
    | (?P<end>;)
    | (?P<word>[^\W\d]\w*|.)""",
    re.VERBOSE | re.DOTALL,
)
_COPY_DATA = re.compile(r"copy\b.*\bfrom\s+stdin\b", re.I | re.S)
_DATA_END = re.compile(r"^\\\.[ \t]*$", re.M)
# These send the statement before them, as a semicolon does.
_SENDING = frozenset({"g", "gx", "gexec", "gset", "gdesc", "watch", "crosstabview", "bind", ";"})


@dataclass(frozen=True, slots=True)
class Command:
    """A command of psql, without its backslash, at a character of the text."""

    name: str
    at: int


@dataclass(frozen=True, slots=True)
class Cleaned:
    """The text with blanks for what only psql understands; as long as it was, line by line."""

    text: str
    commands: tuple[Command, ...]


def cleaned(text: str) -> Cleaned:
    """The text without psql's commands and COPY data.

    >>> cleaned("\\\\set x 1\\nSELECT 1 \\\\gexec\\n").text
    '        \\nSELECT 1 ;     \\n'
    """
    out = list(text)
    commands: list[Command] = []
    at = 0
    begin: int | None = None  # of the statement's first word
    while token := _TOKEN.match(text, at):
        at = token.end()
        match token.lastgroup:
            case "block":
                at = comment_end(text, at)
            case "word" if begin is None and not token.group().isspace():
                begin = token.start()
            case "dollar":
                close = text.find(token.group(), at)
                at = len(text) if close < 0 else close + len(token.group())
            case "command":
                commands.append(Command(token["name"], token.start()))
                blank(out, token.start(), at)
                if token["name"] in _SENDING:
                    out[token.start()], begin = ";", None
            case "end":
                is_copy = begin is not None and _COPY_DATA.match(text, begin, token.start())
                if is_copy and text.find("\n", at) >= 0:
                    at = _blank_data(text, out, at)
                begin = None
    return Cleaned("".join(out), tuple(commands))


def blank(out: list[str], start: int, end: int) -> None:
    """Puts blanks in place of everything but line ends."""
    out[start:end] = [c if c == "\n" else " " for c in out[start:end]]


def comment_end(text: str, at: int) -> int:
    """Where a comment ends that is open at a place; comments nest."""
    depth = 1
    while depth:
        edge = re.compile(r"/\*|\*/").search(text, at)
        if edge is None:
            return len(text)
        depth += 1 if edge.group() == "/*" else -1
        at = edge.end()
    return at


def _blank_data(text: str, out: list[str], at: int) -> int:
    end = _DATA_END.search(text, at)
    stop = end.end() if end else len(text)
    blank(out, at, stop)
    return stop

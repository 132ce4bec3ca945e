"""Literals, secrets and personal data out of SQL, log lines and other text for a report."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterator

from incident_rca.secret_shapes import (
    ADDRESS_RULES,
    EMAIL_RULES,
    KEY_RULES,
    PLACEHOLDER,
    QUOTED_RULES,
    SECRET_RULES,
    SHAPE_RULES,
    SQL_SECRET_RULES,
    VALUE_RULES,
    StandIn,
    applied,
)


def by_kind(kind: str, _value: str) -> str:
    """A placeholder that says of a value only what it is."""
    return f"<{kind}>"


# --- SQL --------------------------------------------------------------------------------------

_SQL_TOKEN = re.compile(
    rf"""(?P<blank>\s+|--[^\r\n]*)
    | (?P<hidden>{PLACEHOLDER.pattern})
    | (?P<unquoted>[0-9A-Fa-f]{{1,4}}(?::[0-9A-Fa-f]{{0,4}}){{3,8}}(?!\w)
        |[\w.%+][\w.%+-]{{0,63}}+@(?:[\w-]+\.)+[^\W\d_][\w-]+)
    | (?P<comment>/\*)
    | (?P<string>(?:[uU]&|[bBeEnNxX])?')
    | (?P<dollar>\$(?:[^\W\d]\w*)?\$)
    | (?P<parameter>\$[0-9]+)
    | (?P<number>\.?\d(?:[eE][+-](?=\d)|[\w.])*)
    | (?P<word>[^\W\d][\w$]*)
    | (?P<quoted>")
    | (?P<other>.)""",
    re.VERBOSE | re.DOTALL,
)
_COMMENT_EDGE = re.compile(r"/\*|\*/")
_QUOTE_END = re.compile(r"[^']*+(?:''[^']*+)*+'")
_ESCAPED_QUOTE_END = re.compile(r"(?:[^'\\]|\\.|'')*+'", re.DOTALL)
_CONTINUED = re.compile(r"\s*'")
_IDENTIFIER_END = re.compile(r'[^"]*+(?:""[^"]*+)*+"')
_CUT_IDENTIFIER = re.compile(r'"[\w ]{0,63}')
_COPY_DATA = re.compile(r"\bFROM\s+STDIN\b[^;]{0,200};[ \t]*\r?\n(?=.)", re.IGNORECASE | re.DOTALL)
_PARAMETER_DIGITS = 5  # PostgreSQL knows 65,535 of them: more digits are data


def redact_sql(text: str, stand_in: StandIn = by_kind) -> str:
    """The statement with each literal as `$n`, without comments, its blanks collapsed.

    Parameters that it already has keep their numbers, new ones follow the highest. It takes any
    text: of a statement that was cut inside a literal, the rest becomes a placeholder.

    >>> redact_sql("SELECT * FROM t_2 WHERE a = 'it''s' AND b > 1.5 -- mine")
    'SELECT * FROM t_2 WHERE a = $1 AND b > $2'
    """
    pieces = tuple(_sql_pieces(applied(SHAPE_RULES, text, stand_in)))
    number = max((int(p[1:]) for kind, p, _ in pieces if kind == "parameter"), default=0)
    out: list[str] = []
    last = ""
    for kind, piece, _ in pieces:
        if kind == "comment":
            piece = " "
        elif kind == "literal":
            number += 1
            piece = f"${number}"
        # A placeholder must not grow together with a word, a number or another dollar.
        if (kind == "literal" and (last.isalnum() or last in ("_", "$"))) or (
            out and out[-1].startswith("$") and kind == "word"
        ):
            out.append(" ")
        out.append(piece)
        last = piece[-1]
    statement = " ".join("".join(out).split())
    # A line of another program may have been taken for one more line of the statement.
    statement = _mask_identities(applied(SQL_SECRET_RULES, statement, stand_in), stand_in)
    return applied(ADDRESS_RULES, statement, stand_in)


def comments_of(text: str) -> tuple[str, ...]:
    """The comments of a statement, with their marks; what looks like one in a literal is none.

    >>> comments_of("SELECT '/* no */' /* yes */ -- and this")
    ('/* yes */', '-- and this')
    """
    return tuple(piece for kind, piece, _ in _sql_pieces(text) if kind == "comment")


def _sql_pieces(text: str) -> Iterator[tuple[str, str, int]]:
    """The statement in pieces: their kind, their text, and where each ends.

    Kinds are `literal` (without its text), `parameter`, `comment`, `blank`, `word` and others. The
    rows that follow a COPY are one literal.
    """
    copied = _COPY_DATA.search(text)
    for kind, piece, end in _sql_tokens(text):
        if copied and end > copied.end():
            yield "literal", "", len(text)
            return
        yield kind, piece, end


def _sql_tokens(text: str) -> Iterator[tuple[str, str, int]]:
    at = 0
    while token := _SQL_TOKEN.match(text, at):
        kind, piece = str(token.lastgroup), token.group()
        at = token.end()
        match kind:
            case "comment":
                at = _comment_end(text, at)
                yield "comment", text[token.start() : at], at
            case "blank" if piece.startswith("--"):
                yield "comment", piece, at
            case "blank":
                yield "blank", " ", at
            case "string":
                at = _string_end(text, at, escaped=piece[0] in "eE")
                yield "literal", "", at
            case "dollar":
                close = text.find(piece, at)
                at = len(text) if close < 0 else close + len(piece)
                yield "literal", "", at
            case "number" | "unquoted":
                yield "literal", "", at
            case "parameter" if len(piece) - 1 > _PARAMETER_DIGITS:
                yield "literal", "", at
            case "quoted":
                end = _IDENTIFIER_END.match(text, at)
                start, at = token.start(), end.end() if end else len(text)
                # Open to the end it may be a cut name, but also a quote that went astray.
                is_name = end or _CUT_IDENTIFIER.fullmatch(text, start)
                yield ("other", text[start:at], at) if is_name else ("literal", "", at)
            case _:
                yield kind, piece, at


def _comment_end(text: str, at: int) -> int:
    depth = 1
    while depth and (edge := _COMMENT_EDGE.search(text, at)):
        depth += 1 if edge.group() == "/*" else -1
        at = edge.end()
    return at if depth == 0 else len(text)


def _string_end(text: str, at: int, *, escaped: bool) -> int:
    """Where the literal ends that opens before `at`, with its continuations on further lines."""
    closing = _ESCAPED_QUOTE_END if escaped else _QUOTE_END
    while end := closing.match(text, at):
        at = end.end()
        more = _CONTINUED.match(text, at)
        if more is None or "\n" not in more.group():
            return at
        at = more.end()
    return len(text)


# --- log lines and free text ------------------------------------------------------------------

# A statement in the middle of a text ends at a bracket that it did not open, at a semicolon, or
# where PostgreSQL begins the next of its own lines.
_STATEMENT = re.compile(
    r"""\b(?:SELECT\s(?=[^;]{1,400}?\sFROM\s)|INSERT\s+INTO\s|UPDATE\s+[\w."]+\s+SET\s
        |DELETE\s+FROM\s|MERGE\s+INTO\s|(?:ALTER|CREATE)\s+(?:ROLE|USER)\s|CALL\s+[\w."]+\(
        |EXECUTE\s+\w+\s?\()""",
    re.VERBOSE | re.IGNORECASE,
)
_STATEMENT_WORDS = (
    "from",
    "insert",
    "update",
    "delete",
    "merge",
    "role",
    "user",
    "call",
    "execute",
)
_NEXT_LINE = re.compile(r"\n(?:Process [0-9]+:|[A-Z]{4,12}:|\[)")
_OPENING, _CLOSING = "([{", ")]}"


def redact_text(text: str, stand_in: StandIn = by_kind) -> str:
    """The text with secrets, personal data and quoted values as `<secret>`, `<email>`, `<ip>`, ….

    Times, pids, versions of up to three parts, uuids and latencies stay. Redacting it again
    changes nothing. `stand_in` gives the placeholder of a kind and a value.

    >>> redact_text("10.0.0.1 user ada@example.com: token=abc, took 1.2 at 08:15:02")
    '<ip> user <email>: token=<secret>, took 1.2 at 08:15:02'
    """
    return _settled(_redact_once, text, stand_in)


def redact_query(text: str, stand_in: StandIn = by_kind) -> str:
    """A query, or a command to copy, without secrets and personal data; what it quotes stays.

    >>> redact_query("fields @message | filter route = '/orders' and ip = '10.0.0.1'")
    "fields @message | filter route = '/orders' and ip = '<ip>'"
    """
    return _settled(_without_identities, text, stand_in)


def told(value: object, limit: int = 40) -> str:
    """The beginning of a value of a raw file, redacted, for a message about it."""
    return plain(redact_text(str(value)), limit)


def _settled(redact: Callable[[str, StandIn], str], text: str, stand_in: StandIn) -> str:
    # One replacement can lay bare the next; each pass hides more, so this ends.
    while (hidden := redact(text, stand_in)) != text:
        text = hidden
    return text


def _redact_once(text: str, stand_in: StandIn) -> str:
    text = applied(VALUE_RULES, _redact_statements(text, stand_in), stand_in)
    text = applied(QUOTED_RULES, applied(SECRET_RULES, text, stand_in), stand_in)
    return applied(ADDRESS_RULES, _mask_identities(text, stand_in), stand_in)


def _without_identities(text: str, stand_in: StandIn) -> str:
    text = _mask_identities(applied(SECRET_RULES, text, stand_in), stand_in)
    return applied(ADDRESS_RULES, text, stand_in)


def _redact_statements(text: str, stand_in: StandIn) -> str:
    small = text.lower()
    if not any(word in small for word in _STATEMENT_WORDS):
        return text
    out: list[str] = []
    at = 0
    while begun := _STATEMENT.search(text, at):
        start, end = begun.start(), _statement_end(text, begun.start())
        blank = " " if text[end - 1].isspace() and end < len(text) else ""
        out += [text[at:start], redact_sql(text[start:end], stand_in), blank]
        at = end
    return "".join([*out, text[at:]]) if out else text


def _statement_end(text: str, start: int) -> int:
    next_line = _NEXT_LINE.search(text, start)
    limit = next_line.start() if next_line else len(text)
    depth, before = 0, start
    for kind, piece, end in _sql_tokens(text[start:limit]):
        depth += (piece in _OPENING) - (piece in _CLOSING) if kind == "other" else 0
        if depth < 0 or (kind == "other" and piece == ";"):
            return before
        before = start + end
    return limit


def _mask_identities(text: str, stand_in: StandIn) -> str:
    text = applied(KEY_RULES, text, stand_in)
    # One may be glued to the next, and is seen only when that is gone.
    while (hidden := applied(EMAIL_RULES, text, stand_in)) != text:
        text = hidden
    return text


# --- text for a reader ------------------------------------------------------------------------

_ESCAPE_SEQUENCE = re.compile(
    r"(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]"
    r"|\x1b[\]PX^_][^\x07\x1b\x9c]*(?:\x07|\x1b\\|\x9c)"
    r"|\x1b[ -/]*[0-~]"
)
_BLANKS = re.compile(r"\r\n|[\t\n\v\f\r\x85\u2028\u2029]")
_INVISIBLE_LETTERS = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u3164\uffa0")
_UNPRINTABLE = frozenset({"Cc", "Cf", "Cs"})


def is_invisible(sign: str) -> bool:
    """Whether a character has no shape of its own: a control, a turn of direction, no width."""
    return unicodedata.category(sign) in _UNPRINTABLE or sign in _INVISIBLE_LETTERS


def plain(text: str, limit: int = 200) -> str:
    """`text` on one line without anything invisible, at most `limit` characters (the last is `…`).

    Removed are control characters, terminal escapes, marks that turn the direction of writing,
    characters without width and halves of surrogate pairs. Raises ValueError for a limit below 1.

    >>> plain("a\\x1b[31mb\\nc\\u202ed", limit=4)
    'ab…'
    """
    if limit < 1:
        raise ValueError(f"no room for any text: limit={limit}")
    text = _BLANKS.sub(" ", _ESCAPE_SEQUENCE.sub("", text))
    kept = "".join(c for c in text if not is_invisible(c)).strip()
    return kept if len(kept) <= limit else f"{kept[: limit - 1].rstrip()}…"

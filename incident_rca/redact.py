"""Literals, secrets and personal data out of SQL, log lines and other text for a report."""

from __future__ import annotations

import ipaddress
import re
import unicodedata
from collections.abc import Iterator

# --- SQL --------------------------------------------------------------------------------------

_SQL_TOKEN = re.compile(
    r"""(?P<blank>\s+|--[^\r\n]*)
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
_PARAMETER_DIGITS = 5  # PostgreSQL knows 65,535 of them: more digits are data


def redact_sql(text: str) -> str:
    """The statement with each literal as `$n`, without comments, its blanks collapsed.

    Parameters that it already has keep their numbers, new ones follow the highest. It takes any
    text: of a statement that was cut inside a literal, the rest becomes a placeholder.

    >>> redact_sql("SELECT * FROM t_2 WHERE a = 'it''s' AND b > 1.5 -- mine")
    'SELECT * FROM t_2 WHERE a = $1 AND b > $2'
    """
    pieces = tuple(_sql_pieces(text))
    number = max((int(p[1:]) for kind, p in pieces if kind == "parameter"), default=0)
    out: list[str] = []
    last = ""
    for kind, piece in pieces:
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
    return _mask_identities(" ".join("".join(out).split()))


def comments_of(text: str) -> tuple[str, ...]:
    """The comments of a statement, with their marks; what looks like one in a literal is none.

    >>> comments_of("SELECT '/* no */' /* yes */ -- and this")
    ('/* yes */', '-- and this')
    """
    return tuple(piece for kind, piece in _sql_pieces(text) if kind == "comment")


def _sql_pieces(text: str) -> Iterator[tuple[str, str]]:
    """The statement in (kind, text) pieces: `literal`, `parameter`, `comment`, `blank`, `word` or
    `other`; a literal has no text.
    """
    at = 0
    while token := _SQL_TOKEN.match(text, at):
        kind, piece = str(token.lastgroup), token.group()
        at = token.end()
        match kind:
            case "comment":
                at = _comment_end(text, at)
                yield "comment", text[token.start() : at]
            case "blank" if piece.startswith("--"):
                yield "comment", piece
            case "blank":
                yield "blank", " "
            case "string":
                at = _string_end(text, at, escaped=piece[0] in "eE")
                yield "literal", ""
            case "dollar":
                close = text.find(piece, at)
                at = len(text) if close < 0 else close + len(piece)
                yield "literal", ""
            case "number":
                yield "literal", ""
            case "parameter" if len(piece) - 1 > _PARAMETER_DIGITS:
                yield "literal", ""
            case "quoted":
                end = _IDENTIFIER_END.match(text, at)
                start, at = token.start(), end.end() if end else len(text)
                # Open to the end it may be a cut name, but also a quote that went astray.
                is_name = end or _CUT_IDENTIFIER.fullmatch(text, start)
                yield ("other", text[start:at]) if is_name else ("literal", "")
            case _:
                yield kind, piece


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

_PLACEHOLDER = re.compile(r"<(?:card|email|ip|secret|value)>")
_PRIVATE_KEY = re.compile(
    r"-----BEGIN [A-Z ]{0,40}PRIVATE KEY-----.*?(?:-----END [A-Z ]{0,40}KEY-----|\Z)", re.DOTALL
)
# The values of rows in PostgreSQL's DETAIL lines; they may hold parentheses themselves.
_ROW_VALUES = re.compile(
    r"(?P<lead>\) ?= ?|Failing row contains )\((?:"
    r".*?\)(?=\s(?:already exists|is not present|is still referenced|is duplicated|conflicts))"
    r"|.*\)|.*)",
    re.DOTALL,
)
# PostgreSQL quotes names with ", but in these messages it quotes data.
_BAD_VALUE = re.compile(
    r"""(?P<lead>(?:invalid\ input\ (?:syntax|value)[^":]{0,80}|malformed\ \w{1,20}\ literal
        |value\ out\ of\ range):\ |\bvalue\ )"[^"]*+(?:"|\Z)""",
    re.VERBOSE,
)
_NAMED_SECRET = re.compile(
    r"""(?P<lead>(?:pass(?:word|wd|phrase)|\bpwd|secret|token|(?:api|access|private)[ _-]?key
        |authorization|credentials?|signature)
        (?:[_-]?(?:key|id|value|hash))?
        \\?["']?[ \t]{0,3}(?:=>?|:(?!:))[ \t]{0,3})
        (?P<value>
            \\"(?:[^"\\]|\\[^"])*+(?:\\"|\Z)
          | "(?:[^"\\]|\\.)*+(?:"|\Z)
          | '(?:[^'\\]|\\.|'')*+(?:'|\Z)
          | (?:(?:basic|bearer|digest|token|aws4-hmac-sha256)[ ]{1,3})?
            (?:[^\s&;"'\\]|\\(?!["']))+
        )""",
    re.VERBOSE | re.IGNORECASE | re.DOTALL,
)
_COOKIE = re.compile(r"""(?P<lead>\b(?:set-)?cookie["']?: ?["']?)[^"'\r\n]+""", re.IGNORECASE)
_BEARER = re.compile(r"\b(?P<lead>bearer )[\w.~+/=-]{6,}", re.IGNORECASE)
_QUOTED = re.compile(
    r"""(?<!\w)(?:
        [eE]'(?:[^'\\]|\\.|'')*+(?:'|\Z)
      | (?:[uU]&|[bBnNxX])?'(?P<inner>[^']*+(?:''[^']*+)*+)(?:'|\Z)
    )""",
    re.VERBOSE | re.DOTALL,
)
_URL_USER = re.compile(r"""://[^\s'"<>]{1,512}@""")
_KEY_SHAPES = re.compile(
    r"""(?<![A-Za-z0-9])(?:
        eyJ[\w-]{5,}\.[\w-]+(?:\.[\w-]*)?                     # JSON web tokens
      | (?:AKIA|ASIA|AIDA|AROA)[A-Z0-9]{12,124}               # AWS
      | (?:gh[pousr]|github_pat)_\w{20,} | glpat-[\w-]{20,}   # GitHub, GitLab
      | xox[abeprs]-[\w-]{10,} | [rs]k_live_\w{10,}           # Slack, Stripe
    )(?![A-Za-z0-9])\$*""",
    re.VERBOSE | re.ASCII,
)
_EMAIL = re.compile(r"(?<![\w.%+-])[\w.%+-]*\w(?:@|%40)(?:[\w-]+\.)+[^\W\d_][\w$-]+", re.IGNORECASE)
# Digits inside a uuid or behind a decimal point are no card.
_CARD = re.compile(
    r"""(?<![0-9A-Za-z])(?<!\d\.)(?<![0-9A-Fa-f]{4}-)(?:
        [2-6]\d{3}(?P<gap>[ -])\d{4}(?P=gap)\d{4}(?P=gap)\d{4}
      | 3\d{3}(?P<gap2>[ -])\d{6}(?P=gap2)\d{4,5}
      | [2-6]\d{12,18}
    )(?![0-9A-Za-z]|-[0-9A-Fa-f]{4}|\.\d)""",
    re.VERBOSE | re.ASCII,
)
_OCTET = r"(?:25[0-5]|2[0-4][0-9]|[01]?[0-9]?[0-9])"
_IPV4 = re.compile(rf"(?<![0-9.vV])(?:{_OCTET}\.){{3}}{_OCTET}(?!\.?[0-9])")
_IPV4_IN_NAME = re.compile(rf"(?<![\w-])ip(?:-{_OCTET}){{4}}(?![\w-])")
_COLON_RUN = re.compile(r"(?<![\w.:])[\w.:]*[\w:]")
_HEX_GROUP = re.compile(r"[0-9A-Fa-f]{0,4}")
_DIGIT = re.compile(r"[0-9]")
_MOST_GROUPS, _FEWEST_GROUPS = 9, 3  # of `1:2:3:4:5:6:7::` and of `::1`


def redact_text(text: str) -> str:
    """The text with secrets, personal data and quoted values as `<secret>`, `<email>`, `<ip>`, ….

    Times, pids, versions of up to three parts, uuids and latencies stay. Redacting it again
    changes nothing.

    >>> redact_text("10.0.0.1 user ada@example.com: token=abc, took 1.2 at 08:15:02")
    '<ip> user <email>: token=<secret>, took 1.2 at 08:15:02'
    """
    # One replacement can lay bare the next; each pass hides more, so this ends.
    while (hidden := _redact_once(text)) != text:
        text = hidden
    return text


def _redact_once(text: str) -> str:
    text = _PRIVATE_KEY.sub("<secret>", text)
    text = _ROW_VALUES.sub(r"\g<lead>(<value>)", text)
    text = _BAD_VALUE.sub(r'\g<lead>"<value>"', text)
    text = _NAMED_SECRET.sub(_hide_named, text)
    text = _COOKIE.sub(r"\g<lead><secret>", text)
    text = _BEARER.sub(r"\g<lead><secret>", text)
    text = _QUOTED.sub(_hide_quoted, text)
    text = _mask_identities(text)
    text = _CARD.sub(_hide_card, text)
    text = _IPV4.sub("<ip>", text)
    text = _IPV4_IN_NAME.sub("<ip>", text)
    return _COLON_RUN.sub(_hide_ipv6, text)


def _mask_identities(text: str) -> str:
    """What may be masked in SQL too, where it stands for a literal that was never quoted."""
    text = _URL_USER.sub("://<secret>@", text)
    text = _KEY_SHAPES.sub("<secret>", text)
    # One may be glued to the next, and is seen only when that is gone.
    while (hidden := _EMAIL.sub("<email>", text)) != text:
        text = hidden
    return text


def _hide_named(match: re.Match[str]) -> str:
    value = match["value"]
    quote = next((q for q in ('\\"', '"', "'") if value.startswith(q)), "")
    body = value.removeprefix(quote).removesuffix(quote) if quote else value.rstrip(",)]}")
    if _PLACEHOLDER.fullmatch(body) or not (body or quote):
        return match.group()
    tail = quote or value[len(body) :]
    return f"{match['lead']}{quote}<secret>{tail}"


def _hide_quoted(match: re.Match[str]) -> str:
    is_hidden = match["inner"] and _PLACEHOLDER.fullmatch(match["inner"])
    return match.group() if is_hidden else "'<value>'"


def _hide_card(match: re.Match[str]) -> str:
    digits = [int(c) for c in match.group() if c.isdigit()]
    doubled = [sum(divmod(2 * d, 10)) for d in digits[-2::-2]]
    # A 2 starts cards from 2221 to 2720, and otherwise clock readings such as 20260115142301.
    issued = digits[0] != 2 or (len(digits) == 16 and 2221 <= int(match.group()[:4]) <= 2720)
    return "<card>" if issued and (sum(digits[-1::-2]) + sum(doubled)) % 10 == 0 else match.group()


def _hide_ipv6(run: re.Match[str]) -> str:
    """The run of words and colons with each IPv6 address in it hidden, the longest that fits."""
    groups = run.group().split(":")
    out: list[str] = []
    at = 0
    while at < len(groups):
        for size in range(min(_MOST_GROUPS, len(groups) - at), _FEWEST_GROUPS - 1, -1):
            if _is_ipv6(groups[at : at + size]):
                out.append("<ip>")
                at += size
                break
        else:
            out.append(groups[at])
            at += 1
    return ":".join(out)


def _is_ipv6(groups: list[str]) -> bool:
    address = ":".join(groups)
    # `a::b` is a cast or a name of a program more often than an address without any digit.
    if not all(_HEX_GROUP.fullmatch(g) for g in groups) or not _DIGIT.search(address):
        return False
    try:
        ipaddress.IPv6Address(address)
    except ValueError:
        return False
    return True


# --- text for a reader ------------------------------------------------------------------------

_ESCAPE_SEQUENCE = re.compile(
    r"(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]"
    r"|\x1b[\]PX^_][^\x07\x1b\x9c]*(?:\x07|\x1b\\|\x9c)"
    r"|\x1b[ -/]*[0-~]"
)
_BLANKS = re.compile(r"\r\n|[\t\n\v\f\r\x85\u2028\u2029]")
_INVISIBLE_LETTERS = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u3164\uffa0")
_UNPRINTABLE = frozenset({"Cc", "Cf", "Cs"})


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
    kept = "".join(
        c
        for c in text
        if unicodedata.category(c) not in _UNPRINTABLE and c not in _INVISIBLE_LETTERS
    ).strip()
    return kept if len(kept) <= limit else f"{kept[: limit - 1].rstrip()}…"

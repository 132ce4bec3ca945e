"""What secrets, personal data and quoted values look like in log lines, headers, URLs and SQL.

The shapes of keys are those that their issuers document (a fixed prefix, an alphabet, a least
length); names and separators are those of HTTP headers, JSON, query strings, command lines,
libpq, JDBC and ODBC. Each rule is a pattern and what it makes of a match; rules stand in the order
in which they must run: a private key holds what looks like other secrets, a header holds quotes.
"""

from __future__ import annotations

import base64
import binascii
import ipaddress
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial

StandIn = Callable[[str, str], str]
"""What stands for a value: (kind, value) -> placeholder; equal values may be told by it."""
Hide = Callable[[StandIn, re.Match[str]], str]


@dataclass(frozen=True, slots=True)
class Rule:
    """A pattern and what it makes of a match; a text without any of `needles` has none.

    Needles are in small letters, and each is looked for `least` times: that is far cheaper than
    the pattern, and most texts hold nothing.
    """

    needles: tuple[str, ...]
    pattern: re.Pattern[str]
    hide: Hide
    least: int = 1


KINDS = ("card", "email", "ip", "secret", "user", "value")
# `<ip>`, `<ip#9f2c…>` between parsing and reporting, `<ip-3>` in a report.
PLACEHOLDER = re.compile(rf"<(?:{'|'.join(KINDS)})(?:\#[0-9a-f]{{12}}|-[0-9]{{1,6}})?>")
_PARAMETER = re.compile(r"\$[0-9]{1,5}")


def _lead_and(kind: str, before: str = "", after: str = "") -> Hide:
    """Keeps the group `lead` and hides the group `value`, whole."""

    def hide(stand_in: StandIn, match: re.Match[str]) -> str:
        value = match["value"]
        if PLACEHOLDER.fullmatch(value):
            return match.group()
        return f"{match['lead']}{before}{stand_in(kind, value)}{after}"

    return hide


def _whole(kind: str) -> Hide:
    return lambda stand_in, match: stand_in(kind, match.group())


# --- keys and named secrets -------------------------------------------------------------------

_PRIVATE_KEY = re.compile(
    r"-----BEGIN [A-Z ]{0,40}PRIVATE KEY(?: BLOCK)?-----.*?"
    r"(?:-----END [A-Z ]{0,40}KEY(?: BLOCK)?-----|\Z)"
    # Of a key whose beginning was cut off, only its lines of base64 are left.
    r"|(?<![A-Za-z0-9+/=])(?:[A-Za-z0-9+/=]{16,80}+(?:\s|\\r|\\n){1,4}+){1,80}+"
    r"-----END [A-Z ]{0,40}PRIVATE KEY"
    r"(?: BLOCK)?-----",
    re.DOTALL,
)
_SEPARATOR = r"[ \t]{0,3}(?:=>?|:(?!:)|->|%3[AD])(?:%22)?[ \t]{0,3}\[?[ ]?"
_VALUE = r"""(?P<value>
      (?P<esc>\\{1,7})"(?:(?!(?P=esc)").)*+(?:(?P=esc)"|\Z)
    | "(?:[^"\\]|\\.)*+(?:"|\Z)
    | '(?:[^'\\]|\\.|'')*+(?:'|\Z)
    | (?:digest|aws4-hmac-sha256)[ ]{1,3}[^\r\n]*
    | (?:(?:basic|bearer|token|apikey|negotiate)[ ]{1,3})?(?:[^\s&;"'\\{]|\\(?!["']))
      (?:[^\s&;"'\\]|\\(?!["']))*
    )"""
_NAMED_SECRET = re.compile(
    rf"""(?P<lead>(?:pass(?:word|wd|phrase|code)|(?:(?<![^\W_])|(?-i:(?<=[a-z])(?=P)))pwd?
        |secret|token|jwt
        |(?:api|app(?:lication)?|access|account|auth|encryption|license|master|private|shared
           |signing|subscription|webhook)[ _-]?key
        |authorization|credentials?|signature)
        (?:[_-]?(?:key|id|value|hash|base|salt|string|text|new|old|again|confirm(?:ation)?|[0-9]{{1,2}}
        )){{0,2}}
        (?:\\{{0,7}}["']|%22)?{_SEPARATOR}){_VALUE}""",
    re.VERBOSE | re.IGNORECASE | re.DOTALL,
)
# In a sentence only what looks drawn by chance is taken for what its name says.
_TOLD_SECRET = re.compile(
    r"""\b(?P<lead>(?i:password|passphrase|secret|token|api[ ]?key|credential)s?
        (?:[ ]\w{1,20}){0,3}:?[ ])
        (?P<value>(?=[^\s/]*[a-z])(?=[^\s/]*[A-Z])(?=[^\s/]*[0-9])[\w+=.~-][\w+/=.~-]{9,})""",
    re.VERBOSE,
)
# Short names mean something else too: what they name is hidden only as a parameter or a JSON key.
_SHORTLY_NAMED = re.compile(
    rf"""(?P<lead>(?:(?<![\w.-])(?:auth|sig|sid|pass|otp|pin|cvv2?|cvc2?|ssn|session_?id|
            j?sessionid|phpsessid|asp\.net_sessionid|connect\.sid|sessid|saml(?:request|response))
        |(?:(?<=[?&])|(?<=u0026))(?:code|state|session|nonce|assertion))
        (?:=|\\{{0,7}}["'][ \t]{{0,3}}:[ \t]{{0,3}}|%3D)){_VALUE}""",
    re.VERBOSE | re.IGNORECASE | re.DOTALL,
)
# Headers as lists of pairs, and lists of their values.
_HEADER_PAIR = re.compile(
    r"""(?P<lead>(?P<q>["'])(?:(?:proxy-)?authorization|(?:set-)?cookie|x-[\w-]{0,30}(?:key|token))
        (?P=q)\s?,\s{0,3}(?:["']?value["']?\s?:\s{0,3})?(?P=q))
        (?P<value>(?:(?!(?P=q))[^\\]|\\.)+)""",
    re.VERBOSE | re.IGNORECASE | re.DOTALL,
)
_HEADER_LIST = re.compile(
    r"""(?P<lead>(?:authorization|cookies?|key|token)\\{0,7}["']?\s?[:=]\s?\[\s?)
        (?P<value>"(?:[^"\\]|\\.)*"(?:\s?,\s?"(?:[^"\\]|\\.)*")+)""",
    re.VERBOSE | re.IGNORECASE | re.DOTALL,
)
_COMMAND_OPTION = re.compile(
    r"(?P<lead>(?<![\w-])--(?:\w+-)*(?:pass(?:word|phrase)?|pwd?|token|secret|key)[ =]+|\s-u +"
    r"""|(?i:\bidentified by )"?)(?P<value>[^\s"'-][^\s"']*)"""
)
# Glued to -p it is a password for these clients only (for ssh a port), and no port of docker's.
_CLIENT = r"(?<![\w-])(?:mysql|mariadb)"
_CLIENT_PASSWORD = re.compile(
    rf"""(?P<lead>{_CLIENT}[\w-]*+(?>(?P<q>["'])(?:(?!(?P=q)|{_CLIENT})[^\r\n])*+(?P=q)
        |(?!{_CLIENT})[^\r\n|;&])*?\s-p)(?!\d+:\d)
        (?P<value>\\{{0,7}}"[^"\r\n]*"?|'[^'\r\n]*'?|(?:[^\s"'|;&\\]|\\(?!["']))+)""",
    re.VERBOSE | re.IGNORECASE,
)
_DRIVER_USER = re.compile(r"(?P<lead>(?<!\S)\w{1,40}:)(?P<value>\S{1,200})(?=@(?:tcp|unix)\()")
_XML_ELEMENT = re.compile(
    r"(?P<lead><(?:\w+:)?\w{0,40}(?:password|passwd|secret|token|apikey)\w{0,20}(?:\s[^<>]*)?>)"
    r"(?P<value>[^<>]+)(?=</)",
    re.IGNORECASE,
)
_COOKIE = re.compile(
    r"""(?P<lead>(?<![A-Za-z])(?:set-)?cookies?\\{0,7}["']?(?:[:=]|=>)[ ]{0,3}\[?)(?P<value>
        (?P<esc>\\{1,7})"(?:(?!(?P=esc)").)*+(?:(?P=esc)"|\Z)
      | "(?:[^"\\]|\\.)*+(?:"|\Z) | '[^'\r\n]*+(?:'|\Z)
      | [^\s"'{\[\\](?:(?!,[ ][\w-]+[=:])[^\r\n])*)""",
    re.VERBOSE | re.IGNORECASE,
)
_BEARER = re.compile(r"\b(?P<lead>bearer )(?P<value>[\w.~+/=-]{6,})", re.IGNORECASE)
_BASIC = re.compile(r"\b(?P<lead>basic )(?P<value>[A-Za-z0-9+/]{6,}={0,2})", re.IGNORECASE)
_URL_USER = re.compile(
    r"""(?P<lead>://)(?P<value>(?:
        (?<=postgres://)|(?<=postgresql://)|(?<=mysql://)|(?<=redis://)|(?<=rediss://)
        |(?<=mongodb://)|(?<=mongodb\+srv://)|(?<=amqp://)|(?<=amqps://))[^\s'"<>]{1,512}
      | [^\s'"<>/?\#]{1,512})@""",
    re.VERBOSE,
)
_WEBHOOK = re.compile(
    r"(?P<lead>hooks\.slack\.com/(?:services|workflows)/|discord(?:app)?\.com/api/webhooks/"
    r"""|\.webhook\.office\.com/)(?P<value>[^\s"'<>?#]+)"""
)
_KEY_SHAPES = re.compile(
    r"""(?<![A-Za-z0-9])(?=[\w.+/=:-]{10})(?:
        eyJ[\w-]{5,}\.[\w-]+(?:\.[\w-]*){0,3}                  # JSON web tokens
      | (?:AKIA|ASIA|AIDA|AROA)[A-Z0-9]{12,124}               # AWS
      | (?:gh[pousr]|github_pat)_\w{20,} | gl[a-z]{2,5}-[\w-]{20,}  # GitHub, GitLab
      | xox[a-z]-[\w-]{10,} | xapp-[\w-]{10,}                 # Slack
      | [prs]k_(?:live|test)_\w{10,} | whsec_[\w+/=]{16,}     # Stripe
      | AIza[\w-]{30,} | ya29\.[\w-]{20,} | GOCSPX-[\w-]{20,} # Google
      | SG\.[\w-]{16,}\.[\w-]{16,} | (?:SK|AC)[0-9a-f]{32}    # SendGrid, Twilio
      | npm_[A-Za-z0-9]{30,} | pypi-[\w-]{30,} | rubygems_[0-9a-f]{40,}
      | dckr_pat_[\w-]{20,} | do[opr]_v1_[0-9a-f]{40,} | hv[sbr]\.[\w-]{20,}
      | sk-(?:[a-z]{2,10}-)?[\w-]{20,} | shp[a-z]{2}_[0-9a-fA-F]{32} | lin_api_\w{20,}
      | key-[0-9a-f]{32} | sq0[a-z]{3}-[\w-]{20,} | [0-9]{8,10}:AA[\w-]{32,}
    )(?![A-Za-z0-9])""",
    re.VERBOSE | re.ASCII,
)


_COLUMN = re.compile(r"[A-Za-z_.\"()$,]+[0-9]{0,5}[),;]*|\$[0-9]+\S*")
# A custom verb of a path, as in `/v1/password:reset`.
_VERB = re.compile(r"[A-Za-z]+(?=\?|\Z)")


def _hide_named(stand_in: StandIn, match: re.Match[str]) -> str:
    value, lead = match["value"], match["lead"]
    quotes = (f'{match["esc"]}"' if match["esc"] else '"', '"', "'")
    quote = next((q for q in quotes if value.startswith(q)), "")
    body = value.removeprefix(quote).removesuffix(quote) if quote else value.rstrip(",)]}")
    if PLACEHOLDER.fullmatch(body) or _PARAMETER.fullmatch(body) or not (body or quote):
        return match.group()
    if lead.endswith(":") and (verb := _VERB.match(body)) and _stands_in_path(match):
        rest = match.group()[len(lead) + verb.end() :]
        return lead + verb[0] + _NAMED_SECRET.sub(partial(_hide_named, stand_in), rest)
    return f"{lead}{quote}{stand_in('secret', body)}{quote or value[len(body) :]}"


def _hide_named_in_sql(stand_in: StandIn, match: re.Match[str]) -> str:
    # `SET password = new.password` names a column.
    return match.group() if _COLUMN.fullmatch(match["value"]) else _hide_named(stand_in, match)


def _stands_in_path(match: re.Match[str]) -> bool:
    """Whether the name is the end of a path, so that a colon begins a custom verb."""
    before = match.string[: match.start()]
    segment = before[max(before.rfind(" "), before.rfind('"')) + 1 :]
    return segment.startswith("/") or "://" in segment


def _hide_bearer(stand_in: StandIn, match: re.Match[str]) -> str:
    # Of lower-case letters alone it is a word of a sentence: "bearer authentication".
    value = match["value"]
    is_word = value.isalpha() and (value.islower() or value.istitle())
    return match.group() if is_word else f"{match['lead']}{stand_in('secret', value)}"


def _hide_basic(stand_in: StandIn, match: re.Match[str]) -> str:
    try:
        is_pair = b":" in base64.b64decode(match["value"], validate=True)
    except (binascii.Error, ValueError):
        is_pair = False
    return f"{match['lead']}{stand_in('secret', match['value'])}" if is_pair else match.group()


# --- values that PostgreSQL quotes ------------------------------------------------------------

# The values of rows in PostgreSQL's DETAIL lines; they may hold parentheses themselves.
_ROW_VALUES = re.compile(
    r"(?P<lead>\) ?= ?|Failing row contains )\((?P<value>(?:"
    r".*?(?=\)\s(?:already exists|is not present|is still referenced|is duplicated|conflicts))"
    r"|.*(?=\))|.*))\)?",
    re.DOTALL,
)
# PostgreSQL quotes names with ", but in these messages it quotes data.
_BAD_VALUE = re.compile(
    r"""(?P<lead>(?:invalid\ [^":]{0,80}|malformed\ \w{1,20}\ literal
        |invalid\ value\ for\ parameter\ "[^"]{1,64}"
        |value\ out\ of\ range|\bCOPY\ [^\n:]{1,200},\ line\ [0-9]+[^\n:]{0,80}):\ |\bvalue[ ]
        |\bat\ or\ near\ |\bToken\ )"(?P<value>[^"]*+)(?:"|\Z)""",
    re.VERBOSE,
)
_JSON_DATA = re.compile(r"(?P<lead>\bJSON data, line [0-9]+: )(?P<value>[^\r\n]+)")
_QUOTED = re.compile(
    r"""(?<!\w)(?:
        [eE]'(?:[^'\\]|\\.|'')*+(?:'|\Z)
      | (?:[uU]&|[bBnNxX])?'(?P<inner>[^']*+(?:''[^']*+)*+)(?:'|\Z)
    )""",
    re.VERBOSE | re.DOTALL,
)


def _hide_quoted(stand_in: StandIn, match: re.Match[str]) -> str:
    inner = match["inner"]
    is_hidden = inner is not None and PLACEHOLDER.fullmatch(inner)
    body = inner if inner is not None else match.group()[2:].removesuffix("'")
    return match.group() if is_hidden else f"'{stand_in('value', body)}'"


# --- who it was -------------------------------------------------------------------------------

_EMAIL = re.compile(
    r"(?<![\w.%+-])[\w.%+-]*\w(?P<at>@|%40|\\u0040|&#64;)(?:[\w-]+\.)+[^\W\d_][\w$-]+",
    re.IGNORECASE,
)
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
_IPV4_IN_NAME = re.compile(rf"(?<![\w-])(?:ip|ec2)(?:-{_OCTET}){{4}}(?![\w-])")
_OCTETS = re.compile(r"(?<![a-z0-9])[0-9]{1,3}")
_COLON_RUN = re.compile(r"(?<![\w.:])[\w.:]*[\w:]")
_ENCODED_RUN = re.compile(
    r"(?:(?<=%[0-9A-Fa-f]{2})|(?<![\w.%]))[0-9A-Fa-f]{0,4}(?:%3[aA][0-9A-Fa-f]{0,4}){2,8}(?![\w.])"
)
_HEX_GROUP = re.compile(r"[0-9A-Fa-f]{0,4}")
_DIGIT = re.compile(r"[0-9]")
_MOST_GROUPS, _FEWEST_GROUPS = 9, 3  # of `1:2:3:4:5:6:7::` and of `::1`
_GROUPS_WITHOUT_DIGIT = 6


def _hide_email(stand_in: StandIn, match: re.Match[str]) -> str:
    return stand_in("email", match.group().replace(match["at"], "@").lower())


def _hide_card(stand_in: StandIn, match: re.Match[str]) -> str:
    digits = [int(c) for c in match.group() if c.isdigit()]
    doubled = [sum(divmod(2 * d, 10)) for d in digits[-2::-2]]
    # A 2 starts cards from 2221 to 2720, and otherwise clock readings such as 20260115142301.
    issued = digits[0] != 2 or (len(digits) == 16 and 2221 <= int(match.group()[:4]) <= 2720)
    if not issued or (sum(digits[-1::-2]) + sum(doubled)) % 10:
        return match.group()
    return stand_in("card", "".join(map(str, digits)))


def _hide_ipv4(stand_in: StandIn, match: re.Match[str]) -> str:
    octets = _OCTETS.findall(match.group())
    return stand_in("ip", ".".join(str(int(octet)) for octet in octets))


def _hide_ipv6(stand_in: StandIn, run: re.Match[str]) -> str:
    """The run of words and colons with each IPv6 address in it hidden, the longest that fits."""
    groups = run.group().split(":")
    out: list[str] = []
    at = 0
    while at < len(groups):
        # Three colons in a row begin no address.
        most = _MOST_GROUPS if any(groups[at : at + _FEWEST_GROUPS]) else 0
        for size in range(min(most, len(groups) - at), _FEWEST_GROUPS - 1, -1):
            if address := _ipv6(groups[at : at + size]):
                out.append(stand_in("ip", address))
                at += size
                break
        else:
            out.append(groups[at])
            at += 1
    return ":".join(out)


def _hide_encoded_ipv6(stand_in: StandIn, run: re.Match[str]) -> str:
    address = _ipv6(re.split("%3[aA]", run.group()))
    return stand_in("ip", address) if address else run.group()


def _ipv6(groups: list[str]) -> str:
    """The address that these groups are, in its usual spelling; "" where they are none."""
    address = ":".join(groups)
    # `a::b` is a cast or a name of a program more often than an address without any digit.
    is_likely = _DIGIT.search(address) or len(groups) >= _GROUPS_WITHOUT_DIGIT
    if not is_likely or address.count("::") > 1 or ":::" in address:
        return ""
    if not all(_HEX_GROUP.fullmatch(group) for group in groups):
        return ""
    try:
        return str(ipaddress.IPv6Address(address))
    except ValueError:
        return ""


_HIDE_SECRET = _lead_and("secret")
_SECRET_NAMES = tuple("pass pw secret token jwt key authoriz credential signature".split())

# What stands in SQL too, where a quoted name holds it or a literal that was never quoted.
SHAPE_RULES = (Rule(("",), _KEY_SHAPES, _whole("secret")),)
KEY_RULES = (
    Rule(("://",), _URL_USER, _lead_and("secret", after="@")),
    Rule(("hooks.slack", "webhook"), _WEBHOOK, _HIDE_SECRET),
    *SHAPE_RULES,
)
EMAIL_RULES = (Rule(("@", "%40", "u0040", "&#64;"), _EMAIL, _hide_email),)
ADDRESS_RULES = (
    Rule(("",), _CARD, _hide_card),
    Rule((".",), _IPV4, _hide_ipv4, least=3),
    Rule(("ip-", "ec2-"), _IPV4_IN_NAME, _hide_ipv4),
    Rule((":",), _COLON_RUN, _hide_ipv6, least=2),
    Rule(("%3a",), _ENCODED_RUN, _hide_encoded_ipv6),
)
VALUE_RULES = (
    Rule(("=(", "= (", "row contains"), _ROW_VALUES, _lead_and("value", "(", ")")),
    Rule((': "', 'value "', 'near "', 'token "'), _BAD_VALUE, _lead_and("value", '"', '"')),
    Rule(("json data",), _JSON_DATA, _lead_and("value")),
)
SECRET_RULES = (
    Rule(("private key",), _PRIVATE_KEY, _whole("secret")),
    Rule(("authorization", "cookie", "x-"), _HEADER_PAIR, _HIDE_SECRET),
    Rule(("[",), _HEADER_LIST, _lead_and("secret", '"', '"')),
    Rule(("cookie",), _COOKIE, _hide_named),
    Rule(_SECRET_NAMES, _NAMED_SECRET, _hide_named),
    Rule(("pass", "secret", "token", "key", "credential"), _TOLD_SECRET, _HIDE_SECRET),
    Rule(("=", "%3d", '"', "'"), _SHORTLY_NAMED, _hide_named),
    Rule(("--", "-u ", "identified"), _COMMAND_OPTION, _HIDE_SECRET),
    Rule(("mysql", "mariadb"), _CLIENT_PASSWORD, _HIDE_SECRET),
    Rule(("</",), _XML_ELEMENT, _HIDE_SECRET),
    Rule(("@tcp", "@unix"), _DRIVER_USER, _HIDE_SECRET),
    Rule(("bearer",), _BEARER, _hide_bearer),
    Rule(("basic",), _BASIC, _hide_basic),
)
SQL_SECRET_RULES = (
    Rule(("cookie",), _COOKIE, _hide_named),
    Rule(_SECRET_NAMES, _NAMED_SECRET, _hide_named_in_sql),
    Rule(("bearer",), _BEARER, _hide_bearer),
    Rule(("basic",), _BASIC, _hide_basic),
)
QUOTED_RULES = (Rule(("'",), _QUOTED, _hide_quoted),)


def applied(rules: Iterable[Rule], text: str, stand_in: StandIn) -> str:
    """The text after each rule in turn."""
    small = text.lower()
    for rule in rules:
        for needle in rule.needles:
            if small.count(needle) >= rule.least:
                break
        else:
            continue
        hidden = rule.pattern.sub(partial(rule.hide, stand_in), text)
        if hidden != text:
            text, small = hidden, hidden.lower()
    return text

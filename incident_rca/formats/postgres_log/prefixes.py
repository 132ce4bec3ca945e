"""`log_line_prefix` as a pattern: compiled from what the user names, else recognised.

The escapes are those of PostgreSQL 18, documentation, "Error Reporting and Logging", table of
log_line_prefix; an unknown one is ignored there, and here.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from incident_rca.formats.postgres_log.records import LOCALISED, SEVERITIES

# An abbreviation of a zone or a numeric offset ("-03"), as PostgreSQL's %Z prints it.
_ZONE = r"(?:[A-Za-z]{1,6}|[+-]\d\d(?::?\d\d)?)"
_DAY_AND_TIME = r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d"
# Names are at most 63 bytes; bounded, so that a line that does not fit is refused quickly.
_NAME = r".{0,64}?"
_ESCAPES: Mapping[str, str] = {
    "a": _NAME,
    "u": _NAME,
    "d": _NAME,
    "r": r"[^\s]{0,300}?",
    "h": r"[^\s]{0,300}?",
    "L": r"[^\s]{0,300}?",
    "b": _NAME,
    "p": r"\d{1,10}",
    "P": r"\d{0,10}",
    "t": rf"{_DAY_AND_TIME} {_ZONE}",
    "m": rf"{_DAY_AND_TIME}\.\d{{3}} {_ZONE}",
    "n": r"\d{1,11}\.\d{3}",
    "i": _NAME,
    "e": r"[0-9A-Z]{5}",
    "c": r"[0-9a-f]{1,16}\.[0-9a-f]{1,8}",
    "l": r"\d{1,20}",
    "s": rf"{_DAY_AND_TIME} {_ZONE}",
    "v": r"(?:-?\d{1,11}/\d{1,10})?",
    "x": r"\d{1,10}",
    "Q": r"-?\d{1,20}",
}
_TOKEN = re.compile(r"%(?P<padding>-?\d{1,4})?(?P<escape>[A-Za-z%])|(?P<literal>[^%]+|%)")

PARTS = frozenset("DETAIL HINT QUERY CONTEXT STATEMENT LOCATION BACKTRACE".split())
_WORDS = sorted(SEVERITIES | PARTS | LOCALISED.keys(), key=len, reverse=True)
# elog.c writes "%s:  ", with two blanks; French has a blank before the colon as well.
LABEL = re.compile(
    rf"(?<![^\W\d_])(?P<label>{'|'.join(map(re.escape, _WORDS))})[ \xa0]?:(?P<gap> {{1,2}}|$)"
)
# A label stands behind its prefix: what comes later in a line is text.
LONGEST_PREFIX = 1000


@dataclass(frozen=True, slots=True)
class Prefix:
    """A log_line_prefix: `fields` gives what stands in the text before a label."""

    text: str
    pattern: re.Pattern[str]

    def fields(self, head: str) -> Mapping[str, str] | None:
        """The values by their escape's letter, or None where the prefix does not fit."""
        match = self.pattern.fullmatch(head)
        return match.groupdict("") if match else None

    @property
    def resolution_seconds(self) -> float:
        return 0.001 if self.pattern.groupindex.keys() & {"m", "n"} else 1.0


def compile_prefix(text: str) -> Prefix:
    """The prefix that a `log_line_prefix` writes.

    Behind %q stands what a process without a session does not write.

    >>> compile_prefix("%m [%p] %q%u@%d ").fields("2026-01-15 14:23:02.123 UTC [812] ")["p"]
    '812'
    """
    parts: list[str] = []
    seen: set[str] = set()
    stops = 0
    for token in _TOKEN.finditer(text):
        escape = token["escape"]
        if escape is None:
            parts.append(re.escape(token["literal"]))
        elif escape == "%":
            parts.append("%")
        elif escape == "q":
            parts.append("(?:")
            stops += 1
        elif escape in _ESCAPES:
            name = f"(?P<{escape}>" if escape not in seen else "(?:"
            seen.add(escape)
            blanks = " *" if token["padding"] else ""
            parts.append(f"{blanks}{name}{_ESCAPES[escape]}){blanks}")
    return Prefix(text, re.compile("".join(parts) + ")?" * stops, re.DOTALL))


# Which prefix fits the most lines is taken; where two fit equally, the earlier one.
WELL_KNOWN: tuple[Prefix, ...] = tuple(
    compile_prefix(text)
    for text in (
        "%m [%p] ",  # PostgreSQL's default
        "%m [%p] %q%u@%d ",  # Debian and Ubuntu
        "%t:%r:%u@%d:[%p]:",  # Amazon RDS and Aurora
        "%m:%r:%u@%d:[%p]:%l:%e:%s:%v:%x:%c:%q%a:",  # the longer one that RDS allows
        "%t-%c-",  # Azure Database for PostgreSQL
        "%m-%c-",
        "%m [%p]: [%l-1] db=%d,user=%u ",  # Cloud SQL
        "%t [%p]: [%l-1] user=%u,db=%d,app=%a,client=%h ",  # pgBadger's documentation
        "%t [%p]: user=%u,db=%d,app=%a,client=%h ",
        "%t [%p]: [%l-1] user=%u,db=%d ",
        "%t [%p]: db=%d,user=%u,app=%a,client=%h ",
        "%t [%p]: [%l-1] db=%d,user=%u,app=%a,client=%h ",
        "%m [%p]: [%l-1] user=%u,db=%d,app=%a,client=%h ",
        "%m [%p]: user=%u,db=%d,app=%a,client=%h ",
        "%m [%p]: db=%d,user=%u,app=%a,client=%h ",
        "%t [%p]: [%l-1] ",
        "%m [%p] %q[user=%u,db=%d,app=%a] ",  # Patroni's and Aiven's examples
        "%m [%p] %q%a ",
        "%m [%p] %q%u@%d/%a ",
        "%m [%p] %q%u@%d %a ",
        "%t [%p]: [%l-1] %c %x %d %u %a %h ",  # Spilo
        "%h %m [%p] %q%u@%d ",  # Supabase
        "%t [%p] %q%u@%d ",
        "%t [%p] ",
        "%t ",
        "%m ",
    )
)


def label_of(line: str) -> re.Match[str] | None:
    """The first label in the line, a severity or the name of a part, if it can have a prefix."""
    return LABEL.search(line, 0, LONGEST_PREFIX)


def fields_of(prefix: Prefix, line: str) -> tuple[re.Match[str], Mapping[str, str]] | None:
    """A line's label and the fields before it; None where the line does not begin with it."""
    for tried, label in enumerate(LABEL.finditer(line, 0, LONGEST_PREFIX)):
        fields = prefix.fields(line[: label.start()])
        if fields is not None:
            return label, fields
        if tried == 4:
            break
    return None


def inferred(lines: Iterable[str]) -> Prefix | None:
    """The well-known prefix that fits most of the lines with a label, or None if none fits half."""
    labelled = [line for line in lines if not line.startswith("\t") and label_of(line)]
    best = max(WELL_KNOWN, key=lambda known: _fitting(known, labelled))
    return best if 2 * _fitting(best, labelled) >= len(labelled) > 0 else None


def _fitting(prefix: Prefix, lines: list[str]) -> int:
    return sum(fields_of(prefix, line) is not None for line in lines)


_TIME = re.compile(
    rf"(?P<m>{_DAY_AND_TIME}(?:[.,]\d{{1,6}})? {_ZONE}(?![A-Za-z]))"
    r"|(?P<iso>\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,9})?(?:Z|[+-]\d\d:\d\d))"
)
_PID = re.compile(r"\[(?:[a-z]+\.)?(?P<p>\d{1,10})(?:-\d+)?\]|\bpid[=: ]{1,2}(?P<named>\d{1,10})\b")
_SESSION = re.compile(r"(?<![\w.])(?P<c>[0-9a-f]{8}\.[0-9a-f]{1,8})(?![\w.])")


def general_fields(head: str) -> Mapping[str, str] | None:
    """The time and process that any text before a label has; None where it has no time and pid."""
    time = _TIME.search(head)
    pid, session = _PID.search(head), _SESSION.search(head)
    if time is None or (pid is None and session is None):
        return None
    fields = {"m": (time["m"] or time["iso"]).replace(",", ".")}
    if pid:
        fields["p"] = pid["p"] or pid["named"]
    if session:
        fields["c"] = session["c"]
    return fields

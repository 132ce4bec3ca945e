"""PostgreSQL's table-level lock modes: which conflict, and which mode a statement takes."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache

ACCESS_SHARE = "AccessShareLock"
ROW_SHARE = "RowShareLock"
ROW_EXCLUSIVE = "RowExclusiveLock"
SHARE_UPDATE_EXCLUSIVE = "ShareUpdateExclusiveLock"
SHARE = "ShareLock"
SHARE_ROW_EXCLUSIVE = "ShareRowExclusiveLock"
EXCLUSIVE = "ExclusiveLock"
ACCESS_EXCLUSIVE = "AccessExclusiveLock"

MODES = (
    ACCESS_SHARE,
    ROW_SHARE,
    ROW_EXCLUSIVE,
    SHARE_UPDATE_EXCLUSIVE,
    SHARE,
    SHARE_ROW_EXCLUSIVE,
    EXCLUSIVE,
    ACCESS_EXCLUSIVE,
)

# PostgreSQL documentation, "Explicit Locking", table "Conflicting Lock Modes".
CONFLICTS: Mapping[str, frozenset[str]] = {
    ACCESS_SHARE: frozenset({ACCESS_EXCLUSIVE}),
    ROW_SHARE: frozenset({EXCLUSIVE, ACCESS_EXCLUSIVE}),
    ROW_EXCLUSIVE: frozenset({SHARE, SHARE_ROW_EXCLUSIVE, EXCLUSIVE, ACCESS_EXCLUSIVE}),
    SHARE_UPDATE_EXCLUSIVE: frozenset(MODES[3:]),
    SHARE: frozenset(MODES[2:]) - {SHARE},
    SHARE_ROW_EXCLUSIVE: frozenset(MODES[2:]),
    EXCLUSIVE: frozenset(MODES[1:]),
    ACCESS_EXCLUSIVE: frozenset(MODES),
}

# The same documentation, the statements named under each mode. CONCURRENTLY comes first: the
# first pattern that matches at the start of the statement decides.
_STATEMENT_MODES: tuple[tuple[str, str], ...] = (
    (r"create\s+(unique\s+)?index\s+concurrently\b", SHARE_UPDATE_EXCLUSIVE),
    (r"refresh\s+materialized\s+view\s+concurrently\b", EXCLUSIVE),
    (r"(reindex|drop\s+index)\b.*\bconcurrently\b", SHARE_UPDATE_EXCLUSIVE),
    (r"reindex\s+(\([^)]*\)\s*)?index\b", ACCESS_EXCLUSIVE),
    (r"(create\s+(unique\s+)?index|reindex)\b", SHARE),
    (r"vacuum\s*(\([^)]*\bfull\b[^)]*\)|full\b)", ACCESS_EXCLUSIVE),
    (r"(vacuum|analyze|create\s+statistics|comment\s+on)\b", SHARE_UPDATE_EXCLUSIVE),
    (r"create\s+(or\s+replace\s+)?(constraint\s+)?trigger\b", SHARE_ROW_EXCLUSIVE),
    (r"(drop\s+table|truncate|cluster|drop\s+index)\b", ACCESS_EXCLUSIVE),
    (r"refresh\s+materialized\s+view\b", ACCESS_EXCLUSIVE),
    (r"(insert|update|delete|merge)\b", ROW_EXCLUSIVE),
    (r"copy\b.*\bfrom\b", ROW_EXCLUSIVE),
    (r"copy\b", ACCESS_SHARE),
    (r"select\b.*\bfor\s+(no\s+key\s+update|update|key\s+share|share)\b", ROW_SHARE),
    (r"select\b", ACCESS_SHARE),
)
# What an action of ALTER TABLE takes where it is less than ACCESS EXCLUSIVE; the strongest counts.
_ACTION_MODES: tuple[tuple[str, str], ...] = (
    (r"validate\s+constraint\b", SHARE_UPDATE_EXCLUSIVE),
    (r"attach\s+partition\b", SHARE_UPDATE_EXCLUSIVE),
    (r"detach\s+partition\b.*\bconcurrently\b", SHARE_UPDATE_EXCLUSIVE),
    (r"alter\s+(column\s+)?\S+\s+set\s+statistics\b", SHARE_UPDATE_EXCLUSIVE),
    # Of storage parameters and column options the parentheses are cut away before this is asked.
    (r"(alter\s+(column\s+)?\S+\s+)?(re)?set\s*$", SHARE_UPDATE_EXCLUSIVE),
    (r"(cluster\s+on|set\s+without\s+cluster)\b", SHARE_UPDATE_EXCLUSIVE),
    (r"(enable|disable)\s+((always|replica)\s+)?trigger\b", SHARE_ROW_EXCLUSIVE),
    (r"add\s+(constraint\s+\S+\s+)?foreign\s+key\b", SHARE_ROW_EXCLUSIVE),
)
_ALTER_TABLE = re.compile(
    r"alter\s+table\s+(if\s+exists\s+)?(only\s+)?(\"[^\"]*\"|[\w$.])+\s*\*?\s+(?P<actions>.*)",
    re.I | re.S,
)
_LOCK = re.compile(
    r"lock\s+(?:table\s+)?.*?(?:\bin\s+(?P<mode>[a-z\s]+?)\s+mode\b.*)?", re.I | re.S
)
_COMMENT_OR_LITERAL = re.compile(r"--[^\n]*|/\*.*?\*/|'(?:[^']|'')*'", re.S)


def conflicts(held: str, requested: str) -> bool:
    """Whether a granted `held` mode makes a request for `requested` wait.

    >>> conflicts("ShareLock", "RowExclusiveLock"), conflicts("AccessShareLock", "RowExclusiveLock")
    (True, False)
    """
    return held in CONFLICTS.get(requested, frozenset())


def blocks_reads(held: str) -> bool:
    """Whether a plain SELECT waits behind `held`.

    >>> blocks_reads("ShareLock"), blocks_reads("AccessExclusiveLock")
    (False, True)
    """
    return conflicts(held, ACCESS_SHARE)


@lru_cache(maxsize=4096)
def mode_of_statement(statement: str) -> str | None:
    """The strongest table lock that a statement takes on the table it names, or None if unknown.

    >>> mode_of_statement("CREATE INDEX i ON t (c)")
    'ShareLock'
    >>> mode_of_statement("CREATE INDEX CONCURRENTLY i ON t (c)")
    'ShareUpdateExclusiveLock'
    """
    text = _COMMENT_OR_LITERAL.sub(" ", statement).strip().rstrip(";").strip()
    if re.match(r"lock\b", text, re.I):
        return _mode_of_lock(text)
    altered = _ALTER_TABLE.fullmatch(text)
    if altered:
        return _mode_of_actions(altered["actions"])
    for pattern, mode in _STATEMENT_MODES:
        if re.match(pattern, text, re.I | re.S):
            return mode
    return None


def _mode_of_lock(text: str) -> str | None:
    named = _LOCK.fullmatch(text)
    if named is None or named["mode"] is None:
        return ACCESS_EXCLUSIVE
    wanted = "".join(word.capitalize() for word in named["mode"].split()) + "Lock"
    return wanted if wanted in CONFLICTS else None


def _mode_of_actions(actions: str) -> str:
    """The strongest mode among the actions of an ALTER TABLE, cut at commas outside parentheses."""
    flat = re.sub(r"\([^()]*\)", " ", re.sub(r"\([^()]*\)", " ", actions))
    modes = [
        next(
            (m for pattern, m in _ACTION_MODES if re.match(pattern, action.strip(), re.I | re.S)),
            ACCESS_EXCLUSIVE,
        )
        for action in flat.split(",")
    ]
    return max(modes, key=MODES.index)


def in_words(mode: str) -> str:
    """A mode as the SQL documentation writes it.

    >>> in_words("ShareUpdateExclusiveLock")
    'SHARE UPDATE EXCLUSIVE'
    """
    return re.sub(r"(?<=[a-z])(?=[A-Z])", " ", mode.removesuffix("Lock")).upper()


_TAKEN_BY: Mapping[str, str] = {
    ACCESS_SHARE: "taken by reads",
    ROW_SHARE: "taken by reads that lock rows",
    ROW_EXCLUSIVE: "taken by writes",
}


def meaning(mode: str) -> str:
    """What a mode means for others, in a few words.

    >>> meaning("ShareLock"), meaning("AccessExclusiveLock")
    ('blocks writes, not reads', 'blocks reads and writes')
    """
    if blocks_reads(mode):
        return "blocks reads and writes"
    if conflicts(mode, ROW_EXCLUSIVE):
        return "blocks writes, not reads"
    return _TAKEN_BY.get(mode, "blocks neither reads nor writes")

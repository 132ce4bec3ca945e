"""Which statement took a lock: the one that a session shows may be a later one."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from incident_rca.formats.parsed import utc_instant
from incident_rca.lock_modes import mode_of_statement
from incident_rca.redact import redact_sql
from incident_rca.trace_ids import ids_in_session

Row = Mapping[str, Any]

HIDDEN = "<insufficient privilege>"
_WRITES_ROWS = re.compile(r"\s*(?:insert|update|delete|merge|with|select\b.*\bfor\b)", re.I | re.S)


@dataclass(frozen=True, slots=True)
class HolderStatement:
    """A holder's statement, redacted; `basis` is `running`, `last` or `recovered`."""

    text: str
    basis: str


@dataclass(slots=True)
class SeenStatements:
    """The statements of each transaction as the lines of a recording went by, oldest first.

    `noted` is their number: as long as it stays, holders have the same statements as before.
    """

    noted: int = 0
    by_transaction: dict[tuple[Any, ...], dict[str, None]] = field(default_factory=dict)
    redacted: dict[str, str] = field(default_factory=dict)
    found: dict[tuple[str, str], str | None] = field(default_factory=dict)

    def note(self, session: Row) -> None:
        """Remembers the statement that a session of a transaction shows."""
        if session.get("xact_start") and session.get("query") not in (None, "", HIDDEN):
            statements = self.by_transaction.setdefault(_transaction(session), {})
            if session["query"] not in statements:
                statements[session["query"]] = None
                self.noted += 1

    def clean(self, statement: str | None) -> str:
        """The statement without its literals; "" where it is hidden or not there."""
        if not statement or statement == HIDDEN:
            return ""
        if statement not in self.redacted:
            self.redacted[statement] = redact_sql(statement)
        return self.redacted[statement]

    def ids(self, session: Row) -> str | None:
        """The ids of requests that a session's shown statement and its name carry, by blanks."""
        shown = session.get("query") or "", session.get("application_name") or ""
        if shown not in self.found:
            self.found[shown] = ids_in_session(*shown)
        return self.found[shown]

    def of_holder(self, session: Row, mode: str, lock_type: str, relation: str) -> HolderStatement:
        """The statement that took this lock, as far as any line so far shows.

        A session that is not running anything shows its last statement, and within a transaction a
        running one may have followed upon the one that took the lock. So the statement counts as
        `running` only where the transaction began with it, or it is of the kind that takes this
        lock; else an earlier one of that kind is `recovered`; else it stays the `last`.
        """
        shown = session.get("query") or ""
        last = HolderStatement(self.clean(shown), "last")

        def takes(statement: str) -> bool:
            if lock_type != "relation":
                return lock_type in ("transactionid", "tuple") and bool(
                    _WRITES_ROWS.match(statement)
                )
            return mode_of_statement(statement) == mode and _names(statement, relation)

        if session.get("state") == "active" and (_began_with_it(session) or takes(shown)):
            return HolderStatement(last.text, "running")
        if takes(shown):
            return last
        earlier = [s for s in self.by_transaction.get(_transaction(session), ()) if takes(s)]
        if earlier:
            return HolderStatement(self.clean(earlier[0]), "recovered")
        return last


def _transaction(session: Row) -> tuple[Any, ...]:
    return session.get("pid"), session.get("backend_start"), session.get("xact_start")


def _began_with_it(session: Row) -> bool:
    """One timestamp is both the transaction's start and that of its first statement (xact.c)."""
    begun, query = _instant(session.get("xact_start")), _instant(session.get("query_start"))
    return begun is not None and query is not None and query <= begun


def _instant(text: str | None) -> datetime | None:
    return utc_instant(text) if text else None


def _names(statement: str, relation: str) -> bool:
    """Whether the table is in the statement at all; an unnamed relation excludes nothing."""
    table = relation.rpartition(".")[2]
    if relation.startswith("relation "):
        return True
    return re.search(rf"(?<![\w$]){re.escape(table)}(?![\w$])", statement, re.I) is not None

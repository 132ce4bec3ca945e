"""What a live server still knows of a past window -> `residue`, and `changes` where it says when.

A migration is a change at a known instant only if its tool keeps a time with a zone. A time without
one was written in the zone of whoever ran the migration, so it is told and not placed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from incident_rca.errors import BadInput
from incident_rca.formats.lines import document_of
from incident_rca.formats.parsed import Format, Head, Parsed, RawInput, frame_of, utc_instant
from incident_rca.formats.sql_answer import (
    Row,
    asked_of,
    is_answer_of,
    request_of,
    rows_of,
    text_of,
)
from incident_rca.model import System, TimeWindow
from incident_rca.redact import redact_sql

SERVICE = "postgres_residue"
_NEWEST_UNTIMED = 10


def recognises(head: Head) -> bool:
    """Whether the document is an envelope of a server's residue."""
    return is_answer_of(head.document, SERVICE)


def parse(raw: RawInput) -> Parsed:
    """Invalid indexes and long statements; migrations of the window, and the newest without a time.

    `blind` names what could not be read. Rows are counted over all sections.
    """
    document = document_of(raw.path)
    response = document.get("response")
    if not isinstance(response, dict):
        raise BadInput(f"{raw.file}: holds no answer", hint="collect it again: the file is cut")
    asked, database = asked_of(document), text_of(request_of(document).get("database"))
    reading = _Reading(raw.file)
    residue = [
        *(_index(row) for row in reading.section(response.get("invalid_indexes"), "indexes")),
        *(_statement(r) for r in reading.section(response.get("statements"), "pg_stat_statements")),
    ]
    changes: list[Row] = []
    tables = response.get("migrations")
    for table in tables if isinstance(tables, list) else ():
        if not isinstance(table, dict):
            reading.unparsed += 1
            continue
        tool, relation = str(table.get("tool")), text_of(table.get("relation"))
        untimed = 0
        for row in reading.section(table, relation or tool):
            change = _change(tool, row)
            if change is None and untimed < _NEWEST_UNTIMED:
                untimed += 1
                residue.append(_migration(tool, relation, row))
            elif change is not None and _is_within(change, asked):
                changes.append(change)
    statements = response.get("statements")
    if isinstance(statements, dict) and statements.get("sees_all_statements") is False:
        reading.unread.append("pg_stat_statements: this role sees its own statements only")
    return Parsed(
        frames={
            "residue": frame_of(
                "residue", [{"database": database, **r} for r in residue if r], raw
            ),
            "changes": frame_of("changes", changes, raw),
        },
        rows=reading.rows,
        unparsed=reading.unparsed,
        asked=asked,
        query=str(request_of(document).get("query", "")) or raw.query,
        blind="; ".join(reading.unread),
    )


class _Reading:
    """The rows of all sections, how many there were, and which sections say why they have none."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.rows = 0
        self.unparsed = 0
        self.unread: list[str] = []

    def section(self, section: Any, what: str) -> Iterator[Row]:
        """The rows of a section, each with its position over all sections as `row`."""
        reason = text_of(section.get("reason")) if isinstance(section, dict) else None
        if reason:
            self.unread.append(f"{what}: {reason}")
            return
        rows, unparsed = rows_of(section, f"{self.file}: {what}")
        self.unparsed += unparsed
        for _, row in rows:
            self.rows += 1
            yield {**row, "row": self.rows}


def _index(row: Mapping[str, Any]) -> Row:
    """An invalid index; empty for one that is being built, since that is no residue yet."""
    if row.get("is_being_built") is True:
        return {}
    return {
        "row": row["row"],
        "kind": "invalid_index",
        "relation": f"{row.get('schema')}.{row.get('table')}",
        "name": str(row.get("index")),
        "statement": redact_sql(text_of(row.get("definition")) or ""),
    }


def _statement(row: Mapping[str, Any]) -> Row:
    return {
        "row": row["row"],
        "kind": "statement",
        "name": text_of(row.get("queryid")),
        "statement": redact_sql(text_of(row.get("query")) or ""),
        "calls": _count(row.get("calls")),
        "max_ms": _milliseconds(row.get("max_ms")),
        "mean_ms": _milliseconds(row.get("mean_ms")),
    }


def _change(tool: str, row: Mapping[str, Any]) -> Row | None:
    """A migration whose start or end is an instant, None where neither is."""
    instants = [at for at in map(_zoned, (row.get("started"), row.get("ended"))) if at is not None]
    if not instants:
        return None
    name = text_of(row.get("name")) or "unnamed"
    return {
        "row": row["row"],
        "row_last": row["row"],
        "at": instants[0],
        "until": instants[-1],
        "kind": "migration",
        "name": name,
        "title": f"{tool} migration {name}",
    }


def _migration(tool: str, relation: str | None, row: Mapping[str, Any]) -> Row:
    """A migration of no known instant, with its local time as it stands in the table."""
    name = text_of(row.get("name")) or "unnamed"
    local = text_of(row.get("ended")) or text_of(row.get("started"))
    when = f" ({local.partition('.')[0]} in an unknown zone)" if local else ""
    return {
        "row": row["row"],
        "kind": "migration",
        "relation": relation,
        "name": f"{tool} {name}{when}",
    }


def _zoned(value: Any) -> Any:
    try:
        return utc_instant(value)
    except (TypeError, ValueError, OverflowError):
        return None


def _is_within(change: Mapping[str, Any], asked: TimeWindow | None) -> bool:
    return asked is None or (change["at"] < asked.end and change["until"] >= asked.start)


def _count(value: Any) -> int | None:
    is_count = isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**63
    return value if is_count else None


def _milliseconds(value: Any) -> float | None:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) if is_number and 0 <= value < 2**63 else None


FORMAT = Format(
    kind="server_residue",
    system=System.POSTGRES,
    title="residue on a live server: invalid indexes, pg_stat_statements, migration tables",
    recognises=recognises,
    parse=parse,
    cannot_show=(
        "who waited for whom, and when anything happened except migrations whose tool keeps a time "
        "with a zone; the longest run of a statement is the longest since its counters were reset"
    ),
)

"""A measurements database of pgwatch: the lock pairs that its metric `blocking_locks` stored."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

from incident_rca.model import TimeWindow
from incident_rca.queries import load_query
from incident_rca.sources.answers import Absent, Answer, asked, asked_once, envelope, unreachable

if TYPE_CHECKING:
    import psycopg

SERVICE = "pgwatch"


def fetch(
    connection: psycopg.Connection[tuple[Any, ...]], window: TimeWindow, *, asked_at: datetime
) -> Answer | Absent:
    """The stored pairs of the window, of every source that the database holds.

    Absent where it is no measurements database, or the metric was never collected. Raises
    Unreachable where the table cannot be read.
    """
    import psycopg

    database = connection.info.dbname
    query = load_query("postgres/pgwatch_blocking_locks.sql").text
    try:
        tables = asked_once(connection, "postgres/pgwatch_table.sql")
        if not tables["has_blocking_locks"]:
            return Absent(*_reason(database, tables["has_listing"]))
        pairs = asked(connection, query, {"start": window.start, "end": window.end})
    except psycopg.Error as error:
        raise unreachable(f"pgwatch's measurements in the database {database}", error) from error
    return envelope(
        SERVICE, {"query": query, "database": database}, pairs, window=window, asked_at=asked_at
    )


def _reason(database: str, is_pgwatch: bool) -> tuple[str, str]:
    if not is_pgwatch:
        return f"the database {database} holds no measurements of pgwatch", ""
    return (
        f"pgwatch in the database {database} does not collect blocking_locks",
        "of its presets only `debug` has this metric; it can be added to any other",
    )

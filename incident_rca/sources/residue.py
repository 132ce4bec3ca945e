"""What an incident leaves on a live server: invalid indexes, long statements, migrations that ran.

To be asked when the incident is over. The catalogs are read without a lock on any user's table; a
migration tool's own table is opened, within the connection's lock timeout.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import TYPE_CHECKING, Any

from incident_rca.model import TimeWindow
from incident_rca.queries import load_query
from incident_rca.sources.answers import Answer, asked, asked_once, envelope, unreachable
from incident_rca.sources.postgres import reason_of

if TYPE_CHECKING:
    import psycopg

    Connection = psycopg.Connection[tuple[Any, ...]]

SERVICE = "postgres_residue"


def fetch(connection: Connection, window: TimeWindow, *, asked_at: datetime) -> Answer:
    """Each kind of residue with its query, its columns and rows, or the reason why it has none.

    `connection` is one of `postgres.connect`. Raises Unreachable where the server answers nothing.
    """
    import psycopg

    try:
        indexes = load_query("postgres/residue_invalid_indexes.sql").text
        response = {
            "invalid_indexes": _section(connection, indexes),
            "statements": _statements(connection),
            "migrations": list(_migrations(connection)),
        }
    except psycopg.Error as error:
        raise unreachable(f"the database {connection.info.dbname}", error) from error
    return envelope(
        SERVICE,
        {"query": indexes, "database": connection.info.dbname},
        response,
        window=window,
        asked_at=asked_at,
    )


def _statements(connection: Connection) -> dict[str, Any]:
    query = asked_once(connection, "postgres/residue_statements_text.sql").get("query")
    if query is None:
        return {"reason": "pg_stat_statements is not installed in this database"}
    sees_all = asked_once(connection, "postgres/server.sql")["sees_all_sessions"]
    return {**_section(connection, query), "sees_all_statements": sees_all}


def _migrations(connection: Connection) -> Iterator[dict[str, Any]]:
    texts = asked(connection, load_query("postgres/residue_migrations_text.sql").text)
    for row in texts["rows"]:
        table = dict(zip(texts["columns"], row, strict=True))
        yield {**table, **_section(connection, table["query"])}


def _section(connection: Connection, query: str) -> dict[str, Any]:
    """The answer with its query; a refusal of just this one becomes its reason."""
    import psycopg
    from psycopg import errors

    try:
        return {"query": query, **asked(connection, query)}
    except errors.LockNotAvailable:
        reason = "locked, not read"
    except errors.QueryCanceled:
        reason = "not read within the statement timeout"
    except errors.InsufficientPrivilege:
        reason = "this role may not read it"
    except errors.ObjectNotInPrerequisiteState:
        reason = "not loaded: it is not in shared_preload_libraries"
    except psycopg.Error as error:
        if connection.broken:
            raise
        reason = reason_of(error)
    return {"query": query, "reason": reason}

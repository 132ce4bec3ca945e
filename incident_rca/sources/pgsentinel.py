"""The ring of the extension pgsentinel: who waited for a lock, second by second, while it lasts."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

from incident_rca.model import TimeWindow
from incident_rca.queries import load_query
from incident_rca.sources.answers import Absent, Answer, asked, asked_once, envelope, unreachable

if TYPE_CHECKING:
    import psycopg

SERVICE = "pgsentinel"
_VIEW = "pg_active_session_history"


def fetch(
    connection: psycopg.Connection[tuple[Any, ...]], window: TimeWindow, *, asked_at: datetime
) -> Answer | Absent:
    """The samples of the window with a lock in them, and how far back the ring reaches.

    Absent where the extension is not installed in the connected database. Raises Unreachable where
    its view cannot be read.
    """
    import psycopg

    database = connection.info.dbname
    try:
        view = asked_once(connection, "postgres/pgsentinel_view.sql").get("view")
        if view is None:
            return Absent(
                f"pgsentinel is not installed in the database {database}",
                hint="it must run before an incident: github.com/pgsentinel/pgsentinel",
            )
        history, ring = (
            load_query(f"postgres/pgsentinel_{name}.sql").text.replace(_VIEW, view)
            for name in ("history", "ring")
        )
        samples = asked(connection, history, {"start": window.start, "end": window.end})
        # Asked after the samples: what the ring loses meanwhile is then not taken for covered.
        reach = asked(connection, ring)
    except psycopg.Error as error:
        raise unreachable(f"pgsentinel in the database {database}", error) from error
    return envelope(
        SERVICE,
        {"query": history, "ring_query": ring, "database": database},
        {**samples, "ring": dict(zip(reach["columns"], reach["rows"][0], strict=True))},
        window=window,
        asked_at=asked_at,
    )

"""The locks of a running server, by the same way as a recording: snapshot, tables, episodes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from incident_rca.analysis.live_locks import blockers
from incident_rca.analysis.lock_places import placed
from incident_rca.analysis.locks import lock_episodes
from incident_rca.errors import Unreachable
from incident_rca.formats.lock_recording import HIDDEN, frames_of_records
from incident_rca.formats.parsed import RawInput, utc_instant
from incident_rca.model import Case, TimeWindow
from incident_rca.model.live import LiveLocks
from incident_rca.pipeline import joined_tables
from incident_rca.pseudonyms import numbered
from incident_rca.sources.lock_snapshots import (
    COLUMNS,
    Known,
    clock_offset,
    header,
    probe,
    snapshot,
)
from incident_rca.sources.postgres import (
    ServerFacts,
    connect,
    grant_of,
    named,
    reason_of,
    server_facts,
)

if TYPE_CHECKING:
    import psycopg

Record = dict[str, Any]
_INSTANTS = ("backend_start", "xact_start", "query_start", "state_change")


@dataclass(frozen=True, slots=True)
class Watched:
    """An open connection to a server, and what the server is."""

    connection: psycopg.Connection[tuple[Any, ...]]
    facts: ServerFacts
    server: str

    @property
    def cure(self) -> str:
        """The statement after which nothing is hidden from our role, "" where nothing is."""
        return grant_of(self.facts)


def watch(dsn: str) -> Watched:
    """A connection to look at locks with; raises Unreachable, or BadSettings for a wrong DSN."""
    import psycopg

    connection = connect(dsn)
    try:
        return Watched(connection, server_facts(connection), named(dsn))
    except psycopg.Error as error:
        connection.close()
        raise _silent(named(dsn), error) from error
    except Unreachable:
        connection.close()
        raise


def read_records(watched: Watched, now: Callable[[], datetime]) -> list[Record]:
    """One look at a server as the lines of a recording: a header, a probe and a snapshot.

    Raises Unreachable where the server stopped answering.
    """
    import psycopg

    try:
        return [
            header(
                watched.facts,
                started_at=now(),
                interval_seconds=1.0,
                clock_offset_seconds=clock_offset(watched.connection, now),
            ),
            probe(watched.connection, watched.facts),
            snapshot(watched.connection, watched.facts, Known()),
        ]
    except psycopg.Error as error:
        raise _silent(watched.server, error) from error


def _silent(server: str, error: psycopg.Error) -> Unreachable:
    return Unreachable(
        f"PostgreSQL at {server}: {reason_of(error)}",
        hint="it did not answer in time; look again, or connect to it directly",
    )


def save_records(records: list[Record], path: Path) -> None:
    """Appends one look to a file that `import` reads as a lock recording."""
    import msgspec

    encode = msgspec.json.Encoder().encode
    with path.open("ab") as file:
        for record in records:
            file.write(encode(record) + b"\n")


def live_locks(records: list[Record], server: str, cure: str = "") -> LiveLocks:
    """Who blocks whom in the records of one look; `cure` would show what is hidden. Pure."""
    _, counted, seen = records
    raw = RawInput(path=Path(server), file=server, source=server, work=Path())
    frames = frames_of_records(records, raw)
    at = utc_instant(seen["locks_at"])
    window = TimeWindow(at - timedelta(microseconds=1), at + timedelta(seconds=1))
    joined = joined_tables({name: [frame] for name, frame in frames.items()})
    case, tables = numbered(Case(id=server, title="", window=window), joined)
    sessions = {row[0]: _session(row) for row in seen["sessions"]}
    is_blind = records[0]["visibility"] == "restricted"
    # A moment lies between the probe and the locks: who waits in these is who is shown.
    waiting = tables.locks["waiter_session"].nunique() or counted["waiting"]
    return LiveLocks(
        server=server,
        at=at,
        # The server's own processes have no state; of a hidden session one sees none either.
        sessions=None
        if is_blind
        else sum(n for _, state, *_, n in counted["counts"] if state is not None),
        waiting=waiting,
        blockers=blockers(tables.locks, sessions, at),
        episodes=tuple(
            replace(e, held_end=replace(e.held_end, hi=None, reason="it is held now"))
            for e in lock_episodes(case, tables, placed(case, tables))
        ),
        blind=HIDDEN if is_blind else "",
        cure=cure if is_blind else "",
    )


def _session(row: list[Any]) -> Mapping[str, Any]:
    """A row of pg_stat_activity by column, its instants as such."""
    session = dict(zip(COLUMNS["sessions"], row, strict=True))
    known = {name: utc_instant(session[name]) for name in _INSTANTS if session[name]}
    return session | dict.fromkeys(_INSTANTS) | known

"""The recorder's heartbeat and the server's log -> sessions that were stuck, and their end."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from incident_rca.analysis.evidence import instant, rows_as_evidence
from incident_rca.analysis.frames import pieces
from incident_rca.model import Case, Evidence, Span, System
from incident_rca.tables import Tables

if TYPE_CHECKING:
    import pandas as pd

IDLE_IN_TRANSACTION = "idle in transaction"
# Fewer sessions than this are ordinary: an application may keep a few transactions open.
FEWEST_STUCK_SESSIONS = 10
_GAP = timedelta(seconds=5)


@dataclass(frozen=True, slots=True, kw_only=True)
class StuckSessions:
    """Sessions of one application that stayed idle in transaction, so nobody could use them."""

    application: str
    sessions: int
    since: Span
    until: Span
    evidence: tuple[Evidence, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Terminations:
    """Sessions that the server ended within seconds of each other (SQLSTATE 57P01)."""

    sessions: int
    pids: frozenset[int]
    at: Span
    evidence: tuple[Evidence, ...]


def stuck_sessions(case: Case, tables: Tables) -> tuple[StuckSessions, ...]:
    """Each longest stretch in which many sessions of an application were idle in transaction."""
    counts = tables.session_counts
    counts = counts[(counts["at"] >= case.window.start) & (counts["at"] < case.window.end)]
    idle = counts[counts["state"] == IDLE_IN_TRANSACTION]
    found = []
    for (application,), rows in pieces(idle, "application"):
        many = rows[rows["sessions"] >= FEWEST_STUCK_SESSIONS].sort_values("at", kind="stable")
        if many.empty:
            continue
        many = many.assign(stretch=(many["at"].diff() > _GAP).cumsum())
        stretch = max((rows for _, rows in pieces(many, "stretch")), key=len)
        found.append(_stuck(application, stretch, counts))
    return tuple(sorted(found, key=lambda s: (-s.sessions, s.application)))


def _stuck(application: str, stretch: pd.DataFrame, counts: pd.DataFrame) -> StuckSessions:
    first, last = instant(stretch["at"].min()), instant(stretch["at"].max())
    before = counts.loc[counts["at"] < first, "at"].max()
    after = counts.loc[counts["at"] > last, "at"].min()
    sessions = int(stretch["sessions"].max())
    since = Span(instant(before) or first, first, "between two probes")
    until = Span(last, instant(after), "between two probes")
    return StuckSessions(
        application=application,
        sessions=sessions,
        since=since,
        until=until,
        evidence=rows_as_evidence(
            stretch,
            system=System.POSTGRES,
            at=Span(first, last, "first to last probe"),
            seen=f"up to {sessions} sessions of {application} were idle in transaction",
        ),
    )


def terminations(case: Case, tables: Tables) -> tuple[Terminations, ...]:
    """The clusters of terminated sessions, in order of time."""
    events = tables.server_events
    ended = events[(events["kind"] == "terminated") & (events["at"] >= case.window.start)]
    ended = ended[ended["at"] < case.window.end].sort_values("at", kind="stable")
    ended = ended.assign(cluster=(ended["at"].diff() > _GAP).cumsum())
    found = []
    for _, rows in pieces(ended, "cluster"):
        at = Span(instant(rows["at"].min()), instant(rows["at"].max()), "first to last of them")
        names = ", ".join(sorted(set(rows["application"].dropna())))
        found.append(
            Terminations(
                sessions=len(rows),
                pids=frozenset(int(pid) for pid in rows["pid"].dropna()),
                at=at,
                evidence=rows_as_evidence(
                    rows,
                    system=System.POSTGRES,
                    at=at,
                    seen=f"the server terminated {len(rows)} sessions of {names} (57P01)",
                ),
            )
        )
    return tuple(found)

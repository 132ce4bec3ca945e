"""The recorder's heartbeat and the server's log -> sessions that were stuck, and their end."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from incident_rca.analysis.evidence import instant, rows_as_evidence
from incident_rca.analysis.frames import pieces
from incident_rca.analysis.names import may_be_one
from incident_rca.model import Case, Evidence, Span, System
from incident_rca.tables import Tables

if TYPE_CHECKING:
    import pandas as pd

IDLE_IN_TRANSACTION = "idle in transaction"
# Half of a pool that does nothing leaves its traffic the other half: what a pool with twice the
# room that it needs just bears. Of a pool whose size is not known no less than three sessions, for
# one or two are a person or a job.
HALF = 0.5
FEWEST_OF_UNKNOWN = 3
# One probe catches sessions between two statements; those that are stuck are so in several.
FEWEST_PROBES = 3
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


def stuck_sessions(
    case: Case, tables: Tables, sizes: Mapping[str, int]
) -> tuple[StuckSessions, ...]:
    """Each stretch in which half of an application's connections were idle in transaction.

    `sizes` are the pools that are known, by owner. Where an application's is not, its sessions of
    that moment, in whatever state, are what its pool had open.
    """
    counts = tables.session_counts
    counts = counts[(counts["at"] >= case.window.start) & (counts["at"] < case.window.end)]
    found = []
    for (application,), rows in pieces(counts, "application"):
        idle = rows[rows["state"] == IDLE_IN_TRANSACTION]
        stuck = idle.groupby("at", sort=True)["sessions"].sum()
        size = _size_of(application, sizes)
        if size is None:
            open_then = rows.groupby("at")["sessions"].sum().loc[stuck.index]
            fewest = (HALF * open_then).clip(lower=FEWEST_OF_UNKNOWN)
        else:
            fewest = stuck * 0 + HALF * size
        many = stuck[stuck >= fewest]
        stretches = (many.index.to_series().diff() > _GAP).cumsum()
        for _, probes in many.groupby(stretches):
            if len(probes) >= FEWEST_PROBES:
                held = idle[idle["at"].isin(probes.index)]
                found.append(_stuck(application, int(probes.max()), held, counts))
    return tuple(sorted(found, key=lambda s: (-s.sessions, s.application, s.since.first)))


def _size_of(application: str, sizes: Mapping[str, int]) -> int | None:
    """The size of the only pool whose owner's name may be this application's."""
    known = {size for owner, size in sizes.items() if may_be_one(owner, application)}
    return known.pop() if len(known) == 1 else None


def _stuck(
    application: str, sessions: int, stretch: pd.DataFrame, counts: pd.DataFrame
) -> StuckSessions:
    first, last = instant(stretch["at"].min()), instant(stretch["at"].max())
    before = counts.loc[counts["at"] < first, "at"].max()
    after = counts.loc[counts["at"] > last, "at"].min()
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

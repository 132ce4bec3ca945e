"""The evidence of one lock episode: its start, its peak, its end and its bystanders."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from incident_rca.analysis.evidence import instant, rows_as_evidence
from incident_rca.analysis.frames import distinct, pieces
from incident_rca.analysis.lock_words import ROW_TYPES, held, who
from incident_rca.analysis.names import counted
from incident_rca.analysis.waits import Wait
from incident_rca.lock_modes import in_words
from incident_rca.model import Evidence, Session, Span, System

if TYPE_CHECKING:
    import pandas as pd

# The log line of a statement may stand a little apart from the lock that it took.
LOG_LAG = timedelta(seconds=2)


def of_start(
    rows: pd.DataFrame, holder: Session, relation: str, types: Iterable[str], at: Span
) -> tuple[Evidence, ...]:
    """Who held what, and with which statement."""
    statement = holder.statement or "statement not recorded"
    seen = f"{who(holder)} held {held(holder.mode, relation, types)}: {statement}"
    return rows_as_evidence(rows, system=System.POSTGRES, at=at, seen=seen)


def of_statement(
    events: pd.DataFrame, holder: Session, start: Span, end: Span
) -> tuple[Evidence, ...]:
    """The server's own lines about the holder's statement: its begin and its duration."""
    known = events[
        events["kind"].isin(["ddl", "finished"])
        & (events["pid"] == holder.pid)
        & (events["statement"] == holder.statement)
        & (events["at"] >= start.first - LOG_LAG)
        & (events["at"] <= (end.hi or end.first) + LOG_LAG)
    ]
    if known.empty:
        return ()
    at = Span(instant(known["at"].min()), instant(known["at"].max()), "first to last log line")
    seen = f"the server logged the statement of pid {holder.pid}: {holder.statement}"
    return rows_as_evidence(known, system=System.POSTGRES, at=at, seen=seen)


def of_peak(
    edges: pd.DataFrame, relation: str, peak: int, peak_at: datetime
) -> tuple[Evidence, ...]:
    """How many sessions waited at once, by the first sample of each source that shows it."""
    at_peak = edges[edges["at"] >= peak_at]
    found = at_peak if len(at_peak) else edges
    modes = ", ".join(in_words(mode) for mode in distinct(edges, "waiter_mode"))
    names = ", ".join(distinct(edges, "waiter_application")) or "unnamed applications"
    wanted = f"{modes} on {relation}"
    if set(distinct(edges, "lock_type")) <= ROW_TYPES:
        wanted = f"rows of {relation}"
    return rows_as_evidence(
        found[found["at"] == found.groupby("source")["at"].transform("min")],
        system=System.POSTGRES,
        at=Span.at(peak_at),
        seen=f"{counted(peak, 'session')} of {names} waited at once for {wanted}",
        count=peak,
    )


def of_end(
    edges: pd.DataFrame, relation: str, waits: tuple[Wait, ...], at: Span
) -> tuple[Evidence, ...]:
    """When the waits ended: by the server's own lines, else by the last sample that shows them."""
    seen = f"the lock on {relation} was released: {counted(len(waits), 'wait')} ended"
    logged = edges[edges["wait_end_line"].notna()]
    rows = logged if len(logged) else edges[edges["at"] == edges["at"].max()]
    line = "wait_end_line" if len(logged) else "line"
    return rows_as_evidence(
        rows, system=System.POSTGRES, at=at, seen=seen, first=line, count=len(waits)
    )


def of_bystanders(idle: pd.DataFrame, relation: str) -> tuple[Evidence, ...]:
    """Who held a lock there as well, and blocked nobody."""
    cited: list[Evidence] = []
    known = idle.assign(mode=idle["holder_mode"].fillna(""))
    for (pid, mode), rows in pieces(known, "holder_pid", "mode"):
        what = in_words(mode) if mode else "a lock of unrecorded mode"
        at = Span(instant(rows["at"].min()), instant(rows["at"].max()), "first to last sample")
        seen = f"pid {pid} held {what} on {relation}, which blocked none of the waiters"
        cited += rows_as_evidence(rows, system=System.POSTGRES, at=at, seen=seen)
    return tuple(cited)

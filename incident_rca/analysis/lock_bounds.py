"""When a lock was taken and when it was released, as the spans that the evidence allows."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from incident_rca.analysis.evidence import instant
from incident_rca.analysis.waits import Wait
from incident_rca.model import Span
from incident_rca.tables import Tables

if TYPE_CHECKING:
    import pandas as pd

# Waiters wake one after the other: the first of them shows the release.
RELEASE_SPREAD = timedelta(seconds=1)
# What ends with a lock is logged a moment after it is gone.
LOG_LAG = timedelta(milliseconds=100)
# The statement that reads the locks is cut off after half of it (queries/postgres/locks.sql).
LONGEST_READING = timedelta(seconds=1)
# These waits ended without the lock: they say nothing of its release.
GAVE_UP = frozenset({"cancelled", "lock_timeout", "deadlock", "terminated"})


def start_of(held: pd.DataFrame, edges: pd.DataFrame) -> Span:
    """The lock was taken after its statement or transaction began and before somebody waited.

    Both frames have the column `slack`: how much later than written a row's instants may be.
    """
    first_wait = instant((edges["wait_start"].fillna(edges["at"]) + edges["slack"]).min())
    since = instant(held["held_since"].max())
    if since is None or first_wait is None or since > first_wait:
        return Span(None, first_wait, "when the lock was taken is not recorded")
    return Span(since, first_wait, "between the holder's statement and the first waiter")


def end_of(edges: pd.DataFrame, root: str, waits: tuple[Wait, ...], tables: Tables) -> Span:
    """The release lies between the last sign of the hold and the first sign that it is over.

    Who waited for the root itself goes on with its release; who stood behind others may go on
    before it, when those give up, or after it, when those are done.
    """
    last_seen = max(w.seen_until for w in waits)
    behind_root = edges["holder"].eq(root).fillna(False)
    direct = frozenset(edges.loc[behind_root, "waiter"])
    granted = [w for w in waits if w.end is not None and w.outcome not in GAVE_UP]
    ends = sorted(w.end for w in granted if w.end is not None and w.session in direct)
    held_until = instant(edges["held_until"].min())
    signs: list[datetime] = []
    if ends:
        # The last waits of all ended with the lock; those that ended before had given up.
        with_lock = ends[-1] - RELEASE_SPREAD
        if held_until is not None and held_until <= ends[-1]:
            with_lock = held_until - LOG_LAG
        signs.append(min(e for e in ends if e >= with_lock))
    elif granted and not direct:
        signs.append(max(w.end for w in granted if w.end is not None))
    sampled = edges["wait_end"].isna()
    if sampled.any():
        signs += _next_probe(tables, last_seen, frozenset(edges.loc[sampled, "source"]))
    if not signs:
        return Span(last_seen, None, "no sign of the release was recorded")
    over = min(signs)
    lower = [i for i in (last_seen if sampled.any() else None, held_until) if i]
    if not direct:
        lower.append(min(w.start for w in waits))
    until = instant((edges["wait_end"] + edges["slack"])[edges["wait_end"] == over].max())
    return Span(
        min(max(lower, default=max(over - LOG_LAG, min(w.start for w in waits))), over),
        until or over,
        "between the last sign of the lock and its release",
    )


def _next_probe(tables: Tables, after: datetime, sources: frozenset[str]) -> list[datetime]:
    """The first probe that shows no such wait: of the same recording, else of one that follows it.

    Where somebody waits, for whom is read a moment after the probe (recorder.py): what was no
    longer so then was over by the probe after that, not by this one.
    """
    later = tables.session_counts[tables.session_counts["at"] > after]
    own = later[later["source"].isin(sources)]
    probes = own if len(own) else later
    if probes.empty:
        return []
    instants = [i.to_pydatetime() for i in sorted(probes["at"].unique())]
    first = probes[probes["at"] == instants[0]]
    is_hidden = first["state"].isna() & first["wait_event_type"].isna()
    if not (first["wait_event_type"].eq("Lock").fillna(False) | is_hidden).any():
        return instants[:1]
    return [min([*instants[1:2], instants[0] + LONGEST_READING])]


def waiter_seconds(waits: tuple[Wait, ...], end: Span) -> float:
    """How long all waited together; who was seen last of all waited until the release."""
    last_seen = max(wait.seen_until for wait in waits)

    def until(wait: Wait) -> datetime:
        stayed = wait.seen_until == last_seen and end.hi is not None
        return wait.end or (max(last_seen, end.middle) if stayed else wait.seen_until)

    return sum((until(wait) - wait.start).total_seconds() for wait in waits)

"""Values on an axis -> the lanes of locks and pools, and how any lane is put together."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from incident_rca.analysis.frames import pieces, seconds_of
from incident_rca.analysis.lock_watch import watched_stretches
from incident_rca.analysis.observations import Observations
from incident_rca.analysis.pool import pool_usage
from incident_rca.analysis.steps import Axis, covered, highest, most_at_once, stretches_of
from incident_rca.analysis.waits import Wait, waits_of
from incident_rca.model import Episode, Evidence, Lane, LaneName, Series

if TYPE_CHECKING:
    import pandas as pd

    from incident_rca.analysis.steps import Flags, Floats

# So many lines of one lane can be told apart; the names of the others are kept.
MOST_SERIES = 6

Waits = Sequence[tuple[str, tuple[Wait, ...]]]


def line(
    name: str,
    values: Floats,
    at_least: Flags | None = None,
    limit: float | None = None,
    evidence: tuple[Evidence, ...] = (),
) -> Series:
    """A series of these values, NaN as None; `at_least` flags those that are lower bounds."""
    known = ~np.isnan(values)
    bounds = np.flatnonzero(at_least & known).tolist() if at_least is not None else []
    plain = (None if value != value else value for value in values.tolist())
    return Series(
        name=name, values=tuple(plain), at_least=tuple(bounds), limit=limit, evidence=evidence
    )


def buckets(rows: pd.DataFrame) -> tuple[Floats, Floats, Floats]:
    """The starts, widths and values of rows of `metrics`."""
    widths = rows["bucket_seconds"].to_numpy(dtype=float)
    return seconds_of(rows["at"]), widths, rows["value"].to_numpy(dtype=float)


# --- locks ----------------------------------------------------------------------------------------


def waits_by_relation(seen: Observations) -> Waits:
    """The waits for each relation by its name, those that were waited for longest first."""
    locks = seen.locks
    waiting = locks[(locks["edge"] != "none") & locks["waiter"].notna()]
    several = waiting["database"].nunique() > 1
    found = []
    for (database, relation), rows in pieces(waiting, "database", "relation"):
        waits = waits_of(rows)
        seconds = sum((w.until - w.start).total_seconds() for w in waits)
        name = f"{database}.{relation}" if several and database else relation
        found.append((-seconds, name, waits))
    return [(name, waits) for _, name, waits in sorted(found, key=lambda item: item[:2])]


def lock_lane(
    seen: Observations, axis: Axis, episodes: tuple[Episode, ...], by_relation: Waits
) -> Lane:
    """How many sessions waited for each relation; what a log says where nothing watched."""
    is_watched = covered(axis, watched_stretches(seen))
    is_known = is_watched.copy()
    waited_for = []
    for name, waits in by_relation:
        starts = np.array([w.start.timestamp() for w in waits])
        ends = np.array([w.until.timestamp() for w in waits])
        counts = most_at_once(axis, starts, ends)
        if counts.any():
            is_known |= counts > 0
            waited_for.append((name, np.where(is_watched | (counts > 0), counts, np.nan)))
    if not waited_for and is_watched.any():
        waited_for.append(("any relation", np.where(is_watched, 0.0, np.nan)))
    return Lane(
        name=LaneName.LOCK_WAITERS,
        unit="sessions",
        series=tuple(
            line(name, values, ~is_watched, evidence=_of_relation(seen, name))
            for name, values in waited_for[:MOST_SERIES]
        ),
        episodes=episodes,
        not_recorded=stretches_of(axis, ~is_known),
        left_out=tuple(name for name, _ in waited_for[MOST_SERIES:]),
    )


def _of_relation(seen: Observations, name: str) -> tuple[Evidence, ...]:
    waited = (e for e in seen.lock_episodes if name in (e.relation, e.object))
    return tuple(dict.fromkeys(cited for e in waited for cited in e.evidence))


# --- pools ----------------------------------------------------------------------------------------


def pool_lane(observed: Sequence[Observations], axis: Axis, episodes: tuple[Episode, ...]) -> Lane:
    """How many connections each pool had in use: those that were full first, then the fullest."""
    full = {s.pool.owner: s.pool.evidence for s in reversed(observed) if s.pool is not None}
    found = sorted(_gauges(observed[0], axis, full), key=lambda item: item[0])
    is_known = np.zeros(axis.number, dtype=bool)
    for _, _, values in found:
        is_known |= ~np.isnan(values)
    return Lane(
        name=LaneName.POOL,
        unit="connections in use",
        series=tuple(
            line(owner, values, limit=float(size), evidence=full.get(owner, ()))
            for (_, _, owner), size, values in found[:MOST_SERIES]
        ),
        episodes=episodes,
        not_recorded=stretches_of(axis, ~is_known),
        left_out=tuple(owner for (_, _, owner), _, _ in found[MOST_SERIES:]),
    )


def _gauges(
    seen: Observations, axis: Axis, full: dict[str, tuple[Evidence, ...]]
) -> Iterator[tuple[tuple[bool, float, str], int, Floats]]:
    for usage in pool_usage(seen.case, seen.gauges):
        values = highest(axis, *buckets(usage.used))
        if not np.isnan(values).all():
            share = float(np.nanmax(values)) / max(usage.size, 1)
            yield (usage.owner not in full, -share, usage.owner), usage.size, values

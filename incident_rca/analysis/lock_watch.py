"""Whether lock waits could have been missed: what recordings watched, and whom it concerns."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from incident_rca.analysis.coverage import whole_stretches
from incident_rca.model import SourceState, System, TimeWindow

if TYPE_CHECKING:
    from incident_rca.analysis.observations import Observations

_THERE = frozenset({SourceState.OK, SourceState.PARTIAL})


def is_watched(seen: Observations, start: datetime, end: datetime) -> bool:
    """Whether lock recordings, without their gaps, cover all of this time."""
    reached = start
    for covered in watched_stretches(seen):
        if covered.start <= reached:
            reached = max(reached, covered.end)
    return reached > start and reached >= end


def watched_stretches(seen: Observations) -> list[TimeWindow]:
    """What recordings watched: they are cut at their gaps, and the blind ones saw nothing."""
    found: list[TimeWindow] = []
    for source in seen.sources_of(System.POSTGRES):
        if source.kind != "lock_recording" or source.state not in _THERE or source.blind:
            continue
        found += whole_stretches(source)
    return sorted(found, key=lambda window: (window.start, window.end))


def why_unwatched(seen: Observations, service: str) -> str:
    """Why a lock may be behind what a service suffered in the outage; "" where none can be.

    None can be where the topology gives the service neither tables nor a pool, or where recordings
    watched the whole outage.
    """
    if seen.outage is None or seen.outage.start.lo is None:
        return ""
    known = next((s for s in seen.case.topology.services if s.name == service), None)
    if known is not None and seen.case.topology.is_stated:
        if not known.tables and known.pool_size is None:
            return ""
    end = seen.outage.end.lo or seen.outage.start.lo
    if is_watched(seen, seen.outage.start.lo, end):
        return ""
    return (
        f"whether {service} waited for a lock is not recorded: no lock recording covers the outage"
    )

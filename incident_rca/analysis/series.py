"""Tables and what was seen in them -> the series of all systems, aligned on one axis."""

from __future__ import annotations

from collections.abc import Sequence

from incident_rca.analysis.gateway_lanes import gateway_lanes
from incident_rca.analysis.lane_episodes import Episodes, episodes_of, meeting, time_of
from incident_rca.analysis.lanes import Waits, lock_lane, pool_lane, waits_by_relation
from incident_rca.analysis.latency_lane import latency_lane
from incident_rca.analysis.observations import Observations
from incident_rca.analysis.steps import axis_of
from incident_rca.model import AlignedSeries, Lane, LaneName, TimeWindow

# A screen is about so many dots wide: finer steps cannot be told apart on it.
MOST_STEPS = 1500
# An outage that takes half of a picture is not larger in one of its own.
_MUCH_SHORTER = 0.5


def aligned_series(observed: Sequence[Observations]) -> tuple[AlignedSeries, ...]:
    """The series over the whole window, then over the time of each incident that is much shorter.

    `observed` are all incidents of a case, the largest first, as `observe` gives them.
    """
    window, episodes = observed[0].case.window, episodes_of(observed)
    waits = waits_by_relation(observed[0])
    found = [_aligned(observed, None, window, episodes, waits)]
    for seen in observed:
        own = time_of(seen.part, seen.outage, episodes)
        if own is not None and own.seconds < window.seconds * _MUCH_SHORTER:
            found.append(_aligned(observed, seen.incident, own, episodes, waits))
    return tuple(found)


def _aligned(
    observed: Sequence[Observations],
    incident: int | None,
    window: TimeWindow,
    episodes: Episodes,
    waits: Waits,
) -> AlignedSeries:
    axis = axis_of(window, MOST_STEPS)
    shown = {name: meeting(some, window) for name, some in episodes.items()}
    failing, starved = shown[LaneName.FAILURES], shown[LaneName.REQUESTS]
    return AlignedSeries(
        incident=incident,
        start=axis.at(0),
        step_seconds=axis.width,
        steps=axis.number,
        lanes=(
            Lane(name=LaneName.CHANGES, unit="", episodes=shown[LaneName.CHANGES]),
            lock_lane(observed[0], axis, shown[LaneName.LOCK_WAITERS], waits),
            latency_lane(observed, axis, shown[LaneName.LATENCY]),
            pool_lane(observed, axis, shown[LaneName.POOL]),
            *gateway_lanes(observed, axis, failing, starved),
        ),
    )

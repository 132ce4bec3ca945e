"""The latencies of gRPC methods on an axis: those that became slow first."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from incident_rca.analysis.frames import places
from incident_rca.analysis.lanes import MOST_SERIES, buckets, line
from incident_rca.analysis.latency import AGGREGATES, canonical_method
from incident_rca.analysis.observations import Observations
from incident_rca.analysis.steps import Axis, covered, highest, stretches_of
from incident_rca.model import Episode, Lane, LaneName, LatencyShift, Series, TimeWindow

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from incident_rca.analysis.steps import Floats

    Places: TypeAlias = NDArray[np.int32]

_READ = ["at", "bucket_seconds", "value", "ceiling"]


@dataclass(frozen=True, slots=True, eq=False)
class _Method:
    """A method by its service, what is read of it, its highest values, and those at a ceiling."""

    name: str
    aggregate: str
    values: Floats
    capped: Floats
    shifts: tuple[LatencyShift, ...]


def latency_lane(
    observed: Sequence[Observations], axis: Axis, episodes: tuple[Episode, ...]
) -> Lane:
    """The latency of each method as its slowest caller saw it, by what tells most of slow calls.

    Those that became slow come first, then those that failing routes call, then the slowest.
    """
    called = set(_called(observed))
    ordered = sorted(_methods(observed, axis), key=lambda method: _order(method, called))
    is_known = np.zeros(axis.number, dtype=bool)
    for method in ordered:
        is_known |= ~np.isnan(method.values)
    return Lane(
        name=LaneName.LATENCY,
        unit="ms",
        series=tuple(_line(axis, method) for method in ordered[:MOST_SERIES]),
        episodes=episodes,
        not_recorded=stretches_of(axis, ~is_known),
        left_out=tuple(f"{m.name} {m.aggregate}" for m in ordered[MOST_SERIES:]),
    )


def _methods(observed: Sequence[Observations], axis: Axis) -> Iterator[_Method]:
    seen = observed[0]
    metrics = seen.tables.metrics
    is_read = (
        metrics["aggregate"].isin(AGGREGATES)
        & (metrics["unit"] == "ms")
        & metrics["value"].notna()
        & (metrics["at"] < axis.at(axis.number))
        & (metrics["at"] >= axis.at(0))
    )
    found: dict[str, dict[str, list[Places]]] = {}
    keys = ("service", "method", "aggregate")
    for (service, method, aggregate), some in places(metrics, is_read, *keys):
        if service and method and aggregate:
            name = ".".join(canonical_method(seen.case, service, method))
            found.setdefault(name, {}).setdefault(aggregate, []).append(some)
    shifts = _shifts(observed)
    for name, by_aggregate in sorted(found.items()):
        aggregate = next(a for a in AGGREGATES if a in by_aggregate)
        rows = metrics[_READ].iloc[np.concatenate(by_aggregate[aggregate])]
        starts, widths, values = buckets(rows)
        ceilings = rows["ceiling"].to_numpy(dtype=float)
        at_ceiling = np.where(values >= ceilings, values, np.nan)
        yield _Method(
            name,
            aggregate,
            highest(axis, starts, widths, values),
            highest(axis, starts, widths, at_ceiling),
            tuple(s for s in shifts if f"{s.service}.{s.method}" == name),
        )


def _shifts(observed: Sequence[Observations]) -> tuple[LatencyShift, ...]:
    return tuple(
        dict.fromkeys(s for seen in observed for s in (*seen.latency_shifts, *seen.other_shifts))
    )


def _called(observed: Sequence[Observations]) -> Iterator[str]:
    """What failing routes call."""
    case = observed[0].case
    failing = {e.name for seen in observed for e in seen.failing}
    for route in case.topology.routes:
        if route.name in failing:
            for full in route.calls:
                service, _, method = full.rpartition("/")
                yield ".".join(canonical_method(case, service, method))


def _order(method: _Method, called: set[str]) -> tuple[float, bool, float, str]:
    slow = max((s.plateau_ms for s in method.shifts), default=0.0)
    return -slow, method.name not in called, -float(np.nanmax(method.values)), method.name


def _line(axis: Axis, method: _Method) -> Series:
    """The values; "at least" in buckets at their histogram's ceiling and where deadlines cut."""
    cut = (
        TimeWindow(s.onset.hi or s.onset.first, s.offset.first)
        for s in method.shifts
        if s.cut_off and (s.onset.hi or s.onset.first) < s.offset.first
    )
    return line(
        f"{method.name} {method.aggregate}",
        method.values,
        (method.capped >= method.values) | covered(axis, cut),
        evidence=tuple(e for s in method.shifts for e in s.evidence),
    )

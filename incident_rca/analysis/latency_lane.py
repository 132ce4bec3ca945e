"""The latencies of gRPC methods on an axis: those that became slow first."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from incident_rca.analysis.frames import places
from incident_rca.analysis.lanes import MOST_SERIES, buckets, line
from incident_rca.analysis.latency import AGGREGATES, canonical_method
from incident_rca.analysis.observations import Observations
from incident_rca.analysis.steps import Axis, covered, highest, stretches_of
from incident_rca.model import Episode, Lane, LaneName, LatencyShift, Series, TimeWindow

if TYPE_CHECKING:
    import pandas as pd

    from incident_rca.analysis.steps import Floats


@dataclass(frozen=True, slots=True, eq=False)
class _Method:
    """A method by its service, what is read of it, and its highest values."""

    name: str
    aggregate: str
    rows: pd.DataFrame
    values: Floats
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
    found: dict[str, dict[str, list[int]]] = {}
    for (service, method, aggregate), rows in places(
        metrics, is_read, "service", "method", "aggregate"
    ):
        if service and method and aggregate:
            name = ".".join(canonical_method(seen.case, service, method))
            found.setdefault(name, {}).setdefault(aggregate, []).extend(rows.tolist())
    shifts = _shifts(observed)
    for name, by_aggregate in sorted(found.items()):
        aggregate = next(a for a in AGGREGATES if a in by_aggregate)
        rows = metrics.iloc[sorted(by_aggregate[aggregate])]
        own = tuple(s for s in shifts if f"{s.service}.{s.method}" == name)
        yield _Method(name, aggregate, rows, highest(axis, *buckets(rows)), own)


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
    starts, widths, values = buckets(method.rows)
    ceilings = method.rows["ceiling"].to_numpy(dtype=float)
    capped = highest(axis, starts, widths, np.where(values >= ceilings, values, np.nan))
    cut = (
        TimeWindow(s.onset.first, s.offset.first)
        for s in method.shifts
        if s.censored and s.onset.first < s.offset.first
    )
    return line(
        f"{method.name} {method.aggregate}",
        method.values,
        (capped >= method.values) | covered(axis, cut),
        evidence=tuple(e for s in method.shifts for e in s.evidence),
    )

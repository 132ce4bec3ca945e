"""The gateway's requests on an axis: failures by status and by type, and who still asked."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

import numpy as np

from incident_rca.analysis.frames import chosen, distinct, seconds_of, values
from incident_rca.analysis.lanes import MOST_SERIES, line
from incident_rca.analysis.observations import Observations
from incident_rca.analysis.outage import recorded_from, recorded_until
from incident_rca.analysis.steps import Axis, covered, rate, stretches_of
from incident_rca.model import Episode, Evidence, Lane, LaneName, Series, TimeWindow
from incident_rca.typed_frames import plain

if TYPE_CHECKING:
    import pandas as pd

    from incident_rca.analysis.steps import Flags, Floats

FAILURES, REQUESTS = "failed requests/s", "requests/s"


@dataclass(frozen=True, slots=True, eq=False)
class _Recorded:
    """Which steps a log of the gateway covers, and which of these have a gap: there more came."""

    is_covered: Flags
    has_gap: Flags

    def line(self, name: str, rates: Floats, evidence: tuple[Evidence, ...]) -> Series:
        """A series of rates, which are zero only where that is known."""
        is_sure = self.is_covered & ~self.has_gap
        values = np.where(is_sure | (rates > 0), rates, np.nan)
        return line(name, values, ~is_sure, evidence=evidence)

    def lane(
        self,
        axis: Axis,
        name: LaneName,
        lines: Sequence[Series],
        episodes: tuple[Episode, ...],
        left_out: Sequence[str],
    ) -> Lane:
        is_known = self.is_covered & ~self.has_gap
        for each in lines:
            is_known |= np.array([value is not None for value in each.values])
        return Lane(
            name=name,
            unit=REQUESTS if name is LaneName.REQUESTS else FAILURES,
            series=tuple(lines),
            episodes=episodes,
            not_recorded=stretches_of(axis, ~is_known),
            left_out=tuple(left_out),
        )


def gateway_lanes(
    observed: Sequence[Observations],
    axis: Axis,
    failing: tuple[Episode, ...],
    starved: tuple[Episode, ...],
) -> tuple[Lane, Lane, Lane]:
    """The failures by status, the requests of the routes that were hit, the failures by type."""
    recorded = _recorded(observed[0], axis)
    failures = _each_once(observed, "failures", "at")
    by_status = _failures(recorded, axis, failures, "status", observed)
    by_type = _failures(recorded, axis, failures, "error_type", observed)
    if not by_status and recorded.is_covered.any():
        by_status = [recorded.line("HTTP 5xx", np.zeros(axis.number), ())]
    names, left_out = _routes(observed, axis)
    requests = [_requests(recorded, axis, observed, name) for name in names]
    return (
        _cut(recorded, axis, LaneName.FAILURES, by_status, failing),
        recorded.lane(axis, LaneName.REQUESTS, requests, starved, left_out),
        _cut(recorded, axis, LaneName.ERROR_TYPES, by_type, failing),
    )


def _cut(
    recorded: _Recorded,
    axis: Axis,
    name: LaneName,
    lines: Sequence[Series],
    episodes: tuple[Episode, ...],
) -> Lane:
    left_out = [each.name for each in lines[MOST_SERIES:]]
    return recorded.lane(axis, name, lines[:MOST_SERIES], episodes, left_out)


def _recorded(seen: Observations, axis: Axis) -> _Recorded:
    logs = seen.case.gateway_logs
    start, end = recorded_from(seen.case), recorded_until(seen.case)
    whole = [TimeWindow(start, end)] if seen.case.recorded and start < end else []
    gaps = [gap.window for log in logs for gap in log.gaps]
    return _Recorded(covered(axis, whole), covered(axis, gaps))


def _each_once(observed: Sequence[Observations], table: str, column: str) -> list[pd.DataFrame]:
    """The rows of the window: the parts of incidents meet in the quiet between two of them."""
    reached: datetime | None = None
    found = []
    for seen in sorted(observed, key=lambda s: s.part.start):
        rows: pd.DataFrame = getattr(seen.tables, table)
        found.append(rows if reached is None else chosen(rows, rows[column] >= reached))
        reached = seen.part.end if reached is None else max(reached, seen.part.end)
    return found


def _failures(
    recorded: _Recorded,
    axis: Axis,
    failures: Sequence[pd.DataFrame],
    column: str,
    observed: Sequence[Observations],
) -> list[Series]:
    """The failures a second by each value of a column, most first."""
    cited = tuple(e for s in observed if s.outage for e in s.outage.evidence)
    found = []
    for value in sorted({value for rows in failures for value in distinct(rows, column)}):
        rates = np.zeros(axis.number)
        for rows in failures:
            instants = seconds_of(rows.loc[rows[column] == value, "at"])
            ones = np.ones(len(instants), dtype=np.float64)
            rates += rate(axis, instants, ones, ones)
        name = f"HTTP {value}" if column == "status" else str(value)
        if rates.any():
            found.append((-float(rates.sum()), name, rates))
    ordered = sorted(found, key=lambda item: item[:2])
    return [recorded.line(name, rates, cited) for _, name, rates in ordered]


def _routes(observed: Sequence[Observations], axis: Axis) -> tuple[list[str], list[str]]:
    """The routes to show and those to leave out: starved ones, those hit most, the busiest."""
    totals: dict[str, float] = {}
    for rows in _each_once(observed, "gateway", "second"):
        counted = rows.groupby(["method", "route"], observed=True)["requests"].sum().reset_index()
        for method, route, number in values(counted, "method", "route", "requests"):
            name = f"{method} {route}"
            totals[name] = totals.get(name, 0.0) + float(number)
    starved = [s.name for seen in observed for s in seen.starvations]
    hit = [e.name for seen in observed for e in seen.hit]
    busiest = sorted(totals, key=lambda name: (-totals[name], name))
    ordered = [n for n in dict.fromkeys((*starved, *hit, *busiest)) if totals.get(n)]
    return ordered[:MOST_SERIES], ordered[MOST_SERIES:]


def _requests(
    recorded: _Recorded, axis: Axis, observed: Sequence[Observations], name: str
) -> Series:
    method, _, route = name.partition(" ")
    seen = observed[0]
    widths = {s.name: max(1.0, s.resolution_seconds or 1.0) for s in seen.case.sources}
    rates = np.zeros(axis.number)
    for rows in _each_once(observed, "gateway", "second"):
        of_route = rows[(rows["method"] == method) & (rows["route"] == route)]
        counts = of_route["requests"].to_numpy(dtype=float)
        of_source = plain(of_route["source"]).map(widths).fillna(1.0)
        width = np.asarray(of_source, dtype=np.float64)
        rates += rate(axis, seconds_of(of_route["second"]), width, counts)
    return recorded.line(name, rates, tuple(dict.fromkeys(_of_route(observed, name))))


def _of_route(observed: Sequence[Observations], name: str) -> Iterator[Evidence]:
    for seen in observed:
        yield from (e for s in seen.starvations if s.name == name for e in s.evidence)
        yield from (e for s in seen.endpoints if s.name == name for e in s.evidence)

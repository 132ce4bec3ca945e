"""What was seen, before anything is blamed: the input of every hypothesis, finding and question."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from incident_rca.analysis.amplification import Amplification, amplifications
from incident_rca.analysis.baselines import baselines
from incident_rca.analysis.call_counts import CallCounts, call_counts
from incident_rca.analysis.changes import Change, changes_in
from incident_rca.analysis.clocks import clocks_of
from incident_rca.analysis.copies import without_copies
from incident_rca.analysis.endpoints import endpoint_impacts
from incident_rca.analysis.error_types import error_types
from incident_rca.analysis.frames import chosen
from incident_rca.analysis.gateway_crosscheck import LackingLog, lacking_log
from incident_rca.analysis.gateway_failures import with_execution_logs
from incident_rca.analysis.latency import Latencies, latencies
from incident_rca.analysis.load_balancer import promoted
from incident_rca.analysis.lock_load import LockLoad, lock_loads
from incident_rca.analysis.lock_places import placed
from incident_rca.analysis.locks import lock_episodes
from incident_rca.analysis.outage import failures_in, find_outages
from incident_rca.analysis.overlaps import counted_once
from incident_rca.analysis.pool import PoolGauges, find_pool, pool_gauges, pool_sizes
from incident_rca.analysis.queue_flow import Recovery, recovery_of
from incident_rca.analysis.sessions import StuckSessions, Terminations, stuck_sessions, terminations
from incident_rca.analysis.shared_ids import link_of
from incident_rca.analysis.starvation import starvations
from incident_rca.analysis.true_time import on_true_time
from incident_rca.model import (
    Baseline,
    Case,
    Clocks,
    EndpointImpact,
    ErrorBurst,
    ErrorType,
    Impact,
    LatencyShift,
    LockEpisode,
    PoolState,
    SourceState,
    SourceStatus,
    Span,
    Starvation,
    System,
    TimeWindow,
)
from incident_rca.tables import Tables

if TYPE_CHECKING:
    import pandas as pd


# The formats of latencies, counts and gauges of gRPC calls, whichever store answered.
GRPC_METRICS = ("datadog_metrics", "prometheus_metrics", "otlp_metrics")


@dataclass(frozen=True, slots=True, kw_only=True)
class Observations:
    """What was seen of one incident, and of the whole window where there is none.

    `part` is the part of the window that is this incident's own: from the end of the one before it
    to the start of the one behind it. `tables` hold requests and server events of that part, and
    `locks` is their table of locks as `placed` gives it. Of a
    series that rose several times `latency_shifts` has what meets the outage, if anything does, and
    `other_shifts` the rest: nothing is concluded from calls that were slow at another time.
    """

    case: Case
    clocks: Clocks
    part: TimeWindow
    incident: int
    tables: Tables
    locks: pd.DataFrame
    gauges: PoolGauges
    outage: ErrorBurst | None
    endpoints: tuple[EndpointImpact, ...]
    error_types: tuple[ErrorType, ...]
    baselines: tuple[Baseline, ...]
    lock_episodes: tuple[LockEpisode, ...]
    lock_loads: tuple[LockLoad, ...]
    latencies: Latencies
    latency_shifts: tuple[LatencyShift, ...]
    other_shifts: tuple[LatencyShift, ...] = ()
    pool: PoolState | None
    starvations: tuple[Starvation, ...]
    stuck: tuple[StuckSessions, ...]
    terminations: tuple[Terminations, ...]
    changes: tuple[Change, ...]
    lacking_log: LackingLog | None
    calls: tuple[CallCounts, ...]
    amplified: tuple[Amplification, ...] = ()
    recovery: Recovery | None = None

    @property
    def hit(self) -> tuple[EndpointImpact, ...]:
        """The endpoints that failed, starved or degraded."""
        return tuple(e for e in self.endpoints if e.impact is not Impact.UNAFFECTED)

    @property
    def failing(self) -> tuple[EndpointImpact, ...]:
        """The endpoints whose requests failed."""
        return tuple(e for e in self.endpoints if e.is_failing)

    @property
    def part_case(self) -> Case:
        """The case as if its window were this incident's part."""
        return replace(self.case, window=self.part)

    def failures_of(self, endpoints: Iterable[EndpointImpact]) -> pd.DataFrame:
        """The failed requests of the outage on these endpoints: rows of the `failures` table."""
        if self.outage is None:
            return self.tables.failures.iloc[:0]
        rows = failures_in(self.tables, self.outage)
        return rows[(rows["method"] + " " + rows["route"]).isin([e.name for e in endpoints])]

    def sources_of(self, system: System) -> tuple[SourceStatus, ...]:
        return tuple(s for s in self.case.sources if s.system is system)

    def is_recorded(self, *kinds: str) -> bool:
        """Whether a source of one of these formats answered in full and was not blind."""
        return any(
            s.kind in kinds and s.state is SourceState.OK and not s.blind for s in self.case.sources
        )

    @property
    def knows_what_failed(self) -> bool:
        """Whether a route that is not seen failing did not fail, and whom it calls is stated."""
        return self.case.topology.is_stated and self.lacking_log is None

    def has_metrics(self) -> bool:
        """Whether metrics of gRPC calls were answered in full."""
        return self.is_recorded(*GRPC_METRICS)

    def has_requests(self) -> bool:
        """Whether a log of the gateway answered in full."""
        return any(s.state is SourceState.OK and not s.blind for s in self.case.gateway_logs)


def observe(case: Case, tables: Tables) -> tuple[Observations, ...]:
    """What the tables show within the window, for each incident, the largest first.

    All times in it are true ones, as far as the clocks are known.
    """
    case, tables = counted_once(case, without_copies(tables))
    clocks = clocks_of(case, link_of(case, tables))
    case, tables = on_true_time(case, tables, clocks)
    lacking = lacking_log(case, tables)
    tables = replace(tables, failures=with_execution_logs(tables.failures))
    tables = _inside(case.window, promoted(case, tables))
    outages = find_outages(case, tables)
    gauges = pool_gauges(tables.metrics)
    locks, found = placed(case, tables), latencies(case, tables)
    whole = Observations(
        case=case,
        clocks=clocks,
        part=case.window,
        incident=1,
        tables=tables,
        locks=locks,
        gauges=gauges,
        outage=None,
        endpoints=(),
        error_types=(),
        baselines=(),
        lock_episodes=lock_episodes(case, tables, locks),
        lock_loads=lock_loads(case, tables),
        latencies=found,
        latency_shifts=found.shifts,
        pool=None,
        starvations=starvations(case, tables),
        stuck=stuck_sessions(case, tables, pool_sizes(case, gauges)),
        terminations=terminations(case, tables),
        changes=changes_in(case, tables),
        lacking_log=lacking,
        calls=(),
    )
    if len(outages) < 2:
        return (_of_outage(whole, next(iter(outages), None)),)
    parts = (
        replace(_cut(whole, _part(case.window, outages, outage)), incident=number)
        for number, outage in enumerate(outages, start=1)
    )
    return tuple(_of_outage(part, o) for part, o in zip(parts, outages, strict=True))


def _part(window: TimeWindow, outages: tuple[ErrorBurst, ...], outage: ErrorBurst) -> TimeWindow:
    """From the end of the outage before this one to the start of the one behind it."""
    before = [o.end.first for o in outages if o.end.first < outage.start.first]
    behind = [o.start.first for o in outages if o.start.first > outage.start.first]
    return TimeWindow(max(before, default=window.start), min(behind, default=window.end))


def _cut(whole: Observations, part: TimeWindow) -> Observations:
    """What lies in one part of the window; what lies in several belongs to each of them."""
    return replace(
        whole,
        part=part,
        tables=_inside(part, whole.tables),
        lock_episodes=tuple(
            e for e in whole.lock_episodes if _meets(part, e.held_start, e.held_end)
        ),
        latency_shifts=tuple(s for s in whole.latency_shifts if _meets(part, s.onset, s.offset)),
        starvations=tuple(s for s in whole.starvations if _meets(part, s.onset, s.offset)),
        stuck=tuple(s for s in whole.stuck if _meets(part, s.since, s.until)),
        terminations=tuple(t for t in whole.terminations if _meets(part, t.at, t.at)),
        changes=tuple(c for c in whole.changes if _meets(part, c.start, c.end)),
    )


def _of_outage(seen: Observations, outage: ErrorBurst | None) -> Observations:
    """What was seen, with what follows from its outage."""
    shifts = _of_its_time(seen.latency_shifts, outage)
    pool = find_pool(
        seen.case, seen.tables, seen.gauges, seen.clocks, outage, shifts, seen.terminations
    )
    if pool is not None and not _meets(seen.part, pool.exhausted_at, pool.exhausted_until):
        pool = None
    found = replace(
        seen,
        outage=outage,
        latency_shifts=shifts,
        other_shifts=tuple(s for s in seen.latency_shifts if s not in shifts),
        endpoints=endpoint_impacts(_since_usual(seen, outage), seen.tables, outage),
        error_types=error_types(seen.tables, outage),
        baselines=baselines(seen.part_case, seen.tables, outage),
        calls=call_counts(seen.case, seen.tables, seen.part, outage),
        pool=pool,
    )
    found = replace(found, amplified=amplifications(found))
    return replace(found, recovery=recovery_of(found))


def _since_usual(seen: Observations, outage: ErrorBurst | None) -> Case:
    """The case of this part, from when on calls are no longer slow by the outage before it."""
    began = seen.part.start
    if outage is not None:
        slow_until = (s.offset.hi for s in seen.latency_shifts if s.onset.first <= began)
        over = [end for end in slow_until if end is not None and end <= outage.start.first]
        began = max([began, *over])
    return replace(seen.case, window=TimeWindow(began, seen.part.end))


def _of_its_time(
    shifts: tuple[LatencyShift, ...], outage: ErrorBurst | None
) -> tuple[LatencyShift, ...]:
    """Without what a series did at another time, where it rose in the outage's own as well."""
    if outage is None or outage.end.lo is None or outage.end.lo <= outage.onset.first:
        return shifts
    time = TimeWindow(outage.onset.first, outage.end.lo)
    in_time = [s for s in shifts if _meets(time, s.onset, s.offset)]
    named = {(s.full_method, s.metric) for s in in_time}
    return tuple(s for s in shifts if s in in_time or (s.full_method, s.metric) not in named)


def _meets(part: TimeWindow, start: Span, end: Span) -> bool:
    until = end.hi or end.lo
    return start.first < part.end and (until is None or until > part.start)


def _inside(window: TimeWindow, tables: Tables) -> Tables:
    """The tables with requests and server events of the window; baselines lie before it."""
    return replace(
        tables,
        gateway=_between(tables.gateway, "second", window),
        failures=_between(tables.failures, "at", window),
        server_events=_between(tables.server_events, "at", window),
    )


def _between(frame: pd.DataFrame, column: str, window: TimeWindow) -> pd.DataFrame:
    inside = (frame[column] >= window.start) & (frame[column] < window.end)
    return chosen(frame, inside)

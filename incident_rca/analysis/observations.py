"""What was seen, before anything is blamed: the input of every hypothesis, finding and question."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from incident_rca.analysis.baselines import baselines
from incident_rca.analysis.changes import Change, changes_in
from incident_rca.analysis.endpoints import endpoint_impacts
from incident_rca.analysis.error_types import error_types
from incident_rca.analysis.gateway_crosscheck import LackingLog, lacking_log
from incident_rca.analysis.gateway_failures import with_execution_logs
from incident_rca.analysis.latency import latency_shifts
from incident_rca.analysis.load_balancer import promoted
from incident_rca.analysis.lock_load import LockLoad, lock_loads
from incident_rca.analysis.locks import lock_episodes
from incident_rca.analysis.outage import find_outage
from incident_rca.analysis.pool import find_pool
from incident_rca.analysis.sessions import StuckSessions, Terminations, stuck_sessions, terminations
from incident_rca.model import (
    Baseline,
    Case,
    EndpointImpact,
    ErrorBurst,
    ErrorType,
    Impact,
    LatencyShift,
    LockEpisode,
    PoolState,
    SourceState,
    SourceStatus,
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
    case: Case
    tables: Tables
    outage: ErrorBurst | None
    endpoints: tuple[EndpointImpact, ...]
    error_types: tuple[ErrorType, ...]
    baselines: tuple[Baseline, ...]
    lock_episodes: tuple[LockEpisode, ...]
    lock_loads: tuple[LockLoad, ...]
    latency_shifts: tuple[LatencyShift, ...]
    pool: PoolState | None
    stuck: tuple[StuckSessions, ...]
    terminations: tuple[Terminations, ...]
    changes: tuple[Change, ...]
    lacking_log: LackingLog | None

    @property
    def hit(self) -> tuple[EndpointImpact, ...]:
        """The endpoints that failed, starved or degraded."""
        return tuple(e for e in self.endpoints if e.impact is not Impact.UNAFFECTED)

    @property
    def failing(self) -> tuple[EndpointImpact, ...]:
        """The endpoints whose requests failed."""
        return tuple(e for e in self.hit if e.failed)

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


def observe(case: Case, tables: Tables) -> Observations:
    """All episodes that the tables show within the window."""
    lacking = lacking_log(case, tables)
    tables = replace(tables, failures=with_execution_logs(tables.failures))
    tables = _inside(case.window, promoted(case, tables))
    outage = find_outage(case, tables)
    shifts = latency_shifts(case, tables)
    ended = terminations(case, tables)
    return Observations(
        case=case,
        tables=tables,
        outage=outage,
        endpoints=endpoint_impacts(case, tables, outage),
        error_types=error_types(tables, outage),
        baselines=baselines(case, tables, outage),
        lock_episodes=lock_episodes(case, tables),
        lock_loads=lock_loads(case, tables),
        latency_shifts=shifts,
        pool=find_pool(case, tables, outage, shifts, ended),
        stuck=stuck_sessions(case, tables),
        terminations=ended,
        changes=changes_in(case, tables),
        lacking_log=lacking,
    )


def _inside(window: TimeWindow, tables: Tables) -> Tables:
    """The tables with requests and server events of the window; baselines lie before it."""
    return replace(
        tables,
        gateway=_between(tables.gateway, "second", window),
        failures=_between(tables.failures, "at", window),
        server_events=_between(tables.server_events, "at", window),
    )


def _between(frame: pd.DataFrame, column: str, window: TimeWindow) -> pd.DataFrame:
    return frame[(frame[column] >= window.start) & (frame[column] < window.end)]

"""The manifest of a made case: what was collected, which clocks were declared, and the topology."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

from incident_rca.model import Case, Gap, SourceState, SourceStatus, System, TimeWindow, Topology
from incident_rca.model import Route as StatedRoute
from incident_rca.model import Service as StatedService
from score.plans import Plan
from score.world import World

START = datetime(2026, 3, 3, 9, 0, tzinfo=UTC)
KINDS: Mapping[str, tuple[System, str]] = {
    "recorder": (System.POSTGRES, "lock_recording"),
    "log": (System.POSTGRES, "postgres_log"),
    "metrics": (System.GRPC_METRICS, "datadog_metrics"),
    "gateway": (System.GATEWAY, "access_log"),
}


def instant(seconds: float) -> datetime:
    """An instant of the simulation as a time of day."""
    return START + timedelta(seconds=round(seconds, 6))


def case_of(plan: Plan) -> Case:
    """The manifest: what was collected, which clocks were declared, and the topology."""
    seen = plan.observation
    window = TimeWindow(START, instant(plan.seconds))
    resolutions = {
        "recorder": seen.interval_seconds,
        "log": 0.001,
        "metrics": seen.bucket_seconds,
        "gateway": 0.001,
    }
    sources = [_status(plan, name, window, resolutions[name]) for name in KINDS]
    return Case(
        id=f"SEED-{plan.seed}",
        title=plan.kind,
        window=window,
        topology=stated(plan.world),
        sources=tuple(sources),
    )


def _status(plan: Plan, name: str, window: TimeWindow, resolution: float) -> SourceStatus:
    seen, (system, kind) = plan.observation, KINDS[name]
    bound, there = seen.bounds[system.value], seen.has(name)
    gaps = []
    if name == "recorder" and seen.recorder_gap and there:
        begin, end = (instant(at + seen.offsets["postgres"]) for at in seen.recorder_gap)
        gaps = [Gap(TimeWindow(begin, end))]
    return SourceStatus(
        name=name,
        system=system,
        kind=kind,
        state=SourceState.OK if there else SourceState.SKIPPED,
        covered=window if there else None,
        resolution_seconds=resolution,
        clock_offset_seconds=(-bound, bound),
        reason="" if there else "not configured",
        gaps=tuple(gaps),
    )


def stated(world: World) -> Topology:
    """The topology as people state it."""
    return Topology(
        services=tuple(
            StatedService(
                name=s.name,
                grpc=tuple(m.full for m in s.methods),
                tables=s.tables,
                pool_size=s.pool_size,
            )
            for s in world.services
        ),
        routes=tuple(
            StatedRoute(method=r.method, path=r.path, calls=r.calls) for r in world.routes
        ),
    )

"""A played plan -> the case and the tables that an investigation would have of it."""

from __future__ import annotations

import random
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from incident_rca.formats import lock_recording, postgres_log
from incident_rca.formats.parsed import RawInput, frame_of
from incident_rca.model import Case, Gap, SourceState, SourceStatus, System, TimeWindow, Topology
from incident_rca.model import Route as StatedRoute
from incident_rca.model import Service as StatedService
from incident_rca.tables import TABLE_NAMES, Tables
from score import server_log
from score.gateway_view import log_rows
from score.metrics_view import bucket_rows
from score.plans import Plan
from score.play import played
from score.simulator import Simulation
from score.world import World

if TYPE_CHECKING:
    import pandas as pd

START = datetime(2026, 3, 3, 9, 0, tzinfo=UTC)
KINDS: Mapping[str, tuple[System, str]] = {
    "recorder": (System.POSTGRES, "lock_recording"),
    "log": (System.POSTGRES, "postgres_log"),
    "metrics": (System.GRPC_METRICS, "datadog_metrics"),
    "gateway": (System.GATEWAY, "access_log"),
}
Frames = dict[str, "list[pd.DataFrame]"]


@dataclass(frozen=True, slots=True)
class Collected:
    """A case as it was collected, and the simulation behind it."""

    case: Case
    tables: Tables
    simulation: Simulation


def instant(seconds: float) -> datetime:
    """An instant of the simulation as a time of day."""
    return START + timedelta(seconds=round(seconds, 6))


def collected(plan: Plan) -> Collected:
    """Plays a plan and collects what its observation lets through."""
    seen = plan.observation
    shift = seen.offsets["postgres"]

    def stamp(at: float) -> str:
        return instant(at + shift).isoformat().replace("+00:00", "Z")

    simulation, recorder = played(plan, stamp)
    frames: Frames = {}
    if seen.has("recorder"):
        raw = _raw("recorder", Path("."))
        _add(frames, lock_recording.frames_of_records(recorder.records, raw))
    if seen.has("log"):
        _add(frames, _log_frames(simulation, recorder.oids, shift))
    if seen.has("metrics"):
        rows = _metric_rows(plan, simulation)
        _add(frames, {"metrics": frame_of("metrics", _numbered(rows), _raw("metrics", Path(".")))})
    if seen.has("gateway"):
        shift_of_gateway = seen.offsets["gateway"]
        gateway, failures = log_rows(
            simulation.trace.requests,
            plan.world.routes,
            plan.seconds,
            lambda at: instant(at + shift_of_gateway),
        )
        raw = _raw("gateway", Path("."))
        made = {"gateway": frame_of("gateway", gateway, raw)}
        _add(frames, made | {"failures": frame_of("failures", failures, raw)})
    return Collected(case_of(plan), _tables(frames), simulation)


def _raw(name: str, path: Path) -> RawInput:
    return RawInput(path=path, file=f"raw/{name}", source=name, work=path.parent)


def _numbered(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{"row": n, **row} for n, row in enumerate(rows, start=1)]


def _metric_rows(plan: Plan, simulation: Simulation) -> list[dict[str, Any]]:
    seen = plan.observation
    offset = seen.offsets["grpc_metrics"]
    return bucket_rows(
        simulation.trace.calls,
        {name: (p.size, simulation.trace.pools[name]) for name, p in simulation.pools.items()},
        seconds=plan.seconds,
        width=seen.bucket_seconds,
        offset=offset,
        lost=seen.lost_buckets,
        clock=lambda at: instant(at + offset),
        rng=random.Random(f"metrics {plan.seed}"),
    )


def _log_frames(
    simulation: Simulation, oids: Mapping[str, int], shift: float
) -> Mapping[str, pd.DataFrame]:
    """The server's log, written and read by the real format."""

    def stamp(at: float) -> str:
        return f"{instant(at + shift):%Y-%m-%d %H:%M:%S.%f}"[:-3] + " UTC"

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "postgresql.json"
        text = "\n".join(server_log.lines(simulation.trace.log, oids, stamp))
        path.write_text(text + "\n", encoding="utf-8")
        return postgres_log.parse(_raw("log", path)).frames if text else {}


def _add(frames: Frames, more: Mapping[str, pd.DataFrame]) -> None:
    for name, frame in more.items():
        frames.setdefault(name, []).append(frame)


def _tables(frames: Frames) -> Tables:
    import pandas as pd

    raw = _raw("none", Path("."))
    whole = {}
    for name in TABLE_NAMES:
        parts = [f for f in frames.get(name, ()) if len(f)]
        whole[name] = pd.concat(parts, ignore_index=True) if parts else frame_of(name, (), raw)
    return Tables(**whole)


# --- the case -----------------------------------------------------------------------------------


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
    sources = [
        _status(plan, name, window, resolutions[name], lambda at: instant(at)) for name in KINDS
    ]
    return Case(
        id=f"SEED-{plan.seed}",
        title=plan.kind,
        window=window,
        topology=stated(plan.world) if seen.topology == "stated" else Topology(),
        sources=tuple(sources),
    )


def _status(
    plan: Plan,
    name: str,
    window: TimeWindow,
    resolution: float,
    clock: Callable[[float], datetime],
) -> SourceStatus:
    seen, (system, kind) = plan.observation, KINDS[name]
    bound, there = seen.bounds[system.value], seen.has(name)
    gaps = []
    if name == "recorder" and seen.recorder_gap and there:
        begin, end = (clock(at + seen.offsets["postgres"]) for at in seen.recorder_gap)
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

"""A played plan -> the case and the tables that an investigation would have of it."""

from __future__ import annotations

import random
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from incident_rca.formats import lock_recording, postgres_log
from incident_rca.formats.parsed import frame_of
from incident_rca.model import Case
from incident_rca.tables import TABLE_NAMES, Tables
from incident_rca.typed_frames import as_schema
from score import server_log
from score.gateway_view import log_rows
from score.manifest import case_of, instant
from score.metrics_view import bucket_rows
from score.plans import Plan
from score.play import played
from score.raw_files import from_access_log, from_datadog, raw_input
from score.simulator import Simulation

if TYPE_CHECKING:
    import pandas as pd

Frames = dict[str, "list[pd.DataFrame]"]


@dataclass(frozen=True, slots=True)
class Collected:
    """A case as it was collected, and the simulation behind it."""

    case: Case
    tables: Tables
    simulation: Simulation


def collected(plan: Plan) -> Collected:
    """Plays a plan and collects what its observation lets through."""
    seen = plan.observation
    shift = seen.offsets["postgres"]

    def stamp(at: float) -> str:
        return instant(at + shift).isoformat().replace("+00:00", "Z")

    simulation, recorder = played(plan, stamp)
    frames: Frames = {}
    if seen.has("recorder"):
        known = lock_recording.frames_of_records(recorder.records, raw_input("recorder"))
        _add(frames, known)
    if seen.has("log"):
        _add(frames, _log_frames(simulation, recorder.oids, shift))
    if seen.has("metrics"):
        frames["metrics"] = _metrics(plan, simulation)
    if seen.has("gateway"):
        _add(frames, _gateway(plan, simulation))
    return Collected(case_of(plan), _tables(frames), simulation)


def _gateway(plan: Plan, simulation: Simulation) -> Mapping[str, pd.DataFrame]:
    """The gateway's log; its clock is written in milliseconds."""
    shift = plan.observation.offsets["gateway"]
    known = (simulation.trace.requests, plan.world.routes, plan.seconds)

    def clock(at: float) -> datetime:
        return instant(round(at + shift, 3))

    if plan.observation.as_files:
        with tempfile.TemporaryDirectory() as folder:
            return from_access_log(*known, clock, Path(folder))
    gateway, failures = log_rows(*known, clock)
    raw = raw_input("gateway")
    return {
        "gateway": frame_of("gateway", gateway, raw),
        "failures": frame_of("failures", failures, raw),
    }


def _metrics(plan: Plan, simulation: Simulation) -> list[pd.DataFrame]:
    """What the metrics store answers."""
    seen = plan.observation
    offset = seen.offsets["grpc_metrics"]
    rows = bucket_rows(
        simulation.trace.calls,
        {name: (p.size, simulation.trace.pools[name]) for name, p in simulation.pools.items()},
        seconds=plan.seconds,
        width=seen.bucket_seconds,
        offset=offset,
        lost=seen.lost_buckets,
        clock=lambda at: instant(at + offset),
        rng=random.Random(f"metrics {plan.seed}"),
    )
    if seen.as_files:
        with tempfile.TemporaryDirectory() as folder:
            return from_datadog(rows, seen.bucket_seconds, Path(folder))
    numbered = ({"row": n, **row} for n, row in enumerate(rows, start=1))
    return [frame_of("metrics", numbered, raw_input("metrics"))]


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
        return postgres_log.parse(raw_input("log", path)).frames if text else {}


def _add(frames: Frames, more: Mapping[str, pd.DataFrame]) -> None:
    for name, frame in more.items():
        frames.setdefault(name, []).append(frame)


def _tables(frames: Frames) -> Tables:
    import pandas as pd

    raw = raw_input("none")
    whole = {}
    for name in TABLE_NAMES:
        parts = [f for f in frames.get(name, ()) if len(f)]
        together = pd.concat(parts, ignore_index=True) if parts else frame_of(name, (), raw)
        whole[name] = as_schema(together, name)
    return Tables(**whole)

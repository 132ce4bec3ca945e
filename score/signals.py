"""A case's tables as plain time series, each with the cause that its name stands for.

This is what baselines get: the same rows as the analysis, on one grid, without its methods.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from incident_rca.analysis.frames import pieces
from incident_rca.tables import Tables
from score.evidence import Collected
from score.manifest import START
from score.truth import object_of
from score.world import World

if TYPE_CHECKING:
    import pandas as pd

GRID_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Signal:
    """A series: (start of the bucket in seconds, value), in order; it stands for one cause."""

    kind: str
    object: str
    points: tuple[tuple[float, float], ...]


def signals_of(collected: Collected) -> tuple[Signal, ...]:
    """All series of a case, by the name of what they stand for."""
    tables, world = collected.tables, collected.simulation.world
    end = (collected.case.window.end - START).total_seconds()
    found = [
        *_of_metrics(tables, world),
        *_of_gateway(tables, end),
        *_of_postgres(tables, world, end),
    ]
    return tuple(sorted(found, key=lambda s: (s.kind, s.object)))


def _of_metrics(tables: Tables, world: World) -> Iterator[Signal]:
    """Latency percentiles, calls that failed and used connections, in the store's own buckets."""
    names = {m.full.casefold(): object_of(s.name, m) for s in world.services for m in s.methods}
    metrics = tables.metrics
    for (service, method), rows in pieces(
        metrics[metrics["aggregate"] == "p99"], "service", "method"
    ):
        yield Signal("dependency_latency", names[f"{service}/{method}"], _points(rows, "value"))
    counts = metrics[metrics["aggregate"] == "count"]
    for (service, method), rows in pieces(counts, "service", "method"):
        failed = rows.assign(failed=rows["value"].where(rows["status"] != "OK", 0.0))
        by_bucket = failed.groupby("at")["failed"].sum().reset_index()
        yield Signal("backend_failure", names[f"{service}/{method}"], _points(by_bucket, "failed"))
    used = metrics[metrics["metric"].str.endswith(".usage")]
    for (owner,), rows in pieces(used, "owner"):
        yield Signal("pool_exhaustion", str(owner).removesuffix("-db"), _points(rows, "value"))


def _points(rows: pd.DataFrame, column: str) -> tuple[tuple[float, float], ...]:
    """The buckets that hold a value: one that is missing is no number to a baseline either."""
    known = rows[rows[column].notna()]
    instants = [_seconds(at) for at in known["at"]]
    return tuple(sorted(zip(instants, map(float, known[column]), strict=True)))


def _of_gateway(tables: Tables, end: float) -> Iterator[Signal]:
    """Requests of each route, and those that nobody answered."""
    gateway = tables.gateway
    for (method, route), rows in pieces(gateway, "method", "route"):
        name = f"{method} {route}"
        unanswered = rows["requests"].where(rows["error_type"] == "integration_network", 0)
        at = [_seconds(second) for second in rows["second"]]
        yield Signal("traffic_surge", name, _binned(at, rows["requests"], end))
        yield Signal("gateway_configuration", name, _binned(at, unanswered, end))


def _of_postgres(tables: Tables, world: World, end: float) -> Iterator[Signal]:
    """Sessions that wait for a relation, and deadlocks of it."""
    waits = tables.locks[tables.locks["waiter_pid"].notna()]
    known = {t.rpartition(".")[2]: t for s in world.services for t in s.tables}
    short = waits["relation"].str.split(".").str[-1]
    for (relation,), rows in pieces(waits.assign(short=short), "short"):
        seen = rows.drop_duplicates(["at", "waiter_pid"])
        at = [_seconds(instant) for instant in seen["at"]]
        name = f"{world.database}.{known.get(str(relation), relation)}"
        yield Signal("lock_blocking", name, _binned(at, [1] * len(at), end))
    events = tables.server_events
    dead = events[events["kind"] == "deadlock"]
    for (statement,), rows in pieces(dead, "statement"):
        table = next((full for name, full in known.items() if f" {name} " in str(statement)), "")
        at = [_seconds(instant) for instant in rows["at"]]
        yield Signal("deadlock", f"{world.database}.{table}", _binned(at, [1] * len(at), end))


def _binned(at: list[float], numbers: Any, end: float) -> tuple[tuple[float, float], ...]:
    bins: dict[int, float] = defaultdict(float)
    for second, number in zip(at, numbers, strict=True):
        bins[math.floor(second / GRID_SECONDS)] += float(number)
    return tuple((n * GRID_SECONDS, bins[n]) for n in range(math.floor(end / GRID_SECONDS)))


def _seconds(at: datetime) -> float:
    return (at - START).total_seconds()

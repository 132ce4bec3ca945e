"""A made day of tables with one incident in it: series, lock snapshots and rolled-up requests.

An index build holds `public.items` for 240 s, 100 sessions come to wait for it, calls of its
service hang, and requests of two routes fail until the pool drains 1397 s later: the shape of the
sample, at any size. A `share` of 1 is a day; a smaller one makes all of it as much shorter.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import numpy as np

from incident_rca.model import (
    Case,
    Route,
    Service,
    SourceState,
    SourceStatus,
    System,
    TimeWindow,
    Topology,
)
from incident_rca.tables import SCHEMAS, TABLE_NAMES, Tables
from incident_rca.typed_frames import as_schema

if TYPE_CHECKING:
    import pandas as pd

DAY_SECONDS = 86_400
GATEWAY_ROWS = 1_000_000
SNAPSHOTS = 10_000
SERVICES = 10
SERIES_OF_SERVICE = 5
WAITERS = 100
LOCK_SECONDS = 240
OUTAGE_SECONDS = 1_397
FAILURES_PER_SECOND = 2
START = datetime(2026, 1, 15, tzinfo=UTC)
ROUTES = (*(("GET", f"/api/service{n}/{{id}}") for n in range(SERVICES)), ("POST", "/api/orders"))
METHOD = "Reserve"

Columns = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Day:
    """How long each part of the incident is at a share of a whole day, in seconds."""

    share: float

    @property
    def seconds(self) -> int:
        return round(DAY_SECONDS * self.share)

    @property
    def snapshots(self) -> int:
        return round(SNAPSHOTS * self.share)

    @property
    def locked(self) -> tuple[int, int]:
        first = self.seconds * 3 // 4
        return first, first + round(LOCK_SECONDS * self.share)

    @property
    def failing(self) -> tuple[int, int]:
        first = self.locked[0] + 1
        return first, first + round(OUTAGE_SECONDS * self.share)


def made_case(share: float) -> Case:
    """The case of such a day: all sources whole, each service behind a route of its own."""
    window = TimeWindow(START, START + timedelta(seconds=Day(share).seconds))
    kinds = (
        ("access", System.GATEWAY, "access_log"),
        ("locks", System.POSTGRES, "lock_recording"),
        ("metrics", System.GRPC_METRICS, "datadog_metrics"),
    )
    sources = tuple(
        SourceStatus(
            name=name,
            system=system,
            kind=kind,
            state=SourceState.OK,
            covered=window,
            clock_offset_seconds=(-0.05, 0.05),
        )
        for name, system, kind in kinds
    )
    calls = [f"{_name(n)}.{_name(n)}/{METHOD}" for n in range(SERVICES)]
    services = tuple(
        Service(name=_name(n), grpc=(calls[n],), tables=(_relation(n),), pool_size=WAITERS)
        for n in range(SERVICES)
    )
    routes = tuple(
        Route(method=method, path=path, calls=(calls[n % SERVICES],))
        for n, (method, path) in enumerate(ROUTES)
    )
    topology = Topology(services=services, routes=routes)
    return Case(id="BENCH", title="a made day", window=window, topology=topology, sources=sources)


def made_tables(share: float, seed: int) -> Tables:
    """The tables of such a day; equal seeds give equal rows."""
    random, day = np.random.default_rng(seed), Day(share)
    failures = _failures(random, day)
    frames = {
        "gateway": _gateway(random, day, failures),
        "failures": failures,
        "locks": _locks(random, day),
        "session_counts": _session_counts(day),
        "metrics": _metrics(random, day),
    }
    return Tables(**{name: _frame(name, frames.get(name, {})) for name in TABLE_NAMES})


def _name(number: int) -> str:
    return f"service{number}"


def _relation(number: int) -> str:
    return f"public.items{number}"


def _frame(table: str, columns: Columns) -> pd.DataFrame:
    import pandas as pd

    length = max((len(v) for v in columns.values() if isinstance(v, np.ndarray)), default=0)
    whole = {c: columns.get(c) for c in SCHEMAS[table]}
    return as_schema(pd.DataFrame(whole, index=range(length)), table)


def _times(seconds: Any) -> Any:
    """Instants of a day from seconds after its start."""
    start = np.datetime64(START.replace(tzinfo=None), "us")
    return start + (np.asarray(seconds, dtype="float64") * 1e6).astype("timedelta64[us]")


def _texts(names: Sequence[object], positions: Any) -> Any:
    return np.array(names, dtype=object)[positions]


def _failures(random: np.random.Generator, day: Day) -> Columns:
    first, last = day.failing
    count = max(2, (last - first) * FAILURES_PER_SECOND)
    at = np.sort(random.uniform(first, last, count))
    routes = np.where(random.random(count) < 0.6, 0, SERVICES)
    return {
        "source": "access",
        "file": "raw/access",
        "line": np.arange(1, count + 1) * 40,
        "at": _times(at),
        "method": _texts([m for m, _ in ROUTES], routes),
        "route": _texts([p for _, p in ROUTES], routes),
        "status": np.full(count, 502),
        "error_type": "backend_5xx",
        "latency_ms": random.normal(30_000, 20, count),
        "seen_in": "access",
    }


def _gateway(random: np.random.Generator, day: Day, failures: Columns) -> Columns:
    """A row a second, route and status: as many as there are, spread over the day."""
    count = round(GATEWAY_ROWS * day.share)
    failed = len(failures["at"])
    second = np.sort(random.integers(0, day.seconds, count - failed))
    routes = random.integers(0, len(ROUTES), count - failed)
    status = np.where(random.random(count - failed) < 0.9, 200, 404)
    requests = random.integers(1, 12, count - failed)
    bound = random.choice([8, 12, 16, 24, 32, 48], count - failed)
    at = failures["at"].astype("datetime64[s]").astype("datetime64[us]")
    line = np.arange(1, count + 1)
    return {
        "source": "access",
        "file": "raw/access",
        "second": np.concatenate([_times(second), at]),
        "method": np.concatenate([_texts([m for m, _ in ROUTES], routes), failures["method"]]),
        "route": np.concatenate([_texts([p for _, p in ROUTES], routes), failures["route"]]),
        "status": np.concatenate([status, failures["status"]]),
        "error_type": _texts([None, "backend_5xx"], (line > count - failed).astype(int)),
        "requests": np.concatenate([requests, np.ones(failed, dtype=int)]),
        "latency_ms_bounds": _histograms(np.concatenate([bound, np.full(failed, 30_000)]), 2),
        "latency_ms_counts": _histograms(np.concatenate([requests, np.ones(failed, dtype=int)]), 1),
        "line_first": line,
        "line_last": line,
    }


def _histograms(values: Any, spread: int) -> Any:
    """One array a row, as they come out of Parquet: two buckets, the second `spread` times up."""
    pairs = np.stack([values, values * spread], axis=1).astype(np.int64)
    cells = np.empty(len(pairs), dtype=object)
    cells[:] = list(pairs)
    return cells


def _locks(random: np.random.Generator, day: Day) -> Columns:
    """An edge a waiter and snapshot, a snapshot a second; one more waiter comes every second."""
    first, last = day.locked
    ticks = np.arange(first + 1, last + 1)
    queue = np.minimum(WAITERS, np.ceil((ticks - first) * 2.0).astype(int))
    at = np.repeat(ticks, queue)
    waiter = np.concatenate([np.arange(n) for n in queue])
    count = len(at)
    return {
        "source": "locks",
        "file": "raw/locks",
        "line": at - first,
        "at": _times(at),
        "edge": "hard",
        "lock_type": "relation",
        "database": "shop",
        "relation": _relation(0),
        "relation_oid": np.full(count, 16_400),
        "waiter_pid": 1_000 + waiter,
        "waiter_application": _name(0),
        "waiter_mode": "RowExclusiveLock",
        "waiter_statement": "INSERT INTO items0 VALUES ($1)",
        "wait_start": _times(first + waiter / 2.0 + 0.1),
        "holder_pid": np.full(count, 7),
        "holder_application": "migrate",
        "holder_mode": "ShareLock",
        "holder_mode_basis": "granted",
        "holder_state": "active",
        "holder_statement": "CREATE INDEX i ON items0 (c)",
        "holder_statement_basis": "running",
        "held_since": np.full(count, _times(first - 0.2)),
    }


def _session_counts(day: Day) -> Columns:
    """Three states of a snapshot; the snapshots lie around the incident, a second apart."""
    first, last = day.locked
    begin = max(0, (first + last - day.snapshots) // 2)
    at = np.repeat(np.arange(begin, begin + day.snapshots), 3)
    state = np.tile(np.arange(3), day.snapshots)
    return {
        "source": "locks",
        "file": "raw/locks",
        "line": at - begin + 1,
        "at": _times(at),
        "application": _name(0),
        "state": _texts(["active", "idle", "idle in transaction"], state),
        "sessions": _texts([5, 40, 2], state),
    }


def _metrics(random: np.random.Generator, day: Day) -> Columns:
    """Fifty series, a bucket a second: a p99, an average, counts and gauges of each service."""
    number, seconds = SERVICES * SERIES_OF_SERVICE, day.seconds
    series = np.repeat(np.arange(number), seconds)
    service, kind = series // SERIES_OF_SERVICE, series % SERIES_OF_SERVICE
    values = [
        _values(random, day, s // SERIES_OF_SERVICE, s % SERIES_OF_SERVICE) for s in range(number)
    ]
    names = [_name(n) for n in range(SERVICES)]
    of_calls = kind < 3
    return {
        "source": "metrics",
        "file": "raw/metrics",
        "row": np.arange(1, len(series) + 1),
        "at": np.tile(_times(np.arange(seconds)), number),
        "bucket_seconds": np.ones(len(series)),
        "metric": _texts([*["grpc.client.duration"] * 2, "grpc.client.calls", *_GAUGES], kind),
        "aggregate": _texts(["p99", "avg", "count", "max", "max"], kind),
        "unit": _texts(["ms", "ms", None, None, None], kind),
        "unit_basis": _texts(["payload", "payload", None, None, None], kind),
        "owner": np.where(of_calls, None, _texts([f"{n}-db" for n in names], service)),
        "service": np.where(of_calls, _texts([f"{n}.{n}" for n in names], service), None),
        "method": _texts([None, METHOD.lower()], of_calls.astype(int)),
        "status": _texts([None, None, "ok", None, None], kind),
        "value": np.concatenate(values),
    }


_GAUGES = ("db.client.connections.usage", "db.client.connections.max")


def _values(random: np.random.Generator, day: Day, service: int, kind: int) -> Any:
    quiet = (20.0, 10.0, 50.0, 20.0, float(WAITERS))[kind]
    broken = (30_000.0, 15_000.0, 2.0, float(WAITERS), float(WAITERS))[kind]
    noise = 0.0 if kind > 2 else 0.05 * quiet
    values = quiet + noise * random.standard_normal(day.seconds)
    if service == 0:
        first, last = day.failing
        values[first + round(30 * day.share) : last] = broken
    return values

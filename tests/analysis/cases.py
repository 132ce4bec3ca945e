"""Small made-up incidents: rows of each table, by a loop, and the case that they belong to.

Times are seconds after the first failure, `ZERO`. The topology is that of two services: `stock`
owns `public.items` and is behind `GET /items` and `POST /orders`; `mail` owns `public.letters` and
is behind `POST /mail`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from incident_rca.analysis.analyse import analyse
from incident_rca.formats.parsed import RawInput, frame_of, origin_of
from incident_rca.model import (
    Analysis,
    Case,
    Claim,
    Hypothesis,
    Kind,
    Route,
    Service,
    SourceState,
    SourceStatus,
    Stance,
    System,
    TimeWindow,
    Topology,
)
from incident_rca.tables import TABLE_NAMES, Tables
from incident_rca.typed_frames import as_schema

Row = Mapping[str, Any]

ZERO = datetime(2026, 1, 15, 14, 23, tzinfo=UTC)
_NUMBERS = ("line", "row", "row_last", "line_first", "line_last")
LEAD_UP = 600.0
TAIL = 600.0

RESERVE = "stock.Stock/Reserve"
SEND = "mail.Mail/Send"
TOPOLOGY = Topology(
    services=(
        Service(name="stock", grpc=(RESERVE,), tables=("public.items",), pool_size=100),
        Service(name="mail", grpc=(SEND,), tables=("public.letters",)),
    ),
    routes=(
        Route(method="GET", path="/items", calls=(RESERVE,)),
        Route(method="POST", path="/orders", calls=(RESERVE,)),
        Route(method="POST", path="/mail", calls=(SEND,)),
    ),
)
SOURCES: Mapping[str, tuple[System, str]] = {
    "access": (System.GATEWAY, "access_log"),
    "locks": (System.POSTGRES, "lock_recording"),
    "postgresql": (System.POSTGRES, "postgres_log"),
    "metrics": (System.GRPC_METRICS, "datadog_metrics"),
    "changes": (System.CHANGES, "datadog_events"),
}
SOURCE_OF: Mapping[str, str] = {
    "gateway": "access",
    "failures": "access",
    "load_balancer": "balancer",
    "baseline": "baseline",
    "locks": "locks",
    "session_counts": "locks",
    "relations": "locks",
    "lock_load": "insights",
    "residue": "residue",
    "server_events": "postgresql",
    "metrics": "metrics",
    "changes": "changes",
}


def at(seconds: float) -> datetime:
    """The instant so many seconds after the first failure."""
    return ZERO + timedelta(seconds=seconds)


def second_of(instant: datetime | None) -> float | None:
    """Seconds after the first failure; None where an end is open."""
    return None if instant is None else (instant - ZERO).total_seconds()


def source(
    name: str,
    system: System,
    kind: str,
    *,
    state: SourceState = SourceState.OK,
    covered: tuple[float, float] | None = None,
    offset: float = 0.05,
) -> SourceStatus:
    """A source whose clock is right to within `offset` seconds."""
    return SourceStatus(
        name=name,
        system=system,
        kind=kind,
        state=state,
        covered=TimeWindow(at(covered[0]), at(covered[1])) if covered else None,
        clock_offset_seconds=(-offset, offset),
        reason="" if state is SourceState.OK else "made so",
    )


def made_case(
    *,
    topology: Topology = TOPOLOGY,
    window: tuple[float, float] = (-LEAD_UP, TAIL),
    offset: float = 0.05,
    baseline: tuple[float, float] | None = None,
    states: Mapping[str, SourceState] | None = None,
) -> Case:
    """A case with all sources ok; `baseline` is what a log query covered before the window."""
    given = states or {}
    sources = [
        source(
            name, system, kind, state=given.get(name, SourceState.OK), covered=window, offset=offset
        )
        for name, (system, kind) in SOURCES.items()
    ]
    if baseline:
        sources.append(source("baseline", System.GATEWAY, "logs_insights", covered=baseline))
    return Case(
        id="INC-1",
        title="made",
        window=TimeWindow(at(window[0]), at(window[1])),
        topology=topology,
        sources=tuple(sources),
    )


def made_tables(**rows: Iterable[Row]) -> Tables:
    """The tables with these rows, numbered; those that are not named are empty."""
    assert set(rows) <= set(TABLE_NAMES)
    frames = {}
    for name in TABLE_NAMES:
        kind = SOURCE_OF[name]
        raw = RawInput(path=Path(kind), file=f"raw/{kind}", source=kind, work=Path("."))
        numbered = [
            dict.fromkeys(_NUMBERS, n) | dict(row)
            for n, row in enumerate(rows.get(name, ()), start=1)
        ]
        origin = {c: [row.get(c, own) for row in numbered] for c, own in origin_of(raw).items()}
        frames[name] = as_schema(frame_of(name, numbered, raw).assign(**origin), name)
    return Tables(**frames)


def analysed(case: Case | None = None, **rows: Iterable[Row]) -> Analysis:
    """The analysis of these rows."""
    return analyse(case or made_case(), made_tables(**rows))


def with_source(case: Case, name: str, change: Callable[[SourceStatus], SourceStatus]) -> Case:
    """The case with one of its sources changed."""
    changed = (change(s) if s.name == name else s for s in case.sources)
    return replace(case, sources=tuple(changed))


# --- the gateway --------------------------------------------------------------------------------


def failure(
    second: float, name: str = "GET /items", status: int = 502, latency_ms: float = 30_000.0
) -> Row:
    """One failed request."""
    method, route = name.split(" ")
    return {
        "at": at(second),
        "method": method,
        "route": route,
        "status": status,
        "error_type": "INTEGRATION_FAILURE",
        "latency_ms": latency_ms,
        "seen_in": "access",
    }


def failing(seconds: Iterable[float], name: str = "GET /items", **given: Any) -> list[Row]:
    """Failed requests of one route."""
    return [failure(second, name, **given) for second in seconds]


def served(
    second: float,
    name: str = "GET /items",
    *,
    requests: int = 1,
    status: int = 200,
    latency_ms: int = 20,
) -> Row:
    """The requests of one route and status in one second."""
    method, route = name.split(" ")
    return {
        "second": at(second).replace(microsecond=0),
        "method": method,
        "route": route,
        "status": status,
        "requests": requests,
        "latency_ms_bounds": [latency_ms],
        "latency_ms_counts": [requests],
    }


def counted(failures: Iterable[Row]) -> list[Row]:
    """The rows of the `gateway` table that failed requests make."""
    return [
        served(
            (row["at"] - ZERO).total_seconds(),
            f"{row['method']} {row['route']}",
            status=row["status"],
            latency_ms=int(row["latency_ms"]),
        )
        for row in failures
    ]


def steps(start: float, end: float, step: float) -> list[float]:
    """Seconds from `start` to before `end`, one a step."""
    return [start + n * step for n in range(round((end - start) / step))]


OUTAGE = failing(steps(0, 121, 2))


def usual(name: str, *, requests: int = 60, every: float = 60.0, until: float = TAIL) -> list[Row]:
    """Traffic of a route that goes on all through the window."""
    return [served(second, name, requests=requests) for second in steps(-LEAD_UP, until, every)]


# --- PostgreSQL ---------------------------------------------------------------------------------


def edge(
    second: float,
    waiter: int,
    holder: int,
    *,
    wait_start: float | None,
    wait_end: float | None = None,
    held_since: float | None = None,
    held_until: float | None = None,
    **columns: Any,
) -> Row:
    """One session that waits for another, in one sample."""
    instants = {
        "wait_start": wait_start,
        "wait_end": wait_end,
        "held_since": held_since,
        "held_until": held_until,
    }
    return {
        "at": at(second),
        "edge": "hard",
        "database": "shop",
        "relation": "public.items",
        "lock_type": "relation",
        "waiter_pid": waiter,
        "waiter_application": "stock",
        "waiter_mode": "RowExclusiveLock",
        "holder_pid": holder,
        "holder_application": "migrate",
        "holder_mode": "ShareLock",
        "holder_mode_basis": "granted",
        "holder_state": "active",
        "holder_statement": "CREATE INDEX i ON items (c)",
        "holder_statement_basis": "running",
        **{name: None if value is None else at(value) for name, value in instants.items()},
        **columns,
    }


def blocked(
    start: float,
    end: float,
    *,
    waiters: int = 5,
    first_pid: int = 100,
    holder: int = 7,
    **columns: Any,
) -> list[Row]:
    """A lock from `start` to `end`, logged: its waiters begin 0.1 s apart and end with it."""
    given = {"held_since": start - 0.2, "held_until": end, "wait_end": end} | columns
    return [
        edge(end, first_pid + n, holder, wait_start=start + n / 10, **given) for n in range(waiters)
    ]


def heartbeat(second: float, sessions: int = 5) -> Row:
    """One probe of the recorder: how many sessions were active."""
    return {"at": at(second), "application": "stock", "state": "active", "sessions": sessions}


# --- metrics ------------------------------------------------------------------------------------


def p99(
    values: Sequence[float | None], *, start: float = -LEAD_UP, step: float = 10.0, **columns: Any
) -> list[Row]:
    """A p99 series, one value a bucket."""
    return [
        {
            "at": at(start + n * step),
            "bucket_seconds": step,
            "metric": "grpc.client.duration",
            "aggregate": "p99",
            "unit": "ms",
            "service": "stock.stock",
            "method": "reserve",
            "value": value,
        }
        | columns
        for n, value in enumerate(values)
    ]


def codes(second: float, **numbers: float) -> list[Row]:
    """Counts of completed calls by status code in one bucket."""
    return [
        {
            "at": at(second),
            "bucket_seconds": 10.0,
            "metric": "grpc.client.calls",
            "aggregate": "count",
            "service": "stock.stock",
            "method": "reserve",
            "status": code.lower(),
            "value": number,
        }
        for code, number in numbers.items()
    ]


def gauge(
    values: Sequence[float | None],
    *,
    start: float = -LEAD_UP,
    step: float = 10.0,
    metric: str = "db.client.connections.usage",
    owner: str | None = "stock-db",
    role: str | None = None,
) -> list[Row]:
    """A gauge of a connection pool, one value a bucket; `role` is what its question calls it."""
    return [
        {
            "at": at(start + n * step),
            "bucket_seconds": step,
            "metric": metric,
            "aggregate": "max",
            "owner": owner,
            "role": role,
            "value": value,
        }
        for n, value in enumerate(values)
    ]


def levels(
    low: float,
    high: float,
    start: float,
    end: float,
    *,
    step: float = 10.0,
    until: float = TAIL,
) -> list[float]:
    """Values of a series that is high in buckets from `start` to `end`, else low."""
    return [high if start <= second < end else low for second in steps(-LEAD_UP, until, step)]


# --- what an analysis says ----------------------------------------------------------------------


def of_kind(analysis: Analysis, kind: Kind) -> tuple[Hypothesis, ...]:
    """The hypotheses of one kind, best first."""
    return tuple(h for h in analysis.hypotheses if h.kind is kind)


def the(analysis: Analysis, kind: Kind) -> Hypothesis:
    """The only hypothesis of a kind."""
    (found,) = of_kind(analysis, kind)
    return found


def claims_of(hypothesis: Hypothesis, aspect: str, stance: Stance) -> tuple[Claim, ...]:
    """The claims about one aspect that speak for, or against."""
    return tuple(c for c in hypothesis.claims if c.aspect == aspect and c.stance is stance)

"""Pool gauges -> a pool at its limit, and whether the calls that were seen can have filled it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import numpy as np

from incident_rca.analysis.clocks import Sequence, order_of
from incident_rca.analysis.evidence import instant, rows_as_evidence, setting_as_evidence
from incident_rca.analysis.frames import distinct, pieces, places
from incident_rca.analysis.lock_graph import session_keys
from incident_rca.analysis.names import may_be_one
from incident_rca.analysis.pool_stretches import FullStretch, full_stretches, of_outage
from incident_rca.analysis.sessions import Terminations
from incident_rca.analysis.waits import times_of, waits_of
from incident_rca.model import (
    Case,
    Clocks,
    ErrorBurst,
    Evidence,
    LatencyShift,
    PoolState,
    Service,
    Span,
    System,
)
from incident_rca.tables import Tables

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

# What a gauge counts where no question says it: names of OpenTelemetry (db.client.connections.*),
# HikariCP by Micrometer and their likes.
_ROLES = (
    ("pending", re.compile(r"(pool|connections?).*[._](pending|pending_requests|waiting)$")),
    ("max", re.compile(r"connections?.*[._](max|limit)$")),
    ("used", re.compile(r"connections?.*[._](usage|used|active)$")),
)


# A request arrives a moment before the session that serves it begins to wait.
_ARRIVAL_LAG = timedelta(seconds=1)
# Of the arrivals that would fill a pool this share is taken as enough: some succeed.
ENOUGH = 0.8


@dataclass(frozen=True, slots=True, kw_only=True)
class _Gauges:
    used: pd.DataFrame
    size: int
    size_basis: str
    pending: pd.DataFrame
    step: timedelta
    last_bucket: pd.Timestamp


@dataclass(frozen=True, slots=True, eq=False)
class PoolGauges:
    """The gauges of pools: of each owner the rows of `metrics`, by what they count."""

    metrics: pd.DataFrame
    places: Mapping[str, Mapping[str, NDArray[np.int32]]]


def find_pool(
    case: Case,
    tables: Tables,
    gauges: PoolGauges,
    clocks: Clocks,
    outage: ErrorBurst | None,
    shifts: tuple[LatencyShift, ...],
    ended: tuple[Terminations, ...],
) -> PoolState | None:
    """The pool that stood at its limit for longest, or None where none did."""
    found = []
    for owner, rows in _by_owner(gauges):
        known = _gauges(case, owner, rows[rows["value"].notna()], rows["at"].max())
        full = _full(known, outage) if known else None
        if known is not None and full is not None:
            state = _state(case, tables, clocks, owner, known, full, outage, shifts, ended)
            found.append((len(full.rows), state))
    return max(found, key=lambda item: (item[0], item[1].owner), default=(0, None))[1]


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolLimit:
    """The distinct sizes that a pool's own gauge gave, smallest first."""

    owner: str
    sizes: tuple[int, ...]
    evidence: tuple[Evidence, ...]


def pool_limits(gauges: PoolGauges) -> tuple[PoolLimit, ...]:
    """The limit of each pool whose gauge is recorded, whether or not it was ever reached."""
    found = []
    for owner, of_owner in _by_owner(gauges, "max"):
        rows = of_owner[of_owner["value"].notna()]
        if rows.empty:
            continue
        sizes = tuple(sorted({int(value) for value in distinct(rows, "value")}))
        at = Span(instant(rows["at"].min()), instant(rows["at"].max()), "first to last bucket")
        seen = f"the maximum of pool {owner} was {' or '.join(map(str, sizes))}"
        cited = rows_as_evidence(rows, system=System.GRPC_METRICS, at=at, seen=seen, first="row")
        found.append(PoolLimit(owner=owner, sizes=sizes, evidence=cited))
    return tuple(found)


def pool_sizes(case: Case, gauges: PoolGauges) -> Mapping[str, int]:
    """The size of each pool by its owner: what its gauge says at most, else what the topology does.

    A pool whose name names a service is that service's.
    """
    return _stated(case) | {owner: sizes[-1] for owner, sizes in _measured(case, gauges)}


def least_pool_sizes(case: Case, gauges: PoolGauges) -> Mapping[str, int]:
    """The least that gauge and topology say of the size of each pool, by its owner.

    One that was enlarged to end an outage was smaller in it.
    """
    stated = _stated(case)
    return stated | {
        owner: min(sizes[0], stated.get(owner, sizes[0]))
        for owner, sizes in _measured(case, gauges)
    }


def _stated(case: Case) -> dict[str, int]:
    return {s.name: s.pool_size for s in case.topology.services if s.pool_size is not None}


def _measured(case: Case, gauges: PoolGauges) -> Iterator[tuple[str, tuple[int, ...]]]:
    for limit in pool_limits(gauges):
        service = owner_of(case, limit.owner)
        yield service.name if service else limit.owner, limit.sizes


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolUsage:
    """The gauge of connections in use of a pool whose size is known: `used` has a row a bucket.

    `owner` is its service, or the pool's own name, `gauge`, where none is known.
    """

    owner: str
    gauge: str
    size: int
    step: timedelta
    used: pd.DataFrame = field(hash=False)


def pool_usage(case: Case, gauges: PoolGauges) -> Iterator[PoolUsage]:
    """How many connections each pool had in use over the window, by the name of its service."""
    for owner, rows in _by_owner(gauges):
        known = _gauges(case, owner, rows[rows["value"].notna()], rows["at"].max())
        if known is not None:
            service = owner_of(case, owner)
            name = service.name if service else owner
            yield PoolUsage(
                owner=name, gauge=owner, size=known.size, step=known.step, used=known.used
            )


def waiting_callers(case: Case, gauges: PoolGauges, service: str) -> pd.DataFrame:
    """The gauge of callers that wait for a connection of a service's pool: a row a bucket."""
    rows = gauges.metrics.iloc[:0]
    for owner, of_owner in _by_owner(gauges, "pending"):
        known = owner_of(case, owner)
        if (known.name if known else owner) == service:
            rows = of_owner[of_owner["value"].notna()]
    return rows


def gauge_role(metric: str) -> str:
    """What a metric of a pool counts, by its name: `used`, `max`, `pending`, or "" for others."""
    return next((role for role, pattern in _ROLES if pattern.search(metric)), "")


def pool_gauges(metrics: pd.DataFrame) -> PoolGauges:
    """The gauges of pools that have an owner, with what each counts: as its question says, else by
    its name. One that was asked for and has no tag that names its pool is its source's own.
    """
    by_name = {name: role for name in distinct(metrics, "metric") if (role := gauge_role(name))}
    is_gauge = metrics["metric"].isin(list(by_name)) | metrics["role"].notna()
    found: dict[str, dict[str, list[NDArray[np.int32]]]] = {}
    keys = ("metric", "role", "owner", "source")
    for (metric, asked, owner, source), rows in places(metrics, is_gauge, *keys):
        told = by_name.get(metric or "") if asked is None else asked
        pool = source if owner is None and asked is not None else owner
        if told and pool is not None:
            found.setdefault(pool, {}).setdefault(told, []).append(rows)
    by_owner = {
        pool: {role: np.sort(np.concatenate(some)) for role, some in by_role.items()}
        for pool, by_role in sorted(found.items())
    }
    return PoolGauges(metrics, by_owner)


def _by_owner(gauges: PoolGauges, *only: str) -> Iterator[tuple[str, pd.DataFrame]]:
    """The rows of each pool, in their order, with owner and role; one pool at a time."""
    import pandas as pd

    for owner, by_role in gauges.places.items():
        roles = [role for role in sorted(by_role) if not only or role in only]
        if roles:
            rows = np.concatenate([by_role[role] for role in roles])
            said = np.repeat(np.arange(len(roles)), [len(by_role[role]) for role in roles])
            order = np.argsort(rows, kind="stable")
            named = pd.Categorical.from_codes(said[order], pd.Index(roles, dtype="str"))
            yield owner, gauges.metrics.iloc[rows[order]].assign(role=named, owner=owner)


def owner_of(case: Case, pool: str) -> Service | None:
    """The service that a pool's name names: one word of it, as in `billing-db`."""
    words = set(re.split(r"[^a-z0-9]+", pool.casefold()))
    named = [s for s in case.topology.services if s.name.casefold() in words]
    return named[0] if len(named) == 1 else None


def _full(gauges: _Gauges, outage: ErrorBurst | None) -> FullStretch | None:
    quiet_until = outage.start.lo if outage else None
    stretches = full_stretches(gauges.used, gauges.pending, gauges.size, gauges.step, quiet_until)
    return of_outage(stretches, outage)


def _gauges(
    case: Case, owner: str, rows: pd.DataFrame, last_bucket: pd.Timestamp
) -> _Gauges | None:
    used = rows[rows["role"] == "used"].sort_values("at", kind="stable")
    if used.empty:
        return None
    limit = rows.loc[rows["role"] == "max", "value"]
    service = owner_of(case, owner)
    if len(limit):
        size, basis = int(limit.max()), "gauge"
        if service and service.pool_size == size:
            basis = "gauge and topology"
    elif service and service.pool_size:
        size, basis = service.pool_size, "topology"
    else:
        return None
    return _Gauges(
        used=used,
        size=size,
        size_basis=basis,
        pending=rows[(rows["role"] == "pending") & (rows["value"] > 0)],
        step=timedelta(seconds=float(used["bucket_seconds"].iloc[0])),
        last_bucket=last_bucket,
    )


def _state(
    case: Case,
    tables: Tables,
    clocks: Clocks,
    owner: str,
    gauges: _Gauges,
    full: FullStretch,
    outage: ErrorBurst | None,
    shifts: tuple[LatencyShift, ...],
    ended: tuple[Terminations, ...],
) -> PoolState:
    service = owner_of(case, owner)
    name = service.name if service else owner
    last = full.until
    filling = _waits_that_fill(tables, clocks, gauges.size, full.begun)
    exhausted = filling.full if filling else full.begun
    begun = filling.begun if filling else (outage.start.first if outage else None)
    fills = begun is not None and begun < exhausted.middle
    fill = round((exhausted.middle - begun).total_seconds()) if begun and fills else None
    rate = gauges.size / fill if fill else None
    shift = next((s for s in shifts if may_be_one(s.service, name)), None)
    arrived = _arrivals(tables, begun, exhausted.middle) if begun and fills else 0
    consistent, note = _check(gauges.size, fill, rate, arrived, shift)
    until = next((t.at for t in ended if _inside(t.at, last)), last)
    if full.rows["at"].max() == gauges.last_bucket:
        until = Span(last.lo, None, "still full in the last bucket")
    return PoolState(
        owner=name,
        size=gauges.size,
        size_basis=gauges.size_basis,
        exhausted_at=exhausted,
        exhausted_until=until,
        exhausted_by=System.POSTGRES if filling else System.GRPC_METRICS,
        fill_seconds=float(fill) if fill else None,
        arrival_per_second=rate,
        consistent=consistent,
        note=note,
        evidence=(
            *_evidence(case, owner, gauges, full.rows, service),
            *(filling.evidence if filling else ()),
        ),
    )


def _inside(span: Span, outer: Span) -> bool:
    if span.lo is None or outer.lo is None or outer.hi is None:
        return False
    return outer.lo <= span.lo <= outer.hi


@dataclass(frozen=True, slots=True)
class _Filling:
    """Sessions that began to wait for a lock and kept their connection, until none was left."""

    begun: datetime
    full: Span
    evidence: tuple[Evidence, ...]


def _waits_that_fill(tables: Tables, clocks: Clocks, size: int, begun: Span) -> _Filling | None:
    """When as many sessions as the pool is large first waited for locks at once, and since when
    these began to, if it may be when the gauge reached its limit.

    The gauge only knows its bucket; the server's wait times are exact, by the server's clock.
    """
    waiting = session_keys(tables.locks[tables.locks["edge"] == "hard"])
    for (application,), rows in pieces(waiting, "waiter_application"):
        waits = waits_of(rows)
        for reached in times_of(waits, size):
            at = Span.at(reached, "the wait that took the last connection")
            order = order_of(clocks, at, System.POSTGRES, begun, System.GRPC_METRICS)
            if order.sequence is not Sequence.INSEPARABLE:
                continue
            last = rows[rows["wait_start"].fillna(rows["at"]) == reached]
            seen = f"session {size} of {application} began to wait for a lock"
            cited = rows_as_evidence(last, system=System.POSTGRES, at=at, seen=seen)
            first = min(w.start for w in waits if w.start <= reached <= w.until)
            return _Filling(first, at, cited)
    return None


def _arrivals(tables: Tables, start: datetime, end: datetime) -> int:
    """The requests that arrived while the pool filled and failed: those that could hold it."""
    failures = tables.failures
    return int(((failures["at"] >= start - _ARRIVAL_LAG) & (failures["at"] <= end)).sum())


def _check(
    size: int, fill: int | None, rate: float | None, arrived: int, shift: LatencyShift | None
) -> tuple[bool, str]:
    """Little's law: a rate of arrivals times the time each call is held is the number held."""
    if not fill or rate is None:
        return True, "not checked: when the pool began to fill is not recorded"
    implied = f"{size} connections filled in {fill} s imply {rate:.2f} calls a second"
    if shift is None:
        return True, f"{implied}; not checked: no latency of its callers is recorded"
    seen_seconds = shift.plateau_ms / 1000
    is_hidden = shift.plateau_basis in ("ceiling", "interpolation")
    if is_hidden and min(rate * min(seen_seconds, fill), arrived / fill * seen_seconds) < size:
        return (
            True,
            f"{implied}; not checked: how long its callers waited is {shift.plateau_in_words}",
        )
    if rate * min(seen_seconds, fill) < size:
        return False, (
            f"{implied}, but calls that end after {seen_seconds:.1f} s hold "
            f"{rate * seen_seconds:.1f} connections on average, never {size}: connections stayed "
            "held after their callers were cut off"
        )
    seen_rate = arrived / fill
    if seen_rate * seen_seconds < ENOUGH * size:
        return False, (
            f"{implied}, but only {seen_rate:.2f} failing requests a second arrived: at "
            f"{seen_seconds:.1f} s each they hold {seen_rate * seen_seconds:.1f} connections"
        )
    return True, f"{implied}; held for the {seen_seconds:.1f} s that callers saw they fill it"


def _evidence(
    case: Case, owner: str, gauges: _Gauges, full: pd.DataFrame, service: Service | None
) -> tuple[Evidence, ...]:
    def cited(rows: pd.DataFrame, seen: str) -> tuple[Evidence, ...]:
        if rows.empty:
            return ()
        at = Span(instant(rows["at"].min()), instant(rows["at"].max()), "first to last bucket")
        return rows_as_evidence(rows, system=System.GRPC_METRICS, at=at, seen=seen, first="row")

    stated = (
        setting_as_evidence(case, f"{service.name} has a pool of {service.pool_size} connections")
        if service and service.pool_size
        else ()
    )
    most = int(gauges.pending["value"].max()) if len(gauges.pending) else 0
    return (
        *cited(full, f"pool {owner} had {gauges.size} of {gauges.size} connections in use"),
        *cited(gauges.pending, f"up to {most} callers waited for a connection of pool {owner}"),
        *stated,
    )

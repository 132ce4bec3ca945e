"""Counts of gRPC calls by method and status code, before and during an outage."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from incident_rca.analysis.evidence import instant, rows_as_evidence
from incident_rca.analysis.frames import pieces, values
from incident_rca.analysis.latency import canonical_method
from incident_rca.model import Case, Evidence, Span, System

if TYPE_CHECKING:
    import pandas as pd

    from incident_rca.analysis.observations import Observations

# How a server says that it failed (gRPC, "Status codes and their use"). What says that the caller
# gave up (DEADLINE_EXCEEDED, CANCELLED) or asked for the wrong thing is not among them.
SERVER_FAULTS = frozenset(
    {"UNAVAILABLE", "INTERNAL", "UNKNOWN", "DATA_LOSS", "RESOURCE_EXHAUSTED", "ABORTED"}
    | {"UNIMPLEMENTED"}
)


@dataclass(frozen=True, slots=True, kw_only=True)
class CallCounts:
    """The calls of one method by code: in `seconds_before` before the outage, and during it.

    A bucket belongs to the outage where it meets it; calls are counted when they end. `faulty` is
    from the first to the last bucket with a server's fault. Buckets that are not there are missing:
    `is_counted` says whether any of the outage is.
    """

    service: str
    method: str
    before: Mapping[str, int] = field(hash=False)
    seconds_before: float
    during: Mapping[str, int] = field(hash=False)
    seconds_during: float
    faulty: Span | None
    is_counted: bool
    evidence: tuple[Evidence, ...]

    @property
    def name(self) -> str:
        return f"{self.service}.{self.method}"

    @property
    def faults(self) -> int:
        """The calls of the outage that ended with a server's fault."""
        return sum(n for code, n in self.during.items() if code in SERVER_FAULTS)

    @property
    def faults_before(self) -> int:
        return sum(n for code, n in self.before.items() if code in SERVER_FAULTS)

    @property
    def total(self) -> int:
        return sum(self.during.values())

    @property
    def total_before(self) -> int:
        return sum(self.before.values())

    @property
    def in_words(self) -> str:
        """The codes of the outage other than OK: `INTERNAL 12, UNAVAILABLE 3`."""
        return ", ".join(f"{c} {n:,}" for c, n in sorted(self.during.items()) if c != "OK" and n)


def call_counts(seen: Observations) -> tuple[CallCounts, ...]:
    """The counts of each method, as the program and metric saw it that counted most calls.

    Client and server, old names and new ones count the same calls: they are never added up.
    """
    if seen.outage is None or seen.outage.start.lo is None:
        return ()
    metrics = seen.tables.metrics
    counted = metrics[
        (metrics["aggregate"] == "count")
        & metrics["method"].notna()
        & metrics["status"].notna()
        & metrics["value"].notna()
        & (metrics["at"] >= seen.part.start - timedelta(minutes=5))
        & (metrics["at"] < seen.part.end)
    ]
    counted = counted.assign(program=counted["owner"].fillna(""))
    found = []
    for (service, method), of_method in pieces(counted, "service", "method"):
        by_series = [rows for _, rows in pieces(of_method, "metric", "program")]
        views = [_counts(seen, service, method, rows) for rows in by_series]
        found.append(max(views, key=lambda c: (c.total + c.total_before, c.faults, c.in_words)))
    return tuple(sorted(found, key=lambda c: (-c.faults, c.name)))


def _counts(seen: Observations, service: str, method: str, rows: pd.DataFrame) -> CallCounts:
    assert seen.outage is not None and seen.outage.start.lo is not None
    start, end = seen.outage.start.lo, seen.outage.end.lo or seen.part.end
    before: Counter[str] = Counter()
    during: Counter[str] = Counter()
    faulty: list[datetime] = []
    widths: dict[datetime, float] = {}
    cells = values(rows, "at", "bucket_seconds", "status", "value")
    for at, width, code, value in cells:
        begun = instant(at)
        assert begun is not None
        until = begun + timedelta(seconds=float(width))
        widths[begun] = float(width)
        name = code.upper()
        if until <= start:
            before[name] += round(value)
        elif begun <= end:
            during[name] += round(value)
            if name in SERVER_FAULTS and value > 0:
                faulty += [begun, until]
    inside = {a: w for a, w in widths.items() if a <= end and a + timedelta(seconds=w) > start}
    name, short = canonical_method(seen.case, service, method)
    cited = rows[rows["at"].isin(list(inside))]
    return CallCounts(
        service=name,
        method=short,
        before=dict(sorted(before.items())),
        seconds_before=sum(w for a, w in widths.items() if a + timedelta(seconds=w) <= start),
        during=dict(sorted(during.items())),
        seconds_during=sum(inside.values()),
        faulty=Span(min(faulty), max(faulty), "first to last bucket") if faulty else None,
        is_counted=bool(inside),
        evidence=_evidence(cited if len(cited) else rows, f"{name}.{short}", during),
    )


def _evidence(rows: pd.DataFrame, name: str, during: Mapping[str, int]) -> tuple[Evidence, ...]:
    codes = ", ".join(f"{code} {number:,}" for code, number in sorted(during.items()) if number)
    at = Span(instant(rows["at"].min()), instant(rows["at"].max()), "first to last bucket")
    return rows_as_evidence(
        rows,
        system=System.GRPC_METRICS,
        at=at,
        seen=f"calls of {name} in the outage by status code: {codes or 'none'}",
        first="row",
        count=sum(during.values()),
    )


def callers_of(case: Case, service: str, method: str) -> frozenset[str]:
    """The names of the routes that the topology says call a method (`service.method`)."""
    full = {
        known.casefold()
        for owner in case.topology.services
        if owner.name == service
        for known in owner.grpc
        if known.rpartition("/")[2].casefold() == method.casefold()
    }
    return frozenset(
        route.name
        for route in case.topology.routes
        if any(called.casefold() in full for called in route.calls)
    )


def of_routes(counts: Iterable[CallCounts], case: Case, route: str) -> tuple[CallCounts, ...]:
    """The counts of the methods that a route calls."""
    return tuple(c for c in counts if route in callers_of(case, c.service, c.method))

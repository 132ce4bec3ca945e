"""Counts of gRPC calls by method and status code, before and during an outage."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

from incident_rca.analysis.evidence import instant, rows_as_evidence
from incident_rca.analysis.frames import pieces, places, renamed, sums
from incident_rca.analysis.latency import canonical_method, whole_calls
from incident_rca.analysis.latency_cuts import CUT_OFF
from incident_rca.analysis.windows import each_once
from incident_rca.model import Case, CutOff, ErrorBurst, Evidence, Span, System, TimeWindow
from incident_rca.tables import Tables
from incident_rca.typed_frames import plain

if TYPE_CHECKING:
    import pandas as pd

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
    def cut_off(self) -> CutOff:
        """The calls that their callers gave up on, in the outage and before."""
        return CutOff(
            cut=sum(n for code, n in self.during.items() if code in CUT_OFF),
            calls=self.total,
            cut_before=sum(n for code, n in self.before.items() if code in CUT_OFF),
            calls_before=self.total_before,
        )

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


def call_counts(
    case: Case, tables: Tables, part: TimeWindow, outage: ErrorBurst | None
) -> tuple[CallCounts, ...]:
    """The counts of each method, as the program and metric saw it that counted most calls.

    Client and server, old names and new ones count the same calls: they are never added up. What
    lies outside of `part` of the window belongs to other outages.
    """
    if outage is None or outage.start.lo is None:
        return ()
    metrics = tables.metrics
    is_count = (
        (metrics["aggregate"] == "count")
        & metrics["method"].notna()
        & metrics["status"].notna()
        & metrics["value"].notna()
        & (metrics["at"] >= part.start)
        & (metrics["at"] < part.end)
    )
    end = outage.end.lo or part.end
    found = []
    for service, method, by_series in series_of_counts(case, metrics, is_count):
        views = [_counts(service, method, rows, outage.start.lo, end) for rows in by_series]
        found.append(max(views, key=lambda c: (c.total + c.total_before, c.faults, c.in_words)))
    return tuple(sorted(found, key=lambda c: (-c.faults, c.name)))


def series_of_counts(
    case: Case, metrics: pd.DataFrame, is_count: pd.Series[bool]
) -> Iterator[tuple[str, str, list[pd.DataFrame]]]:
    """Service and method, and the counts of its calls as each program and metric saw them.

    Client and server, old names and new ones count the same calls: they are never added up.
    """
    for (service, method), rows in places(metrics, is_count, "service", "method"):
        if service is None or method is None:
            continue
        counted = metrics.iloc[rows]
        by_program = counted.assign(program=renamed(counted["owner"], str, missing=""))
        views = [view for _, view in pieces(by_program, "metric", "program")]
        yield *canonical_method(case, service, method), views


def _counts(
    service: str, method: str, rows: pd.DataFrame, start: datetime, end: datetime
) -> CallCounts:
    rows = each_once(rows)
    rows = rows.assign(until=rows["at"] + _width(rows), code=renamed(rows["status"], str.upper))
    before = rows[rows["until"] <= start]
    during = rows[(rows["until"] > start) & (rows["at"] <= end)]
    faulty = during[during["code"].isin(SERVER_FAULTS) & (during["value"] > 0)]
    by_code = _by_code(during)
    return CallCounts(
        service=service,
        method=method,
        before=_by_code(before),
        seconds_before=_seconds(before),
        during=by_code,
        seconds_during=_seconds(during),
        faulty=Span(instant(faulty["at"].min()), instant(faulty["until"].max()), "its buckets")
        if len(faulty)
        else None,
        is_counted=bool(len(during)),
        evidence=_evidence(during if len(during) else rows, f"{service}.{method}", by_code),
    )


def _by_code(rows: pd.DataFrame) -> dict[str, int]:
    return {code: whole_calls(number) for code, number in sums(rows, "code", "value").items()}


def _seconds(rows: pd.DataFrame) -> float:
    """How long the buckets are together; each is there once for each code."""
    return float(plain(rows.drop_duplicates("at")["bucket_seconds"]).sum())


def _width(rows: pd.DataFrame) -> pd.Series[Any]:
    import pandas as pd

    return pd.to_timedelta(rows["bucket_seconds"].astype(float), unit="s")


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

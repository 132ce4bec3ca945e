"""Gateway tables -> the outage, its endpoints, its error types and the baselines before it."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from incident_rca.analysis.evidence import instant, rows_as_evidence
from incident_rca.analysis.onsets import Burst, bursts_in, poisson_tail, quiet_rate
from incident_rca.model import (
    Baseline,
    Case,
    EndpointImpact,
    ErrorBurst,
    ErrorType,
    Evidence,
    Impact,
    Span,
    System,
)
from incident_rca.tables import Tables

if TYPE_CHECKING:
    import pandas as pd

FAILED_SHARE = 0.9
STARVED_SHARE = 0.2
SLOW_FACTOR = 3.0
# A route needs this much lead-up before its usual traffic is worth comparing with.
SHORTEST_LEAD_UP = timedelta(minutes=5)
CHANCE = 0.001


def find_outage(case: Case, tables: Tables) -> ErrorBurst | None:
    """The burst with most failures, first to last failing arrival; None where there is none.

    It is ongoing where the quiet behind its last failure is short enough to be chance.
    """
    failures = tables.failures.sort_values(["at", "file", "line"], kind="stable")
    arrivals = [a for value in failures["at"] if (a := instant(value)) is not None]
    found = bursts_in(arrivals, _quiet_rate(case, tables))
    if not found:
        return None
    burst = max(found, key=lambda b: (b.events, -b.first))
    first, last = arrivals[burst.first], arrivals[burst.last]
    seconds = (last - first).total_seconds()
    quiet_for = (_covered_until(case) - last).total_seconds()
    still = quiet_for * burst.events / max(seconds, 1.0)
    inside = failures.iloc[burst.first : burst.last + 1]
    return ErrorBurst(
        start=Span.at(first, "arrival of the first failing request"),
        end=Span.at(last, "arrival of the last failing request"),
        duration_seconds=seconds,
        ongoing=math.exp(-still) > 0.01,
        failures=burst.events,
        blips=_blips(failures, burst),
        evidence=rows_as_evidence(
            inside,
            system=System.GATEWAY,
            at=Span(first, last, "first to last failing arrival"),
            seen=f"{burst.events} requests failed with status 5xx",
        ),
    )


def _covered_until(case: Case) -> datetime:
    ends = [s.covered.end for s in case.sources if s.kind == "access_log" and s.covered]
    return min(case.window.end, max(ends, default=case.window.end))


def _quiet_rate(case: Case, tables: Tables) -> float:
    """The usual failures a second: from the baseline answer, else as if half a failure was seen."""
    seconds = sum(
        s.covered.seconds for s in case.sources if s.kind == "logs_insights" and s.covered
    )
    if not seconds:
        return quiet_rate(0, case.window.seconds)
    failed = tables.baseline.loc[tables.baseline["status"] >= 500, "requests"].sum()
    return quiet_rate(int(failed), seconds)


def _blips(failures: pd.DataFrame, burst: Burst) -> tuple[Evidence, ...]:
    """Each failure outside the outage: listed, and counted nowhere else."""
    outside = [i for i in range(len(failures)) if not burst.first <= i <= burst.last]
    blips: list[Evidence] = []
    for position in outside[:50]:
        row = failures.iloc[[position]]
        at, first = instant(row["at"].iloc[0]), row.iloc[0]
        if at is not None:
            seen = f"{first['method']} {first['route']} failed with {first['status']}, apart from the outage"
            blips += rows_as_evidence(row, system=System.GATEWAY, at=Span.at(at), seen=seen)
    return tuple(blips)


# --- endpoints -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Traffic:
    requests: int
    failed: int
    minutes: float
    p99_ms: float | None

    @property
    def per_minute(self) -> float:
        return self.requests / self.minutes if self.minutes else 0.0


def endpoint_impacts(
    case: Case, tables: Tables, outage: ErrorBurst | None
) -> tuple[EndpointImpact, ...]:
    """Every route that had a request in the window, worst first, over the outage's whole seconds."""
    if outage is None or outage.start.lo is None or outage.end.hi is None:
        return ()
    gateway, start = tables.gateway, outage.start.lo.replace(microsecond=0)
    end = outage.end.hi.replace(microsecond=0) + timedelta(seconds=1)
    inside = gateway[(gateway["second"] >= start) & (gateway["second"] < end)]
    lead_up = gateway[gateway["second"] < start]
    lead_minutes = (start - case.window.start).total_seconds() / 60
    impacts = []
    for method, route in sorted(set(zip(gateway["method"], gateway["route"], strict=True))):
        now = _traffic(_of(inside, method, route), (end - start).total_seconds() / 60)
        usual = (
            _traffic(_of(lead_up, method, route), lead_minutes)
            if timedelta(minutes=lead_minutes) >= SHORTEST_LEAD_UP
            else None
        )
        impacts.append(_impact(tables, outage, method, route, now, usual))
    order = list(Impact)
    return tuple(
        sorted(impacts, key=lambda e: (order.index(e.impact), -_share(e), -e.failed, e.name))
    )


def _share(endpoint: EndpointImpact) -> float:
    return endpoint.failed / endpoint.requests if endpoint.requests else 0.0


def _of(frame: pd.DataFrame, method: str, route: str) -> pd.DataFrame:
    return frame[(frame["method"] == method) & (frame["route"] == route)]


def _traffic(rows: pd.DataFrame, minutes: float) -> _Traffic:
    return _Traffic(
        requests=int(rows["requests"].sum()),
        failed=int(rows.loc[rows["status"] >= 500, "requests"].sum()),
        minutes=minutes,
        p99_ms=percentile_ms(rows, 0.99),
    )


def percentile_ms(rows: pd.DataFrame, share: float) -> float | None:
    """A latency percentile from merged histograms: the bound of the bucket it falls in."""
    buckets: Counter[int] = Counter()
    for bounds, counts in zip(rows["latency_ms_bounds"], rows["latency_ms_counts"], strict=True):
        for bound, count in zip(bounds, counts, strict=True):
            buckets[int(bound)] += int(count)
    wanted = share * sum(buckets.values())
    reached = 0
    for bound in sorted(buckets):
        reached += buckets[bound]
        if reached >= wanted:
            return float(bound)
    return None


def _impact(
    tables: Tables,
    outage: ErrorBurst,
    method: str,
    route: str,
    now: _Traffic,
    usual: _Traffic | None,
) -> EndpointImpact:
    failures = _of(tables.failures, method, route)
    failures = failures[(failures["at"] >= outage.start.lo) & (failures["at"] <= outage.end.hi)]
    by_status = failures.groupby("status").size()
    impact = _rating(now, usual)
    return EndpointImpact(
        method=method,
        route=route,
        requests=now.requests,
        failed=len(failures),
        by_status={int(status): int(n) for status, n in by_status.items()},
        first_failure=instant(failures["at"].min()),
        last_failure=instant(failures["at"].max()),
        baseline_per_minute=usual.per_minute if usual else None,
        incident_per_minute=now.per_minute,
        p99_ms=now.p99_ms,
        baseline_p99_ms=usual.p99_ms if usual else None,
        impact=impact,
        evidence=_endpoint_evidence(tables, outage, failures, method, route, now, usual),
    )


def _rating(now: _Traffic, usual: _Traffic | None) -> Impact:
    """DESIGN: failed outranks starved outranks degraded outranks unaffected."""
    if now.requests and now.failed / now.requests >= FAILED_SHARE:
        return Impact.FAILED
    if usual and usual.requests and now.per_minute <= STARVED_SHARE * usual.per_minute:
        return Impact.STARVED
    expected = now.minutes * ((usual.failed + 0.5) / usual.minutes if usual else 0.5 / now.minutes)
    if now.failed and poisson_tail(now.failed, expected) < CHANCE:
        return Impact.DEGRADED
    if usual and now.p99_ms and usual.p99_ms and now.p99_ms >= SLOW_FACTOR * usual.p99_ms:
        return Impact.DEGRADED
    return Impact.UNAFFECTED


def _endpoint_evidence(
    tables: Tables,
    outage: ErrorBurst,
    failures: pd.DataFrame,
    method: str,
    route: str,
    now: _Traffic,
    usual: _Traffic | None,
) -> tuple[Evidence, ...]:
    at = Span(outage.start.lo, outage.end.hi, "the outage")
    if len(failures):
        statuses = ", ".join(f"{s}: {n}" for s, n in failures.groupby("status").size().items())
        return rows_as_evidence(
            failures,
            system=System.GATEWAY,
            at=at,
            seen=f"{method} {route}: {len(failures)} of {now.requests} requests failed ({statuses})",
        )
    rows = _of(tables.gateway, method, route)
    rate = f", {usual.per_minute:.1f} before" if usual else ""
    return rows_as_evidence(
        rows,
        system=System.GATEWAY,
        at=at,
        seen=f"{method} {route}: {now.requests} requests, none failed; "
        f"{now.per_minute:.1f} a minute{rate}",
        first="line_first",
        last="line_last",
        count=now.requests,
    )


# --- types and baselines -------------------------------------------------------------------------


def error_types(tables: Tables, outage: ErrorBurst | None) -> tuple[ErrorType, ...]:
    """The failures of the outage by type and status, most first; their counts add up to all."""
    if outage is None:
        return ()
    failures = tables.failures
    inside = failures[(failures["at"] >= outage.start.lo) & (failures["at"] <= outage.end.hi)]
    types = []
    for (kind, status), rows in inside.groupby(["error_type", "status"]):
        types.append(
            ErrorType(
                type=kind,
                status=int(status),
                count=len(rows),
                share=len(rows) / len(inside),
                seen_in=tuple(sorted(set(rows["seen_in"]))),
                evidence=rows_as_evidence(
                    rows,
                    system=System.GATEWAY,
                    at=Span(instant(rows["at"].min()), instant(rows["at"].max()), "first to last"),
                    seen=f"{len(rows)} failures of type {kind} with status {int(status)}",
                ),
            )
        )
    return tuple(sorted(types, key=lambda t: (-t.count, t.type, t.status)))


def baselines(case: Case, tables: Tables, outage: ErrorBurst | None) -> tuple[Baseline, ...]:
    """The stretches before the outage that were read, each with its records and its failures."""
    found = []
    asked = {s.name: s.covered for s in case.sources}
    for (source, _), rows in tables.baseline.groupby(["source", "file"]):
        window = asked.get(source)
        if window is None:
            continue
        failed = _by_status(rows)
        records = int(rows["records_scanned"].max())
        found.append(
            Baseline(
                start=window.start,
                end=window.end,
                source=source,
                records=records,
                failures_by_status=failed,
                evidence=rows_as_evidence(
                    rows,
                    system=System.GATEWAY,
                    at=Span(window.start, window.end, "the baseline's window"),
                    seen=f"{records} records scanned before the outage; {_in_words(failed)}",
                    first="row",
                    count=records,
                ),
            )
        )
    if outage and outage.start.lo and outage.start.lo > case.window.start:
        found += _lead_up(case, tables, outage.start.lo)
    return tuple(sorted(found, key=lambda b: (b.start, b.source)))


def _lead_up(case: Case, tables: Tables, start: datetime) -> list[Baseline]:
    rows = tables.gateway[tables.gateway["second"] < start.replace(microsecond=0)]
    if rows.empty:
        return []
    failed, records = _by_status(rows), int(rows["requests"].sum())
    return [
        Baseline(
            start=case.window.start,
            end=start,
            source=evidence.source,
            records=records,
            failures_by_status=failed,
            evidence=(evidence,),
        )
        for evidence in rows_as_evidence(
            rows,
            system=System.GATEWAY,
            at=Span(case.window.start, start, "the lead-up"),
            seen=f"{records} requests in the lead-up; {_in_words(failed)}",
            first="line_first",
            last="line_last",
            count=records,
        )
    ]


def _by_status(rows: pd.DataFrame) -> Mapping[int, int]:
    failed = rows[rows["status"] >= 500].groupby("status")["requests"].sum()
    return {int(status): int(n) for status, n in failed.items() if n}


def _in_words(failed: Mapping[int, int]) -> str:
    """What failed, and that no 502 did where none did.

    >>> _in_words({500: 3})
    '3 with status 500, no 502'
    """
    parts = [f"{n} with status {status}" for status, n in sorted(failed.items())]
    return ", ".join([*parts, *([] if 502 in failed else ["no 502"])])

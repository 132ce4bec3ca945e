"""The `failures` table -> the outage: its first to its last failing arrival."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import numpy as np

from incident_rca.analysis.evidence import instant, rows_as_evidence
from incident_rca.analysis.frames import distinct
from incident_rca.analysis.onset_spans import onset_bounds
from incident_rca.analysis.onsets import (
    BURST_RATE_PER_SECOND,
    QUIET_BY_CHANCE,
    Burst,
    bursts_in,
    quiet_rate,
)
from incident_rca.model import Case, ErrorBurst, Evidence, Span, System
from incident_rca.tables import Tables

if TYPE_CHECKING:
    import pandas as pd


LOWER_QUARTILE_Z = 0.674
BLIPS_LISTED = 50
# One request that hung for much longer tells nothing of the others.
USUALLY = 0.99
# More than this share of all requests of a window fails in an outage, and not as usual.
MOST_FAILED = 0.5


def find_outages(case: Case, tables: Tables) -> tuple[ErrorBurst, ...]:
    """Every burst of failures, most failures first; what is in none of them are the blips.

    One is ongoing where the quiet behind its last failure is short enough to be chance. A request
    is logged when it ends, so the time that the slowest of them took is not known to be quiet.
    """
    failures = _by_arrival(tables)
    arrivals = [a for value in failures["at"] if (a := instant(value)) is not None]
    rate = _quiet_rate(case, tables)
    found = sorted(bursts_in(arrivals, rate), key=lambda b: (-b.events, b.first))
    return tuple(
        _outage(
            case,
            failures,
            arrivals,
            burst,
            _onset(case, tables, failures, arrivals, burst, found, rate),
            _blips(failures, found) if burst is found[0] else (),
        )
        for burst in found
    )


def failures_in_no_burst(tables: Tables) -> tuple[Evidence, ...]:
    """Every failure of a window without an outage: a blip each, rejected by the same rule."""
    return _blips(_by_arrival(tables), ())


def _by_arrival(tables: Tables) -> pd.DataFrame:
    return tables.failures.sort_values(["at", "file", "line"], kind="stable")


def _outage(
    case: Case,
    failures: pd.DataFrame,
    arrivals: list[datetime],
    burst: Burst,
    onset: Span,
    blips: tuple[Evidence, ...],
) -> ErrorBurst:
    first, last = arrivals[burst.first], arrivals[burst.last]
    seconds = (last - first).total_seconds()
    inside = failures.iloc[burst.first : burst.last + 1]
    slowest_seconds = float(inside["latency_ms"].fillna(0).max()) / 1000
    quiet_for = max(0.0, (recorded_until(case) - last).total_seconds() - slowest_seconds)
    ongoing = math.exp(-quiet_for * burst.events / max(seconds, 1.0)) > QUIET_BY_CHANCE
    return ErrorBurst(
        start=Span.at(first, "arrival of the first failing request"),
        onset=onset,
        end=Span(last, None if ongoing else last, "arrival of the last failing request"),
        duration_seconds=seconds,
        ongoing=ongoing,
        failures=burst.events,
        blips=blips,
        evidence=rows_as_evidence(
            inside,
            system=System.GATEWAY,
            at=Span(first, last, "first to last failing arrival"),
            seen=f"{burst.events:,} requests failed with status 5xx",
        ),
    )


def _onset(
    case: Case,
    tables: Tables,
    failures: pd.DataFrame,
    arrivals: list[datetime],
    burst: Burst,
    all_bursts: Sequence[Burst],
    rate: float,
) -> Span:
    """When requests began to fail: not before the burst before this one was over.

    The quiet before it counts beside the usual rate, which is a guess where no baseline was asked.
    Where a burst begins weakly, that phase alone tells when: what came later is another step.
    """
    zero = case.window.start
    before = [b.last for b in all_bursts if b.last < burst.first]
    skipped = max(before, default=-1) + 1
    quiet_from = arrivals[skipped - 1] if before else recorded_from(case)
    end = None if burst.weak_until is None else burst.weak_until + 1
    seconds = np.array([(at - zero).total_seconds() for at in arrivals[skipped:end]])
    read = set(failures["source"].iloc[burst.first : burst.last + 1])
    resolutions = [s.resolution_seconds or 0.0 for s in case.sources if s.name in read]
    first = burst.first - skipped
    if not before and _may_have_begun_before(case, tables, failures, burst):
        return Span(None, arrivals[burst.first], "what is recorded begins within it")
    earliest = min((quiet_from - zero).total_seconds(), float(seconds[first]))
    own_rate = quiet_rate(first, max(1.0, float(seconds[first]) - earliest))
    resolution = max(resolutions, default=0.0)
    lo, hi = onset_bounds(seconds, first, min(rate, own_rate), earliest, resolution)
    why = "a step or a ramp of the rate of failing arrivals that fits the first of them"
    return Span(zero + timedelta(seconds=lo), zero + timedelta(seconds=hi), why)


def _may_have_begun_before(
    case: Case, tables: Tables, failures: pd.DataFrame, burst: Burst
) -> bool:
    """Whether it is chance that nothing failed before: for so short a time, of so few requests."""
    inside = failures.iloc[burst.first : burst.last + 1]
    first, last = instant(inside["at"].iloc[0]), instant(inside["at"].iloc[-1])
    assert first is not None and last is not None
    quiet_for = max(0.0, (first - recorded_from(case)).total_seconds())
    rate = burst.events / max((last - first).total_seconds(), 1.0)
    if math.exp(-quiet_for * rate) <= QUIET_BY_CHANCE:
        return False
    gateway, routes = tables.gateway, set(distinct(inside, "route"))
    asked = gateway[gateway["route"].isin(routes)]
    seconds = asked["second"]
    start, end = first.replace(microsecond=0), last.replace(microsecond=0)
    served = int(asked.loc[seconds < start, "requests"].sum())
    meanwhile = int(asked.loc[(seconds >= start) & (seconds <= end), "requests"].sum())
    share = min(1.0, burst.events / max(meanwhile, 1))
    return bool((1.0 - share) ** served > QUIET_BY_CHANCE)


def _quiet_rate(case: Case, tables: Tables) -> float:
    """The usual failures a second: from the baseline answer, else the window's quietest minutes."""
    asked = [s.covered for s in case.sources if s.kind == "logs_insights" and s.covered]
    seconds = sum(window.seconds for window in asked)
    if not seconds:
        return _quietest(case, tables)
    failed = tables.baseline.loc[tables.baseline["status"] >= 500, "requests"].sum()
    return quiet_rate(int(failed), seconds)


def _quietest(case: Case, tables: Tables) -> float:
    """The rate that the lower quartile of the minutes' counts suggests: hardly an outage's.

    Where even they fail as in an outage and most requests of the window failed, no minute of it
    tells what is usual: then no failure is.
    """
    minutes = max(1, int(case.window.seconds // 60))
    counts = Counter(
        int((arrival - case.window.start).total_seconds() // 60)
        for value in tables.failures["at"]
        if (arrival := instant(value)) is not None
    )
    quartile = sorted(counts.get(minute, 0) for minute in range(minutes))[minutes // 4]
    # The mean whose lower quartile this is, by the normal approximation of a Poisson count.
    root = LOWER_QUARTILE_Z / 2 + math.sqrt(LOWER_QUARTILE_Z**2 / 4 + quartile + 0.5)
    is_of_an_outage = root**2 / 60 >= BURST_RATE_PER_SECOND
    if is_of_an_outage and len(tables.failures) > MOST_FAILED * tables.gateway["requests"].sum():
        return quiet_rate(0, case.window.seconds)
    return root**2 / 60


def _blips(failures: pd.DataFrame, bursts: Sequence[Burst]) -> tuple[Evidence, ...]:
    """Each failure outside of all outages: listed, and counted nowhere else."""
    inside = {i for burst in bursts for i in range(burst.first, burst.last + 1)}
    where = "apart from the outage" if bursts else "in no burst"
    outside = [i for i in range(len(failures)) if i not in inside]
    blips: list[Evidence] = []
    for position in outside[:BLIPS_LISTED]:
        row = failures.iloc[[position]]
        at, first = instant(row["at"].iloc[0]), row.iloc[0]
        if at is not None:
            name, status = f"{first['method']} {first['route']}", first["status"]
            seen = f"{name} failed with {status}, {where}"
            blips += rows_as_evidence(row, system=System.GATEWAY, at=Span.at(at), seen=seen)
    rest = failures.iloc[outside[BLIPS_LISTED:]]
    if len(rest):
        at_rest = Span(
            instant(rest["at"].min()), instant(rest["at"].max()), "first to last of them"
        )
        seen = f"{len(rest):,} more requests failed, {where}"
        blips += rows_as_evidence(rest, system=System.GATEWAY, at=at_rest, seen=seen)
    return tuple(blips)


def recorded_from(case: Case) -> datetime:
    """From when on the window's requests are recorded: minutes before are unknown, not quiet."""
    return case.recorded.start if case.recorded else case.window.start


def recorded_until(case: Case) -> datetime:
    """Until when the window's requests are recorded."""
    ends = [s.covered.end for s in case.gateway_logs if s.covered]
    return min(case.window.end, max(ends, default=case.window.end))


def longest_waited(tables: Tables, outage: ErrorBurst | None) -> timedelta:
    """How long failed requests took at most, but for one in a hundred; 0 where nobody measured."""
    if outage is None:
        return timedelta(0)
    took = failures_in(tables, outage)["latency_ms"].dropna().to_numpy(dtype=float)
    return timedelta(milliseconds=float(np.quantile(took, USUALLY)) if len(took) else 0.0)


def failures_in(tables: Tables, outage: ErrorBurst) -> pd.DataFrame:
    """The failed requests that arrived during the outage."""
    failures = tables.failures
    return failures[(failures["at"] >= outage.start.lo) & (failures["at"] <= outage.end.lo)]

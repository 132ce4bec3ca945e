"""More requests than usual: when, by how much, and on which routes."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from incident_rca.analysis.evidence import instant, rows_as_evidence
from incident_rca.analysis.frames import chosen, pieces, sums
from incident_rca.analysis.outage import recorded_from
from incident_rca.analysis.rates import chance_of_more, high_stretch
from incident_rca.model import Evidence, Span, System

if TYPE_CHECKING:
    import pandas as pd

    from incident_rca.analysis.observations import Observations

# Daily and hourly swings stay below this, surges that matter to a sized pool above it.
SURGE_FACTOR = 2.0
CHANCE = 1e-6
# Bins wide enough that a single request more or less is no change.
REQUESTS_IN_BIN = 5
# One bin is a lump; traffic rose where at least two did, and as near to the outage at its end.
FEWEST_BINS = 2
SECOND = timedelta(seconds=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Surge:
    """A stretch with more requests than usual, on these routes (`METHOD /path`)."""

    routes: tuple[str, ...]
    start: Span
    end: Span
    per_minute: float
    usual_per_minute: float
    evidence: tuple[Evidence, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Traffic:
    """Requests a minute in the lead-up to the outage, and in what precedes it at once."""

    usual_per_minute: float
    surge: Surge | None
    evidence: tuple[Evidence, ...]


def traffic_before(seen: Observations) -> Traffic | None:
    """The traffic of all routes before the outage, with the surge that began before it, if any.

    None where no lead-up is recorded that could say what is usual.
    """
    if seen.outage is None or seen.outage.start.lo is None:
        return None
    first, failure = recorded_from(seen.part_case), seen.outage.start.lo
    gateway = seen.tables.gateway
    is_before = gateway["second"] < failure
    if failure <= first or not is_before.any():
        return None
    known = failure.replace(microsecond=0) + SECOND
    cut = _surge_bins(gateway, first, known, seen.part.end)
    if cut is None:
        return None
    begun, until, usual_rate = cut
    surge = _surge(gateway, first, begun, until, usual_rate) if begun and until else None
    before = chosen(gateway, is_before)
    cited = rows_as_evidence(
        before,
        system=System.GATEWAY,
        at=Span(first, failure, "before the first failure"),
        seen=f"{usual_rate * 60:.0f} requests a minute on all routes are usual",
        first="line_first",
        last="line_last",
        count=int(before["requests"].sum()),
    )
    return Traffic(usual_per_minute=usual_rate * 60, surge=surge, evidence=cited)


def _surge_bins(
    gateway: pd.DataFrame, first: datetime, known: datetime, end: datetime
) -> tuple[datetime | None, datetime | None, float] | None:
    """When the surge begins and ends, if there is one, and the usual rate a second before it.

    In bins that end at `known`, the second after that of the first failure: once requests fail,
    those who wait for them try again, and that is no surge.
    """
    lead = int((known - first).total_seconds())
    total = int(gateway.loc[gateway["second"] < known, "requests"].sum())
    if lead <= 0 or not total:
        return None
    width = max(1, math.ceil(REQUESTS_IN_BIN * lead / total))
    number = lead // width
    counts = _by_bin(gateway, known - number * width * SECOND, width, end)
    usual = sum(counts[:number]) / max(1, number)
    found = None
    # A surge within the lead-up raises what seems usual: what is left without it is taken then.
    for _ in range(3):
        found = high_stretch(counts, usual, SURGE_FACTOR) if usual else None
        if found is None or not 0 < found[0] < number:
            break
        usual = sum(counts[: found[0]]) / found[0]
    if found is None or not _is_surge(counts, found, usual, number):
        return None, None, usual / width
    begin = known - (number - found[0]) * width * SECOND
    until = known + (found[1] + 1 - number) * width * SECOND
    return begin, until, usual / width


def _by_bin(gateway: pd.DataFrame, start: datetime, width: int, end: datetime) -> list[int]:
    number = max(1, int((end - start).total_seconds() // width))
    binned = gateway.assign(bin=(gateway["second"] - start) // (width * SECOND))
    counts = sums(binned, "bin", "requests")
    return [int(counts.get(n, 0)) for n in range(number)]


def _is_surge(counts: list[int], found: tuple[int, int], usual: float, number: int) -> bool:
    """Whether traffic rose far enough, not by chance, before any caller could try again."""
    begin, last = found
    if not 0 < begin <= number - FEWEST_BINS or last < number - FEWEST_BINS:
        return False
    before = sum(counts[begin:number])
    if before < SURGE_FACTOR * usual * (number - begin):
        return False
    return chance_of_more(before, number - begin, round(usual * begin), begin) < CHANCE


def _surge(
    gateway: pd.DataFrame, first: datetime, start: datetime, end: datetime, usual_rate: float
) -> Surge:
    inside = chosen(gateway, (gateway["second"] >= start) & (gateway["second"] < end))
    seconds = (end - start).total_seconds()
    before = chosen(gateway, gateway["second"] < start)
    lead = max(1.0, (start - first).total_seconds())
    routes = [
        f"{method} {route}"
        for (method, route), rows in pieces(inside, "method", "route")
        if _rose(rows, before, method, route, seconds, lead)
    ]
    rate = float(inside["requests"].sum()) / seconds
    return Surge(
        routes=tuple(sorted(routes)),
        start=Span(start - SECOND, start + SECOND, "by the second of arrival"),
        end=Span(end - SECOND, end + SECOND, "by the second of arrival"),
        per_minute=rate * 60,
        usual_per_minute=usual_rate * 60,
        evidence=rows_as_evidence(
            inside,
            system=System.GATEWAY,
            at=Span(instant(inside["second"].min()), end, "the surge"),
            seen=f"{rate * 60:.0f} requests a minute on all routes, {usual_rate * 60:.0f} before",
            first="line_first",
            last="line_last",
            count=int(inside["requests"].sum()),
        ),
    )


def _rose(
    rows: pd.DataFrame, before: pd.DataFrame, method: str, route: str, seconds: float, lead: float
) -> bool:
    usual = before[(before["method"] == method) & (before["route"] == route)]
    now, then = int(rows["requests"].sum()), int(usual["requests"].sum())
    is_more = now / seconds >= SURGE_FACTOR * then / lead
    return is_more and chance_of_more(now, seconds, then, lead) < CHANCE

"""More requests than usual: when, by how much, and on which routes."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from incident_rca.analysis.evidence import instant, rows_as_evidence
from incident_rca.analysis.frames import chosen, pieces, places, seconds_of
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
# Some callers come at each full minute, and only then: no bin counts for more than this many usual
# ones, so that a lump neither makes a rise nor reaches from one to the next.
MOST_IN_BIN = 4.0
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


def traffic_before(seen: Observations, routes: frozenset[str] | None = None) -> Traffic | None:
    """The traffic before the outage, with the surge that began before it, if any.

    Of all routes, or of those named. None where no lead-up is recorded that could say what is
    usual, as where the outage had begun before the record.
    """
    if seen.outage is None or seen.outage.start.lo is None or seen.outage.onset.lo is None:
        return None
    first, failure = recorded_from(seen.part_case), seen.outage.start.lo
    gateway, where = seen.tables.gateway, "all routes"
    if routes is not None:
        gateway, where = _of_routes(gateway, routes), " and ".join(sorted(routes))
    is_before = gateway["second"] < failure
    if failure <= first or not is_before.any():
        return None
    answered = _first_answer(seen.failures_of(seen.failing), failure)
    risen_by, known = (at.replace(microsecond=0) + SECOND for at in (failure, answered))
    cut = _surge_bins(gateway, first, risen_by, known, seen.part.end)
    if cut is None:
        return None
    begun, until, usual_rate = cut
    surge = _surge(gateway, where, first, begun, until, usual_rate) if begun and until else None
    before = chosen(gateway, is_before)
    cited = rows_as_evidence(
        before,
        system=System.GATEWAY,
        at=Span(first, failure, "before the first failure"),
        seen=f"{usual_rate * 60:.0f} requests a minute on {where} are usual",
        first="line_first",
        last="line_last",
        count=int(before["requests"].sum()),
    )
    return Traffic(usual_per_minute=usual_rate * 60, surge=surge, evidence=cited)


def _of_routes(gateway: pd.DataFrame, routes: frozenset[str]) -> pd.DataFrame:
    import numpy as np

    every = gateway["route"].notna()
    found = [
        rows
        for (method, route), rows in places(gateway, every, "method", "route")
        if f"{method} {route}" in routes
    ]
    return gateway.iloc[np.sort(np.concatenate(found)) if found else []]


def _first_answer(failures: pd.DataFrame, failure: datetime) -> datetime:
    """When the first failing request ended, by its latency; where nobody measured it, arrived."""
    import pandas as pd

    took_us = (1000 * failures["latency_ms"].fillna(0.0).astype(float)).round()
    took = pd.to_timedelta(took_us, unit="us")
    return instant((failures["at"] + took).min()) or failure


def _surge_bins(
    gateway: pd.DataFrame, first: datetime, risen_by: datetime, known: datetime, end: datetime
) -> tuple[datetime | None, datetime | None, float] | None:
    """When the surge begins and ends, if there is one, and the usual rate a second before it.

    In bins that end at `known`, the second after that in which the first failing request ended:
    once requests fail, those who wait for them try again, and that is no surge. Nor is what rises
    after `risen_by`, when the first of them had arrived: who waits long may try again as well.
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
        found = high_stretch(_levelled(counts, usual), usual, SURGE_FACTOR) if usual else None
        if found is None or not 0 < found[0] < number:
            break
        usual = sum(counts[: found[0]]) / found[0]
    arrived = number - int((known - risen_by).total_seconds()) // width
    if found is None or not _is_surge(_levelled(counts, usual), found, usual, arrived, number):
        return None, None, usual / width
    begin = known - (number - found[0]) * width * SECOND
    until = known + (found[1] + 1 - number) * width * SECOND
    return begin, until, usual / width


def _by_bin(gateway: pd.DataFrame, start: datetime, width: int, end: datetime) -> list[int]:
    import numpy as np

    number = max(1, int((end - start).total_seconds() // width))
    bins = np.floor((seconds_of(gateway["second"]) - start.timestamp()) / width).astype(np.int64)
    inside = (bins >= 0) & (bins < number)
    requests = gateway["requests"].to_numpy(dtype=np.int64)[inside]
    return [int(n) for n in np.bincount(bins[inside], weights=requests, minlength=number)]


def _levelled(counts: list[int], usual: float) -> list[int]:
    return [min(count, math.ceil(MOST_IN_BIN * usual)) for count in counts]


def _is_surge(
    counts: list[int], found: tuple[int, int], usual: float, arrived: int, number: int
) -> bool:
    """Whether traffic rose far enough, not by chance, before any caller could try again.

    The first failing request arrived in the bin before `arrived` and ended in that before `number`.
    """
    begin, last = found
    until = max(arrived, min(last + 1, number))
    if not 0 < begin < arrived or last < arrived - FEWEST_BINS or until - begin < FEWEST_BINS:
        return False
    before = sum(counts[begin:until])
    if before < SURGE_FACTOR * usual * (until - begin):
        return False
    return chance_of_more(before, until - begin, round(usual * begin), begin) < CHANCE


def _surge(
    gateway: pd.DataFrame,
    where: str,
    first: datetime,
    start: datetime,
    end: datetime,
    usual_rate: float,
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
            seen=f"{rate * 60:.0f} requests a minute on {where}, {usual_rate * 60:.0f} before",
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

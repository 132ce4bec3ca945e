"""The `gateway` table -> starvations: routes whose requests stopped coming, with both ends."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import numpy as np

from incident_rca.analysis.endpoints import STARVED_SHARE
from incident_rca.analysis.evidence import rows_as_evidence
from incident_rca.analysis.frames import distinct, flat, pieces, seconds_of
from incident_rca.analysis.outage import recorded_from, recorded_until
from incident_rca.analysis.rates import chance_of_more
from incident_rca.analysis.stretches import high_stretches
from incident_rca.model import Case, Span, Starvation, System
from incident_rca.tables import Tables

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

# The log of the likelihood ratio of STARVED_SHARE of the usual rate to that rate at which a silence
# is told: by chance once in ten million bins (Lorden, Annals of Mathematical Statistics, 1971). It
# takes twenty usual arrivals that do not come.
ENOUGH = math.log(1e7)
# What is as likely as a twentieth of the best is left open, on either side (see onset_spans).
LIKELIHOOD_FACTOR = 20.0
# A pause of seconds (a collector, an election, a client's own wait between tries) is no episode.
SHORTEST_SECONDS = 5.0
# Traffic also falls in the evening, by and by: here it falls within this time, or within that of
# twenty arrivals where they take longer.
ABRUPT_SECONDS = 120.0
ARRIVALS_TO_COMPARE = 20.0
CHANCE = 1e-4
# What is usual, and how far it spreads, is read from blocks of bins of about as many arrivals.
ARRIVALS_IN_BLOCK = 5.0
FEWEST_BINS = 10
# More than eleven days by the second: of a longer log the bins are wider, and not more.
MOST_BINS = 1_000_000
_ROUNDS = 3


@dataclass(frozen=True, slots=True, eq=False)
class _Counts:
    """The requests of a route in bins of `width` seconds from `start` on, and which are known."""

    start: float
    width: float
    numbers: NDArray[np.float64]
    is_known: NDArray[np.bool_]

    def known(self, first: int, end: int) -> NDArray[np.float64]:
        return self.numbers[first:end][self.is_known[first:end]]

    def at(self, position: int) -> datetime:
        return datetime.fromtimestamp(self.start + position * self.width, UTC)


def starvations(case: Case, tables: Tables) -> tuple[Starvation, ...]:
    """Each time in which a route got at most STARVED_SHARE of its usual requests, by onset.

    Only of routes with enough traffic before it that so few are not chance. What the log does not
    cover, where it has a gap, and as long before its end as requests may take, is unknown.
    """
    found = [
        episode
        for (method, route), rows in pieces(tables.gateway, "method", "route")
        for episode in _of_route(case, method, route, rows)
    ]
    return tuple(sorted(found, key=lambda s: (s.onset.first, s.name)))


def _of_route(case: Case, method: str, route: str, rows: pd.DataFrame) -> Iterator[Starvation]:
    counts = _counts(case, rows, 0.0)
    if counts is None:
        return
    found, scores = _silences(counts)
    if found and found[-1][1] + 1 == len(scores):
        # A request is logged when it ends: those that arrived last may not be there yet.
        slowest_ms = int(flat(rows["latency_ms_bounds"]).max(initial=0))
        counts = _counts(case, rows, slowest_ms / 1000)
        if counts is None:
            return
        found, scores = _silences(counts)
    for number, (first, last) in enumerate(found):
        reached = found[number - 1][1] + 1 if number else 0
        if (last + 1 - first) * counts.width >= SHORTEST_SECONDS:
            if _is_abrupt(counts, reached, first, last):
                yield _episode(method, route, rows, counts, scores, (reached, first, last))


def _counts(case: Case, rows: pd.DataFrame, not_yet: float) -> _Counts | None:
    """The route's requests by bin, without the last `not_yet` seconds of what is recorded."""
    read = distinct(rows, "source")
    sources = [s for s in case.gateway_logs if s.name in read or not read]
    width = max([1.0, *(s.resolution_seconds or 0.0 for s in sources)])
    until = recorded_until(case).timestamp() - not_yet
    first = recorded_from(case).timestamp()
    width = max(width, math.ceil((until - first) / MOST_BINS))
    start = math.ceil(first / width) * width
    number = int((until - start) // width)
    if number < FEWEST_BINS:
        return None
    positions = np.floor((seconds_of(rows["second"]) - start) / width)
    is_inside = (positions >= 0) & (positions < number)
    numbers = np.bincount(
        positions[is_inside].astype(np.int64),
        weights=rows["requests"].to_numpy(dtype=float)[is_inside],
        minlength=number,
    ).astype(np.float64)
    is_known = np.ones(number, dtype=bool)
    for gap in (gap for source in case.gateway_logs for gap in source.gaps):
        first = int((gap.window.start.timestamp() - start) // width)
        last = math.ceil((gap.window.end.timestamp() - start) / width)
        is_known[max(0, first) : max(0, last)] = False
    return _Counts(start, width, numbers, is_known)


def _silences(counts: _Counts) -> tuple[tuple[tuple[int, int], ...], NDArray[np.float64]]:
    """Where the counts are low, and the log likelihood ratio of each bin.

    Usual is the mean, or where that is less the median of the blocks that got anything, which a
    surge does not raise. What is left without the silences is closer, so they are found again.
    """
    found: tuple[tuple[int, int], ...] = ()
    scores = np.zeros(len(counts.numbers))
    for _ in range(_ROUNDS):
        is_usual = counts.is_known.copy()
        for first, last in found:
            is_usual[first : last + 1] = False
        size, blocks = _blocks(counts.numbers[is_usual])
        if len(blocks) < FEWEST_BINS or not blocks.any():
            break
        usual = min(float(blocks.mean()), float(np.median(blocks[blocks > 0]))) / size
        # How much wider counts spread than those of a Poisson process (index of dispersion), by
        # differences of neighbours, which a silence changes at its ends only (von Neumann 1941).
        spread = max(1.0, float((np.diff(blocks) ** 2).mean() / 2 / blocks.mean()))
        scores = (1 - STARVED_SHARE) * usual + counts.numbers * math.log(STARVED_SHARE)
        scores = np.where(counts.is_known, scores / spread, 0.0)
        again = high_stretches(scores, ENOUGH)
        if again == found:
            break
        found = again
    return found, scores


def _blocks(numbers: NDArray[np.float64]) -> tuple[int, NDArray[np.float64]]:
    """The sums of blocks of bins, each of about ARRIVALS_IN_BLOCK, and how many bins one is."""
    mean = float(numbers.mean()) if len(numbers) else 0.0
    size = max(1, math.ceil(ARRIVALS_IN_BLOCK / mean)) if mean else 1
    whole = len(numbers) // size
    sums: NDArray[np.float64] = numbers[: whole * size].reshape(whole, size).sum(axis=1)
    return size, sums


def _is_abrupt(counts: _Counts, reached: int, first: int, last: int) -> bool:
    """Whether traffic stopped within a short time; `reached` is the end of the silence before.

    As much time before as of the silence itself, and no more than ABRUPT_SECONDS say. Where traffic
    is as it was before a surge, nothing has starved: the quieter quarter of the lead-up counts too.
    """
    lead = counts.known(reached, first)
    if not len(lead) or not lead.sum():
        return False
    usual = float(lead[-max(1, len(lead) // 2) :].mean()) or float(lead.mean())
    most = max(ABRUPT_SECONDS, ARRIVALS_TO_COMPARE * counts.width / usual)
    size = min(last + 1 - first, math.ceil(most / counts.width))
    before = max(reached, first - size)
    then, now = counts.known(before, first), counts.known(first, first + size)
    if not len(then) or not len(now) or now.mean() > STARVED_SHARE * then.mean():
        return False
    width, blocks = _blocks(lead)
    # A lead-up of less than one block is too little to compare with.
    if not len(blocks) or now.mean() >= STARVED_SHARE * float(np.quantile(blocks, 0.25)) / width:
        return False
    chance = chance_of_more(
        round(float(then.sum())), float(len(then)), round(float(now.sum())), float(len(now))
    )
    return chance < CHANCE


def _episode(
    method: str,
    route: str,
    rows: pd.DataFrame,
    counts: _Counts,
    scores: NDArray[np.float64],
    bins: tuple[int, int, int],
) -> Starvation:
    before, first, last = bins
    onset = _edge(scores, first, last)
    end = len(scores) - 1 - last, len(scores) - 1 - first
    mirrored = _edge(scores[::-1], *end)
    offset = len(scores) - 1 - mirrored[1], len(scores) - 1 - mirrored[0]
    is_open = last + 1 == len(scores)
    lead, inside = counts.known(before, first), counts.known(onset[1], offset[0] + 1)
    # Of a short one not even its middle may be surely silent.
    inside = inside if len(inside) else counts.known(first, last + 1)
    usual, now = (60 * float(n.mean()) / counts.width for n in (lead, inside))
    seconds = seconds_of(rows["second"])
    cited = (seconds >= counts.start + before * counts.width) & (
        seconds < counts.start + (last + 1) * counts.width
    )
    requests = round(float(inside.sum()))
    name, length = f"{method} {route}", len(inside) * counts.width
    return Starvation(
        method=method,
        route=route,
        onset=Span(
            counts.at(max(0, onset[0] - 1)),
            counts.at(onset[1]),
            "between the last usual requests and a silence that is no chance",
        ),
        offset=Span(
            counts.at(offset[0] + 1),
            None if is_open else counts.at(min(len(scores), offset[1] + 2)),
            "still silent where the log ends" if is_open else "until requests came as usual",
        ),
        requests=requests,
        usual_per_minute=usual,
        per_minute=now,
        evidence=rows_as_evidence(
            rows[cited],
            system=System.GATEWAY,
            at=Span(counts.at(before), counts.at(last + 1), "the silence and what was before it"),
            seen=f"{name}: {requests:,} requests in {length:,.0f} s, {usual:.1f} a minute before",
            first="line_first",
            last="line_last",
            count=round(float(lead.sum())) + requests,
        ),
    )


def _edge(scores: NDArray[np.float64], first: int, last: int) -> tuple[int, int]:
    """The first and last bin that the silence may have begun with, by its profile likelihood."""
    tail = float(scores[first : last + 1].sum())
    least = tail - math.log(LIKELIHOOD_FACTOR)
    earlier = np.cumsum(scores[:first][::-1])
    out = np.flatnonzero(tail + earlier < least)
    reached = int(out[0]) if len(out) else len(earlier)
    later = tail - np.cumsum(scores[first : last + 1])
    out = np.flatnonzero(later < least)
    return first - reached, first + (int(out[0]) if len(out) else last - first)

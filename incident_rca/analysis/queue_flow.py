"""What came to a service, less what its queue grew by -> when it answered its usual load again.

A stall that is over leaves a queue of calls, most of them of callers that have given up. Where
callers try again, that queue keeps calls slow for as long as anybody lets it, though the service
works as it always did (Bronson et al., HotOS 2021: a metastable failure). The latencies of callers
look the same in both; how fast the queue grows does not.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import numpy as np

from incident_rca.analysis.amplification import CHANCE
from incident_rca.analysis.call_counts import series_of_counts
from incident_rca.analysis.evidence import rows_as_evidence
from incident_rca.analysis.frames import seconds_of
from incident_rca.analysis.pool import waiting_callers
from incident_rca.analysis.rates import chance_of_more
from incident_rca.analysis.windows import each_once
from incident_rca.model import ErrorBurst, Evidence, Span, System
from incident_rca.typed_frames import plain

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    from incident_rca.analysis.observations import Observations

    Floats = NDArray[np.float64]

# A queue this many times as long as the callers that can still wait is mostly work for nobody.
ABANDONED_FACTOR = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Recovery:
    """When a service answered its usual load again, while calls that had queued stayed slow.

    `usual_per_second` is of all its calls before the outage; `stalled_per_second` and
    `recovered_per_second` are what it answered in the outage, before `at` and after it. `waiting`
    calls were in its queue then, of which no more than `wanted` can still have had a caller.
    """

    service: str
    at: Span
    usual_per_second: float
    stalled_per_second: float
    recovered_per_second: float
    waiting: int
    wanted: int
    evidence: tuple[Evidence, ...]

    @property
    def in_words(self) -> str:
        """`stock answered 1.2 calls a second, then 12.1 (4.9 before the outage)`."""
        return (
            f"{self.service} answered {self.stalled_per_second:.1f} calls a second, then "
            f"{self.recovered_per_second:.1f} ({self.usual_per_second:.1f} before the outage)"
        )


def recovery_of(seen: Observations) -> Recovery | None:
    """The recovery of the service whose pool was full while callers tried again; None without.

    What was answered in a bucket is what was called in it less what the queue grew by. That holds
    only where calls stay queued when their callers have gone, which a queue that is longer than
    all callers that can still wait shows: their number is the rate of calls times how long one is
    waited for (Little, Operations Research 1961). A queue that shrinks from then on is the stall's
    own, and what is slow in it the stall's: it would have ended by itself.
    """
    outage, pool = seen.outage, seen.pool
    if outage is None or outage.end.lo is None or pool is None:
        return None
    waited = [s.plateau_ms / 1000 for s in seen.latency_shifts if s.service == pool.owner]
    queue = waiting_callers(seen.case, seen.gauges, pool.owner)
    if not waited or queue.empty:
        return None
    storms = [a for a in seen.amplified if a.service == pool.owner]
    called = _calls_of(seen, pool.owner)
    if not storms or called.empty:
        return None
    steps = _steps(called, queue, outage)
    known = _usual(called, outage)
    if steps is None or known is None:
        return None
    place = _step_up(steps.answered)
    before, after = steps.answered[:place], steps.answered[place:]
    if not _is_recovery(before, after, steps.width, *known) or np.median(steps.grown[place:]) < 0:
        return None
    wanted = float(steps.called.mean()) / steps.width * max(waited)
    waiting = float(steps.queued[place])
    recovered_by = steps.at(place + 1)
    goes_on = any(s.end.hi is not None and s.end.hi > recovered_by for s in storms)
    if waiting < ABANDONED_FACTOR * wanted or not goes_on:
        return None
    calls, seconds = known
    return Recovery(
        service=pool.owner,
        at=Span(steps.at(place - 1), recovered_by, "the buckets beside the change"),
        usual_per_second=calls / seconds,
        stalled_per_second=float(before.mean()) / steps.width,
        recovered_per_second=float(after.mean()) / steps.width,
        waiting=round(waiting),
        wanted=round(wanted),
        evidence=_evidence(pool.owner, queue, called, outage),
    )


def _calls_of(seen: Observations, service: str) -> pd.DataFrame:
    """The rows that count the calls of a service: of each method by whoever counted most."""
    import pandas as pd

    metrics = seen.tables.metrics
    is_count = (
        (metrics["aggregate"] == "count") & metrics["method"].notna() & metrics["value"].notna()
    )
    found = [
        max(map(each_once, views), key=lambda view: float(view["value"].sum()))
        for owner, _, views in series_of_counts(seen.case, metrics, is_count)
        if owner == service
    ]
    return pd.concat(found) if found else metrics.iloc[:0]


def _usual(called: pd.DataFrame, outage: ErrorBurst) -> tuple[int, float] | None:
    """The calls of whole buckets before the outage, and how many seconds these are."""
    ends = called["at"] + _width(called)
    before = called[ends <= outage.onset.first]
    seconds = float(plain(before.drop_duplicates("at")["bucket_seconds"]).sum())
    return (round(float(before["value"].sum())), seconds) if seconds else None


def _width(rows: pd.DataFrame) -> timedelta:
    return timedelta(seconds=float(plain(rows["bucket_seconds"]).max()))


@dataclass(frozen=True, slots=True, eq=False)
class _Steps:
    """The buckets of an outage for which calls and the queue before and after them are known."""

    starts: tuple[datetime, ...]
    width: float
    called: Floats
    queued: Floats
    grown: Floats
    answered: Floats

    def at(self, position: int) -> datetime:
        """The start of a bucket, the end of the last one behind it."""
        if position < len(self.starts):
            return self.starts[position]
        return self.starts[-1] + timedelta(seconds=self.width)


def _steps(called: pd.DataFrame, queue: pd.DataFrame, outage: ErrorBurst) -> _Steps | None:
    """What was answered in each bucket that lies in the outage; None where too little is known.

    A queue that was emptied at once, by a restart, was not answered: no more is than was called.
    """
    width = _width(called)
    if _width(queue) != width or outage.end.lo is None:
        return None
    calls = called.groupby("at", sort=True)["value"].sum()
    waiting = queue.groupby("at", sort=True)["value"].max()
    waiting = waiting[waiting.index.isin(calls.index)]
    starts = seconds_of(waiting.index.to_series())
    first, last = outage.onset.first.timestamp(), outage.end.lo.timestamp()
    chosen = (
        (np.diff(starts) <= 1.5 * width.total_seconds())
        & (starts[1:] >= first)
        & (starts[1:] + width.total_seconds() <= last)
    )
    if chosen.sum() < 2:
        return None
    queued = waiting.to_numpy(dtype=float)
    known = waiting.index[1:][chosen]
    of_bucket = calls[known].to_numpy(dtype=float)
    grown = np.diff(queued)[chosen]
    return _Steps(
        tuple(at.to_pydatetime() for at in known),
        width.total_seconds(),
        of_bucket,
        queued[1:][chosen],
        grown,
        np.clip(of_bucket - grown, 0.0, of_bucket),
    )


def _step_up(counts: Floats) -> int:
    """The position from which on a second rate, higher or not, fits these counts best.

    The largest likelihood of two Poisson rates (Hinkley, Biometrika 1970).

    >>> _step_up(np.array([1.0, 0.0, 2.0, 9.0, 7.0, 8.0]))
    3
    """
    number = len(counts)
    sums = np.cumsum(counts)[:-1]
    first = np.arange(1, number, dtype=float)
    fits = _log_fit(sums, first) + _log_fit(counts.sum() - sums, number - first)
    return int(np.argmax(fits)) + 1


def _log_fit(events: Floats, buckets: Floats) -> Floats:
    """The log likelihood of so many events in so many buckets at their own rate, less constants."""
    rates = np.maximum(events, np.finfo(float).tiny) / buckets
    found: Floats = events * np.log(rates) - events
    return found


def _is_recovery(
    before: Floats, after: Floats, width: float, usual: int, usual_seconds: float
) -> bool:
    """Whether less was answered than usual, beyond chance, and then no less any more."""
    stalled, recovered = (
        chance_of_more(usual, usual_seconds, round(float(part.sum())), len(part) * width)
        for part in (before, after)
    )
    return stalled < CHANCE <= recovered


def _evidence(
    service: str, queue: pd.DataFrame, called: pd.DataFrame, outage: ErrorBurst
) -> tuple[Evidence, ...]:
    """The rows of the queue and of the calls in the outage."""

    def cited(rows: pd.DataFrame, seen: str) -> Iterator[Evidence]:
        first, last = outage.onset.first, outage.end.lo
        inside = rows[(rows["at"] >= first) & (rows["at"] <= last)]
        at = Span(first, last, "the outage")
        yield from rows_as_evidence(
            inside, system=System.GRPC_METRICS, at=at, seen=seen, first="row"
        )

    return (
        *cited(queue, f"how many callers waited for a connection of {service}"),
        *cited(called, f"how many calls of {service} ended"),
    )

"""Where deadlines cut the calls of a method off, so that its latencies cannot show how slow it was.

A percentile cannot rise above the deadline at which callers give up: the calls that they gave up on
stand at it, and would have lasted at least that long (right-censoring: Klein and Moeschberger,
Survival Analysis, 2003, 3.2). What still tells that they became slow is that more of them are cut.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from incident_rca.analysis.frames import distinct, pieces, renamed, seconds_of
from incident_rca.analysis.latency_rises import (
    FEWEST_BUCKETS,
    SHIFT_FACTOR,
    Levels,
    Rise,
    apart,
)
from incident_rca.analysis.rates import chance_of_more
from incident_rca.analysis.stretches import high_stretches
from incident_rca.analysis.windows import each_once
from incident_rca.model import CutOff

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

# How a call ends that its caller waited for no longer (gRPC, "Status codes and their use").
CUT_OFF = frozenset({"DEADLINE_EXCEEDED", "CANCELLED"})
CHANCE = 1e-4
# Of its calls an aggregate leaves this share out: where more are cut off it stands at the deadline.
LEFT_OUT = {"p99": 0.01, "p95": 0.05, "max": 0.0}


# How often one value is above another by a large effect (Vargha and Delaney, Journal of Educational
# and Behavioral Statistics, 2000).
LARGE_EFFECT = 0.71


@dataclass(frozen=True, slots=True)
class Cut:
    """A stretch in which callers gave up more often; `usual_ms` is the median before it."""

    rise: Rise
    usual_ms: float
    calls: CutOff


@dataclass(frozen=True, slots=True, eq=False)
class _Calls:
    """The calls that ended in each bucket of a series of latencies, and those cut off of them."""

    cut: NDArray[np.float64]
    all: NDArray[np.float64]

    def between(self, first: int, end: int) -> tuple[int, int]:
        return round(self.cut[first:end].sum()), round(self.all[first:end].sum())


def gave_up_more(calls: CutOff) -> bool:
    """Whether callers gave up on a larger share of their calls than before, by more than chance."""
    return chance_of_more(calls.cut, calls.calls, calls.cut_before, calls.calls_before) < CHANCE


def cuts_of(levels: Levels, aggregate: str, counts: pd.DataFrame) -> tuple[Cut, ...]:
    """The stretches after the first buckets in which deadlines cut off more calls than usual.

    `counts` are those of the method by status code. None where the aggregate would not stand at the
    deadline, or where latencies are no higher than before: a call is cut off at once if its
    caller's time was spent elsewhere. What is usual is told by fewer buckets than a percentile
    needs, for the chance allows for how many calls there were.
    """
    told = apart(levels, 0, len(levels.starts), FEWEST_BUCKETS)
    if len(told) < FEWEST_BUCKETS or aggregate not in LEFT_OUT:
        return ()
    calls = _calls(levels, counts)
    if calls is None:
        return ()
    quiet = told[-1] + 1
    found = _stretches(calls, quiet)
    before = min((first for first, _ in found if first >= quiet), default=quiet)
    if before > quiet:
        found = _stretches(calls, before)
    cuts = (_cut(levels, calls, before, *each) for each in found if each[0] >= quiet)
    least = LEFT_OUT[aggregate]
    return tuple(c for c in cuts if c is not None and c.calls.cut > least * c.calls.calls)


def _calls(levels: Levels, counts: pd.DataFrame) -> _Calls | None:
    """The calls by bucket as the program and metric saw them that saw most cut off, if any was."""
    is_cut = counts["status"].isin([s for s in distinct(counts, "status") if s.upper() in CUT_OFF])
    if not counts.loc[is_cut, "value"].any():
        return None
    views = []
    named = each_once(
        counts.assign(is_cut=is_cut, program=renamed(counts["owner"], str, missing=""))
    )
    for _, rows in pieces(named, "metric", "program"):
        starts = seconds_of(rows["at"])
        place = np.searchsorted(levels.starts, starts, side="right") - 1
        inside = (place >= 0) & (starts < levels.ends[place])
        numbers = rows["value"].to_numpy(dtype=float)[inside]
        cut = numbers * rows["is_cut"].to_numpy()[inside]
        size = len(levels.starts)
        of_all, of_cut = (np.bincount(place[inside], each, size) for each in (numbers, cut))
        views.append(_Calls(of_cut.astype(np.float64), of_all.astype(np.float64)))
    return max(views, key=lambda calls: (float(calls.cut.sum()), float(calls.all.sum())))


def _stretches(calls: _Calls, quiet: int) -> tuple[tuple[int, int], ...]:
    """Where three times the usual share of calls is cut off, by more than chance.

    Scores are log likelihood ratios of two Poisson rates (Kulldorff, Communications in Statistics,
    1997); the usual one by Jeffreys' rule, as it may be zero.
    """
    cut, known = calls.between(0, quiet)
    fall = (cut + 0.5) / (known + 1.0) * (SHIFT_FACTOR - 1.0)
    scores = calls.cut * math.log(SHIFT_FACTOR) - calls.all * fall
    return high_stretches(scores, -math.log(CHANCE))


def _cut(levels: Levels, calls: _Calls, before: int, first: int, last: int) -> Cut | None:
    during, usual = calls.between(first, last + 1), calls.between(0, before)
    both = _both(during, usual)
    earlier, meanwhile = levels.values[:before], levels.values[first : last + 1]
    if (
        len(apart(levels, first, last + 1, FEWEST_BUCKETS)) < FEWEST_BUCKETS
        or not gave_up_more(both)
        or _share_above(meanwhile, earlier) < LARGE_EFFECT
    ):
        return None
    sure = [
        n for n in range(first, last + 1) if gave_up_more(_both(calls.between(n, n + 1), usual))
    ]
    rise = Rise(
        first,
        last,
        first_unsure=_while_cut(calls, first, -1),
        first_sure=sure[0] if sure else last,
        last_sure=sure[-1] if sure else last,
        last_unsure=_while_cut(calls, last, 1),
    )
    return Cut(rise, float(np.median(earlier)), both)


def _both(during: tuple[int, int], before: tuple[int, int]) -> CutOff:
    return CutOff(cut=during[0], calls=during[1], cut_before=before[0], calls_before=before[1])


def _share_above(later: NDArray[np.float64], earlier: NDArray[np.float64]) -> float:
    """How often one of the later values is above one of the earlier ones; equal ones are half."""
    ordered = np.sort(earlier)
    below = np.searchsorted(ordered, later, "left") + np.searchsorted(ordered, later, "right")
    return float(below.mean()) / (2 * len(ordered))


def _while_cut(calls: _Calls, place: int, step: int) -> int:
    """The furthest bucket this way up to which calls were cut off in each."""
    while 0 <= place + step < len(calls.cut) and calls.cut[place + step] > 0:
        place += step
    return place

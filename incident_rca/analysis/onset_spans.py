"""When a rate of counted events began to rise: the instants that a step and a ramp leave open."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

# The span holds this share of the posterior. Drawn bursts (tests/analysis/test_onset_spans.py) are
# covered at 0.99 if they are steps and at 0.93 if they are ramps of 120 s; 0.9 is the aim.
CREDIBLE = 0.97
# The rate of a burst is its own near its start only: what comes later (retries, a full pool) would
# move it. Sixty events tell a rate to within an eighth, and over sixty a ramp is eleven nats
# likelier than a step. Of wide buckets it takes several to see a rise.
EVENTS_READ = 60
BUCKETS_READ = 5
# Ramps of these lengths, as shares of the stretch that is read: beyond the last one only the slope
# is left to see. They share one half of the prior, the step has the other.
RAMPS = tuple(2.0**power for power in range(-6, 3))
CANDIDATES = 160
# What instants that are exact are rounded to.
EXACT_SECONDS = 0.001
# The mass of the earliest candidate, beside the mean one's, below which none earlier is looked at.
_NEGLIGIBLE = 0.01
_EM_STEPS = 12


def onset_bounds(
    seconds: NDArray[np.float64], first: int, rate: float, earliest: float, resolution: float
) -> tuple[float, float]:
    """The first and the last instant at which a burst may have begun, in the unit of `seconds`.

    `seconds` are the sorted events, `first` the burst's first one, `rate` the quiet rate; an event
    lies within `resolution` seconds after what it is stamped with. Before `earliest` nothing is
    known. The densest CREDIBLE share of the onset's posterior, flat before the events, over a step
    of the rate and ramps of any length, each with the rate that fits it best. (Half of a step's
    likelihood lies within 0.7 gaps between events before the first one, whatever the method.)
    """
    width = max(resolution, EXACT_SECONDS)
    start = float(seconds[first])
    by_time = int(np.searchsorted(seconds, start + BUCKETS_READ * width))
    last = min(max(first + EVENTS_READ, by_time), len(seconds)) - 1
    end = float(seconds[last]) + width
    reach = end - start
    while True:
        floor = max(earliest, start - reach)
        candidates = _candidates(seconds, first, last, floor, width)
        density = _posterior(seconds, candidates, end, rate, width)
        mass = density * np.gradient(candidates)
        mass /= mass.sum()
        if floor <= earliest or mass[0] * len(mass) < _NEGLIGIBLE:
            break
        reach *= 2.0
    densest = np.argsort(-density, kind="stable")
    enough = int(np.searchsorted(np.cumsum(mass[densest]), CREDIBLE))
    held = densest[: enough + 1]
    # One candidate further on each side: the bound lies between two of them.
    lo, hi = max(int(held.min()) - 1, 0), min(int(held.max()) + 1, len(candidates) - 1)
    return float(candidates[lo]), float(candidates[hi])


def _candidates(
    seconds: NDArray[np.float64], first: int, last: int, floor: float, width: float
) -> NDArray[np.float64]:
    """Onsets to try: evenly from the floor to the middle of what is read, and at each event."""
    ceiling = float(seconds[(first + last) // 2]) + width / 2
    inside = seconds[(seconds >= floor) & (seconds <= ceiling)]
    evenly = np.linspace(floor, ceiling, CANDIDATES)
    found: NDArray[np.float64] = np.unique(np.concatenate([evenly, inside, inside + width]))
    return found[found <= ceiling]


def _posterior(
    seconds: NDArray[np.float64],
    candidates: NDArray[np.float64],
    end: float,
    rate: float,
    width: float,
) -> NDArray[np.float64]:
    """Of each candidate its posterior density beside that of the best, before normalising.

    A Poisson process of the quiet rate and, from the onset on, one that rises to its own rate; the
    latter by expectation and maximisation: which share of each event is its.
    """
    floor = float(candidates[0])
    inside = seconds[(seconds >= floor) & (seconds < end)]
    stamps, counts = np.unique(inside, return_counts=True)
    ramps = np.array([0.0, *RAMPS])[None, :, None] * max(end - float(stamps[0]), width)
    priors = np.array([0.5, *(0.5 / len(RAMPS) for _ in RAMPS)])
    onsets, starts = candidates[:, None, None], stamps[None, None, :]
    risen = (_risen(starts + width - onsets, ramps) - _risen(starts - onsets, ramps)) / width
    whole = _risen(end - onsets, ramps)[..., 0]
    own = counts.sum() / whole
    for _ in range(_EM_STEPS):
        means = own[..., None] * risen
        own = (counts * means / (rate + means)).sum(axis=-1) / whole
    logs = (counts * np.log(rate + own[..., None] * risen)).sum(axis=-1) - own * whole
    found: NDArray[np.float64] = np.exp(logs - logs.max()) @ priors
    return found


def _risen(since: NDArray[np.float64], ramp: NDArray[np.float64]) -> NDArray[np.float64]:
    """The integral of a rate that rises from 0 to 1 over `ramp` seconds and then stays."""
    after = np.clip(since, 0.0, None)
    rising = np.minimum(after, ramp)
    slope = np.divide(rising, 2.0 * ramp, out=np.zeros_like(after + ramp), where=ramp > 0)
    found: NDArray[np.float64] = rising * slope + (after - rising)
    return found

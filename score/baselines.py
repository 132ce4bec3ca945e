"""What the score is compared with: three plain ways to name a cause, each given the outage.

Each gets the same series and is told when the failures began and ended, which it would otherwise
have to find; each names a kind and an object, or nothing.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from typing import TypeAlias

from score.blame import Blame
from score.signals import Signal

Outage: TypeAlias = tuple[float, float]
Baseline: TypeAlias = Callable[[Sequence[Signal], Outage], Blame | None]
# A lead-up that ends so long before the first failure is taken as what is usual.
BEFORE = 120.0
SIGMAS = 3.0


def first_timestamp(signals: Sequence[Signal], outage: Outage) -> Blame | None:
    """The series with the earliest bucket beyond three sigma: what is stamped first is the cause.

    As an engineer sorts events of several systems by their time stamps. Usual is what lies more
    than two minutes before the first failure.
    """
    found: list[tuple[float, str, str]] = []
    for signal in signals:
        usual = [v for at, v in signal.points if at < outage[0] - BEFORE]
        if len(usual) < 2:
            continue
        limit = statistics.fmean(usual) + SIGMAS * statistics.pstdev(usual)
        beyond = [
            at for at, v in signal.points if outage[0] - BEFORE <= at <= outage[1] and v > limit
        ]
        if beyond:
            found.append((min(beyond), signal.kind, signal.object))
    return Blame(*min(found)[1:]) if found else None


def robust_z(signals: Sequence[Signal], outage: Outage) -> Blame | None:
    """The series with the largest robust z-score after the outage began: the scorer of BARO.

    Pham et al., FSE 2024: median and interquartile range of the time before, the largest |z| after.
    As scikit-learn's RobustScaler does, a range of zero counts as one.
    """
    found: list[tuple[float, str, str]] = []
    for signal in signals:
        usual = [v for at, v in signal.points if at < outage[0]]
        after = [v for at, v in signal.points if outage[0] <= at]
        if len(usual) < 2 or not after:
            continue
        low, middle, high = statistics.quantiles(usual, n=4, method="inclusive")
        scale = (high - low) or 1.0
        found.append((max(abs(v - middle) for v in after) / scale, signal.kind, signal.object))
    best = max(found, key=lambda f: (f[0], f[1], f[2]), default=None)
    return Blame(*best[1:]) if best and best[0] > 0 else None


def lock_waits(signals: Sequence[Signal], outage: Outage) -> Blame | None:
    """The relation for which most sessions were seen to wait during the outage; else nothing."""
    found = [
        (sum(v for at, v in s.points if outage[0] - BEFORE <= at <= outage[1]), s.kind, s.object)
        for s in signals
        if s.kind == "lock_blocking"
    ]
    best = max(found, default=None)
    return Blame(*best[1:]) if best and best[0] > 0 else None


BASELINES: Mapping[str, Baseline] = {
    "first timestamp": first_timestamp,
    "robust z-score": robust_z,
    "lock waits": lock_waits,
}

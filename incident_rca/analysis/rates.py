"""Whether two rates of counted events differ, and where a rate was high: Poisson statistics."""

from __future__ import annotations

import math
from collections.abc import Sequence


def binomial_tail(successes: int, trials: int, share: float) -> float:
    """The chance of so many successes or more in `trials`, each with this share.

    1 where there are no more than the mean: such a tail is never small.

    >>> round(binomial_tail(9, 10, 0.5), 4)
    0.0107
    """
    if successes <= trials * share:
        return 1.0
    if share <= 0.0:
        return 0.0
    log = math.lgamma(trials + 1) - math.lgamma(successes + 1) - math.lgamma(trials - successes + 1)
    first = math.exp(log + successes * math.log(share) + (trials - successes) * math.log1p(-share))
    # Each further term by its ratio to the one before; above the mean terms only fall.
    odds, term, total = share / (1.0 - share), 1.0, 1.0
    for k in range(successes, trials):
        term *= (trials - k) / (k + 1) * odds
        total += term
        if term <= total * 1e-12:
            break
    return min(1.0, first * total)


def chance_of_more(events: int, seconds: float, usual: int, usual_seconds: float) -> float:
    """The chance of `events` or more in `seconds` if the rate were the usual one.

    Given both counts together, how they fall to the two stretches is binomial (Przyborowski and
    Wilenski, Biometrika 1940), so that nothing has to be known of the rate itself.

    >>> chance_of_more(40, 10.0, 40, 40.0) < 0.001
    True
    """
    whole = seconds + usual_seconds
    if whole <= 0 or seconds <= 0:
        return 1.0
    return binomial_tail(events, events + usual, seconds / whole)


def high_stretch(counts: Sequence[int], usual: float, factor: float) -> tuple[int, int] | None:
    """First and last position of the stretch that best fits `factor` times the usual rate.

    The largest sum of log likelihood ratios of two Poisson rates, as in Kulldorff's scan statistic
    (Communications in Statistics, 1997); None where no stretch fits it better than the usual rate.

    >>> high_stretch([1, 1, 5, 6, 4, 1, 0], usual=1.0, factor=2.0)
    (2, 4)
    """
    gain, fall = math.log(factor), usual * (factor - 1.0)
    best: tuple[float, int, int] = (0.0, 0, -1)
    total, begin = 0.0, 0
    for position, count in enumerate(counts):
        if total <= 0.0:
            total, begin = 0.0, position
        total += count * gain - fall
        if total > best[0]:
            best = (total, begin, position)
    return (best[1], best[2]) if best[2] >= 0 else None

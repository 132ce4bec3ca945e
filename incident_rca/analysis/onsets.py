"""Where a burst of counted events begins and ends: Poisson CUSUM (Page 1954; Lucas 1985)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

# A burst worth an outage: a dozen events a minute, five times what is usual, and five events more
# than the quiet rate explains.
BURST_RATE_PER_SECOND = 0.2
BURST_FACTOR = 5.0
ALARM = 5.0
# The statistic is cut off here, so that a long burst does not hide that it ended.
CEILING = 2 * ALARM


@dataclass(frozen=True, slots=True)
class Burst:
    """Positions of the first and last event of a burst in the sorted events, inclusive."""

    first: int
    last: int

    @property
    def events(self) -> int:
        return self.last - self.first + 1


def quiet_rate(events: int, seconds: float) -> float:
    """The Jeffreys estimate of a rate, events a second, which is not zero where none was seen.

    >>> quiet_rate(0, 86_400) > 0
    True
    """
    return (events + 0.5) / seconds


def bursts_in(arrivals: Sequence[datetime], rate: float) -> tuple[Burst, ...]:
    """The bursts among sorted arrivals, given the quiet rate; what is in none of them is a blip.

    The statistic grows by one an event and falls by the CUSUM reference value a second. A burst
    begins with the first event after the statistic's last zero and ends with the last event before
    its next; it counts once it has crossed ALARM.
    """
    burst_rate = max(BURST_RATE_PER_SECOND, BURST_FACTOR * rate)
    fall = (burst_rate - rate) / math.log(burst_rate / rate)
    found: list[Burst] = []
    statistic, first, alarmed = 0.0, 0, False
    for position, at in enumerate(arrivals):
        if position:
            quiet_for = (at - arrivals[position - 1]).total_seconds()
            statistic = max(0.0, statistic - fall * quiet_for)
        if statistic == 0.0:
            if alarmed:
                found.append(Burst(first, position - 1))
            first, alarmed = position, False
        statistic = min(CEILING, statistic + 1.0)
        alarmed = alarmed or statistic >= ALARM
    if alarmed:
        found.append(Burst(first, len(arrivals) - 1))
    return tuple(found)


def poisson_tail(events: int, mean: float) -> float:
    """The chance of `events` or more where `mean` are expected.

    >>> round(poisson_tail(1, 0.5), 4)
    0.3935
    """
    logs = (k * math.log(mean) - mean - math.lgamma(k + 1) for k in range(events))
    return max(0.0, 1.0 - math.fsum(math.exp(log) for log in logs))

"""Where a burst of counted events begins and ends: Poisson CUSUM (Page 1954; Lucas 1985)."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

# A burst worth an outage: a dozen events a minute, five times what is usual, and eight events more
# than the quiet rate explains (five raise an alarm in steady noise too often).
BURST_RATE_PER_SECOND = 0.2
BURST_FACTOR = 5.0
ALARM = 8.0
# The statistic is cut off here, so that a long burst does not hide that it ended.
CEILING = 2 * ALARM
# A quiet that comes by chance less often than this is one.
QUIET_BY_CHANCE = 0.01
# After two minutes in which no more fails than usual people say that it is over.
REST = timedelta(minutes=2)


@dataclass(frozen=True, slots=True)
class Burst:
    """Positions of the first and last event of a burst in the sorted events, inclusive.

    `weak_until` is that of the last event of a weaker phase that it begins with, None without one.
    """

    first: int
    last: int
    weak_until: int | None = None

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
    fall = _fall(max(BURST_RATE_PER_SECOND, BURST_FACTOR * rate), rate)
    whole = range(len(arrivals))
    return tuple(
        b for raw in _alarms(arrivals, whole, fall, CEILING) for b in _parts(arrivals, raw, rate)
    )


def _alarms(
    arrivals: Sequence[datetime], places: range, fall: float, ceiling: float
) -> Iterator[Burst]:
    """Where the statistic crossed ALARM, among some of the arrivals, from its zero to its zero."""
    statistic, first, last, alarmed = 0.0, places.start, places.start, False
    for position in places:
        if position > places.start:
            quiet_for = (arrivals[position] - arrivals[position - 1]).total_seconds()
            statistic = max(0.0, statistic - fall * quiet_for)
        if statistic == 0.0:
            if alarmed:
                yield Burst(first, last)
            first, alarmed = position, False
        last = position
        statistic = min(ceiling, statistic + 1.0)
        alarmed = alarmed or statistic >= ALARM
    if alarmed:
        yield Burst(first, last)


def _fall(burst_rate: float, quiet: float) -> float:
    """The CUSUM reference value between two Poisson rates (Lucas 1985)."""
    return (burst_rate - quiet) / math.log(burst_rate / quiet)


def _parts(arrivals: Sequence[datetime], burst: Burst, rate: float) -> list[Burst]:
    """The burst cut to its own edges, with what beside these would be a burst by itself.

    An outage may begin weakly, where few requests meet its cause, or end so: what lies so close
    that the quiet between is chance, at the lower of both rates, is a phase of it. The others are
    outages of their own, as are those that a rest parts.
    """
    core = _with_own_edges(arrivals, burst, rate)
    fall = _fall(max(_rate(arrivals, core), BURST_FACTOR * rate), rate)
    ceiling = max(CEILING, fall * REST.total_seconds())
    rested = tuple(_alarms(arrivals, range(core.first, core.last + 1), fall, ceiling))
    cores = [_with_own_edges(arrivals, b, rate) for b in rested] if len(rested) > 1 else [core]
    before = _within(arrivals, burst.first, core.first, rate)
    behind = _within(arrivals, core.last + 1, burst.last + 1, rate)
    found: list[Burst] = []
    for part in (*before, *cores, *behind):
        if found and _is_phase(arrivals, found[-1], part):
            found[-1] = _joined(arrivals, found[-1], part)
        else:
            found.append(part)
    return found


def _within(arrivals: Sequence[datetime], first: int, end: int, rate: float) -> list[Burst]:
    """The bursts among some of the arrivals, by their positions among all."""
    return [
        Burst(b.first + first, b.last + first, b.weak_until and b.weak_until + first)
        for b in bursts_in(arrivals[first:end], rate)
    ]


def _rate(arrivals: Sequence[datetime], burst: Burst) -> float:
    seconds = (arrivals[burst.last] - arrivals[burst.first]).total_seconds()
    return burst.events / max(seconds, 1.0)


def _is_phase(arrivals: Sequence[datetime], one: Burst, other: Burst) -> bool:
    quiet = (arrivals[other.first] - arrivals[one.last]).total_seconds()
    return math.exp(-quiet * min(_rate(arrivals, b) for b in (one, other))) > QUIET_BY_CHANCE


def _joined(arrivals: Sequence[datetime], one: Burst, other: Burst) -> Burst:
    weak_until = one.weak_until
    if weak_until is None and _rate(arrivals, one) < _rate(arrivals, other):
        weak_until = one.last
    return Burst(one.first, other.last, weak_until)


def _with_own_edges(arrivals: Sequence[datetime], burst: Burst, rate: float) -> Burst:
    """The burst cut to where its own rate holds: noise before and behind it falls away.

    The step model's likelihood is largest on the segment with the largest sum, one for an event
    less the fall for each second between two; done twice, because the rate depends on the edges.
    """
    for _ in range(2):
        seconds = (arrivals[burst.last] - arrivals[burst.first]).total_seconds()
        own = burst.events / seconds if seconds else BURST_RATE_PER_SECOND
        fall = _fall(max(own, BURST_FACTOR * rate), rate)
        best, sum_so_far, begin = (0.0, burst), 0.0, burst.first
        for position in range(burst.first, burst.last + 1):
            gap = (arrivals[position] - arrivals[max(position - 1, 0)]).total_seconds()
            sum_so_far -= fall * gap if position > begin else 0.0
            if sum_so_far <= 0.0:
                sum_so_far, begin = 0.0, position
            sum_so_far += 1.0
            if sum_so_far > best[0]:
                best = (sum_so_far, Burst(begin, position))
        burst = best[1]
    return burst


def poisson_tail(events: int, mean: float) -> float:
    """The chance of `events` or more where `mean` are expected.

    >>> round(poisson_tail(1, 0.5), 4)
    0.3935
    """
    logs = (k * math.log(mean) - mean - math.lgamma(k + 1) for k in range(events))
    return max(0.0, 1.0 - math.fsum(math.exp(log) for log in logs))

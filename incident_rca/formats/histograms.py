"""Histograms with fixed bounds and with exponential ones: added, differenced, read by quantile.

The meaning of bounds, offsets and scales is that of OpenTelemetry's "Metrics Data Model".
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

# A scale of 20 has a million buckets between 1 and 2 (the largest that the data model names).
LARGEST_SCALE = 20
_LARGEST_INDEX = 2**32  # of an offset of 32 bits and what stands behind it


@dataclass(frozen=True, slots=True, kw_only=True)
class Histogram:
    """Counts of observations by bucket, in the metric's own unit.

    With fixed bounds `counts[i]` is what lies in (bounds[i-1], bounds[i]], the last one beyond them
    all. With a `scale` the buckets are `exponents`: index -> count in (base^i, base^(i+1)], where
    base = 2^(2^-scale), and `zeros` observations up to `zero_threshold`. `sum` is None where it is
    not recorded.
    """

    count: int
    sum: float | None = None
    bounds: tuple[float, ...] = ()
    counts: tuple[int, ...] = ()
    scale: int | None = None
    exponents: Mapping[int, int] = field(default_factory=dict, hash=False)
    zeros: int = 0
    zero_threshold: float = 0.0

    @property
    def shape(self) -> tuple[float, ...] | None:
        """What two histograms must share to be added: the bounds, or None for exponential ones."""
        return None if self.scale is not None else self.bounds


def checked(histogram: Histogram) -> Histogram:
    """The histogram, if its buckets are in order and hold as many as it counts; else ValueError."""
    inside = sum(histogram.counts) + sum(histogram.exponents.values()) + histogram.zeros
    has_buckets = bool(histogram.counts) or histogram.scale is not None
    if histogram.count < 0 or (has_buckets and inside != histogram.count):
        raise ValueError(f"{inside} observations in the buckets of {histogram.count}")
    if any(n < 0 for n in (*histogram.counts, *histogram.exponents.values(), histogram.zeros)):
        raise ValueError("a bucket with less than nothing in it")
    if histogram.counts and len(histogram.counts) != len(histogram.bounds) + 1:
        raise ValueError(f"{len(histogram.counts)} counts for {len(histogram.bounds)} bounds")
    if list(histogram.bounds) != sorted(set(histogram.bounds)):
        raise ValueError("bounds that do not rise")
    if not all(math.isfinite(bound) for bound in histogram.bounds):
        raise ValueError("a bound that is no number")
    if histogram.scale is not None and abs(histogram.scale) > LARGEST_SCALE:
        raise ValueError(f"a scale of {histogram.scale}")
    if any(abs(index) >= _LARGEST_INDEX for index in histogram.exponents):
        raise ValueError("an index beyond 32 bits")
    if histogram.sum is not None and not math.isfinite(histogram.sum):
        raise ValueError("a sum that is no number")
    return histogram


def plus(one: Histogram, other: Histogram) -> Histogram:
    """Both together; of two scales the coarser one stays. Raises ValueError for other bounds."""
    return _joined(one, other, 1)


def minus(later: Histogram, earlier: Histogram) -> Histogram:
    """What came in between; raises ValueError where a bucket or the count has become smaller."""
    return checked(_joined(later, earlier, -1))


def _joined(one: Histogram, other: Histogram, sign: int) -> Histogram:
    if one.shape != other.shape or len(one.counts) != len(other.counts):
        raise ValueError("histograms of different bounds")
    total = None if one.sum is None or other.sum is None else one.sum + sign * other.sum
    if one.scale is None or other.scale is None:
        pairs = zip(one.counts, other.counts, strict=True)
        return Histogram(
            count=one.count + sign * other.count,
            sum=total,
            bounds=one.bounds,
            counts=tuple(a + sign * b for a, b in pairs),
        )
    scale = min(one.scale, other.scale)
    together = Counter(_coarser(one, scale))
    for index, number in _coarser(other, scale).items():
        together[index] += sign * number
    return Histogram(
        count=one.count + sign * other.count,
        sum=total,
        scale=scale,
        exponents={index: number for index, number in together.items() if number},
        zeros=one.zeros + sign * other.zeros,
        zero_threshold=max(one.zero_threshold, other.zero_threshold),
    )


def _coarser(histogram: Histogram, scale: int) -> Mapping[int, int]:
    """The exponential buckets at a smaller scale: each step down merges neighbours in pairs."""
    found: Counter[int] = Counter()
    for index, number in histogram.exponents.items():
        found[index >> ((histogram.scale or 0) - scale)] += number
    return found


def quantile(histogram: Histogram, share: float) -> float | None:
    """The value below which that share of the observations lies, None where nothing was observed.

    Linear within a bucket, as Prometheus' histogram_quantile does it: the lowest bucket begins at
    zero, and beyond the top finite bound there is nothing but that bound.
    """
    buckets = list(_buckets(histogram))
    rank = share * sum(number for _, _, number in buckets)
    below = 0
    for lower, upper, number in buckets:
        if number and below + number >= rank:
            if math.isinf(upper):
                return lower
            return lower + (upper - lower) * max(0.0, rank - below) / number
        below += number
    return None


def _buckets(histogram: Histogram) -> Iterator[tuple[float, float, int]]:
    """The buckets from low to high as (lower, upper, count)."""
    if histogram.scale is not None:
        growth = 2.0**-histogram.scale
        yield 0.0, histogram.zero_threshold, histogram.zeros
        for index, number in sorted(histogram.exponents.items()):
            yield _power(index * growth), _power((index + 1) * growth), number
        return
    if not histogram.bounds:
        return
    lower = min(0.0, histogram.bounds[0])
    for upper, number in zip(histogram.bounds, histogram.counts, strict=False):
        yield lower, upper, number
        lower = upper
    yield lower, math.inf, histogram.counts[-1] if histogram.counts else 0


def _power(exponent: float) -> float:
    """2 to a power, without overflow: a latency that large is none."""
    return math.pow(2.0, min(exponent, 1000.0))

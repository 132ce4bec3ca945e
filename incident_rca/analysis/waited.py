"""How long failed requests took, as far as their source tells: a rollup gives bounds only."""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING

from incident_rca.model import BUCKET_GROWTH, Case

if TYPE_CHECKING:
    import pandas as pd

# What these say of a latency is the upper bound of its bucket, so much above the lower one.
_ROLLUPS = frozenset({"gateway_rollup", "load_balancer_rollup"})
# An error that took longer than this was waited for: no time-out in use is shorter (Hystrix, 1 s).
FAST_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Took:
    """Between which two times something took, in ms; both are the same where it was measured."""

    least_ms: float
    most_ms: float

    @property
    def in_seconds(self) -> str:
        """The time in seconds, or its bounds.

        >>> Took(30_027.0, 30_027.0).in_seconds, Took(29_634.0, 30_227.0).in_seconds
        ('30.0 s', '29.6 to 30.3 s')
        """
        if self.least_ms == self.most_ms:
            return f"{self.most_ms / 1000:.1f} s"
        return f"{floor_seconds(self.least_ms)} to {math.ceil(self.most_ms / 100) / 10:.1f} s"

    @property
    def in_ms(self) -> str:
        """The time in milliseconds, or its bounds.

        >>> Took(29.5, 29.5).in_ms, Took(2_963.4, 3_022.0).in_ms
        ('30 ms', '2,963 to 3,022 ms')
        """
        if self.least_ms == self.most_ms:
            return f"{self.most_ms:,.0f} ms"
        return f"{math.floor(self.least_ms):,} to {math.ceil(self.most_ms):,} ms"


def floor_seconds(ms: float) -> str:
    """Seconds with one decimal of which "or longer" can be said, as rounding up could not.

    >>> floor_seconds(30_059.0)
    '30.0'
    """
    return f"{math.floor(ms / 100) / 10:.1f}"


def least_ms(case: Case, failures: pd.DataFrame) -> pd.Series[float]:
    """How long each failed request took at least, in ms; NaN where nobody measured it."""
    rollups = [s.name for s in case.sources if s.kind in _ROLLUPS]
    took = failures["latency_ms"].astype(float)
    return took.where(~failures["source"].isin(rollups), took / BUCKET_GROWTH)


def usually(case: Case, failures: pd.DataFrame) -> Took | None:
    """The median of those that were measured; None where none was."""
    took = failures["latency_ms"].dropna()
    if took.empty:
        return None
    least = least_ms(case, failures).dropna()
    return Took(*(median(float(ms) for ms in column) for column in (least, took)))

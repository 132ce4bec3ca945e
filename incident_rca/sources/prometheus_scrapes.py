"""How often a Prometheus server scraped a metric, and what it knows of that metric."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median

from incident_rca.model import TimeWindow
from incident_rca.sources.http import Failed
from incident_rca.sources.prometheus_api import Asking
from incident_rca.sources.promql import duration, exactly, promql, selector

# After these there is no use in asking the same server anything else.
HOPELESS = frozenset({"unreachable", "redirected", "timeout", "connection_broken", "http_401"})
# The longest stretch whose scrapes are looked at for the interval between them.
_LONGEST_LOOK_SECONDS = 3_600.0


@dataclass(frozen=True, slots=True)
class Pace:
    """How often a metric is scraped, and the window of a rate over it; in seconds."""

    step: float
    window: float


def pace_of(gaps: Sequence[float]) -> Pace:
    """The usual gap between scrapes, and the smallest window that holds two of them for sure.

    A scrape may come late by some of its interval; a missing one makes a gap and no interval.

    >>> pace_of([15.0, 15.001, 14.999, 60.0])
    Pace(step=15.0, window=30.001)
    """
    step = round(median(gaps), 3)
    if step >= 1 and abs(step - round(step)) < 0.1:
        step = float(round(step))
    usual = max((gap for gap in gaps if gap < 1.5 * step), default=step)
    return Pace(step, round(max(2 * step, step + usual), 3))


def metadata(asking: Asking, metric: str) -> dict[str, str]:
    """`unit` and `type` as the server knows them: of today's targets, so often nothing."""
    try:
        data = asking.data("metadata", [("metric", metric)])
    except Failed as error:
        if error.code in HOPELESS:
            raise
        return {}
    entries = data.get(metric) if isinstance(data, dict) else None
    known = [entry for entry in entries or () if isinstance(entry, dict)]
    units = {str(entry["unit"]) for entry in known if entry.get("unit")}
    types = {str(entry["type"]) for entry in known if entry.get("type")}
    both = (("unit", units), ("type", types))
    return {key: values.pop() for key, values in both if len(values) == 1}


def gaps(asking: Asking, series: str, window: TimeWindow) -> list[float]:
    """The seconds between the scrapes of the series that has most of them."""
    look = duration(min(window.seconds, _LONGEST_LOOK_SECONDS))
    at = ("time", f"{window.end.timestamp():.3f}")
    wanted = selector(series, asking.server.matchers)
    for within in dict.fromkeys((look, duration(window.seconds))):
        most = promql("scrapes_series", selector=wanted, window=within)
        found = asking.result("query", [("query", most), at], "vector")
        if not found:
            continue
        # count_over_time takes the name away.
        labels = {"__name__": series, **found[0]["metric"]}
        raw = promql("scrapes", selector=exactly(labels), window=within)
        (one,) = asking.result("query", [("query", raw), at], "matrix") or [{"values": []}]
        times = sorted(float(value[0]) for value in one["values"])
        return [b - a for a, b in pairwise(times) if b > a]
    return []

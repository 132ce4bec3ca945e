"""In which unit a latency metric counts, how that is known, and where its histogram ends."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal

from incident_rca.errors import BadInput
from incident_rca.formats.known_metrics import KNOWN
from incident_rca.formats.metric_names import known, suffix_unit
from incident_rca.redact import told

Basis = Literal["settings", "payload", "name", "suffix", "buckets"]


@dataclass(frozen=True, slots=True)
class Unit:
    """The factor from the metric's unit to milliseconds, and what says so (`unit_basis`)."""

    factor_to_ms: float
    basis: Basis


_FACTORS: Mapping[str, float] = {"s": 1000.0, "ms": 1.0, "us": 0.001, "ns": 0.000001}
# The ways in which answers write a unit of time: UCUM (OTLP), words (CloudWatch, Prometheus).
_SPELLINGS: Mapping[str, str] = {
    **{short: short for short in _FACTORS},
    **dict.fromkeys(("sec", "second", "seconds"), "s"),
    **dict.fromkeys(("msec", "milli", "millis", "millisecond", "milliseconds"), "ms"),
    **dict.fromkeys(("µs", "μs", "usec", "micros", "microsecond", "microseconds"), "us"),
    **dict.fromkeys(("nsec", "nano", "nanos", "nanosecond", "nanoseconds"), "ns"),
}
_NOTHING_SAID = frozenset({"", "1", "none", "unknown", "{call}", "{attempt}"})

# Bounds of the OpenTelemetry SDK's default histogram, which its metrics in milliseconds use
# (OpenTelemetry specification, "Explicit Bucket Histogram Aggregation").
_MS_BOUNDS = frozenset({5.0, 10.0, 25.0, 50.0, 100.0, 250.0, 500.0, 1000.0, 2500.0, 5000.0, 1e4})
_LONGEST_BOUND_SECONDS = 120.0
_SHORTEST_BOUND_SECONDS = 0.01


def unit_of(
    metric: str,
    *,
    setting: str = "",
    payload: str | Mapping[str, Any] | None = None,
    bounds: Sequence[float] | None = None,
) -> Unit:
    """The unit of a latency metric; the first that says it wins, and values never do.

    In this order: `setting`, the user's (`s`, `ms`, `us`, `ns`); `payload`, the unit in the answer
    (a text, or Datadog's object with `family` and `scale_factor`); the exact name; the suffix of
    the name; `bounds`, the finite bounds of its histogram. Raises BadInput where none says it, and
    where the answer states a unit that is not one of time.

    >>> unit_of("grpc.client.duration", payload="s")
    Unit(factor_to_ms=1000.0, basis='payload')
    """
    if setting:
        return Unit(_factor(setting, metric), "settings")
    if payload and (factor := _payload_factor(payload, metric)) is not None:
        return Unit(factor, "payload")
    if (by_name := known(metric)) and by_name.unit:
        return Unit(_FACTORS[by_name.unit], "name" if by_name in KNOWN else "suffix")
    if suffix := suffix_unit(metric):
        return Unit(_FACTORS[suffix], "suffix")
    if bounds is not None and (factor := _bounds_factor(bounds)) is not None:
        return Unit(factor, "buckets")
    raise BadInput(
        f"the unit of {metric} is unknown: neither its answer nor its name states it",
        hint=(
            'set `unit = "ms"` (or s, us, ns) where incident-rca.toml names the metric in `latency`'
        ),
    )


def is_time(payload: str | Mapping[str, Any] | None) -> bool:
    """Whether a unit that an answer states is one of time."""
    if isinstance(payload, Mapping):
        return payload.get("family") == "time"
    return bool(payload) and _spelled(str(payload)) in _SPELLINGS


def _spelled(text: str) -> str:
    """Lower case but for what UCUM tells apart by it: `Ms` would be a megasecond."""
    text = text.strip()
    return text.casefold() if len(text) > 2 else text


def _factor(text: str, metric: str) -> float:
    unit = _SPELLINGS.get(_spelled(text))
    if unit is None:
        raise BadInput(
            f"the unit of {metric} is given as `{told(text)}`, which is no unit of time known here",
            hint="set it to one of s, ms, us, ns",
        )
    return _FACTORS[unit]


def _payload_factor(payload: str | Mapping[str, Any], metric: str) -> float | None:
    """The factor that an answer states, None where it states none."""
    if isinstance(payload, str):
        return None if payload.strip().casefold() in _NOTHING_SAID else _factor(payload, metric)
    if payload.get("family") != "time":
        raise BadInput(
            f"{metric} counts in {told(payload.get('name'))}, which is no time",
            hint="name a latency metric in `latency`, or set its `unit`",
        )
    scale = payload.get("scale_factor")
    if isinstance(scale, bool) or not isinstance(scale, int | float) or not 0 < scale < math.inf:
        return _factor(str(payload.get("name", "")), metric)
    return round(float(scale) * 1000.0, 9)


def _bounds_factor(bounds: Sequence[float]) -> float | None:
    """The factor that the shape of a histogram shows: seconds have bounds of milliseconds."""
    finite = {float(bound) for bound in bounds if 0 < bound < math.inf}
    if not finite:
        return None
    if max(finite) <= _LONGEST_BOUND_SECONDS and min(finite) < _SHORTEST_BOUND_SECONDS:
        return _FACTORS["s"]
    return _FACTORS["ms"] if finite >= _MS_BOUNDS and max(finite) == max(_MS_BOUNDS) else None


# --- where a histogram ends -----------------------------------------------------------------------


def ceiling_of(bounds: Sequence[float]) -> float | None:
    """The top finite bound: no percentile of the histogram can be above it."""
    return max((bound for bound in bounds if math.isfinite(bound)), default=None)


def quantile_of(aggregate: str) -> float | None:
    """The quantile of an aggregate such as `p99` or `p99.9`, None for the others.

    >>> quantile_of("p99"), quantile_of("avg")
    (0.99, None)
    """
    match = re.fullmatch(r"p(\d{1,2}(?:\.\d+)?)", aggregate)
    return float(match[1]) / 100 if match else None


def at_least(value: float, bounds: Sequence[float], *, quantile: float = 0.99) -> float | None:
    """What a percentile proves at least where it is an artefact of its buckets, else None.

    At the top finite bound the true value is anything from there. Where all calls ended in one
    bucket, interpolation gives lo + q·(hi − lo) however long they took: from lo (Prometheus,
    histogram_quantile).

    >>> at_least(10.0, [5.0, 10.0]), at_least(49.7, [20.0, 50.0, 100.0]), at_least(31.0, [20, 50])
    (10.0, 20.0, None)
    """
    finite = sorted({float(bound) for bound in bounds if math.isfinite(bound)})
    if finite and (value >= finite[-1] or _same(value, finite[-1])):
        return finite[-1]
    for lo, hi in pairwise([0.0, *(bound for bound in finite if bound > 0)]):
        if _same(value, lo + quantile * (hi - lo)):
            return lo
    return None


def is_at_ceiling(value: float, bounds: Sequence[float], *, quantile: float = 0.99) -> bool:
    """Whether a percentile is its histogram's top bound or a bucket's interpolation point."""
    return at_least(value, bounds, quantile=quantile) is not None


def _same(one: float, other: float) -> bool:
    return math.isclose(one, other, rel_tol=1e-9)

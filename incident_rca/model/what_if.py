"""What a protection would have done: figures of a model, beside those that were recorded."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from incident_rca.model.evidence import Evidence


@dataclass(frozen=True, slots=True)
class Premise:
    """One thing that the model takes as given, with what it rests on; none for an assumption."""

    text: str
    evidence: tuple[Evidence, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplayFigures:
    """What became of the requests that use a pool, and of the pool.

    Latencies are those of the requests that arrived in the outage, failed ones too. Times are
    seconds from the first failure that was recorded. None: it never happened, or is not known.
    `held_by_step` is the most connections held in each step of the window; None is not recorded.
    """

    requests: int
    failed: int
    by_type: Mapping[str, int] = field(hash=False)
    by_route: Mapping[str, int] = field(hash=False)
    refused: int
    refused_healthy: int
    first_fast_failure_seconds: float | None
    p50_ms: float | None
    p99_ms: float | None
    pool_peak: int | None
    pool_exhausted_after_seconds: float | None
    pool_exhausted_seconds: float | None
    held_by_step: tuple[int | None, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Fit:
    """How the model without a protection tells which requests failed, beside the record.

    `problems` are why it must not be relied on for this incident; none where nothing speaks
    against it.
    """

    failed_in_both: int
    failed_only_recorded: int
    failed_only_in_model: int
    problems: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class WhatIf:
    """One protection replayed: as it was, as the model sees that, and the model with it.

    `protection` names its settings, `settings` does so in words; `basis` says how its breaker's
    behaviour is known. `cancelled` and `left_running` differ in whether a call that timed out is
    cancelled at the backend too.
    """

    pool: str
    pool_size: int
    step_seconds: float
    breaker: str
    basis: str
    protection: Mapping[str, object] = field(hash=False)
    settings: str
    recorded: ReplayFigures
    unprotected: ReplayFigures
    cancelled: ReplayFigures
    left_running: ReplayFigures
    fit: Fit
    premises: tuple[Premise, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class SweptAxis:
    """One setting of a sweep and the values that were tried, as people write them."""

    name: str
    values: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class SweptSetting:
    """One combination of values, by the names of their axes, and its figures in both ways."""

    settings: Mapping[str, str] = field(hash=False)
    cancelled: ReplayFigures
    left_running: ReplayFigures


@dataclass(frozen=True, slots=True, kw_only=True)
class Sweep:
    """Every combination of some values of some settings, replayed as WhatIf replays one.

    `replayed` is the SHA-256 of the traffic. `base` names what all combinations share, as
    `WhatIf.protection` does; `given_pool_size` is a size that the case does not hold. The trials
    follow the axes, the last one quickest. `front_…` are the places among the trials of those that
    no other one beats in requests lost and healthy requests refused, the fewest lost first.
    `step_seconds` is that of each `held_by_step` here, which is coarser than that of WhatIf.
    """

    replayed: str
    pool: str
    pool_size: int
    given_pool_size: int | None
    breaker: str
    basis: str
    base: Mapping[str, object] = field(hash=False)
    axes: tuple[SweptAxis, ...]
    step_seconds: float
    recorded: ReplayFigures
    unprotected: ReplayFigures
    fit: Fit
    trials: tuple[SweptSetting, ...]
    front_cancelled: tuple[int, ...]
    front_left_running: tuple[int, ...]
    premises: tuple[Premise, ...] = ()

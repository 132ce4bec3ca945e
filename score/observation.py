"""How a system is observed: imperfectly, and differently in each case."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass, replace

SYSTEMS = ("postgres", "grpc_metrics", "gateway")
FILES_SHARE = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class Observation:
    """`offsets` are each system's clock against true time, in seconds; `bounds` what is declared.

    `missing` sources were not collected. In `recorder_gap` the recorder did not run. `lost_buckets`
    is the share of metric buckets that never came. `as_files`: the gateway's log and the metrics
    were kept as raw files.
    """

    bucket_seconds: float = 10.0
    interval_seconds: float = 1.0
    knows_wait_start: bool = True
    offsets: Mapping[str, float]
    bounds: Mapping[str, float]
    missing: frozenset[str] = frozenset()
    recorder_gap: tuple[float, float] | None = None
    lost_buckets: float = 0.0
    as_files: bool = False

    @property
    def outside(self) -> tuple[str, ...]:
        """The systems whose clock is further off than is declared."""
        return tuple(s for s in SYSTEMS if abs(self.offsets[s]) > self.bounds[s])

    def has(self, source: str) -> bool:
        return source not in self.missing


def usual_observation(rng: random.Random) -> Observation:
    """A complete observation with a resolution, clocks and losses as they come.

    A tenth of the clocks that are off are off by more than is declared.
    """
    bounds = {system: rng.choice((0.05, 0.5, 2.0)) for system in SYSTEMS}
    return Observation(
        bucket_seconds=rng.choice((1.0, 10.0, 10.0, 20.0, 60.0)),
        interval_seconds=rng.choice((0.5, 1.0, 1.0, 2.0, 5.0)),
        knows_wait_start=rng.random() < 0.8,
        bounds=bounds,
        offsets={s: rng.uniform(-b, b) for s, b in bounds.items()},
        missing=frozenset() if rng.random() < 0.7 else frozenset({"log"}),
        lost_buckets=rng.choice((0.0, 0.0, 0.02, 0.1)),
        as_files=rng.random() < FILES_SHARE,
    )


def with_wrong_clock(rng: random.Random, observation: Observation) -> Observation:
    """One system's clock is off by far more than is declared."""
    system = rng.choice(SYSTEMS)
    offset = rng.choice((-1, 1)) * (observation.bounds[system] + rng.uniform(3.0, 60.0))
    return replace(observation, offsets={**observation.offsets, system: offset})


def without(observation: Observation, *sources: str) -> Observation:
    return replace(observation, missing=observation.missing | set(sources))

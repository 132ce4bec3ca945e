"""One file a kind of hypothesis, and this list of them."""

from __future__ import annotations

from collections.abc import Callable

from incident_rca.analysis.hypotheses import (
    change,
    deadlock,
    dependency_latency,
    lock_blocking,
    missing_deadline,
    pool_exhaustion,
    traffic_surge,
)
from incident_rca.analysis.observations import Observations
from incident_rca.analysis.verdicts import Candidate

KINDS: tuple[Callable[[Observations], tuple[Candidate, ...]], ...] = (
    lock_blocking.hypotheses,
    deadlock.hypotheses,
    pool_exhaustion.hypotheses,
    missing_deadline.hypotheses,
    dependency_latency.hypotheses,
    traffic_surge.hypotheses,
    change.hypotheses,
)

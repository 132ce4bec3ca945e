"""One file a kind of hypothesis, and this list of them."""

from __future__ import annotations

from collections.abc import Callable

from incident_rca.analysis.hypotheses import (
    backend_failure,
    change,
    deadlock,
    dependency_latency,
    gateway_configuration,
    lock_blocking,
    missing_deadline,
    pool_exhaustion,
    retry_storm,
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
    backend_failure.hypotheses,
    gateway_configuration.hypotheses,
    traffic_surge.hypotheses,
    retry_storm.hypotheses,
    change.hypotheses,
)

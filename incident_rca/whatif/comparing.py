"""One incident and one protection -> what was recorded and what the model says, side by side."""

from __future__ import annotations

from dataclasses import replace

from incident_rca.analysis.observations import Observations
from incident_rca.model import WhatIf
from incident_rca.whatif.figures import figures_of, recorded_figures
from incident_rca.whatif.options import in_words, name_of, to_document
from incident_rca.whatif.protection import UNPROTECTED, Protection
from incident_rca.whatif.recorded import recorded_traffic
from incident_rca.whatif.replay import replay
from incident_rca.whatif.traffic import STEP_MS, Traffic

# How the behaviour of each breaker is known.
BASES = {
    "none": "no circuit breaker",
    "opossum": "as the library opossum 10.0.0 behaves, event by event",
    "resilience4j": "by the rules of Resilience4j's documentation, not compared with the library",
    "envoy": "by the rules of Envoy's documentation, the main ones of them seen in Envoy itself",
}


def what_if(seen: Observations, protection: Protection, pool_size: int | None) -> WhatIf:
    """What a protection would have done in an incident; raises NotReplayable."""
    return compared(recorded_traffic(seen, pool_size), protection)


def compared(traffic: Traffic, protection: Protection) -> WhatIf:
    """The traffic as recorded, replayed without a protection, and with it in both ways."""
    name = name_of(protection.breaker)
    asked = {key: value for key, value in to_document(protection).items() if key != "cancels"}
    return WhatIf(
        pool=traffic.pool,
        pool_size=traffic.pool_size,
        step_seconds=STEP_MS / 1000,
        breaker=name,
        basis=BASES[name],
        protection=asked,
        settings=in_words(protection),
        recorded=recorded_figures(traffic),
        unprotected=figures_of(traffic, replay(traffic, UNPROTECTED)),
        cancelled=figures_of(traffic, replay(traffic, replace(protection, cancels=True))),
        left_running=figures_of(traffic, replay(traffic, replace(protection, cancels=False))),
        premises=traffic.premises,
    )

"""The settings that a replay tries: a breaker with a deadline, retries and a limit of calls."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from incident_rca.whatif.breakers import Policy, Unprotected
from incident_rca.whatif.envoy import Envoy, EnvoyOptions
from incident_rca.whatif.opossum import Opossum, OpossumOptions
from incident_rca.whatif.resilience4j import Resilience4j, Resilience4jOptions
from incident_rca.whatif.virtual_time import VirtualTime

BreakerOptions: TypeAlias = OpossumOptions | Resilience4jOptions | EnvoyOptions


@dataclass(frozen=True, slots=True, kw_only=True)
class Protection:
    """What stands between the routes and the pool; as it is by default, nothing does.

    `deadline_ms` 0 means none; `cancels`: a call that passes it is cancelled at the backend too.
    `places` is how many calls a client has under way at most. Each route has a breaker of its own
    in each of `clients` processes, unless the routes share one (`is_shared`).
    """

    breaker: BreakerOptions | None = None
    deadline_ms: int = 0
    cancels: bool = False
    retries: int = 0
    backoff_ms: int = 0
    places: int | None = None
    is_shared: bool = False
    clients: int = 1


UNPROTECTED = Protection()


def policy_of(clock: VirtualTime, options: BreakerOptions | None) -> Policy:
    """A breaker with these options, in its first state."""
    if isinstance(options, OpossumOptions):
        return Opossum(clock, options)
    if isinstance(options, Resilience4jOptions):
        return Resilience4j(clock, options)
    if isinstance(options, EnvoyOptions):
        return Envoy(clock, options)
    return Unprotected()

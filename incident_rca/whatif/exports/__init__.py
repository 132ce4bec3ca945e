"""A protection as settings of a library: one file a format, and this list."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from incident_rca.whatif.exports import envoy, istio, opossum, plain, resilience4j
from incident_rca.whatif.protection import Protection

# Each takes the protection and the name of what is called.
FORMATS: Mapping[str, Callable[[Protection, str], str]] = {
    "opossum": opossum.export,
    "resilience4j": resilience4j.export,
    "envoy": envoy.export,
    "istio": istio.export,
    "json": plain.export,
}

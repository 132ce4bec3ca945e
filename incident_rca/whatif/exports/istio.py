"""Settings for Istio: a DestinationRule and a VirtualService, as YAML."""

from __future__ import annotations

from incident_rca.whatif.envoy import EnvoyOptions
from incident_rca.whatif.exports.envoy import RETRY_ON
from incident_rca.whatif.exports.notes import breakers_in_proxy, commented
from incident_rca.whatif.exports.yaml import Value, block
from incident_rca.whatif.protection import Protection
from incident_rca.whatif.translation import as_envoy

_API = "networking.istio.io/v1"


def export(protection: Protection, name: str) -> str:
    """Two resources of Kubernetes for the service of that name."""
    translated = as_envoy(protection.breaker)
    found = translated.options
    assert isinstance(found, EnvoyOptions)
    policy: dict[str, Value] = {}
    if protection.places is not None:
        policy["connectionPool"] = {"http": {"http2MaxRequests": protection.places}}
    if protection.breaker is not None:
        policy["outlierDetection"] = {
            "consecutive5xxErrors": found.consecutive_5xx,
            "interval": _duration(found.interval_ms),
            "baseEjectionTime": _duration(found.base_ejection_time_ms),
            "maxEjectionPercent": found.max_ejection_percent,
            "minHealthPercent": found.healthy_panic_percent,
        }
    route: dict[str, Value] = {"route": [{"destination": {"host": name}}]}
    if protection.deadline_ms:
        route["timeout"] = _duration(protection.deadline_ms * (protection.retries + 1))
    # Istio retries twice where nothing is said.
    route["retries"] = {"attempts": protection.retries}
    if protection.retries:
        tries: dict[str, Value] = {"attempts": protection.retries, "retryOn": RETRY_ON}
        if protection.deadline_ms:
            tries["perTryTimeout"] = _duration(protection.deadline_ms)
        if protection.backoff_ms:
            tries["backoff"] = _duration(protection.backoff_ms)
        route["retries"] = tries
    notes = [
        *translated.notes,
        *breakers_in_proxy(protection),
        *(["Istio waits for a random time before a retry"] if protection.retries else []),
        "Istio sets no max_ejection_time and update_merge_window: Envoy's own 300 s and 1 s hold",
        f"`host` {name} is the name in the report: write that of the service in the mesh",
    ]
    rule = _resource("DestinationRule", name, {"host": name, "trafficPolicy": policy})
    service = _resource("VirtualService", name, {"hosts": [name], "http": [route]})
    parts = [block(rule)] if policy else []
    return commented("#", notes) + "---\n".join([*parts, block(service)])


def _resource(kind: str, name: str, spec: dict[str, Value]) -> dict[str, Value]:
    return {"apiVersion": _API, "kind": kind, "metadata": {"name": name}, "spec": spec}


def _duration(milliseconds: int) -> str:
    """A duration of Istio, which takes none below a millisecond: `500ms` or `30s`."""
    seconds, rest = divmod(milliseconds, 1000)
    return f"{milliseconds}ms" if rest else f"{seconds}s"

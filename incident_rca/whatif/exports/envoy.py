"""Settings for Envoy: fields of a Cluster and of a RouteAction, as YAML."""

from __future__ import annotations

from incident_rca.whatif.envoy import EnvoyOptions
from incident_rca.whatif.exports.notes import breakers_in_proxy, commented
from incident_rca.whatif.exports.yaml import Value, block
from incident_rca.whatif.protection import Protection
from incident_rca.whatif.translation import as_envoy

RETRY_ON = "5xx,reset,cancelled,deadline-exceeded,unavailable"


def export(protection: Protection, name: str) -> str:
    """`cluster:` and `route:`, each with the fields to put there."""
    translated = as_envoy(protection.breaker)
    found = translated.options
    assert isinstance(found, EnvoyOptions)
    cluster: dict[str, Value] = {}
    if protection.breaker is not None:
        cluster["outlier_detection"] = {
            "consecutive_5xx": found.consecutive_5xx,
            "interval": duration(found.interval_ms),
            "base_ejection_time": duration(found.base_ejection_time_ms),
            "max_ejection_time": duration(found.max_ejection_time_ms),
            "max_ejection_percent": found.max_ejection_percent,
            "always_eject_one_host": found.always_eject_one_host,
        }
        cluster["common_lb_config"] = {
            "healthy_panic_threshold": {"value": found.healthy_panic_percent},
            "update_merge_window": duration(found.update_merge_window_ms),
        }
    if protection.places is not None:
        limits: dict[str, Value] = {
            "max_requests": protection.places,
            "max_connections": protection.places,
        }
        cluster["circuit_breakers"] = {"thresholds": [limits]}
    route: dict[str, Value] = {"timeout": duration(protection.deadline_ms)}
    if protection.retries:
        route["timeout"] = duration(protection.deadline_ms * (protection.retries + 1))
        pause = duration(protection.backoff_ms)
        retry: dict[str, Value] = {
            "retry_on": RETRY_ON,
            "num_retries": protection.retries,
            "per_try_timeout": duration(protection.deadline_ms),
        }
        if protection.backoff_ms:
            retry["retry_back_off"] = {"base_interval": pause, "max_interval": pause}
        route["retry_policy"] = retry
    notes = [
        *translated.notes,
        *breakers_in_proxy(protection),
        f"the fields of `cluster` belong into the cluster {name}, those of `route` into its route",
        "a time-out resets the stream, so a server that watches for it can cancel the call",
    ]
    if protection.retries:
        notes.append(
            "Envoy waits for a random time before a retry, up to its interval, and lets 3 retries "
            "be under way at once unless max_retries says more"
        )
    if protection.places is not None:
        notes.append(
            "beyond max_requests Envoy refuses calls of HTTP/2 and gRPC; those of HTTP/1.1 wait "
            "for one of max_connections"
        )
    parts: dict[str, Value] = {"cluster": cluster} if cluster else {}
    return commented("#", notes) + block({**parts, "route": route})


def duration(milliseconds: int) -> str:
    """A protobuf Duration in JSON and YAML: seconds with up to three decimals.

    >>> duration(1500), duration(30_000), duration(0)
    ('1.5s', '30s', '0s')
    """
    return f"{milliseconds / 1000:.3f}".rstrip("0").rstrip(".") + "s"

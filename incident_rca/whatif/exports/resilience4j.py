"""Settings for Resilience4j: properties of its Spring Boot starters, as YAML."""

from __future__ import annotations

from incident_rca.whatif.exports.notes import breakers_in_code, commented
from incident_rca.whatif.exports.yaml import Value, block
from incident_rca.whatif.options import names_of
from incident_rca.whatif.protection import Protection
from incident_rca.whatif.resilience4j import Resilience4jOptions
from incident_rca.whatif.translation import as_resilience4j


def export(protection: Protection, name: str) -> str:
    """`resilience4j:` with an instance of each module that the protection needs."""
    translated = as_resilience4j(protection.breaker)
    found = translated.options
    assert isinstance(found, Resilience4jOptions)
    breaker: dict[str, Value] = {}
    for key, field in names_of(found).items():
        value = getattr(found, field)
        breaker[key] = f"{value}ms" if field.endswith("_ms") else value
    modules: dict[str, Value] = {"circuitbreaker": _instance(name, breaker)}
    notes = [*translated.notes, *breakers_in_code(protection, "instance")]
    if protection.deadline_ms:
        limit: dict[str, Value] = {
            "timeoutDuration": f"{protection.deadline_ms}ms",
            "cancelRunningFuture": True,
        }
        modules["timelimiter"] = _instance(name, limit)
        notes.append(
            "cancelRunningFuture cancels the Java future, not the remote call: give the call a "
            "deadline of its own, so that its connection comes back"
        )
    else:
        notes.append("no time-out was replayed: leave the TimeLimiter off")
    if protection.places is not None:
        places: dict[str, Value] = {"maxConcurrentCalls": protection.places}
        modules["bulkhead"] = _instance(name, places)
    if protection.retries:
        retry: dict[str, Value] = {
            "maxAttempts": protection.retries + 1,
            "waitDuration": f"{protection.backoff_ms}ms",
        }
        modules["retry"] = _instance(name, retry)
    return commented("#", notes) + block({"resilience4j": modules})


def _instance(name: str, properties: dict[str, Value]) -> dict[str, Value]:
    return {"instances": {name: properties}}

"""Settings for opossum: a module of Node.js that exports the options of a CircuitBreaker."""

from __future__ import annotations

import json
from typing import Any

from incident_rca.whatif.exports.notes import breakers_in_code, commented
from incident_rca.whatif.opossum import OpossumOptions
from incident_rca.whatif.options import names_of
from incident_rca.whatif.protection import Protection
from incident_rca.whatif.translation import as_opossum

_NOT_CANCELLED = (
    "opossum does not cancel a call that timed out: it goes on and keeps its connection, unless "
    "the call takes the signal of an abortController given here, or has a deadline of its own"
)


def export(protection: Protection, name: str) -> str:
    """`module.exports` with the options of one breaker."""
    translated = as_opossum(protection.breaker)
    found = translated.options
    assert isinstance(found, OpossumOptions)
    options: dict[str, Any] = {"name": name, "timeout": protection.deadline_ms or False}
    options |= {key: getattr(found, field) for key, field in names_of(found).items()}
    if protection.places is not None:
        options["capacity"] = protection.places
    notes = [
        *translated.notes,
        *breakers_in_code(protection, "CircuitBreaker"),
        _NOT_CANCELLED,
    ]
    if protection.retries:
        notes.append(f"opossum does not retry: wrap it in {protection.retries} retries of your own")
    written = "".join(f"  {key}: {json.dumps(value)},\n" for key, value in options.items())
    return commented("//", notes) + "module.exports = {\n" + written + "};\n"

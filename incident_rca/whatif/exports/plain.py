"""A protection as JSON: what `whatif --json` and a case hold of it."""

from __future__ import annotations

import json

from incident_rca.whatif.options import to_document
from incident_rca.whatif.protection import Protection


def export(protection: Protection, name: str) -> str:
    """The settings as JSON, with the name of what is called."""
    return json.dumps({"name": name, **to_document(protection)}, indent=2) + "\n"

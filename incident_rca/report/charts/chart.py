"""A chart before it is drawn: a Vega-Lite specification, and what it says in words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from incident_rca.model import Evidence


@dataclass(frozen=True, slots=True, kw_only=True)
class Chart:
    """`alt` says what its picture shows to whoever does not see it; `notes` what it leaves out."""

    name: str
    alt: str
    notes: tuple[str, ...]
    evidence: tuple[Evidence, ...]
    spec: Mapping[str, Any] = field(hash=False)

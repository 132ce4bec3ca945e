"""Whom an answer blames: the same form for the analysis and for each baseline."""

from __future__ import annotations

from dataclasses import dataclass

from incident_rca.analysis.roles import HOLDS
from incident_rca.model import Analysis, Role


@dataclass(frozen=True, slots=True)
class Blame:
    """A cause that was named, and the outage it was named for: seconds by the gateway's clock."""

    kind: str
    object: str
    incident: int = 1


def asserted(analysis: Analysis) -> tuple[Blame, ...]:
    """What a report blames: the hypotheses that are triggers with verdict supported or weak.

    Anything less is no blame: whoever reads `insufficient` is told that it is not known.
    """
    return tuple(
        Blame(h.kind.value, h.object, h.incident)
        for h in analysis.hypotheses
        if h.role is Role.TRIGGER and h.verdict in HOLDS
    )

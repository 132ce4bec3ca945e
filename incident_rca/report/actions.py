"""The findings in the order of their severity, with the ids that action items have."""

from __future__ import annotations

from dataclasses import dataclass

from incident_rca.model import Analysis, Finding
from incident_rca.report.wording import SEVERITY_ORDER, remedy_type


@dataclass(frozen=True, slots=True)
class Action:
    """What a finding asks for: `A1` is the most severe; `type` is when its remedy acts."""

    id: str
    finding: Finding
    type: str


def actions(analysis: Analysis) -> tuple[Action, ...]:
    """One action a finding."""
    ordered = sorted(analysis.findings, key=lambda f: SEVERITY_ORDER.index(f.severity))
    return tuple(
        Action(f"A{number}", finding, remedy_type(finding.rule))
        for number, finding in enumerate(ordered, start=1)
    )

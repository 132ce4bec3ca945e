"""Which events of the timeline tell most, for the part of the report that fits one screen."""

from __future__ import annotations

from collections.abc import Mapping

from incident_rca.model import Analysis, Event, Role, Verdict
from incident_rca.report.impact import measures

SCREEN_LINES = 60
FEWEST, MOST = 16, 22
# Headings, column heads, rules and sentences of the summary, impact, sources and timeline.
_FIXED_LINES = 18

_WEIGHT: Mapping[Role, int] = {
    Role.TRIGGER: 8,
    Role.SUSTAINER: 6,
    Role.CONTRIBUTING: 3,
    Role.SYMPTOM: 2,
    Role.COINCIDENT: 1,
    Role.RULED_OUT: 1,
}
_OUTAGE_WEIGHT = 20
_PHASE_WEIGHT = 10


def rows_on_screen(analysis: Analysis) -> int:
    """How many events leave summary, impact, sources and timeline on one screen together."""
    others = (
        len(measures(analysis))
        + len(analysis.endpoints)
        + len(analysis.error_types)
        + len(analysis.case.sources)
        + len(analysis.phases)
    )
    return max(FEWEST, min(MOST, SCREEN_LINES - _FIXED_LINES - others))


def key_events(analysis: Analysis, limit: int) -> tuple[Event, ...]:
    """The `limit` most telling events in the order of the timeline.

    An event tells more, the more the outage, the phases and the claims rest on its evidence.
    """
    weights = _weights(analysis)
    scored = [
        (-sum(weights.get(e.digest, 0) for e in set(event.evidence)), position)
        for position, event in enumerate(analysis.timeline)
    ]
    kept = sorted(position for _, position in sorted(scored)[:limit])
    return tuple(analysis.timeline[position] for position in kept)


def _weights(analysis: Analysis) -> dict[str, int]:
    weights: dict[str, int] = {}

    def add(digest: str, weight: int) -> None:
        weights[digest] = weights.get(digest, 0) + weight

    for evidence in analysis.outage.evidence if analysis.outage else ():
        add(evidence.digest, _OUTAGE_WEIGHT)
    for phase in analysis.phases:
        for evidence in phase.evidence:
            add(evidence.digest, _PHASE_WEIGHT)
    for hypothesis in analysis.hypotheses:
        if hypothesis.verdict not in (Verdict.SUPPORTED, Verdict.WEAK):
            continue
        for claim in hypothesis.claims:
            for evidence in claim.evidence:
                add(evidence.digest, _WEIGHT[hypothesis.role])
    return weights

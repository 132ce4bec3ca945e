"""`traffic_surge`: more requests came than usual, and more than could be served."""

from __future__ import annotations

from datetime import timedelta

from incident_rca.analysis.endpoints import SHORTEST_LEAD_UP
from incident_rca.analysis.evidence import rows_as_evidence
from incident_rca.analysis.hypotheses.claims import claim_against, claim_for
from incident_rca.analysis.observations import Observations
from incident_rca.analysis.outage import recorded_from
from incident_rca.analysis.verdicts import Candidate, verdict_of
from incident_rca.model import Aspect, Hypothesis, Kind, Role, Span, System, Verdict

SURGE_FACTOR = 2.0
BEFORE_FAILURE = timedelta(minutes=2)


def hypotheses(seen: Observations) -> tuple[Candidate, ...]:
    """Whether traffic rose in the two minutes before the first failure, against the lead-up."""
    if seen.outage is None or seen.outage.start.lo is None or not seen.has_requests():
        return ()
    gateway, failure = seen.tables.gateway, seen.outage.start.lo.replace(microsecond=0)
    recent_from = failure - BEFORE_FAILURE
    usual = gateway[gateway["second"] < recent_from]
    recent = gateway[(gateway["second"] >= recent_from) & (gateway["second"] < failure)]
    lead_up = recent_from - recorded_from(seen.case)
    if lead_up < SHORTEST_LEAD_UP or recent.empty or usual.empty:
        return ()
    usual_rate = float(usual["requests"].sum()) / (lead_up.total_seconds() / 60)
    rate = float(recent["requests"].sum()) / (BEFORE_FAILURE.total_seconds() / 60)
    cited = rows_as_evidence(
        recent,
        system=System.GATEWAY,
        at=Span(recent_from, failure, "the two minutes before the first failure"),
        seen=f"{rate:.0f} requests a minute on all routes, {usual_rate:.0f} in the lead-up",
        first="line_first",
        last="line_last",
        count=int(recent["requests"].sum()),
    )
    rose = rate >= SURGE_FACTOR * usual_rate
    text = (
        f"requests a minute before the first failure: {rate:.0f}, against {usual_rate:.0f} usually"
    )
    claims = (
        claim_for(Aspect.MECHANISM, text, cited)
        if rose
        else claim_against(Aspect.MECHANISM, text, cited),
    )
    verdict = verdict_of(claims, needs_are_met=True)
    return (
        Candidate(
            hypothesis=Hypothesis(
                kind=Kind.TRAFFIC_SURGE,
                object="all routes",
                role=Role.RULED_OUT if verdict is Verdict.CONTRADICTED else Role.CONTRIBUTING,
                verdict=verdict,
                statement="More requests came than usual."
                if rose
                else "No more requests came than usual.",
                claims=claims,
                confirm_by="Compare with the same hour of other days.",
            )
        ),
    )

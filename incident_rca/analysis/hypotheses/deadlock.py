"""`deadlock`: sessions waited for each other in a circle, and the server ended one of them."""

from __future__ import annotations

from incident_rca.analysis.evidence import instant, rows_as_evidence
from incident_rca.analysis.hypotheses.claims import claim_against, claim_for
from incident_rca.analysis.locks import POSTGRES_LOGS
from incident_rca.analysis.observations import Observations
from incident_rca.analysis.verdicts import Candidate, verdict_of
from incident_rca.model import Aspect, Hypothesis, Kind, Role, Span, System, Verdict


def hypotheses(seen: Observations) -> tuple[Candidate, ...]:
    """Whether the server's log holds a deadlock (SQLSTATE 40P01); silent where there is no log."""
    events = seen.tables.server_events
    if events.empty or not seen.is_recorded(*POSTGRES_LOGS):
        return ()
    found = events[events["kind"] == "deadlock"]
    rows = found if len(found) else events
    names = ", ".join(sorted(set(rows["database"].dropna()))) or "all databases"
    cited = rows_as_evidence(
        rows,
        system=System.POSTGRES,
        at=Span(instant(rows["at"].min()), instant(rows["at"].max()), "first to last log line"),
        seen=f"{len(found)} deadlocks among {len(events)} statements and errors in the server log",
    )
    claims = (
        claim_for(Aspect.MECHANISM, f"the server reported {len(found)} deadlocks", cited)
        if len(found)
        else claim_against(Aspect.MECHANISM, "the server's log reports no deadlock (40P01)", cited),
    )
    verdict = verdict_of(claims, needs_are_met=True)
    return (
        Candidate(
            hypothesis=Hypothesis(
                kind=Kind.DEADLOCK,
                object=names,
                role=Role.RULED_OUT if verdict is Verdict.CONTRADICTED else Role.CONTRIBUTING,
                verdict=verdict,
                statement=f"{len(found)} deadlocks were reported."
                if len(found)
                else "No deadlock was reported.",
                claims=claims,
                confirm_by="Read the DETAIL lines of the deadlock in the server's log.",
            )
        ),
    )

"""What is said of locks where no episode was found: nobody waited, or nobody could have seen it."""

from __future__ import annotations

from datetime import datetime

from incident_rca.analysis.evidence import rows_as_evidence
from incident_rca.analysis.hypotheses.claims import (
    claim_against,
    claim_for,
    not_recorded,
    ruled_out,
)
from incident_rca.analysis.lock_watch import is_watched
from incident_rca.analysis.locks import POSTGRES_LOGS
from incident_rca.analysis.observations import Observations
from incident_rca.analysis.verdicts import Candidate, verdict_of
from incident_rca.model import (
    Aspect,
    Basis,
    Hypothesis,
    Kind,
    Role,
    Span,
    System,
)

LOCK_SOURCES = ("lock_recording", *POSTGRES_LOGS, "pgsentinel_history", "pgwatch_history")
_OBJECT = "a lock in PostgreSQL"
_IMPORT = "Import the lock recording or the PostgreSQL log of the window."


def without_episodes(seen: Observations) -> tuple[Candidate, ...]:
    """One candidate: ruled out where a recording watched it all, else that it is not known.

    Silent where a log was kept that could have shown long waits, and there is no outage to explain.
    """
    if seen.lock_loads:
        return (_by_load(seen),)
    if not seen.is_recorded(*LOCK_SOURCES):
        unseen = not_recorded(seen, Kind.LOCK_BLOCKING, _OBJECT, System.POSTGRES, _IMPORT)
        return (unseen,)
    watched = _watched(seen)
    return (_ruled_out(seen, watched),) if watched else ()


def _watched(seen: Observations) -> tuple[datetime, datetime] | None:
    """The outage's bounds, if recordings without gaps cover all of it."""
    if seen.outage is None or seen.outage.end.hi is None:
        return None
    start, end = seen.outage.start.first, seen.outage.end.hi
    return (start, end) if is_watched(seen, start, end) else None


def _ruled_out(seen: Observations, watched: tuple[datetime, datetime]) -> Candidate:
    counts = seen.tables.session_counts
    probes = counts[(counts["at"] >= watched[0]) & (counts["at"] <= watched[1])]
    at = Span(*watched, "the outage")
    number = probes["at"].nunique()
    text = f"no session waited for a lock in any of the {number} samples of the outage"
    cited = rows_as_evidence(probes, system=System.POSTGRES, at=at, seen=text, count=number)
    if not cited:
        return not_recorded(seen, Kind.LOCK_BLOCKING, _OBJECT, System.POSTGRES, _IMPORT)
    return ruled_out(
        Kind.LOCK_BLOCKING,
        _OBJECT,
        "No session waited for a lock while requests failed.",
        "Waits shorter than the recorder's interval may have been missed.",
        claim_against(Aspect.MECHANISM, text, cited),
    )


def _by_load(seen: Observations) -> Candidate:
    """Sessions waited, as a service counted; who held the lock is known by its names at best."""
    names = [load for load in seen.lock_loads if load.dimension != "wait_event"]
    objects = [load.value for load in names if load.dimension == "blocking_object"]
    loads = [*seen.lock_loads[:1], *names[:2]]
    text = "; ".join(dict.fromkeys(load.in_words for load in loads))
    cited = tuple(e for load in loads for e in load.evidence)
    claims = (claim_for(Aspect.MECHANISM, text, cited, basis=Basis.INFERRED),)
    return Candidate(
        hypothesis=Hypothesis(
            kind=Kind.LOCK_BLOCKING,
            object=objects[0] if objects else _OBJECT,
            role=Role.CONTRIBUTING,
            verdict=verdict_of(claims, needs_are_met=False),
            statement=f"Sessions waited for locks: {text}. In which mode it was held is not known.",
            claims=claims,
            confirm_by=_IMPORT,
        )
    )

"""The phases of the cascade: lead_up, trigger, propagation, sustained, recovery."""

from __future__ import annotations

from datetime import datetime

from incident_rca.analysis.observations import Observations
from incident_rca.analysis.verdicts import Candidate
from incident_rca.model import Evidence, Phase, Role, Verdict


def build_phases(seen: Observations, candidates: tuple[Candidate, ...]) -> tuple[Phase, ...]:
    """The phases in order, each ending where the next begins.

    `lead_up` to the trigger's start, `trigger` to the first failure, `propagation` to the pool
    being full, `sustained` to the sustainer's (else trigger's) end, `recovery` until baseline.
    Where no trigger is known there is no phase of one: what was before the first failure led to it.
    """
    if seen.outage is None or seen.outage.start.lo is None:
        return ()
    outage = seen.outage
    trigger, sustainer = _active(candidates, Role.TRIGGER), _active(candidates, Role.SUSTAINER)
    failure = outage.start.first
    baseline = seen.baselines[-1].evidence if seen.baselines else outage.evidence
    began = min(trigger[0], failure) if trigger else failure
    last = sustainer or trigger
    over = max(last[1], outage.end.first) if last and last[1] else outage.end.first
    pool = seen.pool
    # One that was free again before the first failure is what another outage left behind.
    if pool and pool.exhausted_until.hi and pool.exhausted_until.hi < failure:
        pool = None
    full = min(over, pool.exhausted_at.middle) if pool else failure
    usual = max([over, *(s.offset.hi for s in seen.latency_shifts if s.offset.hi)])
    edges: list[tuple[str, datetime, datetime | None, tuple[Evidence, ...]]] = [
        ("lead_up", seen.case.window.start, began, baseline),
        ("trigger", began, failure, trigger[2] if trigger else outage.evidence),
        ("propagation", failure, max(full, failure), outage.evidence),
        (
            "sustained",
            max(full, failure),
            None if outage.ongoing else over,
            pool.evidence if pool else outage.evidence,
        ),
        ("recovery", over, usual, outage.evidence),
    ]
    if outage.ongoing:
        edges = edges[:-1]
    return tuple(
        Phase(name=name, start=start, end=end, evidence=cited)
        for name, start, end, cited in edges
        if end is None or start < end or name == "recovery" or (trigger and name == "trigger")
    )


def _active(
    candidates: tuple[Candidate, ...], role: Role
) -> tuple[datetime, datetime | None, tuple[Evidence, ...]] | None:
    for candidate in candidates:
        hypothesis = candidate.hypothesis
        holds = hypothesis.verdict in (Verdict.SUPPORTED, Verdict.WEAK)
        if hypothesis.role is role and candidate.active and holds:
            return (*candidate.active, hypothesis.claims[0].evidence)
    return None

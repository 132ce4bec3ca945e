"""Everything that a report says, before it is worded for a reader."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from incident_rca.model.case import Case, SourceStatus
from incident_rca.model.clocks import ClockBasis, Clocks, SourceClock
from incident_rca.model.episodes import (
    Baseline,
    EndpointImpact,
    ErrorBurst,
    ErrorType,
    LatencyShift,
    LockEpisode,
    PoolState,
    Starvation,
)
from incident_rca.model.evidence import (
    Contradiction,
    Event,
    Evidence,
    Finding,
    Hypothesis,
    Phase,
    require_evidence,
)
from incident_rca.model.series import AlignedSeries
from incident_rca.model.states import Stretch
from incident_rca.model.what_if import Sweep, WhatIf
from incident_rca.model.words import Basis


@dataclass(frozen=True, slots=True, kw_only=True)
class Incident:
    """One more outage of the window, told apart from the largest; hypotheses name its `number`."""

    number: int
    outage: ErrorBurst
    requests: int
    failed_requests: int
    endpoints: tuple[EndpointImpact, ...]
    error_types: tuple[ErrorType, ...]
    unexplained_seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Analysis:
    """Everything the report says, before it is worded for a reader.

    `failures_not_logged` is how many more the gateway counted than its log holds: then that no
    failure is seen does not mean that none was. `clocks` are those of its sources: the times of the
    case and of all that is in here are as they say, moved where a clock was surely off. `states`
    are the seconds of each outage. `looked_at` is what was read where no outage was found. `series`
    are what was measured, over the whole window and then over the time of each outage that is much
    shorter.
    """

    case: Case
    outage: ErrorBurst | None
    baselines: tuple[Baseline, ...]
    requests: int
    failed_requests: int
    failures_not_logged: int = 0
    clocks: Clocks = field(default_factory=Clocks)
    endpoints: tuple[EndpointImpact, ...]
    error_types: tuple[ErrorType, ...]
    lock_episodes: tuple[LockEpisode, ...]
    latency_shifts: tuple[LatencyShift, ...]
    pool: PoolState | None
    starvations: tuple[Starvation, ...] = ()
    timeline: tuple[Event, ...]
    phases: tuple[Phase, ...]
    other_incidents: tuple[Incident, ...] = ()
    hypotheses: tuple[Hypothesis, ...]
    unexplained_seconds: float
    states: tuple[Stretch, ...] = ()
    looked_at: tuple[Evidence, ...] = ()
    contradictions: tuple[Contradiction, ...]
    findings: tuple[Finding, ...]
    questions: tuple[str, ...]
    evidence: tuple[Evidence, ...]
    evidence_ids: Mapping[str, str] = field(hash=False)
    what_if: WhatIf | None = None
    series: tuple[AlignedSeries, ...] = ()
    sweep: Sweep | None = None

    def clock_of(self, source: SourceStatus) -> SourceClock:
        """The clock of a source; as the case declares it where the source told nothing."""
        is_measured = source.clock_offset_basis is Basis.OBSERVED
        return self.clocks.of(source.name) or SourceClock(
            source=source.name,
            system=source.system,
            bounds=source.clock_offset_seconds,
            basis=ClockBasis.MEASURED if is_measured else ClockBasis.ASSUMED,
        )

    def outage_of(self, incident: int) -> ErrorBurst | None:
        """The outage of an incident by its number: the largest one is 1."""
        others = (i.outage for i in self.other_incidents if i.number == incident)
        return self.outage if incident == 1 else next(others, None)

    def series_of(self, incident: int) -> AlignedSeries | None:
        """The series in the time of an incident: of the whole window if that is not much longer."""
        by_incident = {s.incident: s for s in reversed(self.series)}
        return by_incident.get(incident, by_incident.get(None))

    def cite(self, evidence: tuple[Evidence, ...]) -> tuple[str, ...]:
        """The short ids of `evidence`, in its order; raises Uncited where there is none."""
        require_evidence("a sentence of the report", evidence)
        return tuple(dict.fromkeys(self.evidence_ids[e.digest] for e in evidence))

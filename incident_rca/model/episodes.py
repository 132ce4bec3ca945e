"""What was seen over time: lock episodes, latency shifts, error bursts and pool states."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from incident_rca.model.evidence import Evidence
from incident_rca.model.instants import Span
from incident_rca.model.words import Impact, System


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """A PostgreSQL backend in a lock episode. `statement` is redacted.

    `pid` is 0 for a prepared transaction and None where nobody is proven; `session` is the identity
    by pid and start of the backend. `statement_basis`: `running` (it was executing it), `last` (its
    last statement, perhaps not the one that took the lock) or `recovered` (an earlier sample or the
    server log). `mode_basis` is that of the `locks` table.
    """

    pid: int | None
    application: str
    mode: str
    state: str
    statement: str
    statement_basis: str
    mode_basis: str = "granted"
    session: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class LockEpisode:
    """One root holder that blocks one relation, from the first to the last waiter.

    `lock_types` are those of pg_locks that were waited for; `root_relation` is what the root holds
    where that is another relation (its waiters hold this one), else "". `deadlocked`: the root
    stands in a circle. `outcomes` counts how the waits ended, as far as the server's log says.
    `waiter_ids` are the ids of requests that each waiting statement carries, of those that do.
    `waiters_total` are sessions; `waits` may be more: one of a pool waits again and again.
    `waited_until` is the last instant at which a session is known to have waited.
    """

    database: str
    relation: str
    root_holder: Session
    queue_amplifiers: tuple[Session, ...]
    waiter_modes: tuple[str, ...]
    waiter_applications: tuple[str, ...]
    held_start: Span
    held_end: Span
    peak_waiters: int
    peak_at: Span
    waiters_total: int
    waiter_seconds: float
    bystanders: tuple[Session, ...]
    evidence: tuple[Evidence, ...]
    lock_types: tuple[str, ...] = ("relation",)
    root_relation: str = ""
    deadlocked: bool = False
    outcomes: Mapping[str, int] = field(default_factory=dict, hash=False)
    waiter_ids: tuple[tuple[str, ...], ...] = ()
    waits: int = 0
    waited_until: datetime | None = None
    start_evidence: tuple[Evidence, ...] = ()
    peak_evidence: tuple[Evidence, ...] = ()
    end_evidence: tuple[Evidence, ...] = ()
    bystander_evidence: tuple[Evidence, ...] = ()

    @property
    def object(self) -> str:
        """`database.schema.relation`, as hypotheses name it."""
        return f"{self.database}.{self.relation}" if self.database else self.relation

    @property
    def is_on_rows(self) -> bool:
        """Whether all its waiters wanted rows that a transaction had changed, not the table."""
        return bool(self.lock_types) and set(self.lock_types) <= {"transactionid", "tuple"}


PlateauBasis = Literal["values", "ceiling", "interpolation", "average"]


@dataclass(frozen=True, slots=True, kw_only=True)
class CutOff:
    """The calls that their callers gave up on while a method was slow and before, each of all."""

    cut: int
    calls: int
    cut_before: int
    calls_before: int

    @property
    def in_words(self) -> str:
        """Both shares: `callers gave up on 40 of 50 calls, before on 1 of 900`."""
        return (
            f"callers gave up on {self.cut:,} of {self.calls:,} calls, "
            f"before on {self.cut_before:,} of {self.calls_before:,}"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class LatencyShift:
    """A method whose calls became slow; `aggregate` is what its values are of them.

    `plateau_basis` is what the plateau rests on: the aggregate's own `values`; the `ceiling` of its
    histogram, which says "at least"; an `interpolation` within one bucket of it, which says not
    even that; or the `average` beside either. `unsure_codes` are counted as zero by a series that
    appeared later than the others: what it was first seen with is not known. `cut_off` is there
    where its callers' deadline kept its values from rising far: its calls were at least that slow.
    """

    service: str
    method: str
    metric: str
    unit: str
    baseline_p99_ms: float | None
    peak_ms: float
    plateau_ms: float
    onset: Span
    offset: Span
    censored: bool
    status_counts: Mapping[str, int] = field(hash=False)
    full_method: str = ""
    aggregate: str = "p99"
    plateau_basis: PlateauBasis = "values"
    unsure_codes: tuple[str, ...] = ()
    cut_off: CutOff | None = None
    evidence: tuple[Evidence, ...]

    @property
    def plateau_in_words(self) -> str:
        """How long calls took, no more exact than it is known: `at least 10,000 ms`."""
        text = f"{self.plateau_ms:,.0f} ms"
        if self.plateau_basis == "average" or self.aggregate == "avg":
            return f"{text} on average"
        if self.plateau_basis == "interpolation":
            return f"up to about {text}"
        return f"at least {text}" if self.censored else text


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolState:
    """A connection pool at its limit. `note` says why `consistent` is what it is.

    `exhausted_at` is by the clock of the system `exhausted_by`, `exhausted_until` by the gauge's.
    """

    owner: str
    size: int
    size_basis: str
    exhausted_at: Span
    exhausted_until: Span
    fill_seconds: float | None
    arrival_per_second: float | None
    consistent: bool
    note: str
    exhausted_by: System = System.GRPC_METRICS
    evidence: tuple[Evidence, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class EndpointImpact:
    """What the outage did to a route; `is_failing`: more of its requests failed than usual."""

    method: str
    route: str
    requests: int
    failed: int
    by_status: Mapping[int, int] = field(hash=False)
    first_failure: datetime | None
    last_failure: datetime | None
    baseline_per_minute: float | None
    incident_per_minute: float
    p99_ms: float | None
    baseline_p99_ms: float | None
    is_failing: bool
    impact: Impact
    evidence: tuple[Evidence, ...]

    @property
    def name(self) -> str:
        return f"{self.method} {self.route}"


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorType:
    type: str
    status: int
    count: int
    share: float
    seen_in: tuple[str, ...]
    evidence: tuple[Evidence, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorBurst:
    """The outage: from the first to the last failing arrival of the incident.

    `onset` is when requests began to fail, as far as their rate tells: what is said to have come
    before or after the failures is compared with it, not with the first arrival.
    """

    start: Span
    onset: Span
    end: Span
    duration_seconds: float
    ongoing: bool
    failures: int
    blips: tuple[Evidence, ...]
    evidence: tuple[Evidence, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Starvation:
    """A route whose requests stopped coming; an open `offset` says that they still do not come.

    `requests` are those that came all the same. A log does not tell whether nobody asked, or
    whether what was asked never ended and so was never logged.
    """

    method: str
    route: str
    onset: Span
    offset: Span
    requests: int
    usual_per_minute: float
    per_minute: float
    evidence: tuple[Evidence, ...]

    @property
    def name(self) -> str:
        return f"{self.method} {self.route}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Baseline:
    """A stretch before the outage and what failed in it; `records` is what was read to say so."""

    start: datetime
    end: datetime
    source: str
    records: int
    failures_by_status: Mapping[int, int] = field(hash=False)
    evidence: tuple[Evidence, ...]

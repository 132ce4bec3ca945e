"""A lock whose waiting statements carry the ids of requests, and a gateway with its own clock.

Each request arrives, its statement waits for the lock until its release, and the backend answers
then: what the two sides log of it are its true times by their own clocks.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

from incident_rca.model import (
    Analysis,
    Basis,
    Case,
    Kind,
    Role,
    SourceStatus,
    Topology,
    Verdict,
)
from tests.analysis.cases import (
    TOPOLOGY,
    Row,
    analysed,
    counted,
    edge,
    failure,
    made_case,
    the,
    usual,
    with_source,
)

REQUESTS = 20
RELEASED = 22.0
QUEUED = 0.05
JOB = 12.0


def trace(number: int) -> str:
    """The trace id of a request."""
    return f"{number + 1:032x}"


def arrivals() -> list[float]:
    """When the requests arrive, by true time."""
    return [float(number) for number in range(REQUESTS)]


def failures(*, ahead: float = 0.0, ids: bool = True, first_id: int = 0) -> list[Row]:
    """The failed requests, by a gateway whose clock is ahead by so many seconds."""
    return [
        {
            **failure(second + ahead, latency_ms=(RELEASED + 0.1 - second) * 1000),
            "integration_status": "502",
            "trace_ids": trace(first_id + number) if ids else None,
        }
        for number, second in enumerate(arrivals())
    ]


def waits(
    *, ids: bool = True, first_id: int = 0, first_pid: int = 100, **columns: Any
) -> list[Row]:
    """The waiting statements of these requests, and of a job that waits before them."""
    job = edge(
        RELEASED,
        90,
        7,
        wait_start=-JOB,
        wait_end=RELEASED,
        held_since=-JOB - 0.5,
        held_until=RELEASED,
    )
    return [
        {**job, **columns},
        *(
            edge(
                RELEASED,
                first_pid + number,
                7,
                wait_start=second + QUEUED,
                wait_end=RELEASED,
                held_since=-JOB - 0.5,
                held_until=RELEASED,
                waiter_trace_ids=trace(first_id + number) if ids else None,
                **columns,
            )
            for number, second in enumerate(arrivals())
        ),
    ]


def with_clock(
    case: Case, name: str, bounds: tuple[float, float], basis: Basis = Basis.ASSUMED
) -> Case:
    """The case with the clock of one source bounded so."""

    def changed(source: SourceStatus) -> SourceStatus:
        return replace(source, clock_offset_seconds=bounds, clock_offset_basis=basis)

    return with_source(case, name, changed)


def a_case(
    *,
    gateway: tuple[float, float] = (-2.0, 2.0),
    basis: Basis = Basis.ASSUMED,
    topology: Topology = TOPOLOGY,
) -> Case:
    """A case whose server clock the recorder measured, and whose gateway clock is as given."""
    case = made_case(topology=topology)
    case = with_clock(case, "locks", (-0.05, 0.05), Basis.OBSERVED)
    return with_clock(case, "access", gateway, basis)


def analysed_lock(case: Case, failed: Sequence[Row], locks: Iterable[Row]) -> Analysis:
    """The analysis of these failures and locks, with traffic that goes on beside them."""
    return analysed(
        case, failures=failed, gateway=[*usual("POST /mail"), *counted(failed)], locks=locks
    )


def lock(analysis: Analysis) -> tuple[Verdict, Role]:
    """The verdict and the role of the one lock."""
    found = the(analysis, Kind.LOCK_BLOCKING)
    return found.verdict, found.role

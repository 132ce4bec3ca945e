"""Deadlocks that no server log tells of, by the circles in which sessions were seen to wait."""

from __future__ import annotations

from datetime import datetime
from itertools import groupby

from incident_rca.analysis.hypotheses.claims import (
    Candidates,
    by_path,
    claim_against,
    claim_for,
)
from incident_rca.analysis.hypotheses.lock_absence import LOCK_SOURCES
from incident_rca.analysis.names import counted
from incident_rca.analysis.observations import Observations
from incident_rca.analysis.paths import DependencyPath
from incident_rca.analysis.traced import path_of_lock
from incident_rca.analysis.verdicts import Candidate, verdict_of
from incident_rca.model import Aspect, Claim, Evidence, Hypothesis, Kind, LockEpisode, Role, System

# A deadlock ends one transaction: so many of the failing requests must have one, or it is a part.
ENOUGH = 0.2
# How long a circle stands on average before the server ends it: its first wait began by default
# one second before that (`deadlock_timeout`), and the circle closed at any time since. Who samples
# less often sees a part of them.
STANDS_SECONDS = 0.5
CONFIRM_BY = (
    "Import the server's log of the window: its DETAIL lines name both statements of a deadlock."
)


def of_circles(seen: Observations) -> Candidates:
    """One candidate a relation on which sessions waited for each other; none without circles.

    A circle ends by the server's deadlock check, a time-out or a person only (PostgreSQL manual,
    "Deadlocks"). Circles that came and went between two samples were not seen: they are at least
    so many, so that few of them speak against nothing.
    """
    circles = sorted((e for e in seen.lock_episodes if e.deadlocked), key=lambda e: e.object)
    by_object = groupby(circles, key=lambda e: e.object)
    return tuple(_candidate(seen, name, tuple(found)) for name, found in by_object)


def _candidate(seen: Observations, name: str, circles: tuple[LockEpisode, ...]) -> Candidate:
    path = path_of_lock(seen, circles[0])
    failing = path.failing if path is not None else ()
    failed = sum(e.failed for e in failing)
    likely = len(circles) * max(1.0, _interval_seconds(seen) / STANDS_SECONDS)
    is_enough = bool(failing) and likely >= ENOUGH * failed
    claims = tuple(_claims(seen, circles, path, is_enough=is_enough))
    return Candidate(
        hypothesis=Hypothesis(
            kind=Kind.DEADLOCK,
            object=name,
            role=Role.TRIGGER if is_enough else Role.CONTRIBUTING,
            verdict=verdict_of(claims, needs_are_met=seen.has_requests()),
            statement=(
                f"Sessions waited for each other in a circle on {circles[0].relation}, at least "
                f"{counted(len(circles), 'time')}: such a wait ends when one of them is ended."
            ),
            claims=claims,
            confirm_by=CONFIRM_BY,
        ),
        active=_active(circles),
        service=path.service if path else "",
        routes=frozenset(e.name for e in failing),
    )


def _claims(
    seen: Observations,
    circles: tuple[LockEpisode, ...],
    path: DependencyPath | None,
    *,
    is_enough: bool,
) -> list[Claim]:
    cited = tuple(e for circle in circles for e in circle.peak_evidence or circle.evidence)
    claims = [
        claim_for(
            Aspect.MECHANISM,
            f"sessions were seen to wait for each other in {counted(len(circles), 'circle')}: none "
            "of them could go on before one was ended",
            cited,
        )
    ]
    if path is None or not path.failing:
        return [*claims, no_path(seen, cited, is_named=True)]
    claims += by_path(seen, circles[0].relation, path, cited)
    if is_enough:
        routes = tuple(e for endpoint in path.failing for e in endpoint.evidence)
        failed = sum(e.failed for e in path.failing)
        text = f"at least {len(circles):,} circles beside {failed:,} failing requests on their path"
        claims.append(claim_for(Aspect.DOSE, text, cited, routes))
    return claims


def _interval_seconds(seen: Observations) -> float:
    """How often the waits were sampled; 0 where no source tells."""
    sampled = [s for s in seen.sources_of(System.POSTGRES) if s.kind in LOCK_SOURCES]
    return max((s.resolution_seconds or 0.0 for s in sampled), default=0.0)


def _active(circles: tuple[LockEpisode, ...]) -> tuple[datetime, datetime | None]:
    ends = [c.held_end.hi for c in circles]
    last = None if None in ends else max(e for e in ends if e is not None)
    return min(c.held_start.first for c in circles), last


def no_path(seen: Observations, cited: tuple[Evidence, ...], *, is_named: bool) -> Claim:
    """That nothing failing is known to depend on the tables of these deadlocks."""
    failing = tuple(e for endpoint in seen.failing for e in endpoint.evidence)
    if seen.knows_what_failed and is_named:
        text = "no failing route depends on the tables of these deadlocks"
        return claim_against(Aspect.PATH, text, cited, failing)
    text = "no path is known from these deadlocks to what failed"
    return claim_against(Aspect.ABSENCE, text, cited)

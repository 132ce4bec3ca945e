"""The traffic of a case as a replay needs it: plain numbers, in ms from where it begins."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from hashlib import sha256
from typing import NamedTuple

from incident_rca.model import Premise

# The step of a curve of connections held: that of the usual gauges.
STEP_MS = 10_000


def steps_in(duration_ms: int) -> int:
    """How many steps of a curve a stretch of time has, a last short one too."""
    return -(-duration_ms // STEP_MS)


class Request(NamedTuple):
    """One recorded request: how long its backend needs by itself, and how it was answered.

    `latency_ms` is NaN where it was not recorded; `fails` marks a failure that the incident does
    not explain.
    """

    at_ms: int
    route: int
    service_ms: int
    fails: bool
    status: int
    latency_ms: float


@dataclass(frozen=True, slots=True, kw_only=True)
class TrafficRoute:
    """A route that uses the pool; `is_blocked`: its requests need what the incident withheld.

    `limit_ms` is when its caller gives up: by the gateway's limit, as the topology says, or by a
    deadline that acted in the incident.
    """

    name: str
    is_blocked: bool
    limit_ms: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Traffic:
    """The requests of all routes that use one pool, and what happened to the pool's connections.

    `blocked` are the stretches in which a blocked request gets no further; `kept_until_ms` is when
    the connections came back whose callers had gone in such a stretch. `cut_ms` is when the backend
    itself gives a call up, and when a call gives up waiting for a connection.
    `pool_exhausted` is from when to when its gauge stood at its limit, an open end None.
    `outage` is from the first to the last failing arrival. `held_by_step` is how many connections
    the pool's own gauge counted in each step of STEP_MS, None where it says nothing.
    """

    start: datetime
    end_ms: int
    pool: str
    pool_size: int
    pool_exhausted: tuple[int, int | None] | None
    routes: tuple[TrafficRoute, ...]
    requests: tuple[Request, ...]
    outage: tuple[int, int]
    blocked: tuple[tuple[int, int], ...]
    kept_until_ms: int | None
    cut_ms: int | None
    held_by_step: tuple[int | None, ...]
    premises: tuple[Premise, ...]

    @property
    def digest(self) -> str:
        """The SHA-256 of all that a replay reads of it, as hex."""
        return sha256(repr(replace(self, premises=())).encode()).hexdigest()

    def between(self, start_ms: int, end_ms: int) -> Traffic:
        """The traffic of a part of the time, cut to whole steps and told from its start."""
        first = max(0, start_ms) // STEP_MS
        last = min(steps_in(end_ms), len(self.held_by_step))
        begin, end = first * STEP_MS, min(last * STEP_MS, self.end_ms)
        full = self.pool_exhausted
        return replace(
            self,
            start=self.start + timedelta(milliseconds=begin),
            end_ms=end - begin,
            pool_exhausted=full and (full[0] - begin, None if full[1] is None else full[1] - begin),
            requests=tuple(
                request._replace(at_ms=request.at_ms - begin)
                for request in self.requests
                if begin <= request.at_ms < end
            ),
            outage=(self.outage[0] - begin, self.outage[1] - begin),
            blocked=tuple((start - begin, until - begin) for start, until in self.blocked),
            kept_until_ms=None if self.kept_until_ms is None else self.kept_until_ms - begin,
            held_by_step=self.held_by_step[first:last],
        )

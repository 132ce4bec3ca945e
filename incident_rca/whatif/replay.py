"""Recorded traffic through a protection and a model of the pool -> how each request ended."""

from __future__ import annotations

from array import array
from dataclasses import dataclass

from incident_rca.whatif.breakers import FULL, OK, REFUSED, TIMEOUT, Guard, Settle
from incident_rca.whatif.pool import Call, Pool
from incident_rca.whatif.protection import Protection, policy_of
from incident_rca.whatif.traffic import Request, Traffic
from incident_rca.whatif.virtual_time import VirtualTime

# How a request ends that the gateway gave up, and one that is never answered.
GATEWAY_LIMIT, UNANSWERED = "gateway_limit", "unanswered"
# For how long calls that are under way when the window ends are still followed.
_AFTERMATH_MS = 120_000


@dataclass(frozen=True, slots=True)
class Answers:
    """How the replayed requests ended, in the order of `Traffic.requests`, and what the pool did.

    `refused_healthy` counts those that were refused although the backend would have served them.
    """

    outcomes: tuple[str, ...]
    latencies_ms: tuple[int, ...]
    refused_healthy: int
    held_by_step: tuple[int, ...]
    first_full_ms: int | None
    full_ms: int


def replay(traffic: Traffic, protection: Protection) -> Answers:
    """What would have happened to the recorded requests, by the model."""
    run = _Run(traffic, protection)
    clock = run.clock
    for number, request in enumerate(traffic.requests):
        clock.run_until(request.at_ms)
        run.arrive(number, request)
    clock.run_until(traffic.end_ms)
    run.pool.close()
    full_ms, first_full_ms = run.pool.full_ms, run.pool.first_full_ms
    clock.run_until(traffic.end_ms + _AFTERMATH_MS)
    return Answers(
        outcomes=tuple(run.outcomes),
        latencies_ms=tuple(run.latencies_ms),
        refused_healthy=run.refused_healthy,
        held_by_step=tuple(run.pool.held_by_step),
        first_full_ms=first_full_ms,
        full_ms=full_ms,
    )


class _Run:
    """One replay under way."""

    def __init__(self, traffic: Traffic, protection: Protection) -> None:
        self.clock = VirtualTime()
        self.pool = Pool(self.clock, traffic)
        self.outcomes = [UNANSWERED] * len(traffic.requests)
        self.latencies_ms = array("q", [0]) * len(traffic.requests)
        self.refused_healthy = 0
        self._routes = traffic.routes
        self._protection = protection
        breakers = 1 if protection.is_shared else len(traffic.routes)
        self._guards = [[self._guard() for _ in range(protection.clients)] for _ in range(breakers)]
        self._turns = [0] * breakers

    def _guard(self) -> Guard:
        asked = self._protection
        policy = policy_of(self.clock, asked.breaker)
        return Guard(self.clock, policy, timeout_ms=asked.deadline_ms, places=asked.places)

    def arrive(self, number: int, request: Request) -> None:
        """A request arrives at the client whose turn it is."""
        group = 0 if self._protection.is_shared else request.route
        clients = self._guards[group]
        self._turns[group] = (self._turns[group] + 1) % len(clients)
        self._attempt(number, request, clients[self._turns[group]], self._protection.retries)

    def _attempt(self, number: int, request: Request, guard: Guard, left: int) -> None:
        route = self._routes[request.route]
        call: Call | None = None

        def action(end: Settle) -> None:
            nonlocal call
            call = Call(
                is_blocked=route.is_blocked,
                service_ms=request.service_ms,
                fails=request.fails,
                end=end,
            )
            self.pool.begin(call)

        def settle(outcome: str) -> None:
            if outcome == TIMEOUT and call is not None:
                self.pool.give_up(call, is_cancelled=self._protection.cancels)
            if outcome in (OK, REFUSED) or not left:
                self._answer(number, request, outcome)
            else:
                again = self.clock.now + self._protection.backoff_ms
                self.clock.at(again, self._attempt, number, request, guard, left - 1)

        is_quick = self.pool.free and self.pool.blocked_until(route.is_blocked) is None
        guard.call(action, settle, ends_within_ms=request.service_ms if is_quick else None)

    def _answer(self, number: int, request: Request, outcome: str) -> None:
        route = self._routes[request.route]
        latency = self.clock.now - request.at_ms
        if outcome in (REFUSED, FULL) and self._is_healthy(request):
            self.refused_healthy += 1
        if route.limit_ms is not None and latency >= route.limit_ms:
            # The gateway had given up; the service behind it does not know.
            outcome, latency = GATEWAY_LIMIT, route.limit_ms
        self.outcomes[number] = outcome
        self.latencies_ms[number] = latency

    def _is_healthy(self, request: Request) -> bool:
        """Whether the backend would have served the request now."""
        is_held_up = self.pool.blocked_until(self._routes[request.route].is_blocked) is not None
        return self.pool.free > 0 and not is_held_up and not request.fails

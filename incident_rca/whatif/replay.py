"""Recorded traffic through a protection and a model of the pool -> how each request ended."""

from __future__ import annotations

from array import array
from collections.abc import Callable
from dataclasses import dataclass, replace

from incident_rca.whatif.breakers import ERROR, FULL, OK, REFUSED, TIMEOUT, Guard
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

    The latency of one that was never answered is for how long it was followed.
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
    return replay_for_all(traffic, protection)[0]


def replay_for_all(
    traffic: Traffic, protection: Protection
) -> tuple[Answers, Callable[[Protection], bool]]:
    """As `replay`, with what tells of which other protections the answers are as well."""
    run = _Run(traffic, protection)
    clock = run.clock
    for number, request in enumerate(traffic.requests):
        clock.run_until(request.at_ms)
        run.arrive(number, request)
    clock.run_until(traffic.end_ms)
    run.pool.close()
    full_ms, first_full_ms = run.pool.full_ms, run.pool.first_full_ms
    clock.run_until(traffic.end_ms + _AFTERMATH_MS)
    run.give_up()
    answers = Answers(
        outcomes=tuple(run.outcomes),
        latencies_ms=tuple(run.latencies_ms),
        refused_healthy=run.refused_healthy,
        held_by_step=tuple(run.pool.held_by_step),
        first_full_ms=first_full_ms,
        full_ms=full_ms,
    )
    return answers, run.answers_alike


class _Run:
    """One replay under way."""

    def __init__(self, traffic: Traffic, protection: Protection) -> None:
        self.clock = VirtualTime()
        self.pool = Pool(self.clock, traffic)
        self.outcomes = [UNANSWERED] * len(traffic.requests)
        self.latencies_ms = array("q", [0]) * len(traffic.requests)
        self.refused_healthy = 0
        self._requests, self._routes = traffic.requests, traffic.routes
        self._protection = protection
        breakers = 1 if protection.is_shared else len(traffic.routes)
        self._guards = [[self._guard() for _ in range(protection.clients)] for _ in range(breakers)]
        self._turns = [0] * breakers

    def _guard(self) -> Guard:
        asked = self._protection
        policy = policy_of(self.clock, asked.breaker)
        return Guard(self.clock, policy, timeout_ms=asked.deadline_ms, places=asked.places)

    def answers_alike(self, other: Protection) -> bool:
        """Whether the other protection would have answered every request in the same way."""
        mine = self._protection
        return replace(other, breaker=mine.breaker) == mine and all(
            guard.policy.decides_alike(other.breaker)
            for clients in self._guards
            for guard in clients
        )

    def arrive(self, number: int, request: Request) -> None:
        """A request arrives at the client whose turn it is."""
        group = 0 if self._protection.is_shared else request.route
        clients = self._guards[group]
        self._turns[group] = (self._turns[group] + 1) % len(clients)
        self._attempt(number, request, clients[self._turns[group]], self._protection.retries)

    def _attempt(self, number: int, request: Request, guard: Guard, left: int) -> None:
        ticket = guard.admit()
        if ticket is None:
            self._settled(number, request, guard, left, REFUSED)
        elif not guard.takes_a_place(ticket):
            self._settled(number, request, guard, left, FULL)
        elif self._is_served_at_once(request) and guard.waits_for(request.service_ms):
            # Nothing can come between such a call and its end, so it needs neither timer nor state.
            self.pool.lend()
            ends = self.clock.now + request.service_ms
            self.clock.at(ends, self._served, number, request, guard, left, ticket)
        else:
            self._begin(number, request, guard, left, ticket)

    def _is_served_at_once(self, request: Request) -> bool:
        is_blocked = self._routes[request.route].is_blocked
        return self.pool.free > 0 and self.pool.blocked_until(is_blocked) is None

    def _served(
        self, number: int, request: Request, guard: Guard, left: int, ticket: object
    ) -> None:
        outcome = ERROR if request.fails else OK
        self.pool.give_back()
        guard.leave(ticket, outcome)
        if left and outcome != OK:
            self._settled(number, request, guard, left, outcome)
        else:
            self._answer(number, request, outcome)

    def _begin(
        self, number: int, request: Request, guard: Guard, left: int, ticket: object
    ) -> None:
        """A call that may wait, hang, or time out."""

        def settle(outcome: str) -> None:
            if outcome == TIMEOUT:
                self.pool.give_up(call, is_cancelled=self._protection.cancels)
            self._settled(number, request, guard, left, outcome)

        call = Call(
            is_blocked=self._routes[request.route].is_blocked,
            service_ms=request.service_ms,
            fails=request.fails,
            end=guard.ending(ticket, settle),
        )
        self.pool.begin(call)

    def _settled(
        self, number: int, request: Request, guard: Guard, left: int, outcome: str
    ) -> None:
        """One attempt has ended."""
        if not left or outcome in (OK, REFUSED):
            self._answer(number, request, outcome)
        else:
            again = self.clock.now + self._protection.backoff_ms
            self.clock.at(again, self._attempt, number, request, guard, left - 1)

    def give_up(self) -> None:
        """Nobody follows the requests any longer that are still under way."""
        if UNANSWERED in self.outcomes:
            for number, request in enumerate(self._requests):
                if self.outcomes[number] == UNANSWERED:
                    self._answer(number, request, UNANSWERED)

    def _answer(self, number: int, request: Request, outcome: str) -> None:
        route = self._routes[request.route]
        latency = self.clock.now - request.at_ms
        if outcome in (REFUSED, FULL) and not request.fails and self._is_served_at_once(request):
            # The backend would have served it now.
            self.refused_healthy += 1
        if route.limit_ms is not None and latency >= route.limit_ms:
            # The gateway had given up; the service behind it does not know.
            outcome, latency = GATEWAY_LIMIT, route.limit_ms
        self.outcomes[number] = outcome
        self.latencies_ms[number] = latency

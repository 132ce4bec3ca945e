"""What a call meets on its way: a circuit breaker, a time-out and a limit of calls at once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from incident_rca.whatif.virtual_time import VirtualTime, cancel

# How a call ends for its caller. `cut` and `error` are the dependency's own doing.
OK, ERROR, TIMEOUT, REFUSED, FULL = "ok", "error", "timeout", "refused", "full"

Settle = Callable[[str], None]


class Policy(Protocol):
    """The state of one circuit breaker, told of each call and asked before it.

    A ticket comes from `admit` and goes back with the outcome; None refuses the call. A call that
    finds no place among those at once is admitted first: each library counts it as it does.
    """

    def admit(self) -> object | None: ...
    def succeeded(self, ticket: object) -> None: ...
    def failed(self, ticket: object, outcome: str) -> None: ...


class Guard:
    """One breaker with its time-out and its limit of calls at once, as one client holds it.

    `timeout_ms` 0 never times out. A call that timed out gives back its place here at once, whether
    or not the dependency still works on it: that is not known on this side.
    """

    __slots__ = ("_clock", "_places", "_policy", "_timeout_ms")

    def __init__(
        self, clock: VirtualTime, policy: Policy, *, timeout_ms: int, places: int | None
    ) -> None:
        self._clock = clock
        self._policy = policy
        self._timeout_ms = timeout_ms
        self._places = places

    def call(
        self,
        action: Callable[[Settle], None],
        settle: Settle,
        *,
        ends_within_ms: int | None = None,
    ) -> None:
        """Runs `action` unless it is refused; `settle` hears once how the call ended.

        Where it is known within how many ms the action ends, a later time-out needs no timer.
        """
        policy = self._policy
        ticket = policy.admit()
        if ticket is None:
            settle(REFUSED)
            return
        if self._places is not None:
            if self._places < 1:
                policy.failed(ticket, FULL)
                settle(FULL)
                return
            self._places -= 1
        clock, limit = self._clock, self._timeout_ms
        timer, is_over = None, False
        if limit and (ends_within_ms is None or ends_within_ms >= limit):
            timer = clock.at(clock.now + limit, lambda: end(TIMEOUT))

        def end(outcome: str) -> None:
            nonlocal is_over
            if is_over:
                return
            is_over = True
            if outcome != TIMEOUT:
                cancel(timer)
            if self._places is not None:
                self._places += 1
            if outcome == OK:
                policy.succeeded(ticket)
            else:
                policy.failed(ticket, outcome)
            settle(outcome)

        action(end)


class Unprotected:
    """No breaker: every call is admitted."""

    __slots__ = ()

    def admit(self) -> object | None:
        return self

    def succeeded(self, ticket: object) -> None:
        pass

    def failed(self, ticket: object, outcome: str) -> None:
        pass

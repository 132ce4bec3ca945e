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
    def decides_alike(self, options: object) -> bool:
        """Whether a breaker with these options would have done the same so far."""
        ...


class Guard:
    """One breaker with its time-out and its limit of calls at once, as one client holds it.

    `timeout_ms` 0 never times out. A call that timed out gives back its place here at once, whether
    or not the dependency still works on it: that is not known on this side.
    """

    __slots__ = ("_clock", "_places", "_timeout_ms", "admit", "policy")

    def __init__(
        self, clock: VirtualTime, policy: Policy, *, timeout_ms: int, places: int | None
    ) -> None:
        self._clock = clock
        self.policy = policy
        self._timeout_ms = timeout_ms
        self._places = places
        # The breaker's ticket for a call, or None where it refuses the call.
        self.admit: Callable[[], object | None] = policy.admit

    def takes_a_place(self, ticket: object) -> bool:
        """Whether an admitted call finds a place; if not, it is over."""
        if self._places is not None:
            if self._places < 1:
                self.policy.failed(ticket, FULL)
                return False
            self._places -= 1
        return True

    def waits_for(self, duration_ms: int) -> bool:
        """Whether a call that takes so long ends before its time-out."""
        return not self._timeout_ms or duration_ms < self._timeout_ms

    def ending(self, ticket: object, settle: Settle) -> Settle:
        """What is told how a call with a place ended, by the call or by its time-out from now on.

        `settle` hears of the first of the two.
        """
        clock, limit = self._clock, self._timeout_ms
        timer, is_over = None, False
        if limit:
            timer = clock.timer(clock.now + limit, lambda: end(TIMEOUT))

        def end(outcome: str) -> None:
            nonlocal is_over
            if is_over:
                return
            is_over = True
            if outcome != TIMEOUT:
                cancel(timer)
            self.leave(ticket, outcome)
            settle(outcome)

        return end

    def leave(self, ticket: object, outcome: str) -> None:
        """Gives the place of a call back and counts how it ended."""
        if self._places is not None:
            self._places += 1
        if outcome == OK:
            self.policy.succeeded(ticket)
        else:
            self.policy.failed(ticket, outcome)


class Unprotected:
    """No breaker: every call is admitted."""

    __slots__ = ()

    def admit(self) -> object | None:
        return self

    def succeeded(self, ticket: object) -> None:
        pass

    def failed(self, ticket: object, outcome: str) -> None:
        pass

    def decides_alike(self, options: object) -> bool:
        return options is None

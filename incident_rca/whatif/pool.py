"""A queue model of a connection pool: who holds a connection, who waits for one, for how long."""

from __future__ import annotations

from collections import deque

from incident_rca.whatif.breakers import ERROR, OK, Settle
from incident_rca.whatif.traffic import STEP_MS, Traffic, steps_in
from incident_rca.whatif.virtual_time import Timer, VirtualTime, cancel


def _nobody(outcome: str) -> None:
    """Hears of a call whose caller has gone."""


class Call:
    """One call of the backend: `end` hears of its outcome, unless its caller has gone."""

    __slots__ = (
        "end",
        "fails",
        "has_connection",
        "is_blocked",
        "is_given_up",
        "is_over",
        "service_ms",
        "timer",
    )

    def __init__(self, *, is_blocked: bool, service_ms: int, fails: bool, end: Settle) -> None:
        self.is_blocked = is_blocked
        self.service_ms = service_ms
        self.fails = fails
        self.end = end
        self.has_connection = self.is_given_up = self.is_over = False
        self.timer: Timer | None = None


class Pool:
    """Connections that are lent to calls in the order in which they came.

    A blocked call holds its connection until what it needs is released. If its caller has gone by
    then, the connection comes back as those did in the incident (`Traffic.kept_until_ms`).
    """

    __slots__ = (
        "_clock",
        "_free",
        "_held",
        "_last_blocked",
        "_queue",
        "_since_full",
        "_step",
        "_traffic",
        "first_full_ms",
        "full_ms",
        "held_by_step",
    )

    def __init__(self, clock: VirtualTime, traffic: Traffic) -> None:
        self._clock = clock
        self._traffic = traffic
        self._free = traffic.pool_size
        self._queue: deque[Call] = deque()
        self._since_full: int | None = None
        self._last_blocked = max((end for _, end in traffic.blocked), default=0)
        self._step = self._held = 0
        self.full_ms = 0
        self.first_full_ms: int | None = None
        self.held_by_step = [0] * steps_in(traffic.end_ms)

    @property
    def free(self) -> int:
        return self._free

    def begin(self, call: Call) -> None:
        """Takes a connection for the call, or lets it wait for one as long as the backend waits."""
        if self._free > 0:
            self._lend(call)
            return
        self._queue.append(call)
        if self._traffic.cut_ms is not None:
            call.timer = self._clock.timer(self._clock.now + self._traffic.cut_ms, self._cut, call)

    def give_up(self, call: Call, *, is_cancelled: bool) -> None:
        """The caller has gone; only where the call is cancelled too does the pool hear of it."""
        if call.is_over:
            return
        call.is_given_up = True
        call.end = _nobody
        if is_cancelled:
            cancel(call.timer)
            if call.has_connection:
                self._return(call)
            else:
                call.is_over = True

    def blocked_until(self, call_is_blocked: bool) -> int | None:
        """When what a call needs now is released, or None where nothing withholds it."""
        now = self._clock.now
        if call_is_blocked and now < self._last_blocked:
            for start, end in self._traffic.blocked:
                if start <= now < end:
                    return end
        return None

    def close(self) -> None:
        """Brings what is counted over time up to now."""
        self._note()
        if self._since_full is not None:
            self.full_ms += self._clock.now - self._since_full
            self._since_full = None

    def lend(self) -> None:
        """Takes a free connection, which `give_back` returns."""
        self._free -= 1
        self._note()

    def _lend(self, call: Call) -> None:
        clock = self._clock
        self.lend()
        call.has_connection = True
        until = self.blocked_until(call.is_blocked)
        if until is not None:
            call.timer = clock.timer(until, self._granted, call)
            cut_ms = self._traffic.cut_ms
            if cut_ms is not None and clock.now + cut_ms < until and not call.is_given_up:
                clock.at(clock.now + cut_ms, self._hang_up, call)
        else:
            call.timer = clock.timer(clock.now + call.service_ms, self._finish, call)

    def _granted(self, call: Call) -> None:
        """What the call waited for is released."""
        clock, kept_until = self._clock, self._traffic.kept_until_ms
        if call.is_given_up and kept_until is not None and kept_until > clock.now:
            call.timer = clock.timer(kept_until, self._return, call)
        else:
            call.timer = clock.timer(clock.now + call.service_ms, self._finish, call)

    def _hang_up(self, call: Call) -> None:
        """The connection between caller and backend is cut: the caller goes, the work does not."""
        if not call.is_over and not call.is_given_up:
            call.is_given_up = True
            _tell(call, ERROR)

    def _finish(self, call: Call) -> None:
        self._return(call)
        _tell(call, ERROR if call.fails else OK)

    def _cut(self, call: Call) -> None:
        """The call has waited for a connection for too long."""
        if not call.has_connection and not call.is_over:
            call.is_over = True
            _tell(call, ERROR)

    def _return(self, call: Call) -> None:
        call.has_connection = False
        call.is_over = True
        self.give_back()

    def give_back(self) -> None:
        """Returns a connection: to who has waited longest, if anybody waits."""
        self._free += 1
        queue = self._queue
        while queue:
            waiting = queue.popleft()
            if not waiting.is_over:
                cancel(waiting.timer)
                self._lend(waiting)
                return
        self._note()

    def _note(self) -> None:
        """Counts what is held over time, after each change."""
        now, held = self._clock.now, self._traffic.pool_size - self._free
        steps, step = self.held_by_step, now // STEP_MS
        if step > self._step:
            step = min(step, len(steps) - 1)
            while self._step < step:
                self._step += 1
                steps[self._step] = self._held
        self._held = held
        if held > steps[self._step]:
            steps[self._step] = held
        if self._free == 0:
            if self._since_full is None:
                self._since_full = now
                if self.first_full_ms is None:
                    self.first_full_ms = now
        elif self._since_full is not None:
            self.full_ms += now - self._since_full
            self._since_full = None


def _tell(call: Call, outcome: str) -> None:
    """Says once how a call ended; then nothing keeps its caller in memory."""
    end, call.end = call.end, _nobody
    end(outcome)

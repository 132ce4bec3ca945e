"""The model of a system under a cause: requests arrive, call, wait, are served or fail."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeVar

from score.causes import (
    Cause,
    CrossedRows,
    Failing,
    Misrouted,
    Restart,
    Slow,
    Surge,
)
from score.engine import Engine, Process, Signal
from score.lock_table import ROW, LockTable, Request, Session, Tag
from score.pools import Pool, Turn
from score.trace import Called, Logged, Served, Trace
from score.world import Method, Route, Service, World

Some = TypeVar("Some")

DEADLOCK_TIMEOUT = 1.0  # PostgreSQL's default, which also says from when on waits are logged
SPREAD = 0.4  # of the logarithm of a service time
GATEWAY_OWN_SECONDS = 0.003
FIRST_PID = 2000


@dataclass(slots=True, eq=False)
class Call:
    """A call under way. `gone` fires when nobody waits for it, or its server stops."""

    method: Method
    started: float
    done: Signal = field(default_factory=Signal)
    gone: Signal = field(default_factory=Signal)
    code: str = ""
    is_abandoned: bool = False


@dataclass(slots=True)
class Simulation:
    """A world, the causes that act on it, and what has happened so far."""

    world: World
    causes: Sequence[Cause]
    seconds: float
    rng: random.Random
    engine: Engine = field(default_factory=Engine)
    trace: Trace = field(default_factory=Trace)
    locks: LockTable = field(init=False)
    pools: dict[str, Pool] = field(default_factory=dict)
    in_flight: dict[str, dict[int, Call]] = field(default_factory=dict)
    restarts: dict[str, Signal] = field(default_factory=dict)
    sessions: list[Session] = field(default_factory=list)
    methods: dict[str, tuple[Service, Method]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.locks = LockTable(self.engine)
        for service in self.world.services:
            self.in_flight[service.name] = {}
            self.restarts[service.name] = Signal()
            for method in service.methods:
                self.methods[method.full] = (service, method)
            if service.pool_size:
                changes = self.trace.pools.setdefault(service.name, [(0.0, 0, 0)])
                free = [self.connect(service.application) for _ in range(service.pool_size)]
                self.pools[service.name] = Pool(self.engine, service.pool_size, free, changes)

    def connect(self, application: str) -> Session:
        """A new session of the database."""
        started = self.engine.now - (self.rng.uniform(600, 3000) if self.engine.now == 0 else 0.01)
        session = Session(
            pid=FIRST_PID + 7 * len(self.sessions),
            database=self.world.database,
            application=application,
            backend_start=started,
        )
        self.sessions.append(session)
        return session

    def acting(self, kind: type[Some]) -> Iterator[Some]:
        """The causes of a kind that act now."""
        for cause in self.causes:
            if isinstance(cause, kind) and cause.start <= self.engine.now < cause.end:
                yield cause

    # --- requests ---------------------------------------------------------------------------------

    def arrivals(self, number: int) -> Process[None]:
        """The requests of one route: a Poisson process, thinned to its rate (Lewis, 1979)."""
        route = self.world.routes[number]
        surges = [c for c in self.causes if isinstance(c, Surge) and route.name in c.routes]
        highest = route.per_second * max([1.0, *(s.factor for s in surges)])
        while True:
            yield self.rng.expovariate(highest)
            now = self.engine.now
            rate = route.per_second * max([1.0, *(s.level(now) for s in surges)])
            if self.rng.random() < rate / highest:
                self.trace.arrived += 1
                self.engine.start(self._request(number, route))

    def _request(self, number: int, route: Route) -> Process[None]:
        arrival = self.engine.now
        status, kind, code, noise = 200, "", "OK", False
        yield GATEWAY_OWN_SECONDS
        if any(m.route == route.name for m in self.acting(Misrouted)):
            status, kind, code = 502, "integration_network", ""
        elif self.rng.random() < self.world.noise:
            yield self.rng.uniform(0.005, 0.05)
            status, kind, code, noise = 500, "backend_5xx", "", True
        else:
            until = arrival + self.world.behaviour.gateway_seconds
            for full in route.calls:
                code = yield from self._with_retries(full, until)
                if code != "OK":
                    break
            if code == "gateway":
                status, kind = 504, "integration_timeout"
            elif code != "OK":
                status, kind = self.world.behaviour.failed_status, "backend_5xx"
        self.trace.requests.append(
            Served(arrival, self.engine.now, number, status, kind, noise, code)
        )

    def _with_retries(self, full: str, until: float) -> Process[str]:
        """Calls a method, again where that failed; returns the last code, or `gateway`."""
        how = self.world.behaviour
        code = ""
        for attempt in range(how.attempts):
            if attempt:
                yield how.backoff_seconds * self.rng.uniform(0.5, 1.5)
            left = until - self.engine.now
            if left <= 0:
                return "gateway"
            code = yield from self._call(full, left)
            if code in ("OK", "gateway"):
                return code
        return code

    def _call(self, full: str, left: float) -> Process[str]:
        how = self.world.behaviour
        service, method = self.methods[full]
        call = Call(method, self.engine.now)
        self.engine.start(self._serve(service, call))
        by_deadline = how.deadline_seconds is not None and how.deadline_seconds < left
        limit = how.deadline_seconds if by_deadline else left
        yield (call.done, limit)
        answered = call.done.fired
        code = call.code if answered else "DEADLINE_EXCEEDED" if by_deadline else how.cut_code
        if not answered:
            call.is_abandoned = True
            if how.cancels:
                self.engine.fire(call.gone)
        self.trace.calls.append(Called(call.started, self.engine.now, full, code))
        return code if answered or by_deadline else "gateway"

    # --- the server's side ------------------------------------------------------------------------

    def _serve(self, service: Service, call: Call) -> Process[None]:
        calls = self.in_flight[service.name]
        calls[id(call)] = call
        code = ""
        failing = next((f for f in self.acting(Failing) if f.service == service.name), None)
        if failing is not None and self.rng.random() < failing.share:
            yield failing.seconds * self.rng.uniform(0.5, 1.5)
            code = failing.code
        elif service.name in self.pools:
            code = yield from self._with_connection(service, call)
        else:
            stopped = yield (call.gone, self._work(service, call.method))
            code = "UNAVAILABLE" if stopped else "OK"
        del calls[id(call)]
        call.code = code
        self.engine.fire(call.done)

    def _with_connection(self, service: Service, call: Call) -> Process[str]:
        pool = self.pools[service.name]
        turn = pool.ask()
        if turn.session is None:
            yield from self._queue(pool, turn, call)
            if turn.session is None:
                return "UNAVAILABLE"
        session = turn.session
        assert session is not None
        if call.gone.fired:
            pool.give_back(session)
            return "UNAVAILABLE"
        session.run(call.method.statement, self.engine.now)
        code = yield from self._transaction(service, call, session)
        if code == "leaked":
            session.pause(self.engine.now)
            yield (self.restarts[service.name], None)
            self.trace.log.append(Logged(self.engine.now, "terminated", session))
            code = "UNAVAILABLE"
        self.locks.finish(session)
        pool.give_back(session)
        return code

    def _queue(self, pool: Pool, turn: Turn, call: Call) -> Process[None]:
        """Waits for a connection, and leaves the queue where the caller goes.

        Only one signal can be waited for, so who goes away is woken by a process of its own.
        """
        self.engine.start(self._wake_with(call.gone, turn))
        yield (turn.ready, None)
        pool.leave(turn)

    def _wake_with(self, gone: Signal, turn: Turn) -> Process[None]:
        yield (gone, None)
        self.engine.fire(turn.ready)

    def _transaction(self, service: Service, call: Call, session: Session) -> Process[str]:
        method, pause = call.method, 0.0
        for tag, mode in self._needs(method):
            if pause and (yield (call.gone, pause)):
                return "UNAVAILABLE"
            request = self.locks.acquire(session, tag, mode)
            if request is not None:
                outcome = yield from self.wait(request, call.gone)
                if outcome != "granted":
                    return "ABORTED" if outcome == "deadlock" else "UNAVAILABLE"
                if call.is_abandoned and self.rng.random() < self.world.behaviour.leak_share:
                    return "leaked"
            if tag[1] is not None:
                pause = next((c.pause for c in self.acting(CrossedRows)), 0.0)
        stopped = yield (call.gone, self._work(service, method))
        return "UNAVAILABLE" if stopped else "OK"

    def _needs(self, method: Method) -> list[tuple[Tag, str]]:
        if not method.table:
            return []
        needs: list[tuple[Tag, str]] = [((method.table, None), method.mode)]
        crossed = next((c for c in self.acting(CrossedRows) if c.table == method.table), None)
        if method.writes and crossed is not None:
            rows = self.rng.sample(range(100, 100 + crossed.rows), 2)
            needs += [((method.table, row), ROW) for row in rows]
        elif method.writes and self.rng.random() < method.hot_share:
            needs.append(((method.table, 1), ROW))
        return needs

    def wait(self, request: Request, gone: Signal | None = None) -> Process[str]:
        """Waits for a lock as a session does; returns its outcome: granted, cancelled, deadlock."""
        self.trace.waits.append(request)
        if gone is not None:
            self.engine.start(self._cancel_with(gone, request))
        if request.tag[1] is not None and not request.turn.fired:
            yield from self._until(request, request.turn)
        if not request.outcome:
            yield from self._until(request, request.over)
        return request.outcome

    def _until(self, request: Request, end: Signal) -> Process[None]:
        """One wait of the server's own: it looks for a circle and logs it after a second."""
        yield (end, DEADLOCK_TIMEOUT)
        if end.fired:
            return
        is_circle = self.locks.circle(request)
        said = self._said("deadlock" if is_circle else "waiting", request)
        self.trace.log.append(said)
        if is_circle:
            self.locks.withdraw(request, "deadlock")
            self.locks.release(request.session)
            return
        yield (end, None)
        if request.outcome in ("", "granted"):
            self.trace.log.append(replace(said, at=self.engine.now, kind="acquired"))
        elif request.outcome == "cancelled":
            self.trace.log.append(replace(said, at=self.engine.now, kind="cancelled"))

    def _cancel_with(self, gone: Signal, request: Request) -> Process[None]:
        if (yield (gone, None)) and not request.outcome:
            self.locks.withdraw(request, "cancelled")

    def _said(self, kind: str, request: Request) -> Logged:
        """What the server says of a wait, with who holds the lock and who queues for it.

        Who waits first for a row waits for the transaction that has it, and holds the row's own
        lock, which the others wait for.
        """
        lock = self.locks.locks[request.tag]
        holders, queue = [s for s, _ in lock.granted], [r.session for r in lock.queue]
        is_first = lock.queue[0] is request
        if request.tag[1] is not None:
            holders, queue = (holders, queue[:1]) if is_first else (queue[:1], queue[1:])
        return Logged(
            at=self.engine.now,
            kind=kind,
            session=request.session,
            text=request.session.query,
            request=request,
            holders=tuple(s.pid for s in holders),
            queue=tuple(s.pid for s in queue),
            is_first=is_first,
        )

    def _work(self, service: Service, method: Method) -> float:
        factor = max([1.0, *(s.level(self.engine.now) for s in self._slow(service))])
        # The mean of a lognormal is its median times exp(σ²/2).
        return method.work_seconds * factor * self.rng.lognormvariate(-(SPREAD**2) / 2, SPREAD)

    def _slow(self, service: Service) -> list[Slow]:
        return [s for s in self.acting(Slow) if s.service == service.name]

    # --- a restart --------------------------------------------------------------------------------

    def restart(self, cause: Restart) -> Process[None]:
        """Ends all calls of a service and gives back what they and the leaked ones had."""
        yield 0.0
        for call in list(self.in_flight[cause.service].values()):
            self.engine.fire(call.gone)
        self.engine.fire(self.restarts[cause.service])

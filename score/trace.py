"""All that happened in a simulated window, in true time: what observers see parts of."""

from __future__ import annotations

from dataclasses import dataclass, field

from score.lock_table import Request, Session


@dataclass(frozen=True, slots=True)
class Served:
    """A request from its arrival to its answer; `is_noise`: it failed for no reason at all."""

    arrival: float
    ended: float
    route: int
    status: int
    error_type: str
    is_noise: bool
    code: str


@dataclass(frozen=True, slots=True)
class Called:
    """A call as its caller saw it."""

    started: float
    ended: float
    method: str
    code: str


@dataclass(frozen=True, slots=True)
class Hold:
    """A lock that a cause held: from its grant to its release; `cause` is its place in the list."""

    cause: int
    granted: float
    released: float


@dataclass(frozen=True, slots=True)
class Logged:
    """What the database server has to say: `kind` is that of its message."""

    at: float
    kind: str
    session: Session
    text: str = ""
    request: Request | None = None
    holders: tuple[int, ...] = ()
    queue: tuple[int, ...] = ()
    is_first: bool = True


@dataclass(slots=True)
class Trace:
    """`pools` has, by service, (at, used, pending) at each change."""

    requests: list[Served] = field(default_factory=list)
    calls: list[Called] = field(default_factory=list)
    waits: list[Request] = field(default_factory=list)
    holds: list[Hold] = field(default_factory=list)
    pools: dict[str, list[tuple[float, int, int]]] = field(default_factory=dict)
    log: list[Logged] = field(default_factory=list)
    arrived: int = 0

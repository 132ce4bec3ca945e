"""What an incident happens in: services with tables and pools, routes, and how they behave."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from score.lock_table import ACCESS_SHARE, ROW_EXCLUSIVE

# What a method runs on its table.
CHANGES = "UPDATE that SET amount = amount - $1 WHERE id = $2"
READS = "SELECT amount FROM that WHERE id = $1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Method:
    """A gRPC method; `work_seconds` is its mean service time once it has all that it needs.

    `hot_share` of its transactions change the same row of its table.
    """

    full: str
    table: str = ""
    writes: bool = False
    work_seconds: float
    hot_share: float = 0.0

    @property
    def mode(self) -> str:
        return ROW_EXCLUSIVE if self.writes else ACCESS_SHARE

    @property
    def statement(self) -> str:
        return (CHANGES if self.writes else READS).replace("that", self.table.rpartition(".")[2])


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """A service; without a pool it has no database. `application` is the name of its sessions."""

    name: str
    methods: tuple[Method, ...]
    pool_size: int | None = None
    application: str = ""

    @property
    def tables(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(m.table for m in self.methods if m.table))


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """A route of the gateway: its requests a second, and the methods that it calls in turn."""

    method: str
    path: str
    calls: tuple[str, ...]
    per_second: float

    @property
    def name(self) -> str:
        return f"{self.method} {self.path}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Behaviour:
    """What callers and servers do when it gets slow.

    `gateway_seconds`: the gateway answers 504 then, and the call it waits for ends with `cut_code`.
    `cancels`: a server stops the statement of a caller that has gone; else it works on for nobody.
    `leak_share` of the calls whose callers went away while they waited for a lock never give their
    connection back. `failed_status` is what callers answer where a call failed.
    """

    gateway_seconds: float
    deadline_seconds: float | None = None
    attempts: int = 1
    backoff_seconds: float = 0.2
    cancels: bool = True
    leak_share: float = 0.0
    cut_code: Literal["CANCELLED", "UNAVAILABLE", "INTERNAL"] = "CANCELLED"
    failed_status: int = 502


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """The system before anything happens to it; `noise` of the requests fail for no reason."""

    database: str
    services: tuple[Service, ...]
    routes: tuple[Route, ...]
    behaviour: Behaviour
    noise: float = 0.0

    def service(self, name: str) -> Service:
        """The service of a name."""
        return next(s for s in self.services if s.name == name)

    def callers_of(self, service: Service) -> tuple[Route, ...]:
        """The routes that call any method of a service."""
        own = {m.full for m in service.methods}
        return tuple(r for r in self.routes if own & set(r.calls))

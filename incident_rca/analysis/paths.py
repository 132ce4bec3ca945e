"""From a relation or a pool to the routes behind it: by topology or, marked so, by names."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from incident_rca.analysis.evidence import setting_as_evidence
from incident_rca.analysis.names import may_be_one
from incident_rca.analysis.observations import Observations
from incident_rca.analysis.pool import least_pool_sizes
from incident_rca.model import Basis, EndpointImpact, Evidence, Service, Starvation


@dataclass(frozen=True, slots=True, kw_only=True)
class DependencyPath:
    """A service, its methods, and the endpoints that call them; `basis` says who stated it."""

    service: str
    methods: tuple[str, ...]
    endpoints: tuple[EndpointImpact, ...]
    basis: Basis
    evidence: tuple[Evidence, ...]

    @property
    def failing(self) -> tuple[EndpointImpact, ...]:
        return tuple(e for e in self.endpoints if e.is_failing)

    @property
    def in_words(self) -> str:
        depend = "depends" if len(self.failing) == 1 else "depend"
        return (
            f"{', '.join(self.methods) or self.service}, on which {self.routes_in_words} {depend}"
        )

    @property
    def routes_in_words(self) -> str:
        return " and ".join(e.name for e in self.failing) or "no failing route"

    def names(self, method: str) -> bool:
        """Whether this is one of its own methods, as `service.method`."""
        return method in {f"{self.service}.{m.rpartition('/')[2]}" for m in self.methods}


def path_from_relation(
    seen: Observations, relation: str, applications: Iterable[str]
) -> DependencyPath | None:
    """The path from a table: stated by the topology, else inferred from its sessions' names."""
    if seen.case.topology:
        owner = next((s for s in seen.case.topology.services if _owns(s, relation)), None)
        if owner:
            return _by_topology(seen, owner, f"{relation} belongs to")
    return None if seen.case.topology.is_stated else _inferred(seen, applications)


def path_from_service(seen: Observations, name: str) -> DependencyPath | None:
    """The path from a service, as the owner of a pool or of a gRPC method."""
    owner = next((s for s in seen.case.topology.services if s.name == name), None)
    if owner:
        return _by_topology(seen, owner, "the service is")
    return None if seen.case.topology.is_stated else _inferred(seen, [name])


def starved_on(seen: Observations, path: DependencyPath | None) -> tuple[Starvation, ...]:
    """The starvations of routes that the topology puts on a path, whether or not any failed."""
    if path is None:
        return ()
    routes = {r.name for r in seen.case.topology.routes if set(r.calls) & set(path.methods)}
    return tuple(s for s in seen.starvations if s.name in routes)


def path_pool_size(seen: Observations, path: DependencyPath) -> int | None:
    """How many connections the service of a path has at most, as far as that is known.

    Of several sizes it is the smallest, which the fewest waiters fill. Where nobody stated whose a
    pool is, its gauge is taken as that of a service with a word of its name.
    """
    if seen.pool is not None and seen.pool.owner == path.service:
        return seen.pool.size
    sizes = least_pool_sizes(seen.case, seen.gauges)
    if path.service in sizes or seen.case.topology.is_stated:
        return sizes.get(path.service)
    return min((n for owner, n in sizes.items() if may_be_one(owner, path.service)), default=None)


def _owns(service: Service, relation: str) -> bool:
    return any(
        relation == table or ("." not in relation and table.endswith(f".{relation}"))
        for table in service.tables
    )


def _by_topology(seen: Observations, owner: Service, how: str) -> DependencyPath:
    """The path that the topology names; inferred where its service or a failing route of it is."""
    callers = [r for r in seen.case.topology.routes if set(r.calls) & set(owner.grpc)]
    routes = {r.name for r in callers}
    endpoints = tuple(e for e in seen.endpoints if e.name in routes)
    failing = {e.name for e in endpoints if e.is_failing}
    bases = {owner.basis, *(r.basis for r in callers if r.name in failing)}
    is_inferred = Basis.INFERRED in bases
    methods = tuple(sorted(owner.grpc))
    return DependencyPath(
        service=owner.name,
        methods=methods,
        endpoints=endpoints,
        basis=Basis.INFERRED if is_inferred else Basis.OBSERVED,
        evidence=setting_as_evidence(
            seen.case,
            f"{'inferred ' * is_inferred}topology: {how} {owner.name}, whose "
            f"{', '.join(methods)} is called by {', '.join(sorted(routes)) or 'no route'}",
        ),
    )


def _inferred(seen: Observations, names: Iterable[str]) -> DependencyPath | None:
    """Without a topology: a slow method whose service shares a word with the sessions' name."""
    known = tuple(names)
    slow = next(
        (s for s in seen.latency_shifts if any(may_be_one(s.service, name) for name in known)), None
    )
    if slow is None or not seen.failing:
        return None
    return DependencyPath(
        service=slow.service,
        methods=(f"{slow.service}.{slow.method}",),
        endpoints=seen.failing,
        basis=Basis.INFERRED,
        evidence=setting_as_evidence(
            seen.case,
            f"no {'confirmed ' * bool(seen.case.topology)}topology: the path is inferred from "
            "names and from what failed together",
        ),
    )

"""A case without a topology -> the topology that its evidence suggests, for people to confirm."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from incident_rca.analysis.frames import values
from incident_rca.analysis.inferred_routes import infer_routes
from incident_rca.analysis.inferred_values import Inference, is_method
from incident_rca.analysis.inferred_values import inferred as _inferred
from incident_rca.analysis.names import counted, may_be_one, words
from incident_rca.analysis.observations import Observations, observe
from incident_rca.analysis.pool import pool_limits
from incident_rca.analysis.traffic_links import MethodTraffic, bins_of, method_traffic
from incident_rca.model import Basis, Case, LockEpisode, Route, Service, Topology
from incident_rca.tables import Tables

_SUFFIX = re.compile(r"[-_]?(service|svc)$")
_TABLE_NAME = re.compile(r'(?:"[^"]+"|[^".\s]+)\.(?:"[^"]+"|[^".\s]+)')


@dataclass(frozen=True, slots=True, kw_only=True)
class InferredTopology:
    """What the evidence suggests, all of it marked as inferred, and what it leaves unclear."""

    topology: Topology
    reasons: tuple[Inference, ...]
    left_out: tuple[Inference, ...]


def infer_topology(case: Case, tables: Tables) -> InferredTopology:
    """The services and routes that this evidence suggests; the case's own topology is not used.

    Tables come from who waited for them, pools from their gauges, and routes from what came and
    failed together with which calls. A value without a clear reason is in `left_out`.
    """
    seen = observe(replace(case, topology=Topology()), tables)[0]
    bins = bins_of(seen)
    methods = tuple(m for m in method_traffic(seen, bins) if is_method(m.full_name))
    names = _service_names(seen, methods)
    routes = infer_routes(seen, bins, methods)
    found = [*_tables(seen, methods, names), *_pools(seen, methods, names), *routes]
    used = {i.table for i in found if i.is_clear}
    called = {m for i in routes if i.is_clear and i.key == "calls" for m in i.names}
    known = (*_grpc(methods, names, used, called), *found)
    reasons = tuple(i for i in known if i.is_clear)
    return InferredTopology(
        topology=_topology(reasons),
        reasons=reasons,
        left_out=tuple(i for i in known if not i.is_clear),
    )


# --- services ---------------------------------------------------------------------------------


def _service_names(seen: Observations, methods: Iterable[MethodTraffic]) -> dict[str, str]:
    """A name for each gRPC service: the word that its sessions or its pool call it by, as well.

    Else its package's first part, as the reports name it, unless several have the same.
    """
    tags = sorted({m.service for m in methods})
    others = {a for e in seen.lock_episodes for a in e.waiter_applications}
    others |= {limit.owner for limit in pool_limits(seen.gauges)}
    firsts = [tag.partition(".")[0] for tag in tags]
    found = {}
    for tag, first in zip(tags, firsts, strict=True):
        shared = {w for other in others for w in words(tag) & words(other)}
        last = _SUFFIX.sub("", tag.rpartition(".")[2].casefold())
        named = first if firsts.count(first) == 1 else last
        found[tag] = shared.pop() if len(shared) == 1 else (named or tag)
    return found


def _grpc(
    methods: Iterable[MethodTraffic], names: dict[str, str], used: set[str], called: set[str]
) -> Iterator[Inference]:
    """The methods of each service that something else of the topology names; the others are not."""
    by_service: dict[str, list[MethodTraffic]] = {}
    for method in methods:
        by_service.setdefault(f"services.{names[method.service]}", []).append(method)
    for table, owned in sorted(by_service.items()):
        full = tuple(sorted(m.full_name for m in owned))
        shifts = [m.shift for m in owned if m.shift]
        is_part = bool(shifts) or table in used or not called.isdisjoint(full)
        usual = "its calls stayed as usual and belong to no route that was hit"
        slow = [
            f"its {s.aggregate} rose to {s.plateau_ms:,.0f} ms from {s.baseline_p99_ms or 0:,.0f}"
            for s in shifts
        ]
        reason = "; ".join(slow) if slow else "its calls are recorded" if is_part else usual
        evidence = tuple(e for m in owned for e in m.evidence)
        yield _inferred(table, "grpc", full, reason, evidence, is_clear=is_part)


def _owners(
    names: dict[str, str], methods: Iterable[MethodTraffic], others: Iterable[str]
) -> tuple[str, ...]:
    """The services that share a telling word with one of these names."""
    known = tuple(others)
    tags = {m.service for m in methods if any(may_be_one(m.service, other) for other in known)}
    return tuple(sorted({names[tag] for tag in tags}))


# --- tables -----------------------------------------------------------------------------------


def _tables(
    seen: Observations, methods: tuple[MethodTraffic, ...], names: dict[str, str]
) -> Iterator[Inference]:
    by_relation: dict[str, list[LockEpisode]] = {}
    for episode in seen.lock_episodes:
        if episode.relation and episode.waiter_applications:
            by_relation.setdefault(episode.relation, []).append(episode)
    clear: dict[str, list[Inference]] = {}
    for relation, episodes in sorted(by_relation.items()):
        inference = _table(seen, methods, names, relation, episodes)
        if inference.is_clear:
            clear.setdefault(inference.table, []).append(inference)
        else:
            yield inference
    for table, parts in sorted(clear.items()):
        yield _inferred(
            table,
            "tables",
            tuple(name for part in parts for name in part.names),
            "; ".join(part.reason for part in parts),
            tuple(e for part in parts for e in part.evidence),
        )


def _table(
    seen: Observations,
    methods: tuple[MethodTraffic, ...],
    names: dict[str, str],
    relation: str,
    episodes: list[LockEpisode],
) -> Inference:
    applications = sorted({a for e in episodes for a in e.waiter_applications})
    waited = counted(sum(e.waiters_total for e in episodes), "session")
    reason = f"{waited} of {', '.join(applications)} waited for a lock on {relation}"
    if named := _statements_that_name(seen, relation):
        reason += f", {counted(named, 'statement')} of theirs naming it"
    evidence = tuple(e for episode in episodes for e in episode.peak_evidence[:1])
    owners = _owners(names, methods, applications)
    if len(owners) != 1:
        why = (
            f"which of {', '.join(owners)} it belongs to is not clear"
            if owners
            else f"no gRPC service is recorded whose name is like {', '.join(applications)}"
        )
        table = f"services.{applications[0]}"
        reason = f"{reason}; {why}"
        return _inferred(table, "tables", (relation,), reason, evidence, is_clear=False)
    is_whole = bool(_TABLE_NAME.fullmatch(relation))
    reason += "" if is_whole else "; its schema is not recorded"
    table = f"services.{owners[0]}"
    return _inferred(table, "tables", (relation,), reason, evidence, is_clear=is_whole)


def _statements_that_name(seen: Observations, relation: str) -> int:
    """How many different waiting statements have the table's name among their words."""
    bare = relation.rpartition(".")[2].strip('"')
    named = re.compile(rf"(?<!\w){re.escape(bare)}(?!\w)", re.IGNORECASE)
    locks = seen.tables.locks
    waiting = locks[locks["waiter_statement"].notna() & locks["relation"].notna()]
    return len(
        {
            statement
            for of, statement in values(waiting, "relation", "waiter_statement")
            if of.rpartition(".")[2].strip('"') == bare and named.search(statement)
        }
    )


# --- pools ------------------------------------------------------------------------------------


def _pools(
    seen: Observations, methods: tuple[MethodTraffic, ...], names: dict[str, str]
) -> Iterator[Inference]:
    limits = pool_limits(seen.gauges)
    owners = {limit.owner: _owners(names, methods, [limit.owner]) for limit in limits}
    for limit in limits:
        mine = owners[limit.owner]
        reason = f"the maximum of pool {limit.owner} stood at {_span(limit.sizes)}"
        why = ""
        if len(mine) != 1:
            found = f"{', '.join(mine)} all have" if mine else "no gRPC service has"
            why = f"; {found} a name like it"
        elif list(owners.values()).count(mine) > 1:
            why = f"; {mine[0]} has several pools, and which one is meant is not clear"
        elif len(limit.sizes) > 1:
            why = "; it was changed in the window"
        owner = mine[0] if len(mine) == 1 else limit.owner
        size = max(limit.sizes)
        yield _inferred(
            f"services.{owner}",
            "pool_size",
            size,
            reason + why,
            limit.evidence,
            is_clear=not why and size > 0,
        )


def _span(sizes: tuple[int, ...]) -> str:
    return f"{sizes[0]}" if len(sizes) == 1 else f"{sizes[0]} to {sizes[-1]}"


# --- together ---------------------------------------------------------------------------------


def _topology(reasons: Iterable[Inference]) -> Topology:
    tables: dict[str, dict[str, Inference]] = {}
    for inference in reasons:
        tables.setdefault(inference.table, {})[inference.key] = inference
    services, routes = [], []
    for table, keys in tables.items():
        kind, _, name = table.partition(".")
        given = {key: inference.value for key, inference in keys.items() if key}
        if kind == "services":
            services.append(Service(name=name, basis=Basis.INFERRED, **given))
        else:
            method, _, path = name.partition(" ")
            routes.append(Route(method=method, path=path, basis=Basis.INFERRED, **given))
    return Topology(tuple(services), tuple(routes))

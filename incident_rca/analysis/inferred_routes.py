"""Routes that were hit -> what they call, which routes they follow and when they are cut off."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from statistics import quantiles

from incident_rca.analysis.evidence import instant, rows_as_evidence
from incident_rca.analysis.hypotheses.missing_deadline import SAME_DURATION
from incident_rca.analysis.inferred_values import Inference, inferred, is_route
from incident_rca.analysis.names import may_be_one
from incident_rca.analysis.observations import Observations
from incident_rca.analysis.traffic_links import (
    Bins,
    MethodTraffic,
    RouteTraffic,
    filled,
    likeness,
    overlap,
    route_traffic,
)
from incident_rca.analysis.waited import usually
from incident_rca.model import EndpointImpact, Evidence, Impact, Span, System

# Calls come with requests: Pearson's r of their rates. Two rates that share nine tenths of their
# variation are hardly those of different causes; several callers of one method lower it.
SAME_TRAFFIC = 0.9
# Another route that comes close to it is as good a candidate.
NEAR = 0.05
# A route that follows another comes with a delay and not always: it needs to go less together.
FOLLOWING = 0.6
CLEARLY_LESS = 0.2
# Bad in the same bins, with one bin in five for edges and delays.
TOGETHER = 0.8
SAME_NUMBER = 0.1
INTEGRATION_TIMEOUT = "integration_timeout"
FEWEST_TIMEOUTS = 20
# A limit cuts all alike: what it cuts spreads less than this share of it.
PLATEAU_SPREAD = 0.01


@dataclass(frozen=True, slots=True, kw_only=True)
class _Scene:
    """All routes and methods, and how each pair goes together before the outage."""

    seen: Observations
    bins: Bins
    traffic: Mapping[str, RouteTraffic]
    methods: tuple[MethodTraffic, ...]
    likenesses: Mapping[tuple[str, str], float]

    @property
    def troubled(self) -> tuple[MethodTraffic, ...]:
        return tuple(m for m in self.methods if m.bad)


def infer_routes(
    seen: Observations, bins: Bins, methods: tuple[MethodTraffic, ...]
) -> tuple[Inference, ...]:
    """What is inferred of each route, clear or not; routes that stayed flat are linked to nothing.

    Raises nothing: a route whose name cannot stand in settings is left out, with that reason.
    """
    traffic = {e.name: route_traffic(seen, bins, e) for e in seen.endpoints}
    known = {
        (name, method.full_name): value
        for name, route in traffic.items()
        for method in methods
        if (value := likeness(filled(route.requests, bins), method.calls, bins)) is not None
    }
    scene = _Scene(seen=seen, bins=bins, traffic=traffic, methods=methods, likenesses=known)
    found = [i for endpoint in seen.endpoints for i in _of_route(scene, endpoint)]
    leaders = {name for i in found if i.key == "follows" and i.is_clear for name in i.names}
    stated = {i.table for i in found if i.is_clear}
    for endpoint in seen.endpoints:
        table = f"routes.{endpoint.name}"
        if endpoint.name in leaders and table not in stated:
            reason = "another route follows it; what it calls is not clear"
            found.append(inferred(table, "", None, reason, endpoint.evidence))
    return tuple(found)


def _of_route(scene: _Scene, endpoint: EndpointImpact) -> Iterator[Inference]:
    table = f"routes.{endpoint.name}"
    if not is_route(endpoint.method, endpoint.route):
        reason = "its name is none that [[routes]] can hold"
        yield inferred(table, "", None, reason, endpoint.evidence, is_clear=False)
        return
    if endpoint.impact is Impact.UNAFFECTED:
        slow = ", ".join(m.full_name for m in scene.troubled)
        reason = f"it stayed as usual{f' while {slow} did not' if slow else ''}"
        yield inferred(table, "", None, reason, endpoint.evidence, is_clear=False)
        return
    yield from _calls(scene, endpoint)
    if endpoint.impact is Impact.STARVED:
        yield _follows(scene, endpoint)
    if endpoint.failed:
        yield from _timeout(scene.seen, endpoint)


# --- calls ------------------------------------------------------------------------------------


def _calls(scene: _Scene, endpoint: EndpointImpact) -> Iterator[Inference]:
    reasons: dict[str, list[str]] = {}
    for method in scene.methods:
        if _comes_with(scene, endpoint, method):
            reasons[method.full_name] = [_in_words(scene, endpoint, method)]
    together = {
        m.full_name: _signs(scene, endpoint, m)
        for m in scene.troubled
        if overlap(scene.traffic[endpoint.name], m) >= TOGETHER
    }
    most = max(map(len, together.values()), default=0)
    best = [name for name, signs in together.items() if len(signs) == most]
    if most and len(best) == 1:
        caveat = [] if best[0] in reasons else _caveat(scene, endpoint, best[0])
        reasons.setdefault(best[0], []).extend([*together[best[0]], *caveat])
    table, by_name = f"routes.{endpoint.name}", {m.full_name: m for m in scene.methods}
    if reasons:
        text = "; ".join(f"{name}: {', '.join(parts)}" for name, parts in reasons.items())
        evidence = _evidence(endpoint, [by_name[name] for name in reasons])
        yield inferred(table, "calls", tuple(sorted(reasons)), text, evidence)
        return
    if not best:
        reason = "no method is recorded whose calls came or failed together with its requests"
        yield inferred(table, "calls", None, reason, endpoint.evidence, is_clear=False)
    for name in best:
        others = f", as {' and '.join(n for n in best if n != name)} did" if len(best) > 1 else ""
        reason = (
            f"{name} had trouble in the same time{others}, but nothing else ties the two together"
            if not most
            else f"{', '.join(together[name])}; the same is true of another method{others}"
        )
        evidence = _evidence(endpoint, [by_name[name]])
        yield inferred(table, "calls", (name,), reason, evidence, is_clear=False)


def _comes_with(scene: _Scene, endpoint: EndpointImpact, method: MethodTraffic) -> bool:
    """Whether the method's calls come with this route's requests, and with no other's as well."""
    mine = scene.likenesses.get((endpoint.name, method.full_name))
    if mine is None or mine < SAME_TRAFFIC:
        return False
    others = [
        value
        for (route, name), value in scene.likenesses.items()
        if name == method.full_name and route != endpoint.name
    ]
    return max(others, default=-1.0) < mine - NEAR


def _caveat(scene: _Scene, endpoint: EndpointImpact, method: str) -> list[str]:
    """What speaks against the link: its calls, as far as recorded, are those of somebody else."""
    value = scene.likenesses.get((endpoint.name, method))
    if value is None or value >= SAME_TRAFFIC:
        return []
    return [f"though the recorded calls did not come with its requests before (r = {value:.2f})"]


def _in_words(scene: _Scene, endpoint: EndpointImpact, method: MethodTraffic) -> str:
    value = scene.likenesses[endpoint.name, method.full_name]
    return f"before the outage its calls came with these requests (r = {value:.2f})"


def _signs(scene: _Scene, endpoint: EndpointImpact, method: MethodTraffic) -> list[str]:
    """What ties a route to a method beside having trouble in the same time.

    What the gateway cut off lasted as long as the gateway's limit, not as the call.
    """
    signs = []
    failures = scene.seen.tables.failures
    of_route = (
        (failures["method"] == endpoint.method)
        & (failures["route"] == endpoint.route)
        & (failures["error_type"] != INTEGRATION_TIMEOUT)
    )
    took = usually(scene.seen.case, failures[of_route])
    plateau = method.shift.plateau_ms if method.shift else 0.0
    if plateau and took and abs(took.most_ms - plateau) <= SAME_DURATION * plateau:
        signs.append(f"its failed requests lasted as long as the calls, {took.in_seconds}")
    if endpoint.failed and abs(method.failed - endpoint.failed) <= SAME_NUMBER * endpoint.failed:
        signs.append(f"{endpoint.failed:,} of its requests failed and {method.failed:,} calls")
    if may_be_one(endpoint.route, method.service):
        signs.append("the two share a name")
    if signs:
        signs.append("both had trouble in the same time")
    return signs


def _evidence(endpoint: EndpointImpact, methods: list[MethodTraffic]) -> tuple[Evidence, ...]:
    return (*endpoint.evidence, *(e for m in methods for e in m.evidence))


# --- follows ----------------------------------------------------------------------------------


def _follows(scene: _Scene, endpoint: EndpointImpact) -> Inference:
    """The failing route whose successes bring this route's requests, if one clearly does."""
    table, bins = f"routes.{endpoint.name}", scene.bins
    mine = filled(scene.traffic[endpoint.name].requests, bins)
    found = sorted(
        (
            (value, other)
            for other in scene.seen.endpoints
            if other.name != endpoint.name
            and (value := likeness(filled(scene.traffic[other.name].succeeded, bins), mine, bins))
            is not None
        ),
        key=lambda pair: (-pair[0], pair[1].name),
    )
    if not found:
        reason = "its requests stopped; too little was recorded before to say with which others"
        return inferred(table, "follows", None, reason, endpoint.evidence, is_clear=False)
    value, leader = found[0]
    second = found[1][0] if len(found) > 1 else -1.0
    reason = (
        f"its requests came with successes of {leader.name} before the outage (r = {value:.2f})"
        f"{f', with those of others less (r <= {second:.2f})' if len(found) > 1 else ''}"
    )
    is_clear = (
        value >= FOLLOWING
        and second <= value - CLEARLY_LESS
        and leader.failed > 0
        and is_route(leader.method, leader.route)
    )
    reason += ", and stopped when that failed" if is_clear else ": not clear enough"
    evidence = (*endpoint.evidence, *leader.evidence)
    return inferred(table, "follows", (leader.name,), reason, evidence, is_clear=is_clear)


# --- timeout_seconds --------------------------------------------------------------------------


def _timeout(seen: Observations, endpoint: EndpointImpact) -> Iterator[Inference]:
    """The limit at which the gateway cut the route's requests off, if they end in one place."""
    failures = seen.tables.failures
    rows = failures[
        (failures["method"] == endpoint.method)
        & (failures["route"] == endpoint.route)
        & (failures["error_type"] == INTEGRATION_TIMEOUT)
        & failures["latency_ms"].notna()
    ]
    table = f"routes.{endpoint.name}"
    took = usually(seen.case, rows)
    if took is None or len(rows) < FEWEST_TIMEOUTS:
        reason = (
            f"{len(rows)} of its failures are time-outs of the gateway: too few to show a limit"
        )
        yield inferred(table, "timeout_seconds", None, reason, endpoint.evidence, is_clear=False)
        return
    latencies = [float(ms) for ms in rows["latency_ms"]]
    twentieths = quantiles(latencies, n=20)
    is_plateau = twentieths[-1] - twentieths[0] <= PLATEAU_SPREAD * took.most_ms
    at = Span(instant(rows["at"].min()), instant(rows["at"].max()), "first to last of them")
    seen_text = f"{len(rows):,} requests were cut off after {took.in_seconds} (median)"
    evidence = rows_as_evidence(rows, system=System.GATEWAY, at=at, seen=seen_text)
    reason = f"{seen_text}, {'all alike' if is_plateau else 'but not all alike: no one limit'}"
    seconds = round(took.most_ms / 1000, 1)
    yield inferred(table, "timeout_seconds", seconds, reason, evidence, is_clear=is_plateau)

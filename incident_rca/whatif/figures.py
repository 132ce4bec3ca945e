"""How requests were answered -> the figures that stand side by side: recorded, and replayed."""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Iterable, Sequence
from operator import attrgetter

from incident_rca.analysis.findings.no_breaker_acted import FAST_SHARE
from incident_rca.model import ReplayFigures
from incident_rca.whatif.breakers import ERROR, FULL, OK, REFUSED, TIMEOUT
from incident_rca.whatif.replay import GATEWAY_LIMIT, UNANSWERED, Answers
from incident_rca.whatif.traffic import Request, Traffic

_FAILED, _GATEWAY_TIMEOUT = 500, 504
# The order in which failures are told.
TYPES = (ERROR, GATEWAY_LIMIT, TIMEOUT, REFUSED, FULL, UNANSWERED)


def figures_of(traffic: Traffic, answers: Answers) -> ReplayFigures:
    """The figures of a replay."""
    return _figures(
        traffic,
        answers.outcomes,
        answers.latencies_ms,
        refused_healthy=answers.refused_healthy,
        pool_peak=max(answers.held_by_step),
        full_after_ms=answers.first_full_ms,
        full_ms=answers.full_ms,
        held=answers.held_by_step,
    )


def recorded_figures(traffic: Traffic) -> ReplayFigures:
    """The same figures as they were recorded."""
    full_from, full_until = traffic.pool_exhausted or (None, None)
    full_ms = full_until - full_from if full_from is not None and full_until is not None else None
    return _figures(
        traffic,
        [_outcome(request.status) for request in traffic.requests],
        [request.latency_ms for request in traffic.requests],
        refused_healthy=0,
        pool_peak=max((held for held in traffic.held_by_step if held is not None), default=None),
        full_after_ms=full_from,
        full_ms=full_ms,
        held=traffic.held_by_step,
    )


def is_failure(status: int) -> bool:
    """Whether a recorded status counts as a failure."""
    return status >= _FAILED


def _outcome(status: int) -> str:
    if not is_failure(status):
        return OK
    return GATEWAY_LIMIT if status == _GATEWAY_TIMEOUT else ERROR


def _figures(
    traffic: Traffic,
    outcomes: Sequence[str],
    latencies_ms: Sequence[float],
    *,
    refused_healthy: int,
    pool_peak: int | None,
    full_after_ms: int | None,
    full_ms: int | None,
    held: tuple[int | None, ...],
) -> ReplayFigures:
    requests, (begin, end) = traffic.requests, traffic.outage
    failed = [number for number, outcome in enumerate(outcomes) if outcome != OK]
    types = Counter(outcomes[number] for number in failed)
    routes = Counter(requests[number].route for number in failed)
    first, last = _places(requests, begin, end)
    latencies = sorted(ms for ms in latencies_ms[first:last] if not math.isnan(ms))
    fast = _first_fast(traffic, failed, outcomes, latencies_ms)
    return ReplayFigures(
        requests=len(requests),
        failed=len(failed),
        by_type={kind: types[kind] for kind in TYPES if types[kind]},
        by_route={route.name: routes[index] for index, route in enumerate(traffic.routes)},
        refused=types[REFUSED] + types[FULL],
        refused_healthy=refused_healthy,
        first_fast_failure_seconds=None if fast is None else (fast - begin) / 1000,
        p50_ms=_rank(latencies, 0.5),
        p99_ms=_rank(latencies, 0.99),
        pool_peak=pool_peak,
        pool_exhausted_after_seconds=_since(begin, full_after_ms),
        pool_exhausted_seconds=None if full_ms is None else full_ms / 1000,
        held_by_step=held,
    )


def _since(begin: int, at_ms: int | None) -> float | None:
    return None if at_ms is None else (at_ms - begin) / 1000


def _places(requests: Sequence[Request], begin: int, end: int) -> tuple[int, int]:
    """Where those that arrived from `begin` to `end` stand among requests in order of time."""
    arrival = attrgetter("at_ms")
    return bisect_left(requests, begin, key=arrival), bisect_right(requests, end, key=arrival)


def _first_fast(
    traffic: Traffic,
    failed: Iterable[int],
    outcomes: Sequence[str],
    latencies_ms: Sequence[float],
) -> float | None:
    """When the first failure of the outage was answered that took a small part of the usual wait.

    Usual is what the failures took that were recorded.
    """
    waits = sorted(
        r.latency_ms for r in traffic.requests if is_failure(r.status) and r.latency_ms >= 0
    )
    usual = _rank(waits, 0.5)
    if usual is None:
        return None
    begin, limit = traffic.outage[0], FAST_SHARE * usual
    answered = (
        traffic.requests[number].at_ms + latencies_ms[number]
        for number in failed
        if latencies_ms[number] < limit
        and traffic.requests[number].at_ms >= begin
        and outcomes[number] != UNANSWERED
    )
    return min(answered, default=None)


def _rank(ordered: list[float], share: float) -> float | None:
    """The nearest rank of sorted values, or None where there are none."""
    if not ordered:
        return None
    return float(ordered[max(0, math.ceil(share * len(ordered)) - 1)])


def steps_per_bar(steps: int, most: int) -> int:
    """How many steps of a curve go into one, for `most` of them at most."""
    return max(1, -(-steps // most))


def coarser(held: tuple[int | None, ...], per_bar: int) -> tuple[int | None, ...]:
    """The most that is known of each so many steps; None where nothing is."""
    groups = (held[start : start + per_bar] for start in range(0, len(held), per_bar))
    return tuple(max((one for one in group if one is not None), default=None) for group in groups)

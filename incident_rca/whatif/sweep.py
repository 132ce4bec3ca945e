"""Many protections replayed in parallel, and those of them that no other one beats."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from multiprocessing import get_context

from incident_rca.errors import BadSettings
from incident_rca.whatif.breakers import OK
from incident_rca.whatif.figures import p99_ms_in_outage
from incident_rca.whatif.options import DEADLINE, milliseconds, name_of, with_options
from incident_rca.whatif.protection import Protection
from incident_rca.whatif.replay import replay
from incident_rca.whatif.traffic import Traffic

_DEADLINES = ("500ms", "1s", "2s", "5s", "10s")
_OPEN = ("1s", "5s", "10s", "30s", "60s")
# What a sweep tries of each breaker where nobody says: 1,000 settings of one that has a rate. Each
# value is one that its users write; the library's default is among them.
GRIDS: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "none": {DEADLINE: ("250ms", *_DEADLINES, "15s", "30s")},
    "opossum": {
        DEADLINE: _DEADLINES,
        "errorThresholdPercentage": ("10", "25", "50", "75", "90"),
        "volumeThreshold": ("0", "5", "10", "20"),
        "rollingCountTimeout": ("10s", "30s"),
        "resetTimeout": _OPEN,
    },
    "resilience4j": {
        DEADLINE: _DEADLINES,
        "failureRateThreshold": ("10", "25", "50", "75", "90"),
        "minimumNumberOfCalls": ("5", "10", "20", "100"),
        "permittedNumberOfCallsInHalfOpenState": ("1", "10"),
        "waitDurationInOpenState": _OPEN,
    },
    "envoy": {
        DEADLINE: (*_DEADLINES, "15s"),
        "consecutive_5xx": ("3", "5", "10", "20"),
        "interval": ("1s", "5s", "10s"),
        "base_ejection_time": _OPEN,
    },
}
# Protections that go to a process at once, with the traffic.
_CHUNK = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """One protection and what is weighed of its replay."""

    protection: Protection
    failed: int
    refused_healthy: int
    p99_ms: float | None
    pool_peak: int | None
    pool_exhausted: bool


def grid(base: Protection, given: Iterable[str]) -> tuple[Protection, ...]:
    """Every combination of `NAME=V1,V2` over the base's other settings; raises BadSettings.

    What is not given is swept as GRIDS says.
    """
    found = [base]
    for name, texts in _axes(base, given).items():
        found = [_with(one, name, text) for one, text in itertools.product(found, texts)]
    return tuple(dict.fromkeys(found))


def swept_names(base: Protection, given: Iterable[str]) -> tuple[str, ...]:
    """The settings that differ within a grid, by the names that people write."""
    return tuple(name for name, texts in _axes(base, given).items() if len(texts) > 1)


def _axes(base: Protection, given: Iterable[str]) -> dict[str, tuple[str, ...]]:
    return {**GRIDS[name_of(base.breaker)], **dict(_axis(item) for item in given)}


def _axis(item: str) -> tuple[str, tuple[str, ...]]:
    name, equals, values = item.partition("=")
    texts = tuple(value for value in values.split(",") if value)
    if not equals or not texts:
        raise BadSettings(f"{item}: is no list of values", hint="write it as NAME=V1,V2,V3")
    return name, texts


def _with(base: Protection, name: str, text: str) -> Protection:
    if name == DEADLINE:
        return replace(base, deadline_ms=milliseconds(DEADLINE, text))
    return replace(base, breaker=with_options(base.breaker, [f"{name}={text}"]))


def sweep(traffic: Traffic, protections: Sequence[Protection], jobs: int) -> Iterator[Trial]:
    """Yields the trial of each protection, in their order, from `jobs` processes."""
    if jobs < 2 or len(protections) < 2 * _CHUNK:
        yield from (trial(traffic, protection) for protection in protections)
        return
    # A fork of a process with threads, as DuckDB has, may never end.
    with ProcessPoolExecutor(jobs, mp_context=get_context("spawn")) as executor:
        try:
            yield from executor.map(partial(trial, traffic), protections, chunksize=_CHUNK)
        finally:
            executor.shutdown(wait=False, cancel_futures=True)


def trial(traffic: Traffic, protection: Protection) -> Trial:
    """One protection, replayed."""
    answers = replay(traffic, protection)
    return Trial(
        protection=protection,
        failed=len(answers.outcomes) - answers.outcomes.count(OK),
        refused_healthy=answers.refused_healthy,
        p99_ms=p99_ms_in_outage(traffic, answers),
        pool_peak=max(answers.held_by_step),
        pool_exhausted=answers.first_full_ms is not None,
    )


def pareto_front(trials: Iterable[Trial]) -> tuple[Trial, ...]:
    """The trials than which none loses fewer requests and refuses as few healthy ones.

    Of trials that are alike in both, the one stands for all whose callers waited least, and then
    the one that held fewest connections.
    """
    front: list[Trial] = []
    fewest: int | None = None
    for one in sorted(trials, key=_worth):
        if fewest is None or one.refused_healthy < fewest:
            front.append(one)
            fewest = one.refused_healthy
    return tuple(front)


def _worth(one: Trial) -> tuple[int, int, float, int]:
    waited = math.inf if one.p99_ms is None else one.p99_ms
    return one.failed, one.refused_healthy, waited, one.pool_peak or 0

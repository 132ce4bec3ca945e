"""Many protections replayed in parallel, and those of them that no other one beats."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from multiprocessing import get_context
from typing import Any

from incident_rca.errors import BadSettings
from incident_rca.model import ReplayFigures, SweptAxis
from incident_rca.whatif.figures import coarser, figures_of, steps_per_bar
from incident_rca.whatif.opossum import OpossumOptions, kin_of
from incident_rca.whatif.options import (
    DEADLINE,
    OWN,
    name_of,
    own_value,
    setting,
    sound,
    value_of,
    with_options,
    written,
)
from incident_rca.whatif.protection import Protection
from incident_rca.whatif.replay import replay_for_all
from incident_rca.whatif.traffic import STEP_MS, Traffic, steps_in

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
# Steps of the curve of connections held that a sweep keeps of each replay: a line of a terminal.
CURVE_STEPS = 60
# Protections that go to a process at once, with the traffic.
_CHUNK = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """One protection and the figures of its replay, their curve as `coarse` makes it."""

    protection: Protection
    figures: ReplayFigures


def axes_of(base: Protection, given: Iterable[str]) -> tuple[SweptAxis, ...]:
    """The settings to sweep, from `NAME=V1,V2`; raises BadSettings.

    What is not given is swept as GRIDS says.
    """
    known = GRIDS[name_of(base.breaker)]
    asked = {**known, **dict(_axis(item) for item in given)}
    return tuple(
        SweptAxis(name=name, values=tuple(dict.fromkeys(_written(base, name, t) for t in texts)))
        for name, texts in asked.items()
    )


def _axis(item: str) -> tuple[str, tuple[str, ...]]:
    name, equals, values = item.partition("=")
    texts = tuple(value for value in values.split(",") if value)
    if not equals or not texts:
        raise BadSettings(f"{item}: is no list of values", hint="write it as NAME=V1,V2,V3")
    return name, texts


def _written(base: Protection, name: str, text: str) -> str:
    """A value in the one way in which it is written: 1000ms and 1s are the same."""
    if name in OWN:
        own: dict[str, Any] = {OWN[name]: own_value(name, text)}
        return setting(replace(base, **own), name)
    if base.breaker is None:
        raise BadSettings(
            f"{name}: there is no breaker to set this of",
            hint=f"choose one by --breaker, or sweep {', '.join(OWN)}",
        )
    return written(base.breaker, name, value_of(base.breaker, name, text))


def combinations(axes: Sequence[SweptAxis]) -> Iterator[dict[str, str]]:
    """Yields every combination of the values by the names of their axes, the last one quickest."""
    names = [axis.name for axis in axes]
    for values in itertools.product(*(axis.values for axis in axes)):
        yield dict(zip(names, values, strict=True))


def protection_at(base: Protection, settings: Mapping[str, str]) -> Protection:
    """The base with one combination of values; raises BadSettings where they do not go together."""
    options = [f"{name}={text}" for name, text in settings.items() if name not in OWN]
    own: dict[str, Any] = {
        OWN[name]: own_value(name, text) for name, text in settings.items() if name in OWN
    }
    return sound(replace(base, breaker=with_options(base.breaker, options), **own))


def sweep(traffic: Traffic, protections: Sequence[Protection], jobs: int) -> Iterator[Trial]:
    """Yields the trial of each protection, from `jobs` processes, kin beside kin."""
    groups = _groups(protections)
    if jobs < 2 or len(groups) < 2:
        for group in groups:
            yield from trials(traffic, group)
        return
    # A fork of a process with threads, as DuckDB has, may never end.
    with ProcessPoolExecutor(jobs, mp_context=get_context("spawn")) as executor:
        try:
            yield from itertools.chain.from_iterable(executor.map(partial(trials, traffic), groups))
        finally:
            executor.shutdown(wait=False, cancel_futures=True)


def _groups(protections: Iterable[Protection]) -> list[list[Protection]]:
    """The protections, those together of which one replay may tell of others; else some at once."""
    groups: dict[Protection | int, list[Protection]] = {}
    for number, one in enumerate(protections):
        if isinstance(one.breaker, OpossumOptions):
            groups.setdefault(replace(one, breaker=kin_of(one.breaker)), []).append(one)
        else:
            groups.setdefault(number // _CHUNK, []).append(one)
    return list(groups.values())


def trials(traffic: Traffic, protections: Iterable[Protection]) -> list[Trial]:
    """The trials of protections, each replayed unless another one's replay tells of it too."""
    known: list[tuple[Callable[[Protection], bool], ReplayFigures]] = []
    found = []
    for protection in protections:
        figures = next((f for answers_alike, f in known if answers_alike(protection)), None)
        if figures is None:
            answers, answers_alike = replay_for_all(traffic, protection)
            figures = coarse(figures_of(traffic, answers))
            known.append((answers_alike, figures))
        found.append(Trial(protection=protection, figures=figures))
    return found


def trial(traffic: Traffic, protection: Protection) -> Trial:
    """One protection, replayed."""
    return trials(traffic, [protection])[0]


def coarse(figures: ReplayFigures) -> ReplayFigures:
    """The figures with a curve that is as coarse as those of a sweep."""
    held = figures.held_by_step
    return replace(figures, held_by_step=coarser(held, steps_per_bar(len(held), CURVE_STEPS)))


def curve_step_ms(traffic: Traffic) -> int:
    """How long a step of such a curve is."""
    return STEP_MS * steps_per_bar(steps_in(traffic.end_ms), CURVE_STEPS)


def pareto_front(trials: Iterable[Trial]) -> tuple[Trial, ...]:
    """The trials than which none loses fewer requests and refuses as few healthy ones.

    Of trials that are alike in both, the one stands for all whose callers waited least, and then
    the one that held fewest connections.
    """
    front: list[Trial] = []
    for one in sorted(trials, key=_worth):
        if not front or one.figures.refused_healthy < front[-1].figures.refused_healthy:
            front.append(one)
    return tuple(front)


def _worth(one: Trial) -> tuple[int, int, float, int]:
    figures = one.figures
    waited = math.inf if figures.p99_ms is None else figures.p99_ms
    return figures.failed, figures.refused_healthy, waited, figures.pool_peak or 0

"""One incident and one protection -> what was recorded and what the model says, side by side."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from incident_rca.analysis.observations import Observations
from incident_rca.model import Fit, ReplayFigures, Sweep, SweptAxis, SweptSetting, WhatIf
from incident_rca.whatif.figures import figures_of, recorded_figures
from incident_rca.whatif.fit import fit_of, too_small_to_tell
from incident_rca.whatif.options import in_words, name_of, to_document
from incident_rca.whatif.protection import UNPROTECTED, Protection
from incident_rca.whatif.recorded import recorded_traffic
from incident_rca.whatif.replay import replay
from incident_rca.whatif.sweep import (
    Trial,
    coarse,
    combinations,
    curve_step_ms,
    pareto_front,
)
from incident_rca.whatif.traffic import STEP_MS, Traffic

# How the behaviour of each breaker is known.
BASES = {
    "none": "no circuit breaker",
    "opossum": "as the library opossum 10.0.0 behaves, event by event",
    "resilience4j": "by the rules of Resilience4j's documentation, not compared with the library",
    "envoy": "by the rules of Envoy's documentation, the main ones of them seen in Envoy itself",
}


def what_if(seen: Observations, protection: Protection, pool_size: int | None) -> WhatIf:
    """What a protection would have done in an incident; raises NotReplayable."""
    return compared(recorded_traffic(seen, pool_size), protection)


def as_it_was(traffic: Traffic) -> tuple[ReplayFigures, ReplayFigures, Fit]:
    """What was recorded, what the model says without a protection, and how they fit."""
    recorded, answers = recorded_figures(traffic), replay(traffic, UNPROTECTED)
    replayed = figures_of(traffic, answers)
    return recorded, replayed, fit_of(traffic, answers, recorded, replayed)


def compared(traffic: Traffic, protection: Protection) -> WhatIf:
    """The traffic as recorded, replayed without a protection, and with it in both ways."""
    name = name_of(protection.breaker)
    asked = {key: value for key, value in to_document(protection).items() if key != "cancels"}
    recorded, unprotected, fit = as_it_was(traffic)
    cancelled = figures_of(traffic, replay(traffic, replace(protection, cancels=True)))
    running = figures_of(traffic, replay(traffic, replace(protection, cancels=False)))
    unclear = too_small_to_tell(fit, unprotected, cancelled, running)
    return WhatIf(
        pool=traffic.pool,
        pool_size=traffic.pool_size,
        step_seconds=STEP_MS / 1000,
        breaker=name,
        basis=BASES[name],
        protection=asked,
        settings=in_words(protection),
        recorded=recorded,
        unprotected=unprotected,
        cancelled=cancelled,
        left_running=running,
        fit=replace(fit, problems=(*fit.problems, *unclear)),
        premises=traffic.premises,
    )


def as_sweep(
    traffic: Traffic,
    base: Protection,
    axes: tuple[SweptAxis, ...],
    given_pool_size: int | None,
    *,
    cancelled: Sequence[Trial],
    left_running: Sequence[Trial],
) -> Sweep:
    """The trials of every combination of the axes over a base, as a case keeps them."""
    name = name_of(base.breaker)
    recorded, whole, fit = as_it_was(traffic)
    unprotected = Trial(protection=UNPROTECTED, figures=coarse(whole))
    return Sweep(
        replayed=traffic.digest,
        pool=traffic.pool,
        pool_size=traffic.pool_size,
        given_pool_size=given_pool_size,
        breaker=name,
        basis=BASES[name],
        base=to_document(replace(base, cancels=False)),
        axes=axes,
        step_seconds=curve_step_ms(traffic) / 1000,
        recorded=coarse(recorded),
        unprotected=unprotected.figures,
        fit=fit,
        trials=tuple(
            SweptSetting(settings=settings, cancelled=one.figures, left_running=other.figures)
            for settings, one, other in zip(
                combinations(axes), cancelled, left_running, strict=True
            )
        ),
        front_cancelled=_front(unprotected, cancelled),
        front_left_running=_front(unprotected, left_running),
        premises=traffic.premises,
    )


def _front(unprotected: Trial, trials: Sequence[Trial]) -> tuple[int, ...]:
    """The places among the trials of those that no other one beats, nor no protection at all."""
    places = {one: place for place, one in enumerate(trials)}
    return tuple(places[one] for one in pareto_front((unprotected, *trials)) if one in places)

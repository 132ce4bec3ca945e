"""One seed from its plan to its judgement, of the analysis and of each baseline."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from incident_rca.analysis.analyse import analyse
from incident_rca.model import Analysis, ErrorBurst
from score.baselines import BASELINES, Baseline
from score.evidence import Collected, collected
from score.judge import Judged, Named, incidents_met, judged, named_by
from score.manifest import START
from score.plans import Plan, plan_of
from score.signals import signals_of
from score.truth import TrueIncident, Truth, truth_of


@dataclass(frozen=True, slots=True)
class Scored:
    """A judged case; `others` is what each baseline makes of its incidents."""

    judged: Judged
    others: Mapping[str, tuple[Named, ...]]

    @property
    def is_tuning(self) -> bool:
        """Even seeds may be looked at; odd ones are held out."""
        return self.judged.seed % 2 == 0


@dataclass(frozen=True, slots=True)
class Told:
    """All that is known of a seed: the plan, its evidence, its truth and what was said of it."""

    plan: Plan
    collected: Collected
    truth: Truth
    analysis: Analysis


def told(seed: int) -> Told:
    """Plays, collects and analyses a seed."""
    plan = plan_of(seed)
    evidence = collected(plan)
    truth = truth_of(plan, evidence.simulation)
    return Told(plan, evidence, truth, analyse(evidence.case, evidence.tables))


def scored(seed: int) -> Scored:
    """The score of one seed."""
    case = told(seed)
    return Scored(judged(case.plan, case.truth, case.analysis), _by_baselines(case))


def _by_baselines(case: Told) -> Mapping[str, tuple[Named, ...]]:
    """Each baseline on each incident, told of the outages that the analysis found.

    Where it found none there is nothing to explain, for a baseline as well.
    """
    signals = signals_of(case.collected)
    met = tuple(incidents_met(case.plan, case.truth, case.analysis)) or ((None, 1),)

    def named(incident: TrueIncident | None, number: int, baseline: Baseline) -> Named:
        outage = case.analysis.outage_of(number)
        blame = baseline(signals, _seconds(outage)) if outage else None
        return named_by(incident, [blame] if blame else [])

    return {name: tuple(named(i, n, b) for i, n in met) for name, b in BASELINES.items()}


def _seconds(outage: ErrorBurst) -> tuple[float, float]:
    """When an outage began and ended, from the start of the window."""
    start, end = outage.start.lo, outage.end.lo
    assert start is not None and end is not None
    return (start - START).total_seconds(), (end - START).total_seconds()

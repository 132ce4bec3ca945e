"""One seed from its plan to its judgement, of the analysis and of each baseline."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from incident_rca.analysis.analyse import analyse
from incident_rca.model import Analysis
from score.baselines import BASELINES
from score.evidence import Collected, collected
from score.judge import Judged, Named, judged, named_by
from score.manifest import START
from score.plans import Plan, plan_of
from score.signals import signals_of
from score.truth import Truth, truth_of


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
    outages = [case.analysis.outage, *(i.outage for i in case.analysis.other_incidents)]
    spans = [
        ((o.start.lo - START).total_seconds(), (o.end.lo - START).total_seconds())
        for o in outages
        if o is not None and o.start.lo and o.end.lo
    ]
    signals = signals_of(case.collected)
    shift = case.plan.observation.offsets["gateway"]
    others: dict[str, tuple[Named, ...]] = {}
    for name, baseline in BASELINES.items():
        named = []
        for incident in case.truth.incidents or (None,):
            met = [
                s
                for s in spans
                if incident is None
                or (
                    s[0] <= incident.outage[1] + shift + 1
                    and s[1] >= incident.outage[0] + shift - 1
                )
            ]
            blame = baseline(signals, met[0]) if met else None
            named.append(named_by(incident, [blame] if blame else []))
        others[name] = tuple(named)
    return others

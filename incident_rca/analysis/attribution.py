"""Which second of the outage goes to what: exclusive, and adding up to all of them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from incident_rca.analysis.verdicts import Candidate
from incident_rca.model import ErrorBurst, Hypothesis, Role, Verdict

EXPLAINING = frozenset({Verdict.SUPPORTED, Verdict.WEAK})


def attribute(
    candidates: Sequence[Candidate], outage: ErrorBurst | None
) -> tuple[tuple[Hypothesis, ...], float]:
    """The hypotheses with the seconds each explains, and the seconds that none does.

    Each second of the outage goes to a trigger while it lasts, else to a sustainer while its state
    holds, else it stays unexplained (DESIGN, Counting). Only supported and weak ones explain. The
    last second is as long as the outage leaves it.
    """
    if outage is None or outage.start.lo is None:
        return tuple(c.hypothesis for c in candidates), 0.0
    explained = [0.0] * len(candidates)
    order = [
        i
        for role in (Role.TRIGGER, Role.SUSTAINER)
        for i, c in enumerate(candidates)
        if c.hypothesis.role is role and c.active and c.hypothesis.verdict in EXPLAINING
    ]
    unexplained = 0.0
    for second in range(math.ceil(outage.duration_seconds)):
        length = min(1.0, outage.duration_seconds - second)
        middle = outage.start.lo + timedelta(seconds=second + length / 2)
        holder = next((i for i in order if _holds(candidates[i].active, middle)), None)
        if holder is None:
            unexplained += length
        else:
            explained[holder] += length
    return (
        tuple(
            replace(c.hypothesis, explains_seconds=explained[i]) for i, c in enumerate(candidates)
        ),
        unexplained,
    )


def _holds(active: tuple[datetime, datetime | None] | None, at: datetime) -> bool:
    return active is not None and active[0] <= at and (active[1] is None or at < active[1])

"""Which second of the outage goes to what: exclusive, and adding up to all of them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from incident_rca.analysis.verdicts import Candidate
from incident_rca.model import ErrorBurst, Hypothesis, Role, Verdict

EXPLAINING = frozenset({Verdict.SUPPORTED, Verdict.WEAK})


@dataclass(frozen=True, slots=True)
class Second:
    """A second of the outage, the last of which is as long as the outage leaves it.

    `holder` is the position of the candidate that it goes to, None where it goes to none.
    """

    start: datetime
    length: float
    holder: int | None

    @property
    def middle(self) -> datetime:
        return self.start + timedelta(seconds=self.length / 2)

    @property
    def end(self) -> datetime:
        return self.start + timedelta(seconds=self.length)


def seconds_of(candidates: Sequence[Candidate], outage: ErrorBurst | None) -> tuple[Second, ...]:
    """Each second of the outage with the candidate that it goes to.

    That is a trigger while it lasts, else a sustainer while its state holds, else none (DESIGN,
    Counting). Only supported and weak ones explain.
    """
    if outage is None or outage.start.lo is None:
        return ()
    order = [
        i
        for role in (Role.TRIGGER, Role.SUSTAINER)
        for i, c in enumerate(candidates)
        if c.hypothesis.role is role and c.active and c.hypothesis.verdict in EXPLAINING
    ]
    found = []
    for second in range(math.ceil(outage.duration_seconds)):
        length = min(1.0, outage.duration_seconds - second)
        each = Second(outage.start.lo + timedelta(seconds=second), length, None)
        at = each.middle
        holder = next((i for i in order if holds(candidates[i].active, at)), None)
        found.append(replace(each, holder=holder))
    return tuple(found)


def attribute(
    candidates: Sequence[Candidate], outage: ErrorBurst | None
) -> tuple[tuple[Hypothesis, ...], float]:
    """The hypotheses with the seconds each explains, and the seconds that none does."""
    explained = [0.0] * len(candidates)
    unexplained = 0.0
    for second in seconds_of(candidates, outage):
        if second.holder is None:
            unexplained += second.length
        else:
            explained[second.holder] += second.length
    return (
        tuple(
            replace(c.hypothesis, explains_seconds=explained[i]) for i, c in enumerate(candidates)
        ),
        unexplained,
    )


def holds(active: tuple[datetime, datetime | None] | None, at: datetime) -> bool:
    """Whether something that lasts so long, to the end where that is open, holds at an instant."""
    return active is not None and active[0] <= at and (active[1] is None or at < active[1])

"""The seconds of an outage by what held in them and what they go to, as runs of equal ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from itertools import groupby
from typing import TYPE_CHECKING, Any

from incident_rca.analysis.attribution import Second
from incident_rca.analysis.endpoints import STARVED_SHARE
from incident_rca.analysis.frames import pieces
from incident_rca.analysis.observations import Observations
from incident_rca.analysis.outage import failures_in
from incident_rca.analysis.state_tracks import Track, tracks_of
from incident_rca.model import (
    Answer,
    EndpointImpact,
    ErrorBurst,
    Hypothesis,
    Impact,
    Question,
    State,
    Stretch,
)

if TYPE_CHECKING:
    import pandas as pd

# Of so few requests none may come by chance (Poisson: less than one time in a hundred).
FEWEST_EXPECTED = 5.0


def stretches(
    seen: Observations, seconds: Sequence[Second], hypotheses: Sequence[Hypothesis]
) -> tuple[Stretch, ...]:
    """The stretches of the outage in which nothing changed; each names the hypothesis it goes to.

    `seconds` are those of `attribution`, whose holders are positions in `hypotheses`; failures and
    arrivals are counted over each stretch, because one second has too few of them to say.
    """
    if seen.outage is None or not seconds:
        return ()
    tracks = tracks_of(seen, [s.middle for s in seconds])
    failed = failures_in(seen.tables, seen.outage)["at"]
    asked = _asked(seen, seconds[0].start, seconds[-1].end)
    found = []
    positions = range(len(seconds))
    for (holder, _), run in groupby(positions, lambda i: (seconds[i].holder, _marks(tracks, i))):
        inside = list(run)
        start, end = seconds[inside[0]].start, seconds[inside[-1]].end
        found.append(
            Stretch(
                incident=seen.incident,
                start=start,
                end=end,
                seconds=sum(seconds[i].length for i in inside),
                cause=None if holder is None else hypotheses[holder],
                states=(
                    *(_state(track, inside) for track in tracks),
                    _failures(seen.outage, failed, start, end),
                    _starved(seen, asked, start, end),
                ),
            )
        )
    return tuple(found)


def _marks(tracks: Sequence[Track], position: int) -> tuple[object, ...]:
    return tuple(track.marks[position] for track in tracks)


def _state(track: Track, inside: Sequence[int]) -> State:
    mark = track.marks[inside[0]]
    numbers = [n for i in inside if (n := track.numbers[i]) is not None]
    return State(
        question=track.question,
        answer=mark.answer,
        detail=mark.detail,
        number=max(numbers) if numbers and mark.answer is not Answer.NOT_RECORDED else None,
        evidence=track.evidence[mark],
    )


def _failures(outage: ErrorBurst, failed: pd.Series[Any], start: datetime, end: datetime) -> State:
    """The failing requests that arrived, a second; the last one arrives as the outage ends."""
    is_last = end >= (outage.end.lo or end)
    number = int(((failed >= start) & ((failed < end) | is_last)).sum())
    seconds = (end - start).total_seconds()
    return State(
        question=Question.FAILURES,
        answer=Answer.YES if number else Answer.NO,
        detail="",
        number=number / seconds if seconds else float(number),
        evidence=outage.evidence,
    )


def _asked(seen: Observations, start: datetime, end: datetime) -> dict[str, pd.DataFrame]:
    """The seconds of the outage in which each route got requests, and how many."""
    gateway = seen.tables.gateway
    inside = gateway[
        (gateway["second"] >= start.replace(microsecond=0)) & (gateway["second"] < end)
    ]
    return {
        f"{method} {route}": rows[["second", "requests"]]
        for (method, route), rows in pieces(inside, "method", "route")
    }


def _starved(
    seen: Observations, asked: Mapping[str, pd.DataFrame], start: datetime, end: datetime
) -> State:
    """The routes of which hardly a request arrived, beside what is usual."""
    assert seen.outage is not None
    known = [e for e in seen.endpoints if e.baseline_per_minute]
    starved = [e for e in known if _is_starved(e, asked.get(e.name), start, end)]
    answer = Answer.YES if starved else Answer.NO if known else Answer.NOT_RECORDED
    cited = tuple(dict.fromkeys(e for route in starved or known for e in route.evidence))
    return State(
        question=Question.STARVED_ROUTES,
        answer=answer,
        detail=", ".join(e.name for e in starved),
        number=float(len(starved)) if known else None,
        evidence=cited or seen.outage.evidence,
    )


def _is_starved(
    endpoint: EndpointImpact, asked: pd.DataFrame | None, start: datetime, end: datetime
) -> bool:
    """By the arrivals of its whole seconds; too short a stretch is judged as the whole outage."""
    first = start.replace(microsecond=0)
    whole = max(timedelta(seconds=1), end - first)
    expected = (endpoint.baseline_per_minute or 0.0) * whole.total_seconds() / 60
    if expected < FEWEST_EXPECTED:
        return endpoint.impact is Impact.STARVED
    if asked is None:
        return True
    is_inside = (asked["second"] >= first) & (asked["second"] < end)
    return int(asked.loc[is_inside, "requests"].sum()) <= STARVED_SHARE * expected

"""The sources of a case that are not whole or not there, and what that costs."""

from __future__ import annotations

from dataclasses import dataclass

from incident_rca.model import (
    COUNTED_TWICE,
    INDEPENDENT_SYSTEMS,
    Analysis,
    SourceState,
    SourceStatus,
    System,
)
from incident_rca.report.wording import SYSTEM_NAMES

_COST = {
    System.POSTGRES: "who held which lock and who waited is not known; "
    "no hypothesis about locks can be supported",
    System.GRPC_METRICS: "latency and status codes of the calls between services are not known",
    System.GATEWAY: "which requests failed, when and how many is not known",
    System.CHANGES: "deploys, migrations and changes of settings are not known",
    System.SETTINGS: "no way from service to table is known but by ids of requests: "
    "no other verdict is above weak",
}
_READABLE = frozenset({SourceState.OK, SourceState.PARTIAL})


@dataclass(frozen=True, slots=True)
class Warned:
    """A source that is not whole, and what its gap costs."""

    name: str
    state: str
    cost: str


def warnings(analysis: Analysis) -> tuple[Warned, ...]:
    """The sources that are not whole, and the systems of which this case has none.

    One that had nothing to say beside a whole one of its system costs nothing.
    """
    sources = analysis.case.sources
    whole = {s.system for s in sources if s.state is SourceState.OK}
    bad = (
        s
        for s in sources
        if s.state not in (SourceState.OK, SourceState.SKIPPED)
        and not (s.state is SourceState.EMPTY and s.system in whole)
    )
    made = [Warned(s.name, _state_words(s), _cost(s, sources)) for s in bad]
    present = {s.system for s in sources if s.state is not SourceState.SKIPPED}
    made += [
        Warned(SYSTEM_NAMES[system], "not in this case", _COST[system])
        for system in sorted(INDEPENDENT_SYSTEMS - present)
    ]
    return tuple(made)


def _state_words(source: SourceStatus) -> str:
    return f"{source.state.value} ({source.reason})" if source.reason else source.state.value


def _cost(source: SourceStatus, sources: tuple[SourceStatus, ...]) -> str:
    if source.state is SourceState.PARTIAL and COUNTED_TWICE in source.reason:
        return "what is counted of these requests is an upper bound"
    if source.state is SourceState.PARTIAL:
        return "what it counts is a lower bound, and what it does not show may still have happened"
    others = [
        s.name
        for s in sources
        if s.system == source.system and s.state in _READABLE and s != source
    ]
    if others:
        return f"for {SYSTEM_NAMES[source.system]} only {', '.join(others)} is left"
    skipped = [
        f"{s.name}: {s.reason}"
        for s in sources
        if s.system == source.system and s.state is SourceState.SKIPPED and s.reason
    ]
    beside = f". Not there either: {'; '.join(skipped)}" if skipped else ""
    return f"{_COST[source.system]}{beside}"
